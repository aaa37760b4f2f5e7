//! The reason why a server's certificate is not accepted, without what the certificate says.

use rustls::CertificateError;

/// Why a server's certificate is not accepted.
///
/// The texts of rustls hold the names in the certificate, which a stranger chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// No trusted authority has signed it.
    UnknownIssuer,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It names other hosts.
    OtherName,
    /// Its authority has revoked it.
    Revoked,
    /// Something else is wrong with it.
    Other,
}

impl From<&CertificateError> for CertificateFault {
    fn from(error: &CertificateError) -> Self {
        use CertificateError as E;
        match error {
            E::UnknownIssuer => Self::UnknownIssuer,
            E::Expired | E::ExpiredContext { .. } => Self::Expired,
            E::NotValidYet | E::NotValidYetContext { .. } => Self::NotYetValid,
            E::NotValidForName | E::NotValidForNameContext { .. } => Self::OtherName,
            E::Revoked => Self::Revoked,
            _ => Self::Other,
        }
    }
}
