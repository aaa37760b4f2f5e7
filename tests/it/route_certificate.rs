//! `client_certificate` of a route: the sidecar proves to the API who it is.

use std::sync::Arc;

use bearward::{secret::LiveSecret, tls::ClientCertificate};
use rcgen::{CertificateParams, KeyPair};
use rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::{
    in_process, problem::assert_problem, setup::Setup, token_endpoint::TokenEndpoint,
    upstream::Upstream, wire::ok,
};

/// A self-signed certificate with its key, as PEM, and a server that has it and accepts it from clients alone.
struct Pair {
    certificate: String,
    key: String,
    server: Arc<ServerConfig>,
}

fn pair() -> Pair {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        server: Arc::new(server),
    }
}

#[test]
fn an_upstream_that_demands_a_client_certificate_gets_it() {
    let pair = pair();
    let upstream = Upstream::answering_over_tls(pair.server, |_| ok("fine"));
    for has_certificate in [true, false] {
        let tokens = TokenEndpoint::issuing("token-1");
        let setup = Setup::new(&tokens, upstream.origin());
        let certificate = setup.file("client.crt", &pair.certificate);
        let key = setup.file("client.key", &pair.key);
        let setup = setup.route(&format!("ca_file = \"{}\"", certificate.display()));
        let own = ClientCertificate {
            certificate,
            key: Arc::new(LiveSecret::file(key).unwrap()),
        };
        let sidecar = in_process::start(setup, |config| {
            config.routes[0].upstream.client_certificate = has_certificate.then_some(own);
        });
        let answer = sidecar.get("/");
        match has_certificate {
            true => assert_eq!(answer.text(), "fine"),
            false => assert_eq!(answer.status, 502, "{answer:?}"),
        }
    }
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_client_certificate_that_cannot_be_used_is_named() {
    let pair = pair();
    let upstream = Upstream::answering_over_tls(pair.server, |_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, upstream.origin());
    let own = ClientCertificate {
        certificate: setup.file("client.crt", "no certificate"),
        key: Arc::new(LiveSecret::file(setup.file("client.key", &pair.key)).unwrap()),
    };
    let sidecar = in_process::start(setup, |config| {
        config.routes[0].upstream.client_certificate = Some(own);
    });
    let problem = assert_problem(&sidecar.get("/"), 502, "upstream-tls");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("client_certificate"), "{detail}");
}
