//! The exchange with a token endpoint over real sockets.

use std::time::Duration;

use rustls_pki_types::PrivateKeyDer;

mod certificates;
mod codings;
mod proxies;

use super::*;
use crate::{
    clock::ManualClock,
    oauth::{
        fake::{self, CANARY, Reply, TokenServer},
        provider::{ClientAuth, HostList, Lifetime, TokenMethod},
    },
    secret::Secret,
    tls::{CertificateFault, HandshakeFault, Trust},
};

async fn ask(provider: Provider) -> Result<Issued, TokenRequestError> {
    TokenEndpoint::new(Arc::new(provider), Arc::new(ManualClock::new()))
        .request(Grant::ClientCredentials, &ApiContext::default())
        .await
}

async fn fault_of(provider: Provider) -> Fault {
    let error = Box::pin(ask(provider)).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(CANARY));
    error.fault().clone()
}

#[tokio::test]
async fn a_token_request_follows_the_rfc() {
    let server = TokenServer::start(Reply::Token(60)).await;
    let issued = ask(fake::provider(&server.url())).await.unwrap();
    assert_eq!(issued.access_token.expose(), format!("{CANARY}-1"));
    assert_eq!(issued.lifetime, Lifetime::For(Duration::from_secs(60)));
    let request = server.requests().remove(0);
    assert!(request.starts_with("POST /token HTTP/1.1\r\n"), "{request}");
    for line in [
        "authorization: Basic ",
        "accept: application/json\r\n",
        "user-agent: bearward/",
    ] {
        assert!(request.contains(line), "{line} in {request}");
    }
    assert!(
        request.ends_with("\r\n\r\ngrant_type=client_credentials"),
        "{request}"
    );
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let thief = TokenServer::start(Reply::Token(60)).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}\r\n", thief.url());
        let server = TokenServer::start(Reply::response(status, &location, "")).await;
        assert_eq!(
            fault_of(fake::provider(&server.url())).await,
            Fault::Redirect(status)
        );
    }
    assert_eq!(thief.count(), 0);
}

#[tokio::test]
async fn an_endless_response_is_cut() {
    let server = TokenServer::start(Reply::Endless).await;
    let fault = fault_of(fake::provider(&server.url())).await;
    assert_eq!(fault, Fault::NotAToken("it is larger than 1 MiB"));
    // The sockets' buffers hold a few MiB beyond what was read.
    assert!(server.endless_bytes().await < 64 << 20);
}

#[tokio::test]
async fn a_slow_response_ends_at_the_timeout() {
    let server = TokenServer::start(Reply::Token(60)).await;
    server.hold_responses();
    let mut provider = fake::provider(&server.url());
    provider.token_request.timeout = Duration::from_millis(50);
    assert_eq!(fault_of(provider).await, Fault::Timeout);
}

#[tokio::test]
async fn a_response_that_stops_halfway_ends_at_the_timeout() {
    // The length promises more than comes, and the connection stays open.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut provider = fake::provider(&format!("http://{}/token", listener.local_addr().unwrap()));
    provider.token_request.timeout = Duration::from_millis(200);
    let stall = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096])
            .await
            .unwrap();
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access_token\":\"a\"";
        tokio::io::AsyncWriteExt::write_all(&mut stream, text)
            .await
            .unwrap();
        std::future::pending::<()>().await;
    });
    assert_eq!(fault_of(provider).await, Fault::Timeout);
    stall.abort();
}

#[tokio::test]
async fn network_failures_have_distinct_faults() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    assert_eq!(
        fault_of(fake::provider(&format!("http://{address}/token"))).await,
        Fault::Connect
    );
    assert_eq!(
        fault_of(fake::provider("http://no-such-name.invalid/token")).await,
        Fault::Dns
    );

    let server = TokenServer::start(Reply::Hangup).await;
    assert_eq!(
        fault_of(fake::provider(&server.url())).await,
        Fault::Protocol
    );
    assert_eq!(
        server.count(),
        1,
        "a request that failed is not repeated here"
    );

    server.reply(Reply::Raw("SSH-2.0-OpenSSH\r\n".into()));
    assert_eq!(
        fault_of(fake::provider(&server.url())).await,
        Fault::Protocol
    );

    let plain = TokenServer::start(Reply::Token(60)).await;
    let https = plain.url().replace("http://", "https://");
    assert_eq!(
        fault_of(fake::provider(&https)).await,
        Fault::Tls(HandshakeFault::NotTls)
    );
}

