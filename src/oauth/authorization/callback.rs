//! Reads what the authorization server sent back with the browser (RFC 6749 §4.1.2), of which nothing can be trusted.

use std::{fmt, sync::Arc};

use url::{Url, form_urlencoded};

use super::Attempt;
use crate::{
    oauth::{error::ErrorCode, provider::Provider},
    secret::Secret,
};

/// The longest query, or pasted text, in bytes.
const LONGEST: usize = 16 * 1024;
/// The longest code, in bytes.
const MAX_CODE_BYTES: usize = 8 * 1024;

/// Why a callback brought no code. Its `Display` can go anywhere: of what the server sent, it has the `error` code alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackError {
    /// It is longer than any answer.
    TooLong,
    /// A parameter comes twice (RFC 6749 §3.1).
    Repeated,
    /// `state` is missing, or of another attempt: forged, replayed, or too old.
    State,
    /// `iss` names another authorization server (RFC 9207 §2.4).
    Issuer,
    /// The server, or the user, said no.
    Denied {
        /// The value of `error`, where it is a code.
        code: Option<ErrorCode>,
        /// What the server says of it, for the page that the person sees.
        description: Option<Description>,
    },
    /// There is no code in it.
    NoCode,
    /// What it brings as the code cannot be one (RFC 6749 §A.11).
    NotACode,
}

impl fmt::Display for CallbackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the answer is too long"),
            Self::Repeated => f.write_str("a parameter of the answer comes twice"),
            Self::State => {
                f.write_str("the answer belongs to another login, or to one that is over")
            }
            Self::Issuer => f.write_str("the answer comes from another authorization server"),
            Self::Denied {
                code: Some(code), ..
            } => {
                write!(
                    f,
                    "the authorization server refused the login with the error \"{code}\""
                )
            }
            Self::Denied { code: None, .. } => {
                f.write_str("the authorization server refused the login")
            }
            Self::NoCode => f.write_str("there is no code in the answer"),
            Self::NotACode => f.write_str("the code in the answer cannot be one"),
        }
    }
}

impl std::error::Error for CallbackError {}

/// The `error_description` of a response: up to 256 characters of RFC 6749 §4.1.2.1's alphabet. Words of the server's:
/// for the person who logs in, and not for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description(Arc<str>);

impl Description {
    /// The longest description, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// `text`, if it is a description.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        ((1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(allowed))
            .then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As [`Attempt::read_callback`].
pub(super) fn read(
    attempt: &Attempt,
    provider: &Provider,
    query: &str,
) -> Result<Secret, CallbackError> {
    if query.len() > LONGEST {
        return Err(CallbackError::TooLong);
    }
    let parameters = Parameters::parse(query)?;
    // First of all, so that a forged answer has no effect, and its words are shown to nobody.
    if !parameters
        .find("state")
        .is_some_and(|state| attempt.state.matches(state.as_bytes()))
    {
        return Err(CallbackError::State);
    }
    if parameters
        .find("iss")
        .is_some_and(|issuer| !is_of(provider, issuer))
    {
        return Err(CallbackError::Issuer);
    }
    if let Some(error) = parameters.find("error") {
        let description = parameters
            .find("error_description")
            .and_then(Description::parse);
        return Err(CallbackError::Denied {
            code: ErrorCode::parse(error),
            description,
        });
    }
    let named = code_parameter(provider);
    let code = parameters
        .find(named)
        .or_else(|| parameters.find("code"))
        .ok_or(CallbackError::NoCode)?;
    self::code(code)
}

/// As [`Attempt::read_pasted`].
pub(super) fn read_pasted(
    attempt: &Attempt,
    provider: &Provider,
    text: &str,
) -> Result<Secret, CallbackError> {
    if text.len() > LONGEST {
        return Err(CallbackError::TooLong);
    }
    let text = text.trim();
    if let Ok(url) = Url::parse(text)
        && (url.has_host() || url.query().is_some())
    {
        return read(attempt, provider, url.query().unwrap_or_default());
    }
    let query = text.strip_prefix('?').unwrap_or(text);
    let first = query.split(['=', '&']).next().unwrap_or_default();
    if query != text || [code_parameter(provider), "code", "state", "iss", "error"].contains(&first)
    {
        return read(attempt, provider, query);
    }
    // A code may hold blanks by the letter of the RFC; a slip of the clipboard is more likely.
    if text.contains(' ') {
        return Err(CallbackError::NotACode);
    }
    code(text)
}

/// `text`, if it can be a code (RFC 6749 §A.11).
pub(in crate::oauth) fn code(text: &str) -> Result<Secret, CallbackError> {
    match text.len() {
        0 => Err(CallbackError::NoCode),
        1..=MAX_CODE_BYTES if text.bytes().all(|byte| matches!(byte, 0x20..=0x7E)) => {
            Ok(Secret::new(text))
        }
        _ => Err(CallbackError::NotACode),
    }
}

/// The parameter that carries the code.
pub(in crate::oauth) fn code_parameter(provider: &Provider) -> &str {
    provider
        .authorization
        .as_ref()
        .map_or("code", |authorization| &authorization.code_parameter)
}

/// Whether `issuer` is the provider's, as far as that is known: the identifiers of issuers are not configured, but they
/// share the origin of one of the endpoints. An attacker's server (RFC 9207 §1) shares none.
fn is_of(provider: &Provider, issuer: &str) -> bool {
    let Ok(issuer) = Url::parse(issuer) else {
        return false;
    };
    let authorization = provider
        .authorization
        .as_ref()
        .and_then(|authorization| authorization.endpoint.as_ref());
    let mut ours = [authorization, Some(&provider.token_endpoint)]
        .into_iter()
        .flatten();
    issuer.has_host() && ours.any(|url| url.origin() == issuer.origin())
}

/// The parameters of a response, none of which may come twice; empty ones count as absent (RFC 6749 §3.1).
struct Parameters<'a>(Vec<(std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>);

impl<'a> Parameters<'a> {
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
