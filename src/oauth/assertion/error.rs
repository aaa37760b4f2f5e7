//! The reasons why an assertion cannot be made.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::SigningAlgorithm;
use crate::secret::LiveSecret;

/// An assertion that cannot be made. Its text names the key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AssertionError {
    /// The provider has neither an assertion nor a client secret.
    #[error("it has no assertion; configure `assertion.key` or `assertion.file`")]
    NotConfigured,
    /// The client secret is the key, which is missing.
    #[error("an assertion is signed with the client secret; configure `client_secret`")]
    NoClientSecret,
    /// The file with the ready assertion cannot be read.
    #[error("`assertion.file` ({}) cannot be read: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The failure.
        reason: String,
    },
    /// The key is in no known format.
    #[error(
        "`assertion.key` is neither a private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted) nor a private JWK"
    )]
    NotAKey,
    /// The key's format is known, and the key cannot be used; the text gives the reason.
    #[error("`assertion.key` cannot be used: {0}")]
    UnusableKey(&'static str),
    /// The key is on the curve P-521.
    #[error(
        "`assertion.key` is on the curve P-521, and ES512 is not supported; register a key on P-256 (ES256) or P-384 (ES384)"
    )]
    Es512,
    /// The key does not fit the algorithm.
    #[error("`assertion.key` is {kind}, which does not fit `assertion.alg` = \"{}\"", algorithm.as_str())]
    OtherAlgorithm {
        /// The kind of the key.
        kind: &'static str,
        /// The configured algorithm.
        algorithm: SigningAlgorithm,
    },
    /// The signature failed.
    #[error("the assertion cannot be signed; check `assertion.key`")]
    NotSigned,
}

impl AssertionError {
    pub(super) fn file(file: &LiveSecret, error: &io::Error) -> Self {
        Self::File {
            path: file.path().map(Path::to_owned).unwrap_or_default(),
            reason: error.to_string(),
        }
    }
}
