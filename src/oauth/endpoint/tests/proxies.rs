//! Token requests through a forward proxy.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;
use crate::{
    forward_proxy::{ForwardProxy, ProxyCredentials},
    secret::LiveSecret,
};

fn through(provider: &mut Provider, proxy: &str, password: Option<Arc<LiveSecret>>) {
    provider.token_request.proxy = Some(ForwardProxy {
        url: proxy.parse().unwrap(),
        credentials: password.map(|password| ProxyCredentials {
            username: "svc".into(),
            password,
        }),
    });
}

fn password(text: &str) -> Option<Arc<LiveSecret>> {
    Some(Arc::new(LiveSecret::fixed(Secret::new(text))))
}

/// A proxy that opens tunnels to `port` for `svc` and `p:w ü`, and returns its address.
async fn tunnel_proxy(port: u16, status: &'static str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            assert!(head.starts_with("CONNECT localhost:"), "{head}");
            let is_known = head.contains("Basic c3ZjOnA6dyDDvA==");
            let line = if is_known {
                status
            } else {
                "407 Proxy Authentication Required"
            };
            let line = format!("HTTP/1.1 {line}\r\n\r\n");
            stream.write_all(line.as_bytes()).await.unwrap();
            if line.contains(" 200 ") {
                let mut target = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut target).await;
            }
        }
    });
    (address, serving)
}

#[tokio::test]
async fn only_the_configured_proxy_is_used() {
    let proxy = TokenServer::start(Reply::Token(60)).await;
    let mut provider = fake::provider("http://as.invalid/token");
    through(&mut provider, &proxy.url().replace("/token", "/"), None);
    ask(provider).await.unwrap();
    let request = proxy.requests().remove(0);
    assert!(
        request.starts_with("POST http://as.invalid/token HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(!request.contains("proxy-authorization"), "{request}");
}

#[tokio::test]
async fn a_proxy_gets_its_credentials_with_the_current_password() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "p:w ü").unwrap();
    let live = Arc::new(LiveSecret::file(&path).unwrap());
    let proxy = TokenServer::start(Reply::Token(60)).await;
    let mut provider = fake::provider("http://as.invalid/token");
    let address = proxy.url().replace("/token", "/");
    through(&mut provider, &address, Some(live.clone()));
    let endpoint = TokenEndpoint::new(Arc::new(provider), Arc::new(ManualClock::new()));
    let context = ApiContext::default();
    endpoint
        .request(Grant::ClientCredentials, &context)
        .await
        .unwrap();
    std::fs::write(&path, "two").unwrap();
    live.reload().unwrap();
    endpoint
        .request(Grant::ClientCredentials, &context)
        .await
        .unwrap();
    for (request, credentials) in proxy
        .requests()
        .iter()
        .zip(["c3ZjOnA6dyDDvA==", "c3ZjOnR3bw=="])
    {
        let line = format!("proxy-authorization: Basic {credentials}\r\n");
        assert!(request.contains(&line), "{request}");
    }
}

fn address(proxy: &str) -> &str {
    proxy.trim_start_matches("http://")
}

#[tokio::test]
async fn https_goes_through_a_tunnel_with_credentials() {
    let (tls, trust) = private_authority();
    let server = TokenServer::start_tls(Reply::Token(60), tls).await;
    let port = server.url().parse::<Url>().unwrap().port().unwrap();
    let (proxy, serving) = tunnel_proxy(port, "200 Connected").await;
    let mut provider = fake::provider(&server.url());
    provider.token_request.trust = trust;
    through(&mut provider, &proxy, password("p:w ü"));
    ask(provider.clone()).await.unwrap();
    assert!(!server.requests()[0].contains("proxy-authorization"));

    through(&mut provider, &proxy, password("wrong"));
    let text = ask(provider).await.unwrap_err().to_string();
    assert!(
        text.contains(&format!(
            "cannot be reached through the proxy {}, which responded with 407 Proxy Authentication Required: check \
             `[providers.fake.token_request.proxy] username` and `password`",
            address(&proxy)
        )),
        "{text}"
    );
    serving.abort();
}

#[tokio::test]
async fn a_proxy_that_wants_credentials_is_named_without_a_tunnel_too() {
    let proxy = TokenServer::start(Reply::response(407, "", "")).await;
    let mut provider = fake::provider("http://as.invalid/token");
    let origin = proxy.url().replace("/token", "");
    through(&mut provider, &origin, password(CANARY));
    let error = ask(provider).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&format!(
            "the proxy {}, which responded with 407 Proxy Authentication Required",
            address(&origin)
        )),
        "{text}"
    );
    assert!(!text.contains(CANARY) && !error.may_have_been_received());
    assert_eq!(error.kind(), "proxy");
}

#[tokio::test]
async fn a_proxy_that_is_down_or_refuses_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let down = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let (refusing, serving) = tunnel_proxy(1, "403 Forbidden").await;
    let (_, trust) = private_authority();
    for (endpoint, proxy, expected) in [
        ("https://localhost:1/token", &*down, "accepts no connection"),
        ("http://as.invalid/token", &down, "accepts no connection"),
        (
            "https://localhost:1/token",
            "http://no-such.invalid:1",
            "has a host name that is not found",
        ),
        (
            "https://localhost:1/token",
            &refusing,
            "does not open a connection to it",
        ),
    ] {
        let mut provider = fake::provider(endpoint);
        provider.token_request.trust = trust.clone();
        through(&mut provider, proxy, password("p:w ü"));
        let error = ask(provider).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&format!(
                "through the proxy {}, which {expected}",
                address(proxy)
            )),
            "{text}"
        );
        assert!(
            text.contains("check `[providers.fake.token_request] proxy`"),
            "{text}"
        );
        assert!(!error.may_have_been_received() && error.is_transient());
    }
    serving.abort();
}
