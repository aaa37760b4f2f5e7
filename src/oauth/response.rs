//! Reads what a token endpoint answers (RFC 6749 §5), leniently where servers differ and strictly where it matters.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::Value;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{
    error::{ErrorCode, Fault, Refusal, TokenRequestError},
    provider::TokenResponse,
};
use crate::secret::Secret;

/// The lifetime of a token when neither the response nor the configuration gives one.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// No lifetime is taken for shorter.
pub const MIN_LIFETIME: Duration = Duration::from_secs(1);
/// No lifetime is taken for longer.
pub const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest refresh token, in bytes.
pub const MAX_REFRESH_TOKEN_BYTES: usize = 16 * 1024;

/// A token as it was issued.
#[derive(Debug, PartialEq, Eq)]
pub struct Issued {
    /// Only visible ASCII: it can stand in a header field.
    pub access_token: Secret,
    /// Between [`MIN_LIFETIME`] and [`MAX_LIFETIME`].
    pub lifetime: Duration,
    /// What the next one can be had with; absent: what this one was had with stays good (RFC 6749 §6). Printable ASCII,
    /// up to [`MAX_REFRESH_TOKEN_BYTES`]. Never there for client credentials (RFC 6749 §4.4.3).
    pub refresh_token: Option<Secret>,
}

/// Whether the body of a response with this status says anything; that of another need not be read.
pub fn wants_body(status: StatusCode) -> bool {
    status.is_success() || (status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS)
}

/// Reads a token answer or an error response under a grant that brings refresh tokens or does not; `now` is for a
/// `Retry-After` that is a date.
///
/// # Errors
/// Everything but a success with a usable Bearer token.
pub fn read(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    layout: &TokenResponse,
    with_refresh_token: bool,
    now: SystemTime,
) -> Result<Issued, TokenRequestError> {
    let mut response = members(status, headers, body, now)?;
    issued(&mut response, layout, with_refresh_token).map_err(|why| {
        let kept = if with_refresh_token {
            refresh_token(response.pointer_mut(&layout.refresh_token))
        } else {
            Ok(None)
        };
        TokenRequestError::new(Fault::NotAToken(why))
            .retry_after(retry_after(headers, now))
            .with_refresh_token(kept.unwrap_or_default())
    })
}

/// Reads the members of a success, or an error response.
///
/// # Errors
/// Everything but a success with members, none of which is an error.
pub fn members(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Result<Value, TokenRequestError> {
    let failed = |fault| TokenRequestError::new(fault).retry_after(retry_after(headers, now));
    let response = parse(headers, body);
    success(status, response.as_ref()).map_err(failed)?;
    response.ok_or_else(|| failed(Fault::NotAToken("it is neither a JSON object nor a form")))
}

/// Reads a response of which only the success matters.
///
/// # Errors
/// Everything but a success without an error in it.
pub fn acknowledged(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Result<(), TokenRequestError> {
    success(status, parse(headers, body).as_ref())
        .map_err(|fault| TokenRequestError::new(fault).retry_after(retry_after(headers, now)))
}

fn success(status: StatusCode, response: Option<&Value>) -> Result<(), Fault> {
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
        // A 200 that holds an error is an error: GitHub, for one, answers so.
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
    match code.and_then(Refusal::of) {
        Some(refusal) => Fault::Refused(refusal),
        None => Fault::Rejected {
            status: status.as_u16(),
            code: code.and_then(ErrorCode::parse),
        },
    }
}

/// Some servers send `"error": null` or `""` with every token.
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
        // RFC 6749 §5.1 demands a type; where there is none, what else than Bearer could be meant.
        match response.pointer(&place) {
            None | Some(Value::Null) => {}
            Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => {}
            Some(_) => return Err("its token_type is not Bearer"),
        }
    }
    let lifetime = lifetime(
        response.pointer(&layout.expires_in),
        layout.default_lifetime,
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
    })
}

/// RFC 6749 §A.17 allows printable ASCII alone. One that is something else is an error rather than none: the old one is
/// most likely spent, and whoever goes on with it only learns so later.
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
        Some(seconds) => Duration::from_secs_f64(
            seconds.clamp(MIN_LIFETIME.as_secs_f64(), MAX_LIFETIME.as_secs_f64()),
        ),
        None => default
            .unwrap_or(DEFAULT_LIFETIME)
            .clamp(MIN_LIFETIME, MAX_LIFETIME),
    }
}

/// The members of a JSON object, whatever type it claims to be, or else of a form.
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

/// The parser takes no number that a float cannot hold, such as `1e999`, though JSON allows it (RFC 8259 §6): `null` in
/// its place, so that a lifetime of that kind does not cost the tokens beside it.
fn without_boundless_numbers(body: &[u8]) -> Zeroizing<Vec<u8>> {
    // Room enough not to grow: `null` is shorter than any such number.
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

/// A form that is sent as `text/plain`, or as `text/html` even: no blank, no markup, `name=value` from the start.
fn looks_like_a_form(text: &str) -> bool {
    let blank_or_markup =
        |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'<' | b'>' | b'{' | b'"');
    !text.bytes().any(blank_or_markup)
        && text.split('&').all(|pair| {
            pair.split_once('=')
                .is_some_and(|(name, _)| !name.is_empty())
        })
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean a very long time.
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
