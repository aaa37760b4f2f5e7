//! Secrets that are files, and files that change.

use std::{
    os::unix::fs::symlink,
    path::Path,
    sync::{Arc, Mutex},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rustix::{
    fs::{CWD, Mode, mkfifoat},
    process::Signal,
};

use crate::support::{
    client::exchange,
    patience::{PATIENCE, lock, until, until_within},
    problem::assert_problem,
    setup::Setup,
    sidecar::{Sidecar, run_to_end},
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

/// Replaces a file by a pipe that has no writer: opening it as a file is opened would wait for ever.
fn become_pipe(path: &Path) {
    let _ = std::fs::remove_file(path);
    mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).expect("a pipe");
}

#[test]
fn a_secret_file_that_becomes_a_pipe_stops_nothing() {
    let tokens = TokenEndpoint::start(|_, _| token_response("token-1", 2));
    let upstream = Upstream::answering(|_| ok("fine"));
    let setup = Setup::new(&tokens, upstream.origin());
    let (key, secret) = (setup.file("key", "old"), setup.file("secret", "secret"));
    let mut sidecar = setup
        .client(&format!(
            "client_id = \"x\"\nclient_secret = {{ file = \"{}\" }}",
            secret.display()
        ))
        .route(&format!(
            "guard.client_key = {{ file = \"{}\" }}",
            key.display()
        ))
        .start_ready();
    let ask = |sidecar: &Sidecar, key: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nx-bearward-key: {key}\r\n\r\n");
        exchange(sidecar.address(), request).status
    };
    become_pipe(&key);
    become_pipe(&secret);
    until_within(PATIENCE * 2, "a line about each file", || {
        (sidecar.written().matches("secret.unreadable").count() == 2).then_some(())
    });
    assert!(sidecar.written().contains("not a regular file"));
    // The secrets in force stay, tokens are refreshed, and the admin listener responds.
    let count = tokens.count();
    until_within(PATIENCE * 2, "a refresh", || {
        (tokens.count() > count).then_some(())
    });
    assert_eq!((ask(&sidecar, "old"), ask(&sidecar, "new")), (200, 401));
    assert_eq!(sidecar.admin("/livez").status, 200);
    // A file in its place is read again.
    std::fs::remove_file(&key).unwrap();
    std::fs::write(&key, "new").unwrap();
    until_within(PATIENCE * 2, "the new key to be taken", || {
        (ask(&sidecar, "new") == 200).then_some(())
    });
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait().success());
}

#[test]
fn a_pipe_for_a_file_is_named_with_its_place_by_check_and_run() {
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, "http://127.0.0.1:9");
    let pipe = setup.file("pipe", "");
    become_pipe(&pipe);
    let shown = pipe.display();
    let setup = setup
        .client(&format!(
            "client_id = \"x\"\nclient_secret = {{ file = \"{shown}\" }}\ntoken_request.ca_file = \"{shown}\""
        ))
        .route(&format!(
            "guard.client_key = {{ file = \"{shown}\" }}\nclient_certificate = {{ cert = \"{shown}\", key = {{ file = \"{shown}\" }} }}"
        ));
    let (file, environment) = setup.write();
    for command in ["check", "run"] {
        let output = run_to_end(&[command, "-c", file.to_str().unwrap()], &environment);
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        for key in ["client_secret", "ca_file", "client_key"] {
            let place = format!("{}:", file.display());
            let named = |line: &str| {
                line.starts_with(&place)
                    && line.contains(&format!("`{key}`"))
                    && line.contains("not a regular file")
            };
            assert!(text.lines().any(named), "{key}: {text}");
        }
    }
}

#[test]
fn a_configuration_file_that_is_a_pipe_is_an_error_and_a_reload_of_one_changes_nothing() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let setup = Setup::new(&tokens, upstream.origin());
    let (file, _) = setup.write();
    let mut sidecar = setup.start_ready();
    become_pipe(&file);
    for command in ["check", "run"] {
        let output = run_to_end(&[command, "-c", file.to_str().unwrap()], &[]);
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        let start = format!("{}:1:1: error: ", file.display());
        assert!(
            text.contains(&start) && text.contains("not a regular file"),
            "{text}"
        );
    }
    sidecar.signal(Signal::HUP);
    until("the refused reload", || {
        sidecar
            .written()
            .contains("not a regular file")
            .then_some(())
    });
    assert_eq!(sidecar.get("/").status, 200);
    assert_eq!(sidecar.admin("/livez").status, 200);
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait().success());
}