async fn error_of(provider: Provider) -> TokenRequestError {
    Box::pin(ask(provider)).await.unwrap_err()
}

#[tokio::test]
async fn a_lost_response_differs_from_a_request_that_was_not_sent() {
    let server = TokenServer::start(Reply::Hangup).await;
    assert!(
        error_of(fake::provider(&server.url()))
            .await
            .may_have_been_received(),
        "the connection broke"
    );
    server.reply(Reply::Raw(
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access_token\":\"a\"".into(),
    ));
    assert!(
        error_of(fake::provider(&server.url()))
            .await
            .may_have_been_received(),
        "the response was cut"
    );
    server.hold_responses();
    let mut slow = fake::provider(&server.url());
    slow.token_request.timeout = Duration::from_millis(100);
    assert!(
        error_of(slow).await.may_have_been_received(),
        "nothing came in time"
    );
    server.release_responses();

    for (status, fields) in [
        (200, ""),
        (400, ""),
        (429, ""),
        (503, ""),
        (302, "location: /\r\n"),
    ] {
        server.reply(Reply::response(status, fields, "{}"));
        assert!(
            !error_of(fake::provider(&server.url()))
                .await
                .may_have_been_received(),
            "status {status}"
        );
    }
    let address = server.url();
    drop(server);
    let https = address.replace("http://", "https://");
    for unreachable in [&address, &https, "http://no-such-name.invalid/token"] {
        assert!(
            !error_of(fake::provider(unreachable))
                .await
                .may_have_been_received(),
            "{unreachable}"
        );
    }
}

#[tokio::test]
async fn a_request_without_a_handshake_was_not_received() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut provider = fake::provider(&format!("https://{}/token", listener.local_addr().unwrap()));
    // Without the system's roots, the client is ready at once.
    let (_, trust) = private_authority();
    provider.token_request.trust = trust;
    // The handshake gets nine tenths of it; the rest is what a machine may stand still in between.
    provider.token_request.timeout = Duration::from_secs(10);
    let silent = tokio::spawn(async move {
        let _stream = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
    });
    let error = error_of(provider).await;
    assert_eq!(
        (error.fault(), error.may_have_been_received()),
        (&Fault::Timeout, false)
    );
    silent.abort();
}

#[tokio::test]
async fn every_grant_but_client_credentials_returns_a_refresh_token() {
    let body = r#"{"access_token":"a","refresh_token":"r2"}"#;
    let server = TokenServer::start(Reply::response(200, "", body)).await;
    let provider = Arc::new(fake::provider(&server.url()));
    let endpoint = TokenEndpoint::new(provider, Arc::new(ManualClock::new()));
    let one = Secret::new("r1");
    let refreshed = endpoint
        .request(
            Grant::RefreshToken {
                refresh_token: &one,
            },
            &ApiContext::default(),
        )
        .await
        .unwrap();
    assert_eq!(refreshed.refresh_token, Some(Secret::new("r2")));
    assert!(server.requests()[0].ends_with("\r\n\r\ngrant_type=refresh_token&refresh_token=r1"));
    assert_eq!(
        endpoint
            .request(Grant::ClientCredentials, &ApiContext::default())
            .await
            .unwrap()
            .refresh_token,
        None
    );
}

#[tokio::test]
async fn a_secret_in_the_query_is_in_no_error() {
    let server = TokenServer::start(Reply::Hangup).await;
    let mut provider = fake::provider(&server.url());
    provider.client_auth = ClientAuth::SecretPost;
    provider.token_request.method = TokenMethod::Get;
    assert_eq!(fault_of(provider).await, Fault::Protocol);
    assert!(server.requests()[0].starts_with("GET /token?"));
    assert!(
        server.requests()[0].contains(CANARY),
        "the secret is sent, but not in the error"
    );
}

