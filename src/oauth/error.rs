//! Why a token request brought no token: whose fault it is, and when it is worth asking again.
//!
//! Nothing here holds a byte that the authorization server sent, but for its `error` code, which is bounded in length
//! and in alphabet before it gets here.

use std::{fmt, sync::Arc, time::Duration};

/// A token request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequestError {
    fault: Fault,
    retry_after: Option<Duration>,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client for the token endpoint cannot be built; the text says why.
    Setup(&'static str),
    /// The endpoint's name was not found.
    Dns,
    /// No connection.
    Connect,
    /// No TLS; the text says why.
    Tls(&'static str),
    /// No whole answer in time.
    Timeout,
    /// An answer that is no HTTP, or was cut.
    Protocol,
    /// 429.
    Limited,
    /// A 5xx.
    Server(u16),
    /// A 3xx: never followed, for the request that would be repeated holds the client's secret.
    Redirect(u16),
    /// An `error` of RFC 6749 §5.2.
    Refused(Refusal),
    /// Another error answer, with its code where it has one.
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The value of `error`.
        code: Option<ErrorCode>,
    },
    /// A success that brings no token that can be used; the text says why.
    NotAToken(&'static str),
}

/// The codes of RFC 6749 by which an authorization server refuses a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// RFC 6749 §5.2.
    InvalidRequest,
    /// RFC 6749 §5.2.
    InvalidClient,
    /// RFC 6749 §5.2.
    InvalidGrant,
    /// RFC 6749 §5.2.
    UnauthorizedClient,
    /// RFC 6749 §5.2.
    UnsupportedGrantType,
    /// RFC 6749 §5.2.
    InvalidScope,
    /// RFC 6749 §4.1.2.1; some servers answer so to a client that may not have the audience it asks for.
    AccessDenied,
}

/// Who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's settings or registration.
    Client,
    /// The authorization server.
    Server,
    /// What lies between.
    Network,
}

impl TokenRequestError {
    /// An error that says nothing of when to ask again.
    pub const fn new(fault: Fault) -> Self {
        Self { fault, retry_after: None }
    }

    /// The same with what `Retry-After` asked for.
    pub fn retry_after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }

    /// What went wrong.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// How long the server asked to be left alone (RFC 9110 §10.2.3).
    pub fn asked_to_wait(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The code, where the server refuses this client by RFC 6749; anything else means that no token is available.
    pub fn refusal(&self) -> Option<Refusal> {
        match self.fault {
            Fault::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the same request may succeed later without anybody changing the client.
    pub fn is_transient(&self) -> bool {
        self.side() != Side::Client
    }

    /// Whose fault it is.
    pub fn side(&self) -> Side {
        match self.fault {
            Fault::Setup(_) | Fault::Refused(_) => Side::Client,
            Fault::Dns | Fault::Connect | Fault::Timeout => Side::Network,
            _ => Side::Server,
        }
    }

    /// A short stable word, for metrics and machines: the code of a refusal, or the kind of the fault.
    pub const fn kind(&self) -> &'static str {
        match self.fault {
            Fault::Setup(_) => "setup",
            Fault::Dns => "dns",
            Fault::Connect => "connect",
            Fault::Tls(_) => "tls",
            Fault::Timeout => "timeout",
            Fault::Protocol => "protocol",
            Fault::Limited => "limited",
            Fault::Server(_) => "server",
            Fault::Redirect(_) => "redirect",
            Fault::Refused(refusal) => refusal.as_str(),
            Fault::Rejected { .. } => "rejected",
            Fault::NotAToken(_) => "not_a_token",
        }
    }
}

impl fmt::Display for TokenRequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::Setup(why) => write!(f, "the token endpoint cannot be called: {why}"),
            Fault::Dns => f.write_str("the token endpoint's name cannot be found"),
            Fault::Connect => f.write_str("no connection to the token endpoint"),
            Fault::Tls(why) => write!(f, "no TLS with the token endpoint: {why}"),
            Fault::Timeout => f.write_str("the token endpoint did not answer in time"),
            Fault::Protocol => f.write_str("the token endpoint's answer is not valid HTTP, or was cut"),
            Fault::Limited => f.write_str("the token endpoint limits requests (429)"),
            Fault::Server(status) => write!(f, "the token endpoint answered {status}"),
            Fault::Redirect(status) => {
                write!(f, "the token endpoint answered {status}, a redirect, which is never followed")
            }
            Fault::Refused(refusal) => {
                write!(f, "the authorization server refuses this client: {}", refusal.as_str())
            }
            Fault::Rejected { status, code: Some(code) } => {
                write!(f, "the token endpoint answered {status} with the error \"{code}\"")
            }
            Fault::Rejected { status, code: None } => {
                write!(f, "the token endpoint answered {status} without an error code of OAuth")
            }
            Fault::NotAToken(why) => write!(f, "the token endpoint's answer brings no token: {why}"),
        }
    }
}

impl std::error::Error for TokenRequestError {}

impl Refusal {
    const ALL: [Self; 7] = [
        Self::InvalidRequest,
        Self::InvalidClient,
        Self::InvalidGrant,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
        Self::InvalidScope,
        Self::AccessDenied,
    ];

    /// The refusal of that code; `None` for a code that RFC 6749 does not know.
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.as_str() == code)
    }

    /// The code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
        }
    }

    /// Whether only a change to the client can help, so that asking often may at best lock it out.
    pub const fn wants_a_change(self) -> bool {
        matches!(self, Self::InvalidClient | Self::InvalidScope | Self::UnauthorizedClient)
    }
}

/// The `error` of an answer: 1 to 64 characters of RFC 6749 §5.2's alphabet, so that it can stand anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorCode(Arc<str>);

impl ErrorCode {
    /// The longest code, in bytes.
    pub const LONGEST: usize = 64;

    /// `text`, if it is a code.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        ((1..=Self::LONGEST).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_bounded_in_length_and_alphabet() {
        assert!(ErrorCode::parse("invalid_client").is_some());
        assert!(ErrorCode::parse(&"a".repeat(64)).is_some());
        for bad in ["", "a\"b", "a\\b", "a\nb", "ä", &"a".repeat(65)] {
            assert_eq!(ErrorCode::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_three_refusals_wait_for_a_change() {
        let waiting: Vec<_> = Refusal::ALL.into_iter().filter(|refusal| refusal.wants_a_change()).collect();
        assert_eq!(waiting, [Refusal::InvalidClient, Refusal::UnauthorizedClient, Refusal::InvalidScope]);
    }

    #[test]
    fn a_refusal_is_the_clients_fault_and_the_rest_passes() {
        let refused = TokenRequestError::new(Fault::Refused(Refusal::InvalidClient));
        assert_eq!((refused.side(), refused.is_transient(), refused.kind()), (Side::Client, false, "invalid_client"));
        for fault in [Fault::Dns, Fault::Limited, Fault::Server(500), Fault::Rejected { status: 404, code: None }] {
            assert!(TokenRequestError::new(fault).is_transient());
        }
    }
}
