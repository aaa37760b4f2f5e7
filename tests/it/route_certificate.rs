//! `client_certificate` of a route: the sidecar proves to the API who it is.

use std::{path::Path, sync::Arc};

use rcgen::{CertificateParams, KeyPair};
use rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::{
    problem::assert_problem, setup::Setup, token_endpoint::TokenEndpoint, upstream::Upstream,
    wire::ok,
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

/// The lines for a certificate of the sidecar's own.
fn own(certificate: &Path, key: &Path) -> String {
    format!("client_certificate = {{ cert = {certificate:?}, key = {{ file = {key:?} }} }}")
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
        let mut setup = setup.route(&format!("ca_file = {certificate:?}"));
        if has_certificate {
            setup = setup.route(&own(&certificate, &key));
        }
        let sidecar = setup.start();
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
    // What is wrong at the start is an error of the configuration; this is a rotation that went wrong.
    let certificate = setup.file("client.crt", &pair.certificate);
    let key = setup.file("client.key", &pair.key);
    let sidecar = setup.route(&own(&certificate, &key)).start();
    std::fs::write(&certificate, "no certificate").unwrap();
    let problem = assert_problem(&sidecar.get("/"), 502, "upstream-tls");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("client_certificate"), "{detail}");
}
