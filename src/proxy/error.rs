//! Refusals: why a request gets a response of bearward's own instead of the upstream's.

use std::{borrow::Cow, sync::Arc, time::Duration};

use crate::{
    server::{framing_gate::GateRefusal, problem::ProblemKind},
    token::error::TokenError,
};

/// The pause before a retry helps where the token itself is of no use, until another one comes.
const UNUSABLE_TOKEN_PAUSE: Duration = Duration::from_secs(10);

/// The maximum length of a client's Host in the log, in characters.
const MAX_SHOWN_HOST: usize = 100;
/// The maximum number of accepted Hosts in the log.
const MAX_SHOWN_HOSTS: usize = 20;

/// Why a request ends without the upstream's response.
#[derive(Debug)]
pub enum ProxyError {
    /// The client gets a response of bearward's own.
    Refused(ProxyRefusal),
    /// The client has disconnected.
    ClientGone,
}

impl From<ProxyRefusal> for ProxyError {
    fn from(refusal: ProxyRefusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A refused request: what its client is told.
#[derive(Clone, Debug)]
pub struct ProxyRefusal {
    /// The kind, which decides status and type.
    pub kind: ProblemKind,
    /// The cause and the remedy, for people. Holds no secret.
    pub detail: Cow<'static, str>,
    /// The cause for operators, where it has more than clients are told.
    pub log_reason: Option<String>,
    /// The RFC 6749 error code of the authorization server.
    pub code: Option<Arc<str>>,
    /// When a retry makes sense, for `Retry-After`.
    pub retry_after: Option<Duration>,
    /// A more exact `Proxy-Status` error (RFC 9209 §2.3) than the kind's.
    pub proxy_error: Option<&'static str>,
}

impl ProxyRefusal {
    /// Makes a refusal with a detail for people.
    pub fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            log_reason: None,
            code: None,
            retry_after: None,
            proxy_error: None,
        }
    }

    /// Sets a more exact `Proxy-Status` error.
    pub fn with_proxy_error(mut self, word: &'static str) -> Self {
        self.proxy_error = Some(word);
        self
    }

    /// Returns the cause for operators. It may hold what the client sent, escaped and bounded.
    pub fn reason(&self) -> &str {
        self.log_reason.as_deref().unwrap_or(&self.detail)
    }

    /// Makes the refusal of a malformed request.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ProblemKind::BadRequest, detail)
    }

    /// Makes the refusal of a Host that is not in `guard.hosts`. The log names it, and the `accepted` ones.
    pub fn host_not_allowed<'a>(host: &str, accepted: impl Iterator<Item = &'a str>) -> Self {
        let host: String = host.chars().take(MAX_SHOWN_HOST).collect();
        let mut accepted: Vec<_> = accepted.collect();
        accepted.sort_unstable();
        accepted.truncate(MAX_SHOWN_HOSTS);
        let accepted = match accepted.is_empty() {
            true => "none".to_owned(),
            false => accepted.join(", "),
        };
        Self {
            log_reason: Some(format!(
                "the Host {host:?} is not one of `guard.hosts`; accepted are {accepted}"
            )),
            ..Self::new(
                ProblemKind::HostNotAllowed,
                "this Host is not one of `guard.hosts` of the route: use localhost, or have the operator add it",
            )
        }
    }

    /// Makes the refusal of a request that waited too long for others to end.
    pub fn too_many_requests() -> Self {
        Self::new(
            ProblemKind::UpstreamTimeout,
            "`limits.requests` others are in flight, and none of them ended within the route's `timeouts.response`",
        )
    }

    /// Makes the refusal of a body above `guard.max_body`.
    pub fn body_too_large() -> Self {
        Self::new(
            ProblemKind::BodyTooLarge,
            "the body is larger than the route's `guard.max_body`",
        )
    }

    /// Makes the refusal of a request whose token cannot be sent.
    pub fn unsendable_token(provider: &str, reason: &str) -> Self {
        Self::unusable_token(format!(
            "the access token of provider {provider:?} cannot be sent: {reason}"
        ))
    }

    /// Makes the refusal of a request to a route that has neither an upstream nor a token that names one.
    pub fn no_base(route: &str) -> Self {
        Self::unusable_token(format!(
            "route {route:?} has no `upstream`, and no token that names one"
        ))
    }

    fn unusable_token(detail: String) -> Self {
        Self {
            retry_after: Some(UNUSABLE_TOKEN_PAUSE),
            ..Self::new(ProblemKind::TokenUnavailable, detail)
        }
    }

    /// Makes the refusal of a request whose token is missing. `login_hint` says how to log in.
    pub fn no_token(reason: &TokenError, provider: &str, login_hint: &str) -> Self {
        match reason {
            TokenError::Refused { error, detail } => Self {
                code: Some(error.clone()),
                ..Self::new(
                    ProblemKind::TokenRefused,
                    format!("no access token of provider {provider:?}: {detail}"),
                )
            },
            TokenError::Unavailable {
                retry_after,
                detail,
            } => Self {
                retry_after: Some(*retry_after),
                ..Self::new(
                    ProblemKind::TokenUnavailable,
                    format!("no usable access token of provider {provider:?}: {detail}"),
                )
            },
            TokenError::LoginRequired => Self::new(
                ProblemKind::LoginRequired,
                format!("provider {provider:?} needs a login: {login_hint}"),
            ),
        }
    }
}

impl From<GateRefusal> for ProxyRefusal {
    fn from(refused: GateRefusal) -> Self {
        Self::new(refused.kind(), refused.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_for_want_of_a_token_says_when_to_retry() {
        let unavailable = TokenError::Unavailable {
            retry_after: Duration::from_secs(1),
            detail: "x".into(),
        };
        for refusal in [
            ProxyRefusal::unsendable_token("x", "y"),
            ProxyRefusal::no_base("x"),
            ProxyRefusal::no_token(&unavailable, "x", "y"),
        ] {
            assert!(matches!(refusal.kind, ProblemKind::TokenUnavailable));
            assert!(refusal.retry_after.is_some(), "{refusal:?}");
        }
    }
}
