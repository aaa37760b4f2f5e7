//! Reads token responses (RFC 6749 §5): leniently where servers differ, strictly where it matters.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::Value;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{
    api_context::ApiContext,
    error::{ErrorCode, Fault, TokenRefusal, TokenRequestError},
    provider::{Lifetime, TokenResponse},
};
use crate::secret::Secret;

/// The lifetime of a token when neither the response nor the configuration gives one.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// The minimum lifetime; shorter ones are raised to it.
pub const MIN_LIFETIME: Duration = Duration::from_secs(1);
/// The maximum lifetime; longer ones are cut to it.
pub const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The maximum length of a refresh token, in bytes.
pub const MAX_REFRESH_TOKEN_BYTES: usize = 16 * 1024;

/// An issued token.
#[derive(Debug, PartialEq, Eq)]
pub struct Issued {
    /// The access token: visible ASCII, as a header value needs.
    pub access_token: Secret,
    /// The lifetime, between [`MIN_LIFETIME`] and [`MAX_LIFETIME`].
    pub lifetime: Duration,
    /// The new refresh token: printable ASCII, up to [`MAX_REFRESH_TOKEN_BYTES`].
    ///
    /// Without one the old refresh token stays valid (RFC 6749 §6). Client credentials have none (§4.4.3).
    pub refresh_token: Option<Secret>,
    /// What requests to the API carry beside the token, as far as the login or the response decides it.
    pub context: ApiContext,
}

/// Tells whether the body of a response with this status is read.
pub fn wants_body(status: StatusCode) -> bool {
    status.is_success() || (status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS)
}

/// Reads a token response.
///
/// `with_refresh_token` says whether the grant allows a refresh token. `now` is for a date in `Retry-After`.
///
/// # Errors
/// The response is not a success with a usable Bearer token.
pub fn read_token(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    layout: &TokenResponse,
    with_refresh_token: bool,
    now: SystemTime,
) -> Result<Issued, TokenRequestError> {
    let mut response = read_members(status, headers, body, now)?;
    issued(&mut response, layout, with_refresh_token).map_err(|why| {
        let kept = if with_refresh_token {
            refresh_token(response.pointer_mut(&layout.refresh_token))
        } else {
            Ok(None)
        };
        TokenRequestError::new(Fault::NotAToken(why))
            .with_retry_after(retry_after(headers, now))
            .with_refresh_token(kept.unwrap_or_default())
    })
}

/// Reads the members of a success.
///
/// # Errors
/// The response is an error, or has no members.
pub fn read_members(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Result<Value, TokenRequestError> {
    let failed = |fault| TokenRequestError::new(fault).with_retry_after(retry_after(headers, now));
    let response = parse(headers, body);
    check_status(status, response.as_ref()).map_err(failed)?;
    response.ok_or_else(|| failed(Fault::NotAToken("it is neither a JSON object nor a form")))
}

/// Checks a response whose members do not matter.
///
/// # Errors
/// The response is an error.
pub fn check_success(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Result<(), TokenRequestError> {
    check_status(status, parse(headers, body).as_ref())
        .map_err(|fault| TokenRequestError::new(fault).with_retry_after(retry_after(headers, now)))
}

fn check_status(status: StatusCode, response: Option<&Value>) -> Result<(), Fault> {
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Fault::Limited);
    }
    if status.is_redirection() {
        return Err(Fault::Redirect(status.as_u16()));
    }
    if !wants_body(status) {
        return Err(Fault::Server(status.as_u16()));
    }
    if let Some(error) = response
        .and_then(|response| response.get("error"))
        .filter(|error| is_set(error))
    {
        // GitHub, for one, sends errors with status 200.
        return Err(error_fault(status, error.as_str()));
    }
    if !status.is_success() {
        return Err(Fault::Rejected {
            status: status.as_u16(),
            code: None,
        });
    }
    Ok(())
}

fn error_fault(status: StatusCode, code: Option<&str>) -> Fault {
    match code.and_then(TokenRefusal::parse) {
        Some(refusal) => Fault::Refused(refusal),
        None => Fault::Rejected {
            status: status.as_u16(),
            code: code.and_then(ErrorCode::parse),
        },
    }
}

/// Tells whether `error` is one. Some servers send `null` or `""` with every token.
fn is_set(error: &Value) -> bool {
    !matches!(error, Value::Null | Value::Bool(false)) && error.as_str() != Some("")
}

