//! Values that a login brings beside its tokens: parameters of the callback, and members of the API's responses.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    api_context::ApiContext,
    endpoint::TokenEndpoint,
    error::{EndpointKey, Fault, TokenRequestError},
    provider::{ApiBase, CaptureSource, EndpointUrl, Provider},
    request, response,
    response::Issued,
    variables::Variables,
};

/// The maximum length of a captured value, in bytes.
const MAX_VALUE_BYTES: usize = 1024;

/// The captured values by the names of their variables.
pub type Captured = BTreeMap<String, String>;

/// Captures values from the parameters of a callback, which `parameter` returns.
///
/// # Errors
/// The name of a capture without a usable value, and the reason.
pub fn from_callback<'p>(
    provider: &Provider,
    parameter: impl Fn(&str) -> Option<&'p str>,
) -> Result<Captured, (String, &'static str)> {
    let mut captured = Captured::new();
    for capture in &provider.captures {
        if let CaptureSource::Callback(name) = &capture.source {
            let missing = "the callback has no such parameter";
            let value = parameter(name).ok_or(missing).and_then(check);
            let value = value.map_err(|reason| (capture.name.clone(), reason))?;
            captured.insert(capture.name.clone(), value);
        }
    }
    Ok(captured)
}

/// Completes the context of a login's tokens: `captured` from its callback, and what the API says of the new token.
///
/// Each value costs one GET. A later one may use the values before it.
///
/// # Errors
/// A value is missing, or leads to a host that is not allowed. The login must not be stored then.
pub async fn complete(
    endpoint: &TokenEndpoint,
    mut issued: Issued,
    captured: Captured,
) -> Result<Issued, TokenRequestError> {
    issued.context.captured = captured;
    for capture in &endpoint.provider().captures {
        match &capture.source {
            CaptureSource::Get { url, pointer } => {
                let value = fetch(endpoint, &issued, &capture.name, url, pointer).await?;
                issued.context.captured.insert(capture.name.clone(), value);
            }
            CaptureSource::Callback(_) if issued.context.captured.contains_key(&capture.name) => {}
            CaptureSource::Callback(_) => {
                return Err(not_captured(
                    endpoint.provider(),
                    &capture.name,
                    "the login has no callback",
                ));
            }
        }
    }
    check_addresses(endpoint.provider(), &issued.context)?;
    Ok(issued)
}

async fn fetch(
    endpoint: &TokenEndpoint,
    issued: &Issued,
    name: &str,
    url: &EndpointUrl,
    pointer: &str,
) -> Result<String, TokenRequestError> {
    let variables = Variables::new(endpoint.provider(), &issued.context);
    let url = endpoint.resolve(Some(url), &variables);
    let value = async {
        let source = endpoint.source(endpoint.provider(), &variables);
        let request = request::capture_request(source, url.clone()?, &issued.access_token)?;
        let response = endpoint.send(request).await?;
        let (status, body) = (response.status, &response.body);
        let mut secrets = endpoint.provider().secrets();
        secrets.push(issued.access_token.exposed_copy());
        response::check_success(
            status,
            &response.headers,
            body,
            &secrets,
            endpoint.wall_time(),
        )?;
        read(body, pointer).map_err(|reason| not_captured(endpoint.provider(), name, reason))
    };
    let value = value.await;
    value.map_err(|error| {
        error.for_endpoint(EndpointKey::Capture, url.ok().as_ref(), endpoint.provider())
    })
}

/// Reads the member at `pointer` of a JSON document: a text, a number or a truth value.
fn read(body: &[u8], pointer: &str) -> Result<String, &'static str> {
    let document: Value = serde_json::from_slice(body).map_err(|_| "the response is not JSON")?;
    match document.pointer(pointer) {
        Some(Value::String(text)) => check(text),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => check(&value.to_string()),
        Some(Value::Null) | None => Err("the response has no member at its `pointer`"),
        Some(_) => Err("the member at its `pointer` is neither a text nor a number"),
    }
}

/// Checks that a value is fit for headers and URLs.
fn check(value: &str) -> Result<String, &'static str> {
    if value.is_empty() {
        Err("the value is empty")
    } else if value.len() > MAX_VALUE_BYTES {
        Err("the value is longer than 1 KiB")
    } else if value.chars().any(char::is_control) {
        Err("the value has control characters")
    } else {
        Ok(value.to_owned())
    }
}

/// Checks that the captured values lead to allowed hosts alone, before the login is stored.
fn check_addresses(provider: &Provider, context: &ApiContext) -> Result<(), TokenRequestError> {
    let variables = Variables::new(provider, context);
    let api_base = match &provider.api_base {
        Some(ApiBase::Url(url)) => Some(url),
        Some(ApiBase::Response { .. }) | None => None,
    };
    let endpoints = [
        (EndpointKey::Token, provider.token_endpoint.as_ref()),
        (EndpointKey::Refresh, provider.refresh_endpoint.as_ref()),
        (
            EndpointKey::Revocation,
            provider.revocation_endpoint.as_ref(),
        ),
        (EndpointKey::ApiBase, api_base),
    ];
    for (key, endpoint) in endpoints {
        if let Some(endpoint) = endpoint {
            let completed = variables
                .complete(endpoint)
                .map_err(TokenRequestError::from);
            completed.map_err(|error| error.for_endpoint(key, None, provider))?;
        }
    }
    Ok(())
}

fn not_captured(provider: &Provider, name: &str, reason: &'static str) -> TokenRequestError {
    let name = name.to_owned();
    let fault = Fault::NotCaptured { name, reason };
    TokenRequestError::new(fault).for_endpoint(EndpointKey::Capture, None, provider)
}

#[cfg(test)]
mod tests;
