//! Headless consent: an account's email and password for a code, at an endpoint of the vendor's own, and the code for
//! tokens.

use http::StatusCode;
use serde_json::Value;

use super::{
    authorization::{self, Attempt},
    endpoint::{EndpointResponse, TokenEndpoint},
    error::{ErrorCode, Fault, Target, TokenRequestError},
    provider::{Provider, SignIn},
    request::{self, Prepared},
    response::{self, Issued},
};
use crate::secret::Secret;

/// Signs in with the account of `[providers.NAME.sign_in]` and exchanges the code, each once and within the provider's timeout.
///
/// The `redirect_uri` is the configured one; where there is none, none is sent.
///
/// # Errors
/// The provider has no account, one of the two exchanges failed, or the response to the sign-in was not to this one.
pub async fn sign_in(endpoint: &TokenEndpoint) -> Result<Issued, TokenRequestError> {
    let failed = |fault| TokenRequestError::new(fault).for_endpoint(Target::SignIn);
    let provider = endpoint.provider();
    let settings = provider
        .sign_in
        .as_ref()
        .ok_or_else(|| failed(Fault::Setup("there is no account to sign in with")))?;
    let redirect_uri = provider
        .authorization
        .as_ref()
        .and_then(|authorization| authorization.redirect_uri.as_ref());
    let attempt = Attempt::with_state_length(provider, redirect_uri, settings.state_length)
        .map_err(|_| failed(Fault::Setup("the system gives no randomness")))?;
    let response = endpoint
        .send(prepare(&attempt, provider, settings))
        .await
        .map_err(|error| error.for_endpoint(Target::SignIn))?;
    let code =
        read(&attempt, endpoint, &response).map_err(|error| error.for_endpoint(Target::SignIn))?;
    authorization::exchange(endpoint, &attempt, &code).await
}

/// The parameters of the consent redirect, and the account.
fn prepare(attempt: &Attempt, provider: &Provider, settings: &SignIn) -> Prepared {
    let mut parameters = attempt.parameters(provider);
    parameters.set("email", &settings.email);
    parameters.set("password", settings.password.current().expose());
    request::post(settings.endpoint.clone(), settings.encoding, &parameters)
}

/// The code in the response.
fn read(
    attempt: &Attempt,
    endpoint: &TokenEndpoint,
    response: &EndpointResponse,
) -> Result<Secret, TokenRequestError> {
    let EndpointResponse {
        status,
        headers,
        body,
    } = response;
    let members = response::members(*status, headers, body, endpoint.wall())
        .map_err(|error| refused(*status, error))?;
    let failed = |why| TokenRequestError::new(Fault::NotACode(why));
    match members.get("state") {
        Some(Value::String(state)) if attempt.state().matches(state.as_bytes()) => {}
        // Whoever was asked says what for, as a callback has to (RFC 6749 §4.1.2).
        None | Some(Value::Null) => return Err(failed("the state that was sent is not in it")),
        Some(_) => return Err(failed("its state is not the one that was sent")),
    }
    let named = authorization::code_parameter(endpoint.provider());
    let code = [named, "code"]
        .into_iter()
        .find_map(|name| members.get(name)?.as_str());
    let code = code.ok_or_else(|| failed("there is none in it"))?;
    authorization::code(code).map_err(|_| failed("it is empty, too long, or not printable ASCII"))
}

/// Whoever repeats a password that was refused gets the account locked, so that a refusal is told from the rest.
fn refused(status: StatusCode, error: TokenRequestError) -> TokenRequestError {
    let code = match error.fault() {
        Fault::Refused(refusal) => ErrorCode::parse(refusal.as_str()),
        Fault::Rejected { code, .. } if status != StatusCode::REQUEST_TIMEOUT => code.clone(),
        Fault::NotAToken(_) => {
            return TokenRequestError::new(Fault::NotACode(
                "it is neither a JSON object nor a form",
            ));
        }
        _ => return error,
    };
    let pause = error.asked_to_wait();
    TokenRequestError::new(Fault::SignInRefused { code }).retry_after(pause)
}

#[cfg(test)]
mod tests;
