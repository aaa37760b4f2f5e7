//! Reads the callback of a consent (RFC 6749 §4.1.2). Nothing in it can be trusted.

use std::borrow::Cow;

use thiserror::Error;
use url::{Url, form_urlencoded};

use super::{Attempt, Authorized};
use crate::{
    oauth::{
        capture,
        error::{ErrorCode, ErrorDescription, quoted},
        provider::Provider,
    },
    secret::Secret,
};

/// The maximum length of a query, or of pasted text, in bytes.
const MAX_CALLBACK_BYTES: usize = 16 * 1024;
/// The maximum length of a code, in bytes.
const MAX_CODE_BYTES: usize = 8 * 1024;

/// The reason why a callback holds no usable code.
///
/// Of the server's text, the message holds the `error` code alone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallbackError {
    /// The callback is longer than [`MAX_CALLBACK_BYTES`].
    #[error("the callback is longer than 16 KiB: start the login again")]
    TooLong,
    /// A parameter comes twice (RFC 6749 §3.1).
    #[error("a parameter of the callback comes twice: start the login again")]
    Repeated,
    /// `state` is missing or belongs to another attempt: it is forged, replayed, or too old.
    #[error(
        "the callback belongs to another login, or to one that has ended: start the login again"
    )]
    State,
    /// `iss` names another authorization server (RFC 9207 §2.4).
    #[error("the callback comes from another authorization server: start the login again")]
    Issuer,
    /// The server or the user refused the login.
    #[error("the authorization server refused the login{}", quoted(.code.as_ref()))]
    Denied {
        /// The value of `error`, if it is a valid code.
        code: Option<ErrorCode>,
        /// The server's explanation, for operators.
        description: Option<ErrorDescription>,
    },
    /// The callback has no code.
    #[error("there is no code in the callback: start the login again")]
    NoCode,
    /// A parameter that has to be captured is missing.
    #[error(
        "the callback brings no value for `capture.{name}`: {reason}; paste the whole address if it was pasted, and check `capture`"
    )]
    NotCaptured {
        /// The name of the capture.
        name: String,
        /// The reason.
        reason: &'static str,
    },
    /// The code is too long or has invalid characters (RFC 6749 §A.11).
    #[error(
        "the code is longer than 8 KiB or is not printable ASCII: copy it again, or start the login again"
    )]
    NotACode,
}

impl CallbackError {
    /// Returns the server's description of the error. It is for operators, and never for clients.
    pub fn description(&self) -> Option<&ErrorDescription> {
        match self {
            Self::Denied { description, .. } => description.as_ref(),
            _ => None,
        }
    }
}

/// Implements [`Attempt::read_callback`].
pub(super) fn read_callback(
    attempt: &Attempt,
    provider: &Provider,
    query: &str,
) -> Result<Authorized, CallbackError> {
    if query.len() > MAX_CALLBACK_BYTES {
        return Err(CallbackError::TooLong);
    }
    let parameters = CallbackParameters::parse(query)?;
    // Checked first, so that a forged callback has no effect and none of its text is shown.
    if !parameters
        .find("state")
        .is_some_and(|state| attempt.state.matches(state.as_bytes()))
    {
        return Err(CallbackError::State);
    }
    // RFC 9207 §2.4: compared as a string, and with nothing where the issuer is not known.
    let known = provider.issuer.as_deref();
    if let (Some(issuer), Some(known)) = (parameters.find("iss"), known)
        && issuer != known
    {
        return Err(CallbackError::Issuer);
    }
    if let Some(error) = parameters.find("error") {
        return Err(denied(attempt, provider, error, &parameters));
    }
    let named = code_parameter(provider);
    let code = parameters
        .find(named)
        .or_else(|| parameters.find("code"))
        .ok_or(CallbackError::NoCode)?;
    authorized(provider, parse_code(code)?, &parameters)
}

/// Reads a refusal (RFC 6749 §4.1.2.1), without secrets of ours.
fn denied(
    attempt: &Attempt,
    provider: &Provider,
    error: &str,
    parameters: &CallbackParameters<'_>,
) -> CallbackError {
    let mut secrets = provider.secrets();
    secrets.extend(attempt.secrets());
    CallbackError::Denied {
        code: ErrorCode::parse(error).map(|code| code.without_secrets(&secrets)),
        description: parameters
            .find("error_description")
            .and_then(|text| ErrorDescription::new(text, &secrets)),
    }
}

fn authorized(
    provider: &Provider,
    code: Secret,
    parameters: &CallbackParameters<'_>,
) -> Result<Authorized, CallbackError> {
    let captured = capture::from_callback(provider, |name| parameters.find(name));
    let captured =
        captured.map_err(|(name, reason)| CallbackError::NotCaptured { name, reason })?;
    Ok(Authorized { code, captured })
}

/// Implements [`Attempt::read_pasted`].
pub(super) fn read_pasted(
    attempt: &Attempt,
    provider: &Provider,
    text: &str,
) -> Result<Authorized, CallbackError> {
    if text.len() > MAX_CALLBACK_BYTES {
        return Err(CallbackError::TooLong);
    }
    let text = text.trim();
    if let Ok(url) = Url::parse(text)
        && (url.has_host() || url.query().is_some())
    {
        return read_callback(attempt, provider, url.query().unwrap_or_default());
    }
    let query = text.strip_prefix('?').unwrap_or(text);
    let first = query.split(['=', '&']).next().unwrap_or_default();
    if query != text || [code_parameter(provider), "code", "state", "iss", "error"].contains(&first)
    {
        return read_callback(attempt, provider, query);
    }
    // RFC 6749 allows blanks in a code, but a mistake of the clipboard is more likely.
    if text.contains(' ') {
        return Err(CallbackError::NotACode);
    }
    // A code alone brings no parameters.
    authorized(provider, parse_code(text)?, &CallbackParameters(Vec::new()))
}

/// Parses a code (RFC 6749 §A.11).
///
/// # Errors
/// The text is empty, longer than [`MAX_CODE_BYTES`], or not printable ASCII.
pub(in crate::oauth) fn parse_code(text: &str) -> Result<Secret, CallbackError> {
    match text.len() {
        0 => Err(CallbackError::NoCode),
        1..=MAX_CODE_BYTES if text.bytes().all(|byte| matches!(byte, 0x20..=0x7E)) => {
            Ok(Secret::new(text))
        }
        _ => Err(CallbackError::NotACode),
    }
}

/// Returns the name of the parameter that carries the code.
pub(in crate::oauth) fn code_parameter(provider: &Provider) -> &str {
    provider
        .authorization
        .as_ref()
        .map_or("code", |authorization| &authorization.code_parameter)
}

/// The parameters of a callback, each name once. Empty ones count as absent (RFC 6749 §3.1).
struct CallbackParameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> CallbackParameters<'a> {
    fn parse(query: &'a str) -> Result<Self, CallbackError> {
        let mut parameters = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(CallbackError::Repeated);
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    fn find(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_ref())
            .filter(|value| !value.is_empty())
    }
}
