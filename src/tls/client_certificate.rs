//! Client certificates for mutual TLS.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    crypto::{CryptoProvider, ring},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    regular_file::{self, ThreadReading},
    secret::{LiveSecret, Secret},
};

/// `client_certificate`: what a client shows in a TLS handshake (RFC 8446 §4.4.2).
#[derive(Clone, Debug, PartialEq)]
pub struct ClientCertificate {
    /// The PEM file with the certificate, and its intermediates behind it.
    pub certificate: PathBuf,
    /// The private key in PEM.
    pub key: Arc<LiveSecret>,
}

/// A client certificate that cannot be used. Its text names the key of the configuration and the file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientCertificateError {
    /// The certificate's file cannot be read.
    #[error("`client_certificate.cert` ({}) cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The failure.
        reason: String,
    },
    /// The certificate's file holds no certificate in PEM.
    #[error("`client_certificate.cert` ({}) holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// The key is not PEM.
    #[error(
        "`client_certificate.key` is not a private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)"
    )]
    NotAKey,
    /// The kind of the key is not supported.
    #[error("`client_certificate.key` is of an unsupported kind; use RSA, P-256, P-384 or Ed25519")]
    UnsupportedKey,
    /// The key belongs to another certificate.
    #[error("`client_certificate.key` does not belong to the certificate in {}", .0.display())]
    OtherKey(PathBuf),
}

impl ClientCertificate {
    /// Reads certificate and key, and proves that they belong together.
    ///
    /// # Errors
    /// One of them is unreadable or unusable, or they do not belong together.
    pub fn check(&self) -> Result<(), ClientCertificateError> {
        self.parse(&self.read()?).map(drop)
    }

    /// Reads the chain of certificates and the current key.
    fn read(&self) -> Result<Material, ClientCertificateError> {
        // A key file that became unreadable keeps the key that was read before.
        let _ = self.key.reload();
        let pem = regular_file::read(&self.certificate, super::MAX_PEM_SIZE)
            .map_err(|error| self.unreadable(&error))?;
        let key = self.key.current();
        Ok(Material { pem, key })
    }

    fn unreadable(&self, error: &io::Error) -> ClientCertificateError {
        ClientCertificateError::Unreadable {
            path: self.certificate.clone(),
            reason: error.to_string(),
        }
    }

    fn parse(&self, material: &Material) -> Result<Arc<CertifiedKey>, ClientCertificateError> {
        use ClientCertificateError as E;
        let chain = CertificateDer::pem_slice_iter(&material.pem).collect::<Result<Vec<_>, _>>();
        let chain = chain.unwrap_or_default();
        if chain.is_empty() {
            return Err(E::NoCertificate(self.certificate.clone()));
        }
        let key = PrivateKeyDer::from_pem_slice(material.key.expose().as_bytes());
        let key = key.map_err(|_| E::NotAKey)?;
        let certified = CertifiedKey::from_der(chain, key, &crypto_provider());
        certified.map(Arc::new).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => E::OtherKey(self.certificate.clone()),
            rustls::Error::InvalidCertificate(_) => E::NoCertificate(self.certificate.clone()),
            _ => E::UnsupportedKey,
        })
    }
}

fn crypto_provider() -> CryptoProvider {
    ring::default_provider()
}

/// The contents of a certificate's files.
#[derive(PartialEq)]
struct Material {
    pem: Zeroizing<Vec<u8>>,
    key: Arc<Secret>,
}

/// Shows a client certificate in handshakes, and reads its files again at each of them.
///
/// Certificate and key are replaced one after the other. Between the two, the pair that was read before stays in use.
pub(super) struct ClientCertificateResolver {
    settings: ClientCertificate,
    last: Mutex<(Material, Arc<CertifiedKey>)>,
    reading: ThreadReading<Result<Material, ClientCertificateError>>,
}

