//! The failures of requests to an authorization server, and what can be done about each.
//!
//! The text of an error holds no byte from the authorization server except its `error` code, which is bounded in length
//! and alphabet. Its `error_description` goes beside it, for operators.

mod code;
mod description;
mod endpoint_name;
mod refusal;

use std::time::Duration;

use thiserror::Error;
use url::Url;

pub(super) use self::code::quoted;
use self::endpoint_name::EndpointName;
pub use self::{
    code::ErrorCode, description::ErrorDescription, endpoint_name::EndpointKey,
    refusal::TokenRefusal,
};
use super::{provider::EndpointUrlError, template::MissingVariable};
use crate::secret::Secret;

/// A failed request to an authorization server.
///
/// Its text names the endpoint by its key and origin, without path and query, and says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{endpoint} {fault}")]
pub struct TokenRequestError {
    endpoint: EndpointName,
    fault: Fault,
    retry_after: Option<Duration>,
    is_possibly_sent: bool,
    /// Boxed: errors are returned by value, and most have none of this.
    parts: Option<Box<ResponseParts>>,
}

/// The parts of a failed response that outlive it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ResponseParts {
    refresh_token: Option<Secret>,
    description: Option<ErrorDescription>,
}

/// The kind of a failure. Its text is the predicate of a sentence about the endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// No request can be made; the text gives the reason.
    #[error("cannot be called: {0}")]
    Setup(&'static str),
    /// No request can be made; the text gives the reason and names the key of the configuration.
    #[error("cannot be called: {0}")]
    Unusable(String),
    /// The proxy that the connection goes through failed.
    #[error("cannot be reached through the proxy {proxy}, which {reason}")]
    Proxy {
        /// The proxy's origin.
        proxy: String,
        /// The failure of the proxy, and what to do next.
        reason: &'static str,
    },
    /// The proxy refuses the credentials (RFC 9110 §15.5.8).
    #[error(
        "cannot be reached through the proxy {proxy}, which wants other credentials (status 407): \
         check `username` and `password` of `token_request.proxy`"
    )]
    ProxyCredentials {
        /// The proxy's origin.
        proxy: String,
    },
    /// The discovery document is not usable; the text gives the reason.
    #[error("has no usable discovery document: {0}; nothing was sent to its endpoints")]
    Discovery(&'static str),
    /// No request can be made, because a variable has no value.
    #[error(
        "cannot be called: {0}; configure it in `vars`, or log in again if the login captures it"
    )]
    MissingVariable(MissingVariable),
    /// The login brought no usable value for a capture; the text gives the reason.
    #[error("gave no value for `capture.{name}`: {reason}; check its settings, and log in again")]
    NotCaptured {
        /// The name of the capture.
        name: String,
        /// The reason.
        reason: &'static str,
    },
    /// The endpoint's host name was not found.
    #[error("has a host name that is not found: check the address and the name servers")]
    Dns,
    /// The connection failed.
    #[error("accepts no connection: check the address, the server and the network between")]
    Connect,
    /// The TLS handshake failed; the text gives the reason.
    #[error("has no working TLS: {0}")]
    Tls(&'static str),
    /// No complete response arrived in time.
    #[error(
        "sent no complete response in time: check the server, or raise `token_request.timeout`"
    )]
    Timeout,
    /// The response is not HTTP, or was cut.
    #[error("sent no complete HTTP response: check the address, and the log of the server")]
    Protocol,
    /// The status is 429.
    #[error("limits requests (status 429): wait, and let fewer clients share the account")]
    Limited,
    /// The status is 5xx.
    #[error("responded with status {0}: see the log of the server")]
    Server(u16),
    /// The status is 3xx. A redirect is never followed, because the request holds the client's secret.
    #[error("responded with status {0}, a redirect that is not followed: configure its target")]
    Redirect(u16),
    /// The response has an `error` of RFC 6749 §5.2.
    #[error("refuses this client with the error \"{}\": {}", .0.as_str(), .0.advice())]
    Refused(TokenRefusal),
    /// The response is another error.
    #[error(
        "responded with status {status} and {}: check the address and the request's settings",
        .code.as_ref().map_or("no OAuth error code".to_owned(), |code| format!("the error \"{code}\""))
    )]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The value of `error`.
        code: Option<ErrorCode>,
    },
    /// The response is an error that passes by itself, as `error_map` says; the number is the status.
    #[error("responded with status {0} and an error that `error_map` calls temporary: wait")]
    Temporary(u16),
    /// The token response has no usable base of the API; the text gives the reason.
    #[error("responded without a usable base of the API: {0}; check `api_base`")]
    ApiBase(&'static str),
    /// A success holds no usable token; the text gives the reason.
    #[error("responded without a usable token: {0}; check the address and `token_response`")]
    NotAToken(&'static str),
    /// The sign-in got a 4xx status or an error: account, password or client are wrong.
    #[error(
        "refused the sign-in{}: check `sign_in.email`, `sign_in.password` and `client_id`",
        quoted(.code.as_ref())
    )]
    SignInRefused {
        /// The value of `error`.
        code: Option<ErrorCode>,
    },
    /// The sign-in succeeded without a usable code; the text gives the reason.
    #[error(
        "responded without a usable code: {0}; check the address and `authorization.code_parameter`"
    )]
    NotACode(&'static str),
    /// The device authorization succeeded without usable codes; the text gives the reason.
    #[error("responded without usable codes: {0}; check the address")]
    NotADeviceCode(&'static str),
}

/// The party that has to act on a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultSide {
    /// The client's settings or registration.
    Client,
    /// The authorization server.
    Server,
    /// The network between them.
    Network,
}

