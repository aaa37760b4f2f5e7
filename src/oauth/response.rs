//! Reads token responses (RFC 6749 §5): leniently where servers differ, strictly where it matters.

mod api_base;
mod lifetime;
mod members;
mod problem;
mod rescue;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde_json::Value;
use zeroize::Zeroizing;

pub use self::lifetime::{MAX_LIFETIME, MIN_LIFETIME};
use self::{members::parse, problem::ErrorLayout};
use super::{
    api_context::ApiContext,
    client_auth,
    error::{ErrorDescription, Fault, ResponseFacts, TokenRequestError},
    grant::Grant,
    provider::{ApiBase, Lifetime, Provider, TokenResponse, TokenTypes},
};
use crate::{
    clock::{BootInstant, Clock},
    secret::Secret,
};

/// The lifetime of a token that can be renewed, when neither the response nor the configuration gives one.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// The maximum length of a refresh token, in bytes.
pub const MAX_REFRESH_TOKEN_BYTES: usize = 16 * 1024;

/// Token types that need a proof of possession with each request (RFC 9449, and drafts), without regard to case.
const PROOF_OF_POSSESSION: [&str; 3] = ["dpop", "mac", "pop"];

/// An issued token.
#[derive(Debug, PartialEq, Eq)]
pub struct Issued {
    /// The access token: visible ASCII, as a header value needs.
    pub access_token: Secret,
    /// The lifetime from [`Issued::requested_at`] on, up to [`MAX_LIFETIME`].
    pub lifetime: Lifetime,
    /// The new refresh token: printable ASCII, up to [`MAX_REFRESH_TOKEN_BYTES`].
    ///
    /// Without one the old refresh token stays valid (RFC 6749 §6). Client credentials have none (§4.4.3).
    pub refresh_token: Option<Secret>,
    /// The lifetime of the refresh token from [`Issued::requested_at`] on, if the response gives one.
    pub refresh_lifetime: Option<Duration>,
    /// The instant just before the request was sent.
    pub requested_at: BootInstant,
    /// The parts of requests to the API beside the token, as far as the login or the response decides them.
    pub context: ApiContext,
}

/// The instant just before a request was sent, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTime {
    /// On the boot-time clock.
    pub boot: BootInstant,
    /// As time of day.
    pub wall: SystemTime,
}

impl RequestTime {
    /// Reads both clocks.
    pub fn now(clock: &dyn Clock) -> Self {
        Self {
            boot: clock.now(),
            wall: clock.wall(),
        }
    }
}

/// Tells whether the body of a response with this status is read.
pub fn wants_body(status: StatusCode) -> bool {
    status.is_success() || (status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS)
}

/// Reads the response to a token request of `provider` under `grant`, which was sent at `requested_at`.
///
/// # Errors
/// The response is not a success with a usable Bearer token.
pub fn read_token(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    provider: &Provider,
    grant: Grant<'_>,
    requested_at: RequestTime,
) -> Result<Issued, TokenRequestError> {
    let retry_after = retry_after(headers, requested_at.wall);
    let secrets = || {
        let mut secrets = client_auth::secrets(provider);
        secrets.extend(grant.secrets());
        secrets
    };
    let failed = |fault| {
        TokenRequestError::new(fault)
            .with_retry_after(retry_after)
            .with_response(ResponseFacts::new(status, headers, body, &secrets()))
    };
    let layout = ErrorLayout {
        response: &provider.token_response,
        is_refresh: matches!(grant, Grant::RefreshToken { .. }),
    };
    let mut response = parse(headers, body);
    // The one before it is spent, so that it is kept even when nothing else in the response is of use.
    let kept = |response: Option<&mut Value>| {
        let pointer = &provider.token_response.refresh_token;
        if !status.is_success() || !grant.allows_refresh_token() {
            return None;
        }
        match response {
            Some(response) => refresh_token(response.pointer_mut(pointer)).ok().flatten(),
            None => rescue::find(body, pointer),
        }
    };
    check_status(status, response.as_ref(), layout).map_err(|fault| {
        let secrets = secrets();
        let described = response.as_ref();
        let description =
            described.and_then(|response| describe(response, &provider.token_response, &secrets));
        let error = failed(problem::without_secrets(fault, &secrets));
        error
            .with_description(description)
            .with_refresh_token(kept(response.as_mut()))
    })?;
    let Some(mut response) = response else {
        return Err(failed(NOT_PARSED).with_refresh_token(kept(None)));
    };
    issued(&mut response, provider, grant, requested_at)
        .map_err(|fault| failed(fault).with_refresh_token(kept(Some(&mut response))))
}

/// Reads the members of a success.
///
/// # Errors
/// The response is an error, or has no members.
pub fn read_members(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[Zeroizing<String>],
    now: SystemTime,
) -> Result<Value, TokenRequestError> {
    let response = parse(headers, body);
    check_plain_status(status, headers, body, response.as_ref(), secrets, now)?;
    response.ok_or_else(|| {
        TokenRequestError::new(NOT_PARSED)
            .with_retry_after(retry_after(headers, now))
            .with_response(ResponseFacts::new(status, headers, body, secrets))
    })
}

/// Checks a response whose members do not matter.
///
/// # Errors
/// The response is an error.
pub fn check_success(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[Zeroizing<String>],
    now: SystemTime,
) -> Result<(), TokenRequestError> {
    let response = parse(headers, body);
    check_plain_status(status, headers, body, response.as_ref(), secrets, now)
}

const NOT_PARSED: Fault = Fault::NotAToken("it is neither a JSON object nor a form");

