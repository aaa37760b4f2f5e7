//! Secrets that are files, and files that change.

use std::{
    os::unix::fs::symlink,
    sync::{Arc, Mutex},
};

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::support::{
    client::exchange,
    patience::{PATIENCE, lock, until, until_within},
    problem::assert_problem,
    setup::Setup,
    token_endpoint::{TokenEndpoint, error_response, token_response},
    upstream::Upstream,
    wire::{Request, ok},
};

/// The secret that came with a token request.
fn secret_of(request: &Request) -> String {
    let credentials = request
        .head
        .value("authorization")
        .and_then(|value| value.strip_prefix("Basic "));
    let credentials = BASE64_STANDARD
        .decode(credentials.expect("Basic credentials"))
        .expect("base64");
    String::from_utf8(credentials)
        .expect("text")
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// A server that accepts the secret `new` alone.
fn accepting_new() -> (TokenEndpoint, Arc<Mutex<Vec<String>>>) {
    let secrets: Arc<Mutex<Vec<String>>> = Arc::default();
    let tokens = TokenEndpoint::start({
        let secrets = secrets.clone();
        move |request, _| {
            let secret = secret_of(request);
            lock(&secrets).push(secret.clone());
            if secret == "new" {
                token_response("token-1", 3600)
            } else {
                error_response("401 Unauthorized", "invalid_client")
            }
        }
    });
    (tokens, secrets)
}

#[test]
fn a_refused_secret_that_is_changed_is_tried_at_once() {
    let (tokens, secrets) = accepting_new();
    let upstream = Upstream::answering(|_| ok("fine"));
    let setup = Setup::new(&tokens, upstream.origin());
    // As editors leave it: with a line feed at the end, which is not part of the secret.
    let path = setup.file("secret", "old\n");
    let client = format!(
        "client_id = \"x\"\nclient_secret = {{ file = \"{}\" }}",
        path.display()
    );
    let sidecar = setup.client(&client).start();
    assert_problem(&sidecar.get("/"), 502, "token-refused");
    std::fs::write(&path, "new\n").unwrap();
    // Noticed within 5 s; a refusal alone would be tried again after a minute.
    until_within(PATIENCE * 2, "an answer with the new secret", || {
        (sidecar.get("/").status == 200).then_some(())
    });
    assert_eq!(*lock(&secrets), ["old", "new"]);
}

#[test]
fn a_secret_that_is_swapped_behind_a_symbolic_link_is_noticed() {
    let (tokens, _secrets) = accepting_new();
    let upstream = Upstream::answering(|_| ok("fine"));
    let setup = Setup::new(&tokens, upstream.origin());
    // As Kubernetes mounts it: secret → ..data/secret, ..data → a folder, and `..data` is what is swapped.
    let folder = setup.file("marker", "").parent().unwrap().join("mounted");
    for (version, secret) in [("..one", "old"), ("..two", "new")] {
        std::fs::create_dir_all(folder.join(version)).unwrap();
        std::fs::write(folder.join(version).join("secret"), secret).unwrap();
    }
    symlink("..one", folder.join("..data")).unwrap();
    symlink("..data/secret", folder.join("secret")).unwrap();
    let client = format!(
        "client_id = \"x\"\nclient_secret = {{ file = \"{}/secret\" }}",
        folder.display()
    );
    let sidecar = setup.client(&client).start();
    assert_problem(&sidecar.get("/"), 502, "token-refused");
    symlink("..two", folder.join("..tmp")).unwrap();
    std::fs::rename(folder.join("..tmp"), folder.join("..data")).unwrap();
    until_within(PATIENCE * 2, "an answer with the new secret", || {
        (sidecar.get("/").status == 200).then_some(())
    });
}

#[test]
fn a_client_key_that_is_changed_is_asked_for() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let setup = Setup::new(&tokens, upstream.origin());
    let path = setup.file("key", "old");
    let sidecar = setup
        .route(&format!(
            "guard.client_key = {{ file = \"{}\" }}",
            path.display()
        ))
        .start_ready();
    let ask = |key: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nx-bearward-key: {key}\r\n\r\n");
        exchange(sidecar.address(), request).status
    };
    assert_eq!((ask("old"), ask("new")), (200, 401));
    std::fs::write(&path, "new").unwrap();
    until("the new key to be taken", || {
        (ask("new") == 200).then_some(())
    });
    assert_eq!(ask("old"), 401);
}
