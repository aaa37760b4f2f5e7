//! The reason why a TLS handshake failed, in words for the operator.

use std::{error::Error as StdError, io};

use super::CertificateFault;

/// Why a TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFault {
    /// The server's certificate is not accepted.
    Certificate(CertificateFault),
    /// The server does not speak TLS.
    NotTls,
    /// The server ended the handshake with an alert.
    Alert,
    /// The server closed the connection.
    Closed,
    /// Something else failed.
    Other,
}

impl From<&rustls::Error> for HandshakeFault {
    fn from(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(certificate) => Self::Certificate(certificate.into()),
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            rustls::Error::AlertReceived(_) => Self::Alert,
            _ => Self::Other,
        }
    }
}

impl From<&io::Error> for HandshakeFault {
    /// Returns the fault of a handshake that ended with an error of its stream.
    fn from(error: &io::Error) -> Self {
        find_tls_error(error).map_or(Self::Closed, Self::from)
    }
}

impl HandshakeFault {
    /// Describes the fault of the server at `address`, and what to do.
    ///
    /// `ca_file` names the key that adds an authority. `with_dates` permits what the certificate says of its validity.
    pub fn describe(self, address: &str, ca_file: &str, with_dates: bool) -> String {
        use CertificateFault as C;
        let fault = match self {
            Self::NotTls => {
                return format!(
                    "https:// was used, but {address} does not speak TLS: is it http://, or another port?"
                );
            }
            Self::Alert => {
                return format!(
                    "{address} ended the TLS handshake with an alert: see its log; it may demand a client certificate"
                );
            }
            Self::Closed => {
                return format!(
                    "{address} closed the connection during the TLS handshake: check the port, and see its log"
                );
            }
            Self::Other => {
                return format!("the TLS handshake with {address} failed: see its log");
            }
            Self::Certificate(fault) => fault,
        };
        let says = match fault {
            C::UnknownIssuer => {
                format!("is not signed by a trusted authority: add that to {ca_file}")
            }
            C::Expired(Some(dates)) if with_dates => {
                format!("expired on {dates}: renew it, or set the clock")
            }
            C::Expired(_) => "has expired: renew it, or check this machine's clock".to_owned(),
            C::NotYetValid(Some(dates)) if with_dates => {
                format!("is not valid before {dates}: set the clock")
            }
            C::NotYetValid(_) => "is not valid yet: check this machine's clock".to_owned(),
            C::OtherName => "is for another name: check the address".to_owned(),
            C::Revoked => "is revoked: replace it".to_owned(),
            C::Authority => "is that of an authority (CA:TRUE), which a server may not use: give the server a certificate \
                             with basicConstraints = CA:FALSE, and trust its authority"
                .to_owned(),
            C::Other => "is not acceptable: replace it".to_owned(),
        };
        format!("the certificate of {address} {says}")
    }
}

/// Finds the TLS error in a cause. `io::Error` does not name its inner error as its source.
pub fn find_tls_error<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(error);
    }
    find_tls_error(cause.downcast_ref::<io::Error>()?.get_ref()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::CertificateError;
    use rustls_pki_types::UnixTime;

    use super::*;

    const CA_FILE: &str = "`[routes.devices] ca_file`";

    fn shown(error: CertificateError) -> String {
        let error = rustls::Error::InvalidCertificate(error);
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        HandshakeFault::from(&error).describe("api.example.com:443", CA_FILE, true)
    }

    #[test]
    fn an_expired_certificate_is_named_with_its_end_and_the_clock() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let error = CertificateError::ExpiredContext {
            time: at(1_858_949_180),
            not_after: at(1_827_413_086),
        };
        assert_eq!(
            shown(error),
            "the certificate of api.example.com:443 expired on 2027-11-28 (this machine's clock: 2028-11-27): renew it, \
             or set the clock"
        );
    }

    #[test]
    fn an_untrusted_certificate_names_the_key_that_trusts_it() {
        assert_eq!(
            shown(CertificateError::UnknownIssuer),
            "the certificate of api.example.com:443 is not signed by a trusted authority: add that to \
             `[routes.devices] ca_file`"
        );
    }

    #[test]
    fn a_plain_server_is_named() {
        let error = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        let fault = HandshakeFault::from(&error);
        assert_eq!(
            fault.describe("auth.example.com:80", CA_FILE, true),
            "https:// was used, but auth.example.com:80 does not speak TLS: is it http://, or another port?"
        );
    }

    #[test]
    fn a_closed_connection_is_no_fault_of_a_certificate() {
        let error = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(HandshakeFault::from(&error), HandshakeFault::Closed);
    }
}
