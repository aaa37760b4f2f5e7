//! `proxy` of a route: the API is reached through an HTTP proxy.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use bearward::{
    forward_proxy::{ForwardProxy, ProxyCredentials},
    secret::{LiveSecret, Secret},
};

use crate::support::{
    certificates::private_authority,
    client::Client,
    in_process::{self, InProcess},
    patience::lock,
    ports,
    problem::assert_problem,
    server::Server,
    setup::Setup,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{Head, Wire, ok},
};

/// A proxy that opens tunnels to 127.0.0.1, whatever host is asked for, at the port that is asked for.
struct Proxy {
    server: Server,
    seen: Arc<Mutex<Vec<Head>>>,
}

impl Proxy {
    /// `refusal` is what it responds instead of opening a tunnel.
    fn start(refusal: Option<&'static str>) -> Self {
        let seen: Arc<Mutex<Vec<Head>>> = Arc::default();
        let heads = seen.clone();
        let server = Server::start(move |client, _| {
            let mut wire = Wire::new(client.try_clone().unwrap());
            let Ok(Some(head)) = wire.head() else { return };
            let port = head.target().rsplit_once(':').map(|(_, port)| port.parse());
            lock(&heads).push(head);
            if let Some(refusal) = refusal {
                let _ = wire.send(refusal);
                return;
            }
            let Some(Ok(port)) = port else { return };
            let upstream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
            // In two parts, as a slow proxy sends it.
            let _ = wire.send("HTTP/1.1 2");
            let _ = wire.send("00 Connection established\r\nVia: 1.1 proxy\r\n\r\n");
            let back = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || copy(back.0, back.1));
            copy(client, upstream);
        });
        Self { server, seen }
    }

    fn settings(&self, credentials: Option<ProxyCredentials>) -> ForwardProxy {
        ForwardProxy {
            url: format!("http://{}", self.server.address()).parse().unwrap(),
            credentials,
        }
    }

    fn heads(&self) -> Vec<Head> {
        lock(&self.seen).clone()
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..length]).is_err() {
            return;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

fn sidecar(setup: Setup, proxy: ForwardProxy) -> InProcess {
    in_process::start(setup, |config| {
        config.routes[0].upstream.proxy = Some(proxy);
    })
}

#[test]
fn a_plain_upstream_is_reached_through_a_tunnel_with_credentials() {
    let (tokens, proxy) = (TokenEndpoint::issuing("token-1"), Proxy::start(None));
    let upstream = Upstream::answering(|_| ok("fine"));
    let password = Arc::new(LiveSecret::fixed(Secret::new("pa:ss")));
    let credentials = ProxyCredentials {
        username: "svc".into(),
        password,
    };
    let setup = Setup::new(&tokens, upstream.origin()).tables("[runtime]\nworkers = 1");
    let sidecar = sidecar(setup, proxy.settings(Some(credentials)));
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
    // "svc:pa:ss"
    assert_eq!(
        heads[0].value("proxy-authorization"),
        Some("Basic c3ZjOnBhOnNz")
    );
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
    let sidecar = sidecar(setup, proxy.settings(None));
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
        let settings = proxy.settings(None);
        let sidecar = sidecar(Setup::new(&tokens, upstream.origin()), settings);
        let answer = sidecar.get("/");
        let problem = assert_problem(&answer, 502, "upstream-unreachable");
        let detail = problem["detail"].as_str().unwrap();
        let address = proxy.server.address().to_string();
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
        let sidecar = sidecar(setup, proxy.settings(None));
        let problem = assert_problem(&sidecar.get("/"), 502, "upstream-unreachable");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("proxy"), "{refusal}: {detail}");
    }
    let tokens = TokenEndpoint::issuing("t");
    let gone = ForwardProxy {
        url: format!("http://{}", ports::unused()).parse().unwrap(),
        credentials: None,
    };
    let sidecar = sidecar(Setup::new(&tokens, "http://127.0.0.1:9"), gone);
    let problem = assert_problem(&sidecar.get("/"), 502, "upstream-unreachable");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("the proxy refuses connections")
    );
}

#[test]
fn a_proxy_that_does_not_respond_is_bounded_by_the_time_to_connect() {
    let tokens = TokenEndpoint::issuing("t");
    let silent = Server::start(|mut client, _| {
        let _ = client.read_to_end(&mut Vec::new());
    });
    let setup = Setup::new(&tokens, "http://127.0.0.1:9").route("timeouts.connect = \"200ms\"");
    let settings = ForwardProxy {
        url: format!("http://{}", silent.address()).parse().unwrap(),
        credentials: None,
    };
    let sidecar = sidecar(setup, settings);
    assert_problem(&sidecar.get("/"), 504, "upstream-timeout");
}
