//! Why a request to an authorization server failed: whose fault it is, and when it is worth asking again.
//!
//! Nothing here holds a byte that the authorization server sent, but for its `error` code, which is bounded in length
//! and in alphabet before it gets here.

use std::{fmt, sync::Arc, time::Duration};

use crate::secret::Secret;

/// A token request that failed, or another request to the same authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequestError {
    fault: Fault,
    retry_after: Option<Duration>,
    target: Target,
    unanswered: bool,
    refresh_token: Option<Secret>,
}

/// Which of an authorization server's endpoints was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// RFC 6749 §3.2.
    Token,
    /// RFC 7009.
    Revocation,
    /// Headless consent.
    SignIn,
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
    /// No whole response in time.
    Timeout,
    /// A response that is no HTTP, or was cut.
    Protocol,
    /// 429.
    Limited,
    /// A 5xx.
    Server(u16),
    /// A 3xx: never followed, for the request that would be repeated holds the client's secret.
    Redirect(u16),
    /// An `error` of RFC 6749 §5.2.
    Refused(Refusal),
    /// Another error response, with its code where it has one.
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The value of `error`.
        code: Option<ErrorCode>,
    },
    /// A success that brings no token that can be used; the text says why.
    NotAToken(&'static str),
    /// A sign-in answered with a 4xx, or with an error: the account, its password, or the client is not accepted.
    SignInRefused {
        /// The value of `error`.
        code: Option<ErrorCode>,
    },
    /// A sign-in succeeded and brings no code that can be used; the text says why.
    NotACode(&'static str),
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
        Self {
            fault,
            retry_after: None,
            target: Target::Token,
            unanswered: false,
            refresh_token: None,
        }
    }

    /// Names the endpoint that failed.
    pub fn for_endpoint(self, target: Target) -> Self {
        Self { target, ..self }
    }

    /// Marks that the request may have reached the server.
    pub fn possibly_sent(self) -> Self {
        Self {
            unanswered: true,
            ..self
        }
    }

    /// Sets the pause from `Retry-After`.
    pub fn retry_after(self, retry_after: Option<Duration>) -> Self {
        Self {
            retry_after,
            ..self
        }
    }

    /// Attaches a refresh token from the unusable response.
    pub fn with_refresh_token(self, refresh_token: Option<Secret>) -> Self {
        Self {
            refresh_token,
            ..self
        }
    }

    /// The refresh token of a response whose access token cannot be used: the one before it is most likely spent.
    pub fn refresh_token(&self) -> Option<&Secret> {
        self.refresh_token.as_ref()
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

    /// Whether the request was sent, as far as can be told, and no whole response came back: the connection broke, or the
    /// time was over. The server may have done what it was asked, and have spent a refresh token or a code over it.
    ///
    /// False where the request never left, and where it was answered, with whatever.
    pub fn may_have_been_received(&self) -> bool {
        self.unanswered
    }

    /// Whether only a change to the client or its account can help, so that asking often may at best lock it out.
    pub fn wants_a_change(&self) -> bool {
        match &self.fault {
            Fault::Refused(refusal) => refusal.wants_a_change(),
            Fault::SignInRefused { .. } => true,
            _ => false,
        }
    }

    /// Whether the same request may succeed later without anybody changing the client.
    pub fn is_transient(&self) -> bool {
        self.side() != Side::Client
    }

    /// Whose fault it is.
    pub fn side(&self) -> Side {
        match self.fault {
            Fault::Setup(_) | Fault::Refused(_) | Fault::SignInRefused { .. } => Side::Client,
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
            Fault::SignInRefused { .. } => "sign_in_refused",
            Fault::NotACode(_) => "not_a_code",
        }
    }
}

impl fmt::Display for TokenRequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.target.as_str();
        match &self.fault {
            Fault::Setup(why) => write!(f, "the {endpoint} cannot be called: {why}"),
            Fault::Dns => write!(f, "the {endpoint}'s name cannot be found"),
            Fault::Connect => write!(f, "no connection to the {endpoint}"),
            Fault::Tls(why) => write!(f, "no TLS with the {endpoint}: {why}"),
            Fault::Timeout => write!(f, "the {endpoint} did not answer in time"),
            Fault::Protocol => write!(f, "the {endpoint}'s answer is not valid HTTP, or was cut"),
            Fault::Limited => write!(f, "the {endpoint} limits requests (429)"),
            Fault::Server(status) => write!(f, "the {endpoint} answered {status}"),
            Fault::Redirect(status) => {
                write!(
                    f,
                    "the {endpoint} answered {status}, a redirect, which is never followed"
                )
            }
            Fault::Refused(refusal) => {
                write!(
                    f,
                    "the authorization server refuses this client: {}",
                    refusal.as_str()
                )
            }
            Fault::Rejected {
                status,
                code: Some(code),
            } => {
                write!(
                    f,
                    "the {endpoint} answered {status} with the error \"{code}\""
                )
            }
            Fault::Rejected { status, code: None } => {
                write!(
                    f,
                    "the {endpoint} answered {status} without an error code of OAuth"
                )
            }
            Fault::NotAToken(why) => write!(f, "the {endpoint}'s answer brings no token: {why}"),
            Fault::SignInRefused { code: Some(code) } => {
                write!(f, "the sign-in was refused with the error \"{code}\"")
            }
            Fault::SignInRefused { code: None } => f.write_str("the sign-in was refused"),
            Fault::NotACode(why) => write!(f, "the {endpoint}'s answer brings no code: {why}"),
        }
    }
}

