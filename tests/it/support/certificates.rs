//! A private certification authority and a server certificate by it.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What a TLS server and those who are to believe it need.
pub struct Certificates {
    /// The authority's certificate, as PEM.
    pub ca_pem: String,
    /// A server that proves to have the names.
    pub server: Arc<ServerConfig>,
}

/// Makes a new authority and a certificate by it for `names`; HTTP/1.1 is what the server speaks.
pub fn private_authority(names: &[&str]) -> Certificates {
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "a private authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"))
        .expect("an authority");

    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let certificate = CertificateParams::new(names)
        .expect("names")
        .signed_by(&key, &authority)
        .expect("a certificate");

    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the default versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .expect("a certificate and its key");
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Certificates {
        ca_pem: authority.pem(),
        server: Arc::new(server),
    }
}