#[tokio::test]
async fn a_429_is_reported_with_its_retry_after() {
    let server = TokenServer::start(Reply::response(429, "retry-after: 17\r\n", "slow")).await;
    let error = ask(fake::provider(&server.url())).await.unwrap_err();
    assert_eq!(
        (error.fault(), error.retry_after()),
        (&Fault::Limited, Some(Duration::from_secs(17)))
    );
}

/// TLS for `localhost`, and the trust that a client of it needs.
fn private_authority() -> (rustls::ServerConfig, Trust) {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![issued.cert.der().clone()], key)
    .unwrap();
    (tls, trust_in(&issued.cert))
}

/// The trust in a certificate that is its own authority.
fn trust_in(certificate: &rcgen::Certificate) -> Trust {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, certificate.pem()).unwrap();
    Trust::with_ca_file(&path).unwrap()
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_configured() {
    let (tls, trust) = private_authority();
    let server = TokenServer::start_tls(Reply::Token(60), tls).await;

    let stranger = fault_of(fake::provider(&server.url())).await;
    assert_eq!(
        stranger,
        Fault::Tls(HandshakeFault::Certificate(CertificateFault::UnknownIssuer))
    );
    assert_eq!(server.count(), 0);

    let mut provider = fake::provider(&server.url());
    provider.token_request.trust = trust;
    assert!(ask(provider.clone()).await.is_ok());

    let by_address = provider.server_id().replace("localhost", "127.0.0.1");
    provider.token_endpoint = Some(by_address.parse().unwrap());
    assert_eq!(
        fault_of(provider).await,
        Fault::Tls(HandshakeFault::Certificate(CertificateFault::OtherName))
    );
}

#[tokio::test]
async fn http2_is_spoken_where_the_server_offers_it() {
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let (mut tls, trust) = private_authority();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = tokio_rustls::TlsAcceptor::from(Arc::new(tls))
            .accept(stream)
            .await
            .unwrap();
        let service = hyper::service::service_fn(
            |request: http::Request<hyper::body::Incoming>| async move {
                assert_eq!(request.version(), http::Version::HTTP_2);
                Ok::<_, std::convert::Infallible>(http::Response::new(
                    r#"{"access_token":"two"}"#.to_owned(),
                ))
            },
        );
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    });
    let mut provider = fake::provider(&format!("https://localhost:{port}/token"));
    provider.token_request.trust = trust;
    assert_eq!(ask(provider).await.unwrap().access_token.expose(), "two");
    serving.abort();
}

#[tokio::test]
async fn a_refresh_goes_to_an_endpoint_of_its_own_at_a_captured_host() {
    let server = TokenServer::start(Reply::Token(60)).await;
    let port = server
        .url()
        .rsplit_once(':')
        .unwrap()
        .1
        .replace("/token", "");
    let mut provider = fake::provider(&server.url());
    let template = format!("http://{{host}}:{port}/refresh?v=1");
    let allow = HostList::new(["127.0.0.1"]);
    provider.refresh_endpoint = Some(EndpointUrl::template(&template, allow).unwrap());
    let endpoint = TokenEndpoint::new(Arc::new(provider), Arc::new(ManualClock::new()));
    let refresh_token = &Secret::new("r");
    let grant = Grant::RefreshToken { refresh_token };
    let context = |host: &str| ApiContext {
        captured: [("host".to_owned(), host.to_owned())].into(),
        ..ApiContext::default()
    };

    endpoint
        .request(grant, &context("127.0.0.1"))
        .await
        .unwrap();
    let request = server.requests().pop().unwrap();
    assert!(
        request.starts_with("POST /refresh?v=1 HTTP/1.1\r\n"),
        "{request}"
    );
    endpoint
        .request(Grant::ClientCredentials, &ApiContext::default())
        .await
        .unwrap();
    let request = server.requests().pop().unwrap();
    assert!(request.starts_with("POST /token HTTP/1.1\r\n"), "{request}");

    // Nothing is sent to another host, or without the value.
    let error = endpoint
        .request(grant, &context("localhost"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`[providers.fake] refresh_endpoint` cannot be called"),
        "{error}"
    );
    let missing = endpoint
        .request(grant, &ApiContext::default())
        .await
        .unwrap_err();
    assert!(missing.to_string().contains("variable `host`"), "{missing}");
    assert_eq!(server.count(), 2);
}
