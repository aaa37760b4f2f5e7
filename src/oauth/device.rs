//! The device authorization grant (RFC 8628): a person confirms a code in a browser on any device.

use std::time::Duration;

use serde_json::Value;
use thiserror::Error;
use url::Url;

use super::{
    api_context::ApiContext,
    capture::{self, Captured},
    client_auth,
    endpoint::TokenEndpoint,
    error::{EndpointKey, ErrorDescription, Fault, TokenRefusal, TokenRequestError},
    grant::Grant,
    request,
    response::{self, Issued},
    variables::Variables,
};
use crate::secret::Secret;

/// The time between two polls, where the server gives none (RFC 8628 §3.2).
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// The time that `slow_down` adds (§3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The maximum time between two polls.
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// The lifetime of the codes, where the server gives none although it has to.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// The maximum lifetime of the codes.
const MAX_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// The maximum length of a code for people, in bytes.
const MAX_USER_CODE_BYTES: usize = 64;

/// A started device authorization (RFC 8628 §3.2).
#[derive(Debug)]
pub struct DeviceAuthorization {
    device_code: Secret,
    /// The code that the person enters or confirms: printable ASCII.
    pub user_code: String,
    /// The address where the person does so.
    pub verification_uri: Url,
    /// That address with the code in it.
    pub verification_uri_complete: Option<Url>,
    /// The time until the codes expire.
    pub lifetime: Duration,
    /// The time between two polls.
    pub interval: Duration,
}

/// Why a poll brought no token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PollError {
    /// The person has not decided yet.
    #[error("the login is not confirmed yet")]
    Pending,
    /// The person declined.
    #[error("the login was declined: run the command again")]
    Declined {
        /// The server's explanation, for operators.
        description: Option<ErrorDescription>,
    },
    /// The codes have expired.
    #[error("the code has expired before it was confirmed: run the command again")]
    Expired,
    /// The request failed.
    #[error("{}", .0.for_operators())]
    Request(TokenRequestError),
}

impl PollError {
    fn declined(error: &TokenRequestError) -> Self {
        Self::Declined {
            description: error.description().cloned(),
        }
    }

    /// Returns the server's description of the error. It is for operators.
    pub fn description(&self) -> Option<&ErrorDescription> {
        match self {
            Self::Declined { description } => description.as_ref(),
            Self::Request(error) => error.description(),
            Self::Pending | Self::Expired => None,
        }
    }
}

/// Starts a device authorization (RFC 8628 §3.1).
///
/// # Errors
/// The request failed, or the response is not usable.
pub async fn authorize(endpoint: &TokenEndpoint) -> Result<DeviceAuthorization, TokenRequestError> {
    let provider = endpoint
        .provider_with(EndpointKey::DeviceAuthorization)
        .await?;
    let context = ApiContext::default();
    let variables = Variables::new(&provider, &context);
    let url = endpoint.resolve(provider.device_authorization_endpoint.as_ref(), &variables);
    let started = async {
        let source = endpoint.source(&provider, &variables);
        let request = request::device_authorization_request(source, url.clone()?)?;
        let response = endpoint.send(request).await?;
        let (headers, body) = (&response.headers, &response.body);
        let now = endpoint.wall_time();
        let secrets = client_auth::secrets(&provider);
        let members = response::read_members(response.status, headers, body, &secrets, now)?;
        read(&members).map_err(|why| TokenRequestError::new(Fault::NotADeviceCode(why)))
    };
    let started = started.await;
    started.map_err(|error| {
        error.for_endpoint(
            EndpointKey::DeviceAuthorization,
            url.ok().as_ref(),
            &provider,
        )
    })
}

/// Reads a device authorization response (RFC 8628 §3.2).
fn read(members: &Value) -> Result<DeviceAuthorization, &'static str> {
    let text = |name: &str| {
        let value = members.get(name).and_then(Value::as_str);
        value.filter(|value| !value.is_empty())
    };
    // Some servers use a name from a draft.
    let uri = text("verification_uri").or_else(|| text("verification_url"));
    let complete = text("verification_uri_complete").or_else(|| text("verification_url_complete"));
    let device_code = text("device_code").filter(|code| code.is_ascii());
    let user_code = text("user_code").filter(|code| {
        code.len() <= MAX_USER_CODE_BYTES && code.bytes().all(|byte| matches!(byte, 0x20..=0x7E))
    });
    Ok(DeviceAuthorization {
        device_code: Secret::new(device_code.ok_or("it has no device_code")?),
        user_code: user_code.ok_or("it has no user_code")?.to_owned(),
        verification_uri: uri
            .and_then(web_address)
            .ok_or("it has no verification_uri")?,
        verification_uri_complete: complete.and_then(web_address),
        lifetime: seconds(members, "expires_in")
            .unwrap_or(DEFAULT_LIFETIME)
            .min(MAX_LIFETIME),
        interval: seconds(members, "interval")
            .unwrap_or(DEFAULT_INTERVAL)
            .min(MAX_INTERVAL),
    })
}

/// Parses an address for a browser. Another scheme could start a program.
fn web_address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

fn seconds(members: &Value, name: &str) -> Option<Duration> {
    let seconds = match members.get(name)? {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

impl DeviceAuthorization {
    /// Requests the token once (RFC 8628 §3.4), and captures what the login brings beside it.
    ///
    /// After `slow_down` and after a failure of the network, `interval` is longer (§3.5).
    ///
    /// # Errors
    /// The person has not confirmed the code, or the request failed.
    pub async fn poll(&mut self, endpoint: &TokenEndpoint) -> Result<Issued, PollError> {
        let grant = Grant::DeviceCode {
            device_code: &self.device_code,
        };
        match endpoint.request(grant, &ApiContext::default()).await {
            Ok(issued) => capture::complete(endpoint, issued, Captured::new())
                .await
                .map_err(PollError::Request),
            Err(error) => Err(self.classify(error)),
        }
    }

    fn classify(&mut self, error: TokenRequestError) -> PollError {
        let code = match error.fault() {
            Fault::Rejected { code, .. } => code.as_ref().map(|code| code.as_str()),
            Fault::Limited => Some("slow_down"),
            Fault::Timeout | Fault::Connect | Fault::Server(_) => {
                self.interval = (self.interval * 2).min(MAX_INTERVAL);
                return PollError::Pending;
            }
            Fault::Refused(TokenRefusal::AccessDenied) => return PollError::declined(&error),
            _ => None,
        };
        match code {
            Some("authorization_pending") => PollError::Pending,
            Some("slow_down") => {
                self.interval = (self.interval + SLOW_DOWN).min(MAX_INTERVAL);
                PollError::Pending
            }
            Some("authorization_declined") => PollError::declined(&error),
            Some("expired_token") => PollError::Expired,
            _ => PollError::Request(error),
        }
    }
}

#[cfg(test)]
mod tests;
