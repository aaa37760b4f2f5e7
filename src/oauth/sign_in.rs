//! Headless consent: exchanges an account's email and password for a code, and the code for tokens.

use http::StatusCode;
use serde_json::Value;
use url::Url;

use super::{
    api_context::ApiContext,
    authorization::{self, Attempt, Authorized},
    capture,
    endpoint::{EndpointResponse, TokenEndpoint},
    error::{EndpointKey, ErrorCode, Fault, TokenRequestError},
    provider::{Provider, SignIn},
    request::{self, PreparedRequest},
    response::{self, Issued},
    template::MissingVariable,
    variables::Variables,
};

/// Signs in with the account of `[providers.NAME.sign_in]` and exchanges the code.
///
/// Each request is sent once, within the provider's timeout, with the configured `redirect_uri` or the default one.
///
/// # Errors
/// The provider has no account, a request failed, or the response belongs to another sign-in.
pub async fn sign_in(endpoint: &TokenEndpoint) -> Result<Issued, TokenRequestError> {
    let (attempt, authorized) = request_code(endpoint).await.map_err(|error| {
        let settings = endpoint.provider().sign_in.as_ref();
        error.for_endpoint(
            EndpointKey::SignIn,
            settings.and_then(|settings| settings.endpoint.as_fixed()),
            endpoint.provider(),
        )
    })?;
    authorization::exchange(endpoint, &attempt, &authorized).await
}

async fn request_code(
    endpoint: &TokenEndpoint,
) -> Result<(Attempt, Authorized), TokenRequestError> {
    let setup = |reason| TokenRequestError::new(Fault::Setup(reason));
    let provider = endpoint.provider();
    let settings = provider
        .sign_in
        .as_ref()
        .ok_or_else(|| setup("the provider has no account; configure `sign_in`"))?;
    let redirect_uri = provider
        .authorization
        .as_ref()
        .and_then(|authorization| authorization.callback());
    let attempt = Attempt::with_state_length(provider, redirect_uri, settings.state_length)
        .map_err(|_| setup("the system has no randomness"))?;

    let context = ApiContext::default();
    let url = endpoint.resolve(
        Some(&settings.endpoint),
        &Variables::new(provider, &context),
    )?;
    let request = sign_in_request(&attempt, provider, settings, url)?;
    let response = endpoint.send(request).await?;
    let authorized = read_code(&attempt, endpoint, &response)?;
    Ok((attempt, authorized))
}

/// Builds the sign-in request: the parameters of an authorization request, and the account.
fn sign_in_request(
    attempt: &Attempt,
    provider: &Provider,
    settings: &SignIn,
    url: Url,
) -> Result<PreparedRequest, MissingVariable> {
    let mut parameters = attempt.parameters(provider)?;
    parameters.set("email", &settings.email);
    parameters.set("password", settings.password.current().expose());
    Ok(request::post_request(url, settings.encoding, &parameters))
}

/// Reads the code and the captured values from the response.
fn read_code(
    attempt: &Attempt,
    endpoint: &TokenEndpoint,
    response: &EndpointResponse,
) -> Result<Authorized, TokenRequestError> {
    let EndpointResponse {
        status,
        headers,
        body,
    } = response;
    let mut secrets = endpoint.provider().secrets();
    secrets.extend(attempt.secrets());
    let members = response::read_members(*status, headers, body, &secrets, endpoint.wall_time())
        .map_err(|error| classify(*status, error))?;
    let failed = |why| TokenRequestError::new(Fault::NotACode(why));
    match members.get("state") {
        Some(Value::String(state)) if attempt.state().matches(state.as_bytes()) => {}
        // The state is required, as in a callback (RFC 6749 §4.1.2).
        None | Some(Value::Null) => return Err(failed("it has no state")),
        Some(_) => return Err(failed("its state belongs to another sign-in")),
    }
    let named = authorization::code_parameter(endpoint.provider());
    let code = [named, "code"]
        .into_iter()
        .find_map(|name| members.get(name)?.as_str());
    let code = code.ok_or_else(|| failed("it has no code"))?;
    let code = authorization::parse_code(code)
        .map_err(|_| failed("its code is empty, too long, or not printable ASCII"))?;
    let member = |name: &str| members.get(name).and_then(Value::as_str);
    let captured = capture::from_callback(endpoint.provider(), member);
    let captured = captured
        .map_err(|(name, reason)| TokenRequestError::new(Fault::NotCaptured { name, reason }))?;
    Ok(Authorized { code, captured })
}

/// Distinguishes a refusal from other errors, since repeating a refused password may lock the account.
fn classify(status: StatusCode, error: TokenRequestError) -> TokenRequestError {
    let fault = match error.fault() {
        Fault::Refused(refusal) => Fault::SignInRefused {
            code: ErrorCode::parse(refusal.as_str()),
        },
        Fault::Rejected { code, .. } if status != StatusCode::REQUEST_TIMEOUT => {
            Fault::SignInRefused { code: code.clone() }
        }
        Fault::NotAToken(_) => Fault::NotACode("it is neither a JSON object nor a form"),
        _ => return error,
    };
    error.with_fault(fault)
}

#[cfg(test)]
mod tests;
