//! `proxy` of a route: the API is reached through an HTTP proxy.

use std::{io::Read, net::SocketAddr};

use crate::support::{
    certificates::private_authority,
    client::Client,
    forward_proxy::{CREDENTIALS, Proxy, with_credentials},
    ports,
    problem::assert_problem,
    server::Server,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::ok,
};

#[track_caller]
fn sidecar(setup: Setup, proxy: SocketAddr) -> Sidecar {
    setup.route(&format!("proxy = \"http://{proxy}\"")).start()
}

#[test]
fn a_plain_upstream_is_reached_through_a_tunnel_with_credentials() {
    let (tokens, proxy) = (TokenEndpoint::issuing("token-1"), Proxy::start(None));
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin())
        .route(&with_credentials("proxy", proxy.address()))
        .environment("PROXY_PASSWORD", "pa:ss")
        .tables("[runtime]\nworkers = 1")
        .start();
    let mut client = Client::connect(sidecar.address());
    for _ in 0..3 {
        assert_eq!(client.get("/a").text(), "fine");
    }
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1, "a tunnel serves more than one request");
    let target = upstream.address().to_string();
    assert_eq!(
        (heads[0].method(), heads[0].target()),
        ("CONNECT", target.as_str())
    );
    assert_eq!(heads[0].value("host"), Some(target.as_str()));
    assert_eq!(heads[0].value("proxy-authorization"), Some(CREDENTIALS));
    assert!(
        !heads[0].has("authorization"),
        "the token is not the proxy's"
    );
    let head = upstream.last().head;
    assert_eq!(head.value("authorization"), Some("Bearer token-1"));
    assert!(!head.has("proxy-authorization"));
    assert_eq!(head.target(), "/a");
}

#[test]
fn a_tls_upstream_is_verified_through_the_tunnel() {
    let (tokens, proxy) = (TokenEndpoint::issuing("token-1"), Proxy::start(None));
    // A name that only the proxy can resolve.
    let certificates = private_authority(&["api.invalid"]);
    let upstream = Upstream::answering_over_tls(certificates.server, |_| ok("fine"));
    let origin = format!("https://api.invalid:{}", upstream.address().port());
    let setup = Setup::new(&tokens, origin);
    let ca = setup.file("ca.pem", &certificates.ca_pem);
    let setup = setup.route(&format!("ca_file = \"{}\"", ca.display()));
    let sidecar = sidecar(setup, proxy.address());
    assert_eq!(sidecar.get("/").text(), "fine");
    assert!(proxy.heads()[0].target().starts_with("api.invalid:"));
}

#[test]
fn a_proxy_that_asks_for_credentials_is_named() {
    for refusal in [
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 407 Nope\r\n\r\n",
    ] {
        let (tokens, proxy) = (TokenEndpoint::issuing("t"), Proxy::start(Some(refusal)));
        let upstream = Upstream::answering(|_| ok("fine"));
        let setup = Setup::new(&tokens, upstream.origin());
        let sidecar = sidecar(setup, proxy.address());
        let answer = sidecar.get("/");
        let problem = assert_problem(&answer, 502, "upstream-unreachable");
        let detail = problem["detail"].as_str().unwrap();
        let address = proxy.address().to_string();
        assert!(
            detail.contains("407") && detail.contains(&address),
            "{detail}"
        );
        assert!(!answer.head.has("proxy-authenticate"));
        assert_eq!(upstream.connections(), 0);
    }
}

#[test]
fn a_proxy_that_opens_no_tunnel_is_an_unreachable_upstream() {
    for refusal in [
        "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
        "nonsense\r\n\r\n",
        "",
    ] {
        let (tokens, proxy) = (TokenEndpoint::issuing("t"), Proxy::start(Some(refusal)));
        let setup = Setup::new(&tokens, "http://127.0.0.1:9");
        let sidecar = sidecar(setup, proxy.address());
        let problem = assert_problem(&sidecar.get("/"), 502, "upstream-unreachable");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("proxy"), "{refusal}: {detail}");
    }
    let tokens = TokenEndpoint::issuing("t");
    let setup = Setup::new(&tokens, "http://127.0.0.1:9");
    let unused = ports::unused();
    let sidecar = sidecar(setup, unused);
    let problem = assert_problem(&sidecar.get("/"), 502, "upstream-unreachable");
    let detail = problem["detail"].as_str().unwrap();
    let expected = format!("the proxy {unused} refuses connections");
    assert!(detail.contains(&expected), "{detail}");
}

#[test]
fn a_proxy_that_does_not_respond_is_bounded_by_the_time_to_connect() {
    let tokens = TokenEndpoint::issuing("t");
    let silent = Server::start(|mut client, _| {
        let _ = client.read_to_end(&mut Vec::new());
    });
    let setup = Setup::new(&tokens, "http://127.0.0.1:9").route("timeouts.connect = \"200ms\"");
    let sidecar = sidecar(setup, silent.address());
    assert_problem(&sidecar.get("/"), 504, "upstream-timeout");
}
