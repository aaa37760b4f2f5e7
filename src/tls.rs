//! TLS trust: PEM files and the system's roots become rustls configurations.

mod certificate_fault;
mod client_certificate;
mod handshake_fault;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use self::client_certificate::ClientCertificateResolver;
pub use self::{
    certificate_fault::{CertificateDates, CertificateFault},
    client_certificate::{ClientCertificate, ClientCertificateError},
    handshake_fault::{HandshakeFault, find_tls_error},
};
use crate::regular_file;

/// The largest file with certificates that is read, in bytes.
const MAX_PEM_SIZE: u64 = 4 * 1024 * 1024;

/// The certificate authorities that a connection trusts: the system's, and those of a PEM file.
///
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the system's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    extra: Vec<CertificateDer<'static>>,
    file: Option<PathBuf>,
}

impl Trust {
    /// Trusts the system's roots and the certificates in the PEM file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn with_ca_file(path: &Path) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let pem = regular_file::read(path, MAX_PEM_SIZE)?;
        let extra = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| invalid(format!("not PEM: {error}")))?;
        if extra.is_empty() {
            return Err(invalid("holds no certificate".into()));
        }
        let mut probe = RootCertStore::empty();
        for certificate in &extra {
            probe
                .add(certificate.clone())
                .map_err(|error| invalid(error.to_string()))?;
        }
        Ok(Self {
            extra,
            file: Some(path.to_owned()),
        })
    }

    /// The PEM file, if one was given.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns the system's roots and the additional ones.
    fn roots(&self) -> RootCertStore {
        let mut roots = system_roots().clone();
        for certificate in &self.extra {
            // `with_ca_file` has seen each of them accepted.
            let _ = roots.add(certificate.clone());
        }
        roots
    }
}

/// Builds a client configuration that trusts `trust` and offers `alpn`.
///
/// A client certificate is shown to servers that request one. Its files are read again at each handshake.
///
/// # Errors
/// The client certificate cannot be used.
pub fn client_config(
    trust: &Trust,
    alpn: &[&[u8]],
    certificate: Option<&ClientCertificate>,
) -> Result<ClientConfig, ClientCertificateError> {
    configure(trust.roots(), alpn, certificate)
}

/// Builds a client configuration without roots: reading the system's would delay connections without TLS.
pub fn client_config_without_roots() -> ClientConfig {
    configure(RootCertStore::empty(), &[], None)
        .unwrap_or_else(|_| unreachable!("there is no client certificate"))
}

fn configure(
    roots: RootCertStore,
    alpn: &[&[u8]],
    certificate: Option<&ClientCertificate>,
) -> Result<ClientConfig, ClientCertificateError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|error| unreachable!("ring supports the default versions: {error}"))
        .with_root_certificates(roots);
    let mut config = match certificate {
        Some(certificate) => {
            let resolver = ClientCertificateResolver::new(certificate)?;
            builder.with_client_cert_resolver(Arc::new(resolver))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// Reads the first certificate in the PEM file at `path`, in DER.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub fn read_certificate(path: &Path) -> io::Result<Vec<u8>> {
    let pem = regular_file::read(path, MAX_PEM_SIZE)?;
    let none = || io::Error::new(io::ErrorKind::InvalidData, "holds no certificate");
    let certificate = CertificateDer::pem_slice_iter(&pem)
        .next()
        .ok_or_else(none)?;
    certificate.map(|der| der.to_vec()).map_err(|_| none())
}

/// Makes ring the process's crypto provider. Repeating it changes nothing.
///
/// rustls panics at its first use without a provider.
pub fn install_crypto_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Returns the system's roots, read once and only when a connection needs them.
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "tls.root_unreadable: connections do not trust this system root");
        }
        let mut roots = RootCertStore::empty();
        let (added, ignored) = roots.add_parsable_certificates(found.certs);
        tracing::debug!(added, ignored, "system trust roots");
        roots
    })
}