impl From<MissingVariable> for TokenRequestError {
    fn from(missing: MissingVariable) -> Self {
        Self::new(Fault::MissingVariable(missing))
    }
}

impl From<EndpointUrlError> for TokenRequestError {
    fn from(error: EndpointUrlError) -> Self {
        let reason = match error {
            EndpointUrlError::Missing(missing) => return missing.into(),
            EndpointUrlError::NotAUrl => "its variables do not make it a URL",
            EndpointUrlError::Host => "its variables lead to a host that `allow` does not list",
        };
        Self::new(Fault::Setup(reason))
    }
}

impl TokenRequestError {
    /// Creates an error of the token endpoint, without an address.
    pub const fn new(fault: Fault) -> Self {
        Self {
            endpoint: EndpointName::new(EndpointKey::Token),
            fault,
            retry_after: None,
            is_possibly_sent: false,
            parts: None,
        }
    }

    /// Names the endpoint that failed.
    pub fn for_endpoint(self, key: EndpointKey, url: Option<&Url>) -> Self {
        Self {
            endpoint: EndpointName::new(key).with_address(url),
            ..self
        }
    }

    /// Marks that the request may have reached the server.
    pub fn possibly_sent(self) -> Self {
        Self {
            is_possibly_sent: true,
            ..self
        }
    }

    /// Sets the pause from `Retry-After`.
    pub fn with_retry_after(self, retry_after: Option<Duration>) -> Self {
        Self {
            retry_after,
            ..self
        }
    }

    /// Attaches a refresh token from the unusable response.
    pub fn with_refresh_token(mut self, refresh_token: Option<Secret>) -> Self {
        if refresh_token.is_some() {
            self.parts.get_or_insert_default().refresh_token = refresh_token;
        }
        self
    }

    /// Attaches the `error_description` of the response.
    pub fn with_description(mut self, description: Option<ErrorDescription>) -> Self {
        if description.is_some() {
            self.parts.get_or_insert_default().description = description;
        }
        self
    }

    /// Returns the server's description of the error. It is for operators, and never for clients.
    pub fn description(&self) -> Option<&ErrorDescription> {
        self.parts.as_ref()?.description.as_ref()
    }

    /// Returns the text of [`TokenRequestError::description`].
    pub fn description_text(&self) -> Option<&str> {
        self.description().map(ErrorDescription::as_str)
    }

    /// Returns the refresh token of a response without a usable access token.
    ///
    /// The refresh token before it is most likely spent.
    pub fn refresh_token(&self) -> Option<&Secret> {
        self.parts.as_ref()?.refresh_token.as_ref()
    }

    /// Returns the kind of the failure.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Returns the pause that the server asks for (RFC 9110 §10.2.3).
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the code of RFC 6749, if the server refuses this client.
    pub fn refusal(&self) -> Option<TokenRefusal> {
        match self.fault {
            Fault::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Returns whether the request may have reached the server without a complete response coming back.
    ///
    /// The connection broke, or the time was over. The server may have spent a refresh token or a code on the request.
    /// False if the request was not sent, and after any complete response.
    pub fn may_have_been_received(&self) -> bool {
        self.is_possibly_sent
    }

    /// Returns whether only a change to the client, its account or that at a proxy helps.
    ///
    /// Frequent retries may lock it out.
    pub fn needs_change(&self) -> bool {
        match &self.fault {
            Fault::Refused(refusal) => refusal.needs_change(),
            Fault::SignInRefused { .. } | Fault::ProxyCredentials { .. } => true,
            _ => false,
        }
    }

    /// Returns whether the same request may succeed later without a change to the client.
    pub fn is_transient(&self) -> bool {
        self.side() != FaultSide::Client
    }

    /// Returns the party that has to act.
    pub fn side(&self) -> FaultSide {
        match self.fault {
            Fault::Setup(_)
            | Fault::Unusable(_)
            | Fault::MissingVariable(_)
            | Fault::NotCaptured { .. }
            | Fault::Refused(_)
            | Fault::SignInRefused { .. } => FaultSide::Client,
            Fault::Dns
            | Fault::Connect
            | Fault::Timeout
            | Fault::Proxy { .. }
            | Fault::ProxyCredentials { .. } => FaultSide::Network,
            _ => FaultSide::Server,
        }
    }

    /// Returns a stable word for metrics and machines: the code of a refusal, or the kind of the failure.
    pub const fn kind(&self) -> &'static str {
        match self.fault {
            Fault::Setup(_) | Fault::Unusable(_) | Fault::MissingVariable(_) => "setup",
            Fault::Proxy { .. } | Fault::ProxyCredentials { .. } => "proxy",
            Fault::Discovery(_) => "discovery",
            Fault::NotCaptured { .. } => "capture",
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
            Fault::Temporary(_) => "temporary",
            Fault::ApiBase(_) => "api_base",
            Fault::NotAToken(_) => "not_a_token",
            Fault::SignInRefused { .. } => "sign_in_refused",
            Fault::NotACode(_) | Fault::NotADeviceCode(_) => "not_a_code",
        }
    }
}

#[cfg(test)]
mod tests;