/// Checks a response that has the errors of RFC 6749. None of the `secrets` is in the error.
fn check_plain_status(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    response: Option<&Value>,
    secrets: &[Zeroizing<String>],
    now: SystemTime,
) -> Result<(), TokenRequestError> {
    let layout = ErrorLayout {
        response: &TokenResponse::default(),
        is_refresh: false,
    };
    check_status(status, response, layout).map_err(|fault| {
        let description =
            response.and_then(|response| describe(response, layout.response, secrets));
        TokenRequestError::new(problem::without_secrets(fault, secrets))
            .with_retry_after(retry_after(headers, now))
            .with_response(ResponseFacts::new(status, headers, body, secrets))
            .with_description(description)
    })
}

fn check_status(
    status: StatusCode,
    response: Option<&Value>,
    layout: ErrorLayout<'_>,
) -> Result<(), Fault> {
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Fault::Limited);
    }
    if status.is_redirection() {
        return Err(Fault::Redirect(status.as_u16()));
    }
    if !wants_body(status) {
        return Err(Fault::Server(status.as_u16()));
    }
    layout.find(status, response).map_or(Ok(()), Err)
}

/// Reads the description of an error, without the `secrets`.
fn describe(
    response: &Value,
    layout: &TokenResponse,
    secrets: &[Zeroizing<String>],
) -> Option<ErrorDescription> {
    let beside = sibling(&layout.error, "error_description");
    let text = [beside.as_str(), "/error_description"]
        .into_iter()
        .find_map(|pointer| response.pointer(pointer)?.as_str())?;
    ErrorDescription::new(text, secrets)
}

fn issued(
    response: &mut Value,
    provider: &Provider,
    grant: Grant<'_>,
    requested_at: RequestTime,
) -> Result<Issued, Fault> {
    let layout = &provider.token_response;
    check_type(response, layout).map_err(Fault::NotAToken)?;
    let told = lifetime::of_access_token(response, layout, requested_at.wall);
    let refresh_lifetime = lifetime::of_refresh_token(response, layout, requested_at.wall);
    let base = api_base::read(provider.api_base.as_ref(), response).map_err(Fault::ApiBase)?;
    let is_refresh = matches!(grant, Grant::RefreshToken { .. });
    let needs_base = matches!(provider.api_base, Some(ApiBase::Response { .. }));
    // A refresh may leave it out: then the one of the login stays.
    if needs_base && base.is_none() && !is_refresh {
        return Err(Fault::ApiBase("its response has no `api_base.from`"));
    }

    let access_token = access_token(response, layout).map_err(Fault::NotAToken)?;
    let refresh_token = match grant.allows_refresh_token() {
        true => refresh_token(response.pointer_mut(&layout.refresh_token)),
        false => Ok(None),
    };
    let refresh_token = refresh_token.map_err(Fault::NotAToken)?;
    let can_renew = is_refresh || refresh_token.is_some() || provider.can_renew_alone();
    Ok(Issued {
        access_token,
        lifetime: match (told, layout.default_lifetime) {
            (Some(told), _) => Lifetime::For(told),
            (None, Some(configured)) => configured,
            (None, None) if can_renew => Lifetime::For(DEFAULT_LIFETIME),
            (None, None) => Lifetime::Never,
        },
        refresh_token,
        refresh_lifetime,
        requested_at: requested_at.boot,
        context: ApiContext {
            base,
            ..ApiContext::default()
        },
    })
}

/// Returns whether tokens of this type are sent with a proof of possession.
pub fn needs_proof(token_type: &str) -> bool {
    let is = |name: &str| token_type.eq_ignore_ascii_case(name);
    PROOF_OF_POSSESSION.into_iter().any(is)
}

/// Checks the type of the token: beside it, or else at the top. Servers that omit it mean Bearer.
fn check_type(response: &Value, layout: &TokenResponse) -> Result<(), &'static str> {
    let beside = sibling(&layout.access_token, "token_type");
    let kind = [beside.as_str(), "/token_type"]
        .into_iter()
        .filter_map(|pointer| response.pointer(pointer)?.as_str())
        .find(|kind| !kind.is_empty());
    let is = |name: &str| kind.is_some_and(|kind| kind.eq_ignore_ascii_case(name));
    if kind.is_some_and(needs_proof) {
        return Err("its token_type needs a proof of possession with each request");
    }
    match &layout.token_types {
        TokenTypes::Only(types) if kind.is_some() && !types.iter().any(|one| is(one)) => {
            Err("its token_type is not among `token_types`")
        }
        TokenTypes::AnyBearer | TokenTypes::Only(_) => Ok(()),
    }
}

fn access_token(response: &mut Value, layout: &TokenResponse) -> Result<Secret, &'static str> {
    let token = match response.pointer_mut(&layout.access_token).map(Value::take) {
        Some(Value::String(token)) => Secret::new(token),
        Some(Value::Null) | None => return Err("there is no access token in it"),
        Some(_) => return Err("its access token is not a string"),
    };
    if token.expose().is_empty() {
        return Err("its access token is empty");
    }
    let is_visible = |byte| matches!(byte, 0x21..=0x7E);
    if !token.expose().bytes().all(is_visible) {
        return Err("its access token has bytes that cannot stand in a header field");
    }
    Ok(token)
}

/// Reads the refresh token: printable ASCII (RFC 6749 §A.17).
///
/// An invalid one is an error: the old one is most likely spent, and using it would only fail later.
fn refresh_token(member: Option<&mut Value>) -> Result<Option<Secret>, &'static str> {
    let token = match member.map(Value::take) {
        None | Some(Value::Null) => return Ok(None),
        // A line break behind it is the server's slip.
        Some(Value::String(token)) => {
            let token = Zeroizing::new(token);
            Secret::new(token.trim_matches(['\r', '\n']))
        }
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
