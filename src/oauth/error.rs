//! The failures of requests to an authorization server, and what can be done about each.
//!
//! The text of an error holds no byte from the authorization server except its `error` code, which is bounded in length
//! and alphabet. What else is known is for operators: [`TokenRequestError::for_operators`].

mod code;
mod description;
mod endpoint_key;
mod explanation;
mod facts;
mod fault;
mod kind;
mod refusal;

use std::{fmt, time::Duration};

use thiserror::Error;
use url::Url;

pub(super) use self::code::quoted;
pub use self::{
    code::ErrorCode,
    description::ErrorDescription,
    endpoint_key::EndpointKey,
    facts::{RequestFacts, ResponseFacts},
    fault::{Fault, FaultSide, ProxyFault},
    kind::FaultKind,
    refusal::TokenRefusal,
};
use self::{
    explanation::{Audience, Explanation},
    facts::ConnectError,
};
use super::{
    provider::{EndpointUrlError, Provider},
    template::MissingVariable,
};
use crate::secret::Secret;

/// A failed request to an authorization server.
///
/// Its text names the endpoint by its key and origin, without path and query, and says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", self.explanation(Audience::Clients))]
pub struct TokenRequestError {
    endpoint: EndpointKey,
    fault: Fault,
    retry_after: Option<Duration>,
    is_possibly_sent: bool,
    /// Boxed: errors are returned by value.
    parts: Box<ErrorParts>,
}

/// The parts of a failed exchange that outlive it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ErrorParts {
    refresh_token: Option<Secret>,
    description: Option<ErrorDescription>,
    grant: Option<String>,
    connect_error: Option<ConnectError>,
    request: Option<RequestFacts>,
    response: Option<ResponseFacts>,
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
    pub fn new(fault: Fault) -> Self {
        Self {
            endpoint: EndpointKey::Token,
            fault,
            retry_after: None,
            is_possibly_sent: false,
            parts: Box::default(),
        }
    }

    /// Names the endpoint of `provider` that failed, and its address.
    pub fn for_endpoint(
        mut self,
        endpoint: EndpointKey,
        url: Option<&Url>,
        provider: &Provider,
    ) -> Self {
        let facts = RequestFacts::new(provider, endpoint.method(provider), url);
        self.parts.request = Some(facts);
        Self { endpoint, ..self }
    }

    /// Names the grant of the request.
    pub fn under_grant(mut self, grant: &str) -> Self {
        self.parts.grant = Some(grant.to_owned());
        self
    }

    /// Replaces the cause by one that a caller knows better.
    pub fn with_fault(self, fault: Fault) -> Self {
        Self { fault, ..self }
    }

    /// Attaches the facts of the response.
    pub fn with_response(mut self, response: ResponseFacts) -> Self {
        self.parts.response = Some(response);
        self
    }

    /// Attaches the system's reason why the connection failed.
    pub(super) fn with_connect_error(mut self, error: Option<ConnectError>) -> Self {
        self.parts.connect_error = error;
        self
    }

    /// Marks that the request may have reached the server.
    pub fn possibly_sent(self) -> Self {
        Self {
            is_possibly_sent: true,
            ..self
        }
    }

    /// Marks a request whose loss has no effect.
    pub fn without_effect(self) -> Self {
        Self {
            is_possibly_sent: false,
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
        self.parts.refresh_token = refresh_token;
        self
    }

    /// Attaches the `error_description` of the response.
    pub fn with_description(mut self, description: Option<ErrorDescription>) -> Self {
        self.parts.description = description;
        self
    }

    /// Returns the server's description of the error. It is for operators, and never for clients.
    pub fn description(&self) -> Option<&ErrorDescription> {
        self.parts.description.as_ref()
    }

    /// Returns the text of [`TokenRequestError::description`].
    pub fn description_text(&self) -> Option<&str> {
        self.description().map(ErrorDescription::as_str)
    }

    /// Returns the refresh token of a response without a usable access token.
    ///
    /// The refresh token before it is most likely spent.
    pub fn refresh_token(&self) -> Option<&Secret> {
        self.parts.refresh_token.as_ref()
    }

    /// Returns the text for operators: log, status, doctor and command line.
    ///
    /// It may hold cleaned and bounded parts of the response, and paths of this machine, but no secret.
    pub fn for_operators(&self) -> impl fmt::Display {
        self.explanation(Audience::Operators)
    }

    fn explanation(&self, audience: Audience) -> Explanation<'_> {
        Explanation {
            error: self,
            audience,
        }
    }

    /// Returns the endpoint that failed.
    pub fn endpoint(&self) -> EndpointKey {
        self.endpoint
    }

    /// Returns the facts of the request.
    pub fn request_facts(&self) -> Option<&RequestFacts> {
        self.parts.request.as_ref()
    }

    /// Returns the facts of the response. They are for operators.
    pub fn response_facts(&self) -> Option<&ResponseFacts> {
        self.parts.response.as_ref()
    }

    /// Returns the name of the grant.
    pub fn grant(&self) -> Option<&str> {
        self.parts.grant.as_deref()
    }

    /// Returns the system's reason why the connection failed.
    pub fn connect_error(&self) -> Option<std::io::ErrorKind> {
        self.parts.connect_error
    }

    /// Returns the cause of the failure.
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
        self.fault.needs_change()
    }

    /// Returns whether the same request may succeed later without a change to the client.
    pub fn is_transient(&self) -> bool {
        self.side() != FaultSide::Client
    }

    /// Returns the party that has to act.
    pub fn side(&self) -> FaultSide {
        self.fault.side()
    }

    /// Returns a stable word for metrics and machines: the code of a refusal, or the kind of the failure.
    pub const fn kind(&self) -> &'static str {
        self.fault.kind().as_str()
    }
}

#[cfg(test)]
mod tests;
