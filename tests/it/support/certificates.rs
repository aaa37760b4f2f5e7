//! A private certification authority and server certificates by it.

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
    let authority = Authority::new();
    Certificates {
        server: authority.server(names),
        ca_pem: authority.pem(),
    }
}

/// A certification authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Makes a new one.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "a private authority");
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Its certificate, as PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server with a certificate for `names`.
    pub fn server(&self, names: &[&str]) -> Arc<ServerConfig> {
        self.certify(params(names))
    }

    /// A server with a certificate by `params`.
    pub fn certify(&self, params: CertificateParams) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
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
        Arc::new(server)
    }
}

/// A certificate for `names`, not signed yet.
pub fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).expect("names")
}
