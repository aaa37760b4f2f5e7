//! The reason why a server's certificate is not accepted, without the names in the certificate.

use std::fmt;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use rustls::CertificateError;
use rustls_pki_types::UnixTime;

/// Why a server's certificate is not accepted.
///
/// The texts of rustls hold the names in the certificate, which a stranger chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// No trusted authority has signed it.
    UnknownIssuer,
    /// Its time is over.
    Expired(Option<CertificateDates>),
    /// Its time has not begun.
    NotYetValid(Option<CertificateDates>),
    /// It names other hosts.
    OtherName,
    /// Its authority has revoked it.
    Revoked,
    /// It is the certificate of an authority, which no server may use.
    Authority,
    /// Something else is wrong with it.
    Other,
}

/// A limit of a certificate's validity, beside this machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateDates {
    /// The date from which on, or up to which, the certificate is valid (UTC).
    pub limit: Date,
    /// The date on this machine's clock (UTC).
    pub clock: Date,
}

impl From<&CertificateError> for CertificateFault {
    fn from(error: &CertificateError) -> Self {
        use CertificateError as E;
        match error {
            E::UnknownIssuer => Self::UnknownIssuer,
            E::Expired => Self::Expired(None),
            E::ExpiredContext { time, not_after } => {
                Self::Expired(CertificateDates::new(*not_after, *time))
            }
            E::NotValidYet => Self::NotYetValid(None),
            E::NotValidYetContext { time, not_before } => {
                Self::NotYetValid(CertificateDates::new(*not_before, *time))
            }
            E::NotValidForName | E::NotValidForNameContext { .. } => Self::OtherName,
            E::Revoked => Self::Revoked,
            E::Other(other) if is_authority(other) => Self::Authority,
            _ => Self::Other,
        }
    }
}

impl CertificateDates {
    fn new(limit: UnixTime, clock: UnixTime) -> Option<Self> {
        Some(Self {
            limit: date(limit)?,
            clock: date(clock)?,
        })
    }
}

impl fmt::Display for CertificateDates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, clock } = self;
        write!(f, "{limit} (this machine's clock: {clock})")
    }
}

/// Whether the verifier found an authority's certificate in a server's place. rustls has no variant of its own for that.
fn is_authority(error: &rustls::OtherError) -> bool {
    error.0.to_string() == "CaUsedAsEndEntity"
}

fn date(time: UnixTime) -> Option<Date> {
    let seconds = i64::try_from(time.as_secs()).ok()?;
    let time = Timestamp::from_second(seconds).ok()?;
    Some(time.to_zoned_datetime(TimeZone::UTC).date())
}