impl std::error::Error for TokenRequestError {}

impl Target {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token endpoint",
            Self::Revocation => "revocation endpoint",
            Self::SignIn => "sign-in endpoint",
        }
    }
}

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
        Self::ALL
            .into_iter()
            .find(|refusal| refusal.as_str() == code)
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
        matches!(
            self,
            Self::InvalidClient | Self::InvalidScope | Self::UnauthorizedClient
        )
    }
}

/// The `error` of a response: 1 to 64 characters of RFC 6749 §5.2's alphabet, so that it can stand anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorCode(Arc<str>);

impl ErrorCode {
    /// The longest code, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// `text`, if it is a code.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        ((1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(allowed))
            .then(|| Self(text.into()))
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
        let waiting: Vec<_> = Refusal::ALL
            .into_iter()
            .filter(|refusal| refusal.wants_a_change())
            .collect();
        assert_eq!(
            waiting,
            [
                Refusal::InvalidClient,
                Refusal::UnauthorizedClient,
                Refusal::InvalidScope
            ]
        );
    }

    #[test]
    fn a_refused_sign_in_is_not_repeated_soon() {
        let refused = TokenRequestError::new(Fault::SignInRefused { code: None })
            .for_endpoint(Target::SignIn);
        assert!(
            refused.wants_a_change()
                && !refused.is_transient()
                && !refused.may_have_been_received()
        );
        let down = TokenRequestError::new(Fault::Connect).for_endpoint(Target::SignIn);
        assert!(!down.wants_a_change() && down.is_transient());
        assert_eq!(down.to_string(), "no connection to the sign-in endpoint");
    }

    #[test]
    fn a_refusal_is_the_clients_fault_and_the_rest_passes() {
        let refused = TokenRequestError::new(Fault::Refused(Refusal::InvalidClient));
        assert_eq!(
            (refused.side(), refused.is_transient(), refused.kind()),
            (Side::Client, false, "invalid_client")
        );
        for fault in [
            Fault::Dns,
            Fault::Limited,
            Fault::Server(500),
            Fault::Rejected {
                status: 404,
                code: None,
            },
        ] {
            assert!(TokenRequestError::new(fault).is_transient());
        }
    }
}
