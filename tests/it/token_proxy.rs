//! `token_request.proxy`: the authorization server is reached through an HTTP proxy that wants credentials.

use crate::support::{
    certified::Certified,
    forward_proxy::{CREDENTIALS, Proxy, UNAUTHENTICATED, with_credentials},
    home::Home,
    openssl,
    problem::assert_problem,
    setup::Setup,
    token_endpoint::{TokenEndpoint, token_response},
    upstream::Upstream,
    wire::ok,
};

#[test]
fn a_certified_server_is_reached_over_tls_through_a_tunnel_with_credentials() {
    let folder = openssl::certificates();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let tls = openssl::tls_environment(&folder);
    let certified = Certified::start(&tls.each_ref().map(|(name, path)| (*name, path.as_str())));
    let proxy = Proxy::demanding_credentials();
    let lines = format!(
        "grant_type = \"client_credentials\"\nscope = \"devices.read\"\ntoken_request.ca_file = {:?}\n{}\n",
        path("server.crt"),
        with_credentials("token_request.proxy", proxy.address()),
    );
    let home = || certified.configure(Home::new(), "basic", &lines);
    let sidecar = home().environment("PROXY_PASSWORD", "pa:ss").run_ready();
    certified.assert_accepted(&sidecar, "basic");
    drop(sidecar);
    let issuer = certified.server.text("/issuer");
    for head in proxy.heads() {
        assert_eq!(head.method(), "CONNECT", "{head:?}");
        assert_eq!(head.target(), issuer.trim_start_matches("https://"));
        assert!(!head.has("authorization"), "the client's secret: {head:?}");
    }

    let sidecar = home().environment("PROXY_PASSWORD", "wrong").run();
    let problem = assert_problem(&sidecar.get("/v1/devices"), 503, "token-unavailable");
    let detail = problem["detail"].as_str().expect("a text");
    assert_names(detail, &proxy.address().to_string());
    let status = sidecar.provider("api").to_string();
    assert_names(&status, &proxy.address().to_string());
    assert!(
        !sidecar.written().contains("wrong\""),
        "{}",
        sidecar.written()
    );
}

#[test]
fn a_plain_token_endpoint_is_asked_of_a_proxy_that_gets_credentials() {
    // Of a name that the proxy alone can resolve; it is the server as well.
    let proxy =
        TokenEndpoint::start(
            |request, _| match request.head.value("proxy-authorization") {
                Some(CREDENTIALS) => token_response("token-1", 3600),
                _ => UNAUTHENTICATED.into(),
            },
        );
    let address = proxy.url();
    let address = address
        .trim_start_matches("http://")
        .trim_end_matches("/token");
    let upstream = Upstream::answering(|_| ok("fine"));
    let setup = |password: &str| {
        Setup::new(&proxy, upstream.origin())
            .token_endpoint("http://login.invalid/token")
            .provider("allow_plaintext = true")
            .provider(&with_credentials("token_request.proxy", address))
            .environment("PROXY_PASSWORD", password)
    };
    let sidecar = setup("pa:ss").start_ready();
    assert_eq!(sidecar.get("/").text(), "fine");
    let head = proxy.first().head;
    assert_eq!(head.target(), "http://login.invalid/token");
    assert_eq!(head.value("host"), Some("login.invalid"));

    let sidecar = setup("wrong").start();
    let problem = assert_problem(&sidecar.get("/"), 503, "token-unavailable");
    assert_names(problem["detail"].as_str().expect("a text"), address);
}

/// Asserts that `text` names the proxy, the status and the keys to change.
#[track_caller]
fn assert_names(text: &str, address: &str) {
    for part in [
        address,
        "407",
        "`[providers.api.token_request.proxy] username` and `password`",
    ] {
        assert!(text.contains(part), "no {part}: {text}");
    }
}
