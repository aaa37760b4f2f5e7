//! What keeps a request from being answered by the upstream: whose fault it is, and what the caller is told.

use std::{borrow::Cow, sync::Arc, time::Duration};

use crate::token::error::TokenError;

/// The kinds of answers that are bearward's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Malformed request, ambiguous path.
    BadRequest,
    /// Missing or wrong `x-bearward-key`.
    ClientKeyRequired,
    /// Method and path not in `allow`.
    NotAllowed,
    /// A browser's cross-site request.
    CrossSite,
    /// Nothing matches.
    NoRoute,
    /// `CONNECT` and `TRACE`.
    MethodNotAllowed,
    /// An `Expect` other than `100-continue`.
    ExpectationFailed,
    /// The caller was too slow.
    RequestTimeout,
    /// More body than the route takes.
    BodyTooLarge,
    /// More path than the listener takes.
    PathTooLong,
    /// More head than the listener takes.
    HeadersTooLarge,
    /// A Host that the guard does not know.
    HostNotAllowed,
    /// Look-up or connection failed.
    UpstreamUnreachable,
    /// The TLS handshake failed.
    UpstreamTls,
    /// The answer is invalid or was cut off.
    UpstreamProtocol,
    /// No connection or no head in time.
    UpstreamTimeout,
    /// The authorization server refuses this client.
    TokenRefused,
    /// No usable token for now.
    TokenUnavailable,
    /// A person has to log in.
    LoginRequired,
}

/// An answer of bearward's own, before it is put into HTTP.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Which one.
    pub kind: Kind,
    /// What happened this time; never holds a secret.
    pub detail: Cow<'static, str>,
    /// The RFC 6749 error code of the authorization server.
    pub code: Option<Arc<str>>,
    /// When it is worth trying again.
    pub retry_after: Option<Duration>,
    /// A more exact word for `Proxy-Status` (RFC 9209 §2.3) than the one of the kind.
    pub proxy_error: Option<&'static str>,
}

impl Refusal {
    /// A refusal of this kind with these words for people.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            code: None,
            retry_after: None,
            proxy_error: None,
        }
    }

    /// The same with a more exact word for `Proxy-Status`.
    pub fn with_proxy_error(mut self, word: &'static str) -> Self {
        self.proxy_error = Some(word);
        self
    }

    /// A malformed request.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::BadRequest, detail)
    }

    /// The refusal of a request that needs `provider`'s token, of which there is none; `way` says how to log in there.
    pub fn no_token(reason: &TokenError, provider: &str, way: &str) -> Self {
        match reason {
            TokenError::Refused { error } => Self {
                code: Some(error.clone()),
                ..Self::new(
                    Kind::TokenRefused,
                    format!(
                        "the authorization server refuses the client of provider {provider:?} with {error:?}; \
                         see its client_id, client_secret and scope"
                    ),
                )
            },
            TokenError::Unavailable {
                retry_after,
                detail,
            } => Self {
                retry_after: Some(*retry_after),
                ..Self::new(
                    Kind::TokenUnavailable,
                    format!("no usable access token of provider {provider:?}: {detail}"),
                )
            },
            TokenError::LoginRequired => Self::new(
                Kind::LoginRequired,
                format!("provider {provider:?} needs a login: {way}"),
            ),
        }
    }
}
