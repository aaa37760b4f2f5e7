//! Client certificates on connections to the authorization server (RFC 8705).

use rcgen::{CertificateParams, KeyPair};
use rustls::{RootCertStore, server::WebPkiClientVerifier};

use super::*;
use crate::{secret::LiveSecret, tls::ClientCertificate};

struct Client {
    settings: ClientCertificate,
    certificate: rcgen::Certificate,
    folder: tempfile::TempDir,
}

impl Client {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificate = write(&folder);
        let settings = ClientCertificate {
            certificate: folder.path().join("client.crt"),
            key: Arc::new(LiveSecret::file(folder.path().join("client.key")).unwrap()),
        };
        Self {
            settings,
            certificate,
            folder,
        }
    }
}

fn write(folder: &tempfile::TempDir) -> rcgen::Certificate {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["client.example".into()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.path().join("client.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.path().join("client.key"), key.serialize_pem()).unwrap();
    certificate
}

/// TLS for `localhost` that admits only clients with one of `certificates`.
fn mutual(certificates: &[&rcgen::Certificate]) -> (rustls::ServerConfig, Trust) {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.der().clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.unwrap())
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    (tls, trust_in(&issued.cert))
}

#[tokio::test]
async fn the_current_certificate_is_shown_in_each_handshake() {
    let client = Client::new();
    let other = tempfile::tempdir().unwrap();
    let successor = write(&other);
    let (tls, trust) = mutual(&[&client.certificate, &successor]);
    let server = TokenServer::start_tls(Reply::Token(60), tls).await;
    let mut provider = fake::provider(&server.url());
    provider.token_request.trust = trust;
    assert!(
        ask(provider.clone()).await.is_err(),
        "without a certificate"
    );
    assert_eq!(server.count(), 0);

    provider.client_auth = ClientAuth::TlsClientAuth;
    provider.client_certificate = Some(client.settings.clone());
    let endpoint = TokenEndpoint::new(Arc::new(provider), Arc::new(ManualClock::new()));
    let context = ApiContext::default();
    endpoint
        .request(Grant::ClientCredentials, &context)
        .await
        .unwrap();
    assert!(server.requests()[0].ends_with("grant_type=client_credentials&client_id=client"));
    for file in ["client.crt", "client.key"] {
        std::fs::copy(other.path().join(file), client.folder.path().join(file)).unwrap();
    }
    endpoint
        .request(Grant::ClientCredentials, &context)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_unusable_certificate_sends_nothing_and_names_its_key() {
    let client = Client::new();
    let (tls, trust) = mutual(&[&client.certificate]);
    let server = TokenServer::start_tls(Reply::Token(60), tls).await;
    let mut provider = fake::provider(&server.url());
    provider.token_request.trust = trust;
    std::fs::remove_file(&client.settings.certificate).unwrap();
    provider.client_certificate = Some(client.settings.clone());
    let error = ask(provider).await.unwrap_err();
    assert!(
        error.to_string().contains("`client_certificate.cert` (/"),
        "{error}"
    );
    assert_eq!((error.kind(), server.count()), ("setup", 0));
}
