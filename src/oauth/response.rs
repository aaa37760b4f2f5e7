//! Reads what a token endpoint answers (RFC 6749 §5), leniently where servers differ and strictly where it matters.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::Value;
use url::form_urlencoded;

use super::{
    error::{ErrorCode, Fault, Refusal, TokenRequestError},
    provider::TokenResponse,
};
use crate::secret::Secret;

/// The lifetime of a token when neither the answer nor the configuration gives one.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// No lifetime is taken for shorter.
pub const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);
/// No lifetime is taken for longer.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A token as it was issued. A refresh token beside it is not read: none is due to client credentials (RFC 6749 §4.4.3).
#[derive(Debug, PartialEq, Eq)]
pub struct Issued {
    /// Only visible ASCII: it can stand in a header field.
    pub access_token: Secret,
    /// Between [`SHORTEST_LIFETIME`] and [`LONGEST_LIFETIME`].
    pub lifetime: Duration,
}

/// Whether the body of an answer with this status says anything; that of another need not be read.
pub fn wants_body(status: StatusCode) -> bool {
    status.is_success() || (status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS)
}

/// Reads a token answer or an error answer; `now` is for a `Retry-After` that is a date.
///
/// # Errors
/// Everything but a success with a usable Bearer token.
pub fn read(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    layout: &TokenResponse,
    now: SystemTime,
) -> Result<Issued, TokenRequestError> {
    let failed = |fault| TokenRequestError::new(fault).retry_after(retry_after(headers, now));
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(failed(Fault::Limited));
    }
    if status.is_redirection() {
        return Err(failed(Fault::Redirect(status.as_u16())));
    }
    if !wants_body(status) {
        return Err(failed(Fault::Server(status.as_u16())));
    }
    let answer = parse(headers, body);
    if let Some(error) = answer.as_ref().and_then(|answer| answer.get("error")).filter(|error| is_set(error)) {
        // A 200 that holds an error is an error: GitHub, for one, answers so.
        return Err(failed(error_fault(status, error.as_str())));
    }
    if !status.is_success() {
        return Err(failed(Fault::Rejected { status: status.as_u16(), code: None }));
    }
    let answer = answer.ok_or_else(|| failed(Fault::NotAToken("it is neither a JSON object nor a form")))?;
    issued(answer, layout).map_err(|why| failed(Fault::NotAToken(why)))
}

fn error_fault(status: StatusCode, code: Option<&str>) -> Fault {
    match code.and_then(Refusal::of) {
        Some(refusal) => Fault::Refused(refusal),
        None => Fault::Rejected { status: status.as_u16(), code: code.and_then(ErrorCode::parse) },
    }
}

/// Some servers send `"error": null` or `""` with every token.
fn is_set(error: &Value) -> bool {
    !matches!(error, Value::Null | Value::Bool(false)) && error.as_str() != Some("")
}

fn issued(mut answer: Value, layout: &TokenResponse) -> Result<Issued, &'static str> {
    for place in [sibling(&layout.access_token, "token_type"), "/token_type".into()] {
        // RFC 6749 §5.1 demands a type; where there is none, what else than Bearer could be meant.
        match answer.pointer(&place) {
            None | Some(Value::Null) => {}
            Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => {}
            Some(_) => return Err("its token_type is not Bearer"),
        }
    }
    let lifetime = lifetime(answer.pointer(&layout.expires_in), layout.default_lifetime);
    let token = match answer.pointer_mut(&layout.access_token).map(Value::take) {
        Some(Value::String(token)) => Secret::new(token),
        Some(Value::Null) | None => return Err("there is no access token in it"),
        Some(_) => return Err("its access token is not a string"),
    };
    if token.expose().is_empty() {
        return Err("its access token is empty");
    }
    if !token.expose().bytes().all(|byte| matches!(byte, 0x21..=0x7E)) {
        return Err("its access token has bytes that cannot stand in a header field");
    }
    Ok(Issued { access_token: token, lifetime })
}

/// The pointer to `name` beside what `pointer` points to.
fn sibling(pointer: &str, name: &str) -> String {
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    format!("{parent}/{name}")
}

/// A number, or a string that is one, in seconds; what is neither counts as absent.
fn lifetime(expires_in: Option<&Value>, default: Option<Duration>) -> Duration {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    match seconds.filter(|seconds| seconds.is_finite()) {
        Some(seconds) => {
            Duration::from_secs_f64(seconds.clamp(SHORTEST_LIFETIME.as_secs_f64(), LONGEST_LIFETIME.as_secs_f64()))
        }
        None => default.unwrap_or(DEFAULT_LIFETIME).clamp(SHORTEST_LIFETIME, LONGEST_LIFETIME),
    }
}

/// The members of a JSON object, whatever type it claims to be, or else of a form.
fn parse(headers: &HeaderMap, body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        return value.is_object().then_some(value);
    }
    let text = std::str::from_utf8(body).ok()?.trim();
    (is_form(headers) || looks_like_a_form(text)).then(|| {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Value::Object(pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect())
    })
}

fn is_form(headers: &HeaderMap) -> bool {
    let essence = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = essence.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// A form that is sent as `text/plain`, or as `text/html` even: no blank, no markup, `name=value` from the start.
fn looks_like_a_form(text: &str) -> bool {
    let blank_or_markup = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'<' | b'>' | b'{' | b'"');
    !text.bytes().any(blank_or_markup)
        && text.split('&').all(|pair| pair.split_once('=').is_some_and(|(name, _)| !name.is_empty()))
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean a very long time.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    httpdate::parse_http_date(text).ok().map(|date| date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests;