fn issued(
    response: &mut Value,
    layout: &TokenResponse,
    with_refresh_token: bool,
) -> Result<Issued, &'static str> {
    for place in [
        sibling(&layout.access_token, "token_type"),
        "/token_type".into(),
    ] {
        // RFC 6749 §5.1 requires a type, but servers that omit it mean Bearer.
        match response.pointer(&place) {
            None | Some(Value::Null) => {}
            Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => {}
            Some(_) => return Err("its token_type is not Bearer"),
        }
    }
    let lifetime = lifetime(
        response.pointer(&layout.expires_in),
        match layout.default_lifetime {
            Some(Lifetime::For(lifetime)) => Some(lifetime),
            Some(Lifetime::Never) | None => None,
        },
    );
    let token = match response.pointer_mut(&layout.access_token).map(Value::take) {
        Some(Value::String(token)) => Secret::new(token),
        Some(Value::Null) | None => return Err("there is no access token in it"),
        Some(_) => return Err("its access token is not a string"),
    };
    if token.expose().is_empty() {
        return Err("its access token is empty");
    }
    if !token
        .expose()
        .bytes()
        .all(|byte| matches!(byte, 0x21..=0x7E))
    {
        return Err("its access token has bytes that cannot stand in a header field");
    }
    let refresh_token = if with_refresh_token {
        refresh_token(response.pointer_mut(&layout.refresh_token))?
    } else {
        None
    };
    Ok(Issued {
        access_token: token,
        lifetime,
        refresh_token,
        context: ApiContext::default(),
    })
}

/// Reads the refresh token: printable ASCII (RFC 6749 §A.17).
///
/// An invalid one is an error: the old one is most likely spent, and using it would only fail later.
fn refresh_token(member: Option<&mut Value>) -> Result<Option<Secret>, &'static str> {
    let token = match member.map(Value::take) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(token)) => Secret::new(token),
        Some(_) => return Err("its refresh token is not a string"),
    };
    if token.expose().len() > MAX_REFRESH_TOKEN_BYTES {
        return Err("its refresh token is longer than 16 KiB");
    }
    if !token
        .expose()
        .bytes()
        .all(|byte| matches!(byte, 0x20..=0x7E))
    {
        return Err("its refresh token has bytes other than printable ASCII");
    }
    Ok((!token.expose().is_empty()).then_some(token))
}

/// Returns the pointer to `name` beside the target of `pointer`.
fn sibling(pointer: &str, name: &str) -> String {
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    format!("{parent}/{name}")
}

/// Reads a lifetime in seconds: a number, or a number in a string. Anything else counts as absent.
fn lifetime(expires_in: Option<&Value>, default: Option<Duration>) -> Duration {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    match seconds.filter(|seconds| seconds.is_finite()) {
        Some(seconds) => Duration::from_secs_f64(
            seconds.clamp(MIN_LIFETIME.as_secs_f64(), MAX_LIFETIME.as_secs_f64()),
        ),
        None => default
            .unwrap_or(DEFAULT_LIFETIME)
            .clamp(MIN_LIFETIME, MAX_LIFETIME),
    }
}

/// Parses a JSON object of any media type, or else a form.
fn parse(headers: &HeaderMap, body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    if let Ok(value) = serde_json::from_slice::<Value>(body)
        .or_else(|_| serde_json::from_slice(&without_boundless_numbers(body)))
    {
        return value.is_object().then_some(value);
    }
    let text = std::str::from_utf8(body).ok()?.trim();
    (is_form(headers) || looks_like_a_form(text)).then(|| {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Value::Object(
            pairs
                .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
                .collect(),
        )
    })
}

/// Replaces numbers beyond the range of a float, such as `1e999`, by `null`.
///
/// JSON allows them (RFC 8259 §6), but the parser rejects them. Such a lifetime must not cost the token beside it.
fn without_boundless_numbers(body: &[u8]) -> Zeroizing<Vec<u8>> {
    // `null` is shorter than any such number, so the buffer never grows and leaves no copy of a secret.
    let mut cleaned = Zeroizing::new(Vec::with_capacity(body.len()));
    let (mut rest, mut quoted) = (body, false);
    while let Some(&first) = rest.first() {
        let length = match first {
            b'\\' if quoted => rest.len().min(2),
            b'-' | b'0'..=b'9' if !quoted => rest
                .iter()
                .take_while(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
                .count(),
            _ => 1,
        };
        quoted ^= first == b'"';
        let (piece, after) = rest.split_at(length);
        let number = std::str::from_utf8(piece)
            .ok()
            .filter(|_| !quoted)
            .and_then(|text| text.parse::<f64>().ok());
        cleaned.extend_from_slice(if number.is_some_and(f64::is_infinite) {
            b"null"
        } else {
            piece
        });
        rest = after;
    }
    cleaned
}

fn is_form(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = essence
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Recognizes a form of another media type: `name=value` from the start, without blanks and markup.
fn looks_like_a_form(text: &str) -> bool {
    let blank_or_markup =
        |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'<' | b'>' | b'{' | b'"');
    !text.bytes().any(blank_or_markup)
        && text.split('&').all(|pair| {
            pair.split_once('=')
                .is_some_and(|(name, _)| !name.is_empty())
        })
}

/// Reads `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits mean a very long time.
        return Some(Duration::from_secs(
            text.parse().unwrap_or(u64::from(u32::MAX)),
        ));
    }
    httpdate::parse_http_date(text)
        .ok()
        .map(|date| date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests;