impl ClientCertificateResolver {
    pub(super) fn new(settings: &ClientCertificate) -> Result<Self, ClientCertificateError> {
        let material = settings.read()?;
        let certified = settings.parse(&material)?;
        Ok(Self {
            settings: settings.clone(),
            last: Mutex::new((material, certified)),
            reading: ThreadReading::default(),
        })
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let settings = self.settings.clone();
        let read = self.reading.run(move || settings.read());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = match read {
            None => {
                tracing::warn!(
                    file = %self.settings.certificate.display(),
                    "tls.certificate_unreadable: the client certificate that was read before stays in use: its file system does not respond"
                );
                None
            }
            Some(Ok(material)) if material == last.0 => None,
            Some(Ok(material)) => Some(self.settings.parse(&material).map(|key| (material, key))),
            Some(Err(error)) => Some(Err(error)),
        };
        match replaced {
            None => {}
            Some(Ok(replaced)) => *last = replaced,
            Some(Err(error)) => {
                tracing::warn!(%error, "tls.certificate_unreadable: the client certificate that was read before stays in use");
            }
        }
        last.1.clone()
    }
}

impl ResolvesClientCert for ClientCertificateResolver {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let certified = self.current();
        // The server's hints about authorities are not followed: there is one certificate, and the server decides.
        certified.key.choose_scheme(schemes).map(|_| certified)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Shows the settings alone.
impl std::fmt::Debug for ClientCertificateResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.settings.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// Writes a self-signed certificate and its key, and returns the key's PEM.
    fn write(folder: &Path) -> String {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["client.example".into()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.join("client.crt"), certificate.pem()).unwrap();
        std::fs::write(folder.join("client.key"), key.serialize_pem()).unwrap();
        key.serialize_pem()
    }

    fn settings(folder: &Path) -> ClientCertificate {
        ClientCertificate {
            certificate: folder.join("client.crt"),
            key: Arc::new(LiveSecret::file(folder.join("client.key")).unwrap()),
        }
    }

    #[test]
    fn swapped_files_are_shown_in_the_next_handshake() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        let resolver = ClientCertificateResolver::new(&settings(folder.path())).unwrap();
        let first = resolver.current();
        assert!(Arc::ptr_eq(&first, &resolver.current()));
        write(folder.path());
        assert_ne!(first.cert, resolver.current().cert);
    }

    #[test]
    fn half_a_swap_keeps_the_pair_before_it() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        let resolver = ClientCertificateResolver::new(&settings(folder.path())).unwrap();
        let first = resolver.current();
        let other = KeyPair::generate().unwrap().serialize_pem();
        std::fs::write(folder.path().join("client.key"), other).unwrap();
        assert!(Arc::ptr_eq(&first, &resolver.current()));
        std::fs::remove_file(folder.path().join("client.crt")).unwrap();
        assert!(Arc::ptr_eq(&first, &resolver.current()));
    }

    #[test]
    fn errors_name_the_key_and_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let key = write(folder.path());
        let mut broken = settings(folder.path());
        assert_eq!(broken.check(), Ok(()));
        let path = broken.certificate.clone();

        let other = KeyPair::generate().unwrap().serialize_pem();
        broken.key = Arc::new(LiveSecret::fixed(Secret::new(other)));
        assert_eq!(
            broken.check(),
            Err(ClientCertificateError::OtherKey(path.clone()))
        );
        broken.key = Arc::new(LiveSecret::fixed(Secret::new("hunter2")));
        assert_eq!(broken.check(), Err(ClientCertificateError::NotAKey));

        broken.key = Arc::new(LiveSecret::fixed(Secret::new(key)));
        std::fs::write(&path, "no certificate").unwrap();
        assert_eq!(
            broken.check(),
            Err(ClientCertificateError::NoCertificate(path.clone()))
        );
        std::fs::remove_file(&path).unwrap();
        let error = broken.check().unwrap_err().to_string();
        assert!(error.starts_with("`client_certificate.cert` (/"), "{error}");
        assert!(
            error.ends_with("cannot be read: No such file or directory (os error 2)"),
            "{error}"
        );
    }
}
