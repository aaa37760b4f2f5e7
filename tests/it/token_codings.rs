//! Responses of an authorization server in a content coding that no request asked for.

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect, EMAIL, SignIn},
    home::Home,
    patience::until,
    problem::assert_problem,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::{TokenEndpoint, error_response, gzipped, json_response, token_response},
    upstream::Upstream,
    wire::ok,
};

/// A sidecar whose token endpoint sends `response` in gzip.
#[track_caller]
fn sidecar(response: &[u8], upstream: &Upstream) -> (Sidecar, TokenEndpoint) {
    let bytes = gzipped(response);
    let tokens = TokenEndpoint::start(move |_, _| bytes.clone());
    (Setup::new(&tokens, upstream.origin()).start(), tokens)
}

#[test]
fn a_token_in_gzip_is_used() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let (sidecar, tokens) = sidecar(&token_response("token-1", 3600), &upstream);
    assert_eq!(sidecar.get("/").text(), "fine");
    let head = upstream.last().head;
    assert_eq!(head.value("authorization"), Some("Bearer token-1"));
    let asked = tokens.first().head;
    assert!(!asked.has("accept-encoding"), "{asked:?}");
}

#[test]
fn an_error_in_gzip_is_named() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let error = error_response("401 Unauthorized", "invalid_client");
    let (sidecar, _tokens) = sidecar(&error, &upstream);
    let body = assert_problem(&sidecar.get("/"), 502, "token-refused");
    assert_eq!(body["error"], "invalid_client");
}

#[test]
fn a_response_that_grows_without_end_is_not_decoded_to_its_end() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let bomb = json_response("200 OK", &" ".repeat(64 << 20));
    let (sidecar, _tokens) = sidecar(&bomb, &upstream);
    let body = assert_problem(&sidecar.get("/"), 503, "token-unavailable");
    let detail = body["detail"].as_str().expect("a text");
    assert!(detail.contains("larger than 1 MiB"), "{detail}");
    assert!(
        sidecar.peak_resident_kib() < 48 << 10,
        "the bomb was decoded"
    );
}

/// Feeling, with an account to sign in with, whose server sends everything in gzip.
fn signing_in() -> (AuthorizationServer, Home) {
    let server = AuthorizationServer::start(Dialect::Feeling);
    server.configure(|server| server.gzips = true);
    let account = format!(
        "[providers.api.sign_in]\nemail = \"{EMAIL}\"\npassword = {{ env = \"PASSWORD\" }}\n"
    );
    let lines = server.provider(Some("myapp://callback")) + &account;
    let home = Home::new().provider("api", &lines);
    (server, home)
}

#[test]
fn a_sign_in_and_its_refreshes_in_gzip_are_read() {
    let (server, home) = signing_in();
    let api = server.api();
    let home = home.route("api", &api.origin());
    let sidecar = home.run_ready();
    assert_eq!(sidecar.get("/").status, 200);
    let renewed = sidecar.renew("api");
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    assert_eq!(sidecar.get("/").status, 200);
    assert_eq!(server.ledger().consents, 1);
    assert_eq!(server.refreshes(), 1);
}

#[test]
fn a_refused_sign_in_in_gzip_is_named() {
    let (server, home) = signing_in();
    server.configure(|server| server.sign_in = SignIn::Refuses);
    let sidecar = home.route("api", "http://127.0.0.1:9").run();
    until("the error of the sign-in", || {
        let error = sidecar.provider("api")["last_error"].to_string();
        error.contains("access_denied").then_some(())
    });
}
