//! Client certificates for mutual TLS.

use std::{path::PathBuf, sync::Arc};

use crate::secret::LiveSecret;

/// `client_certificate`: what a client shows in a TLS handshake (RFC 8446 §4.4.2).
#[derive(Clone, Debug, PartialEq)]
pub struct ClientCertificate {
    /// The PEM file with the certificate, and its intermediates behind it.
    pub certificate: PathBuf,
    /// The private key in PEM.
    pub key: Arc<LiveSecret>,
}
