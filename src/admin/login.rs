//! The login endpoints: `/login/NAME` sends a browser to the authorization server, `/callback` receives it back.
//!
//! A login is bound to its browser: the callback needs the cookie that was set at the start, beside the state. Neither
//! the query of a callback nor anything in it is logged.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, Uri, header, uri::Authority};
use url::form_urlencoded;

use super::{drained_body::DrainedBody, respond, state::AdminState};
use crate::{
    login::{
        CALLBACK_PATH, LoginCookie, LoginOutcome, TokenReceiver,
        attempts::{AttemptStore, ClaimError},
        exchange_code, login_path, redirect, supports_browser_login,
    },
    oauth::{
        authorization::Attempt,
        endpoint::TokenEndpoint,
        error::{EndpointKey, ErrorDescription},
        provider::Provider,
    },
    secret::Secret,
};

/// The logins under way.
#[derive(Debug, Default)]
pub(super) struct Logins {
    started: AttemptStore<StartedLogin>,
    /// Browsers that were redirected to another name of this listener; see [`is_redirected`].
    redirected: AttemptStore<()>,
}

struct StartedLogin {
    provider: Arc<Provider>,
    attempt: Attempt,
    /// The path of its `redirect_uri`.
    callback_path: String,
}

/// Sends the browser to the authorization server of the provider in the path.
pub(super) async fn start(
    State(state): State<Arc<AdminState>>,
    provider: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    _: DrainedBody,
) -> Response {
    let Ok(Path(name)) = provider else {
        return respond::not_found();
    };
    let view = state.view();
    let Some(credential) = view.tokens.credential(&name) else {
        return respond::unknown_provider(&name);
    };
    let provider = credential.provider();
    if !supports_browser_login(provider) {
        return respond::no_login(&name);
    }
    // The guard has admitted no request of a browser without one.
    let Some(host) = requested_host(&headers) else {
        return respond::not_found();
    };
    let uri = redirect::redirect_uri_for(provider, Some(state.address())).filter(|uri| {
        redirect::redirects_to_this_listener(uri.url(), &name, &host, state.address())
    });
    let Some(uri) = uri else {
        return respond::login_elsewhere(&name);
    };
    if let Some(canonical) = redirect::canonical_start_host(uri.url(), &host) {
        return redirect_to_canonical_host(&state, &canonical, &name);
    }

    let (Ok(attempt), Ok(browser)) = (Attempt::new(provider, Some(&uri)), random_secret()) else {
        tracing::error!(
            provider = name,
            "login.failed: the system gives no randomness"
        );
        return respond::internal_error();
    };
    let is_https = uri.url().scheme() == "https";
    let cookie = LoginCookie::new(attempt.state(), CALLBACK_PATH).set(&browser, is_https);
    let Some(cookie) = cookie else {
        return respond::internal_error();
    };
    let endpoint = TokenEndpoint::new(provider.clone(), state.shared_clock());
    let completed = endpoint.provider_with(EndpointKey::Authorization).await;
    let url = match completed.and_then(|provider| attempt.url(&provider)) {
        Ok(url) => url,
        Err(error) => return end(Some(&name), LoginOutcome::not_started(&name, &error), None),
    };
    tracing::info!(provider = name, "login.begun");
    let started = StartedLogin {
        provider: provider.clone(),
        attempt,
        callback_path: uri.url().path().to_owned(),
    };
    let state_parameter = started.attempt.state().clone();
    state
        .logins()
        .started
        .insert(state.clock().now(), state_parameter, browser, started);
    respond::found(url.as_str(), Some(cookie))
}

/// Redirects the browser to the name of this listener for which its cookie has to be set.
fn redirect_to_canonical_host(state: &AdminState, authority: &str, provider: &str) -> Response {
    let Ok(pass) = random_secret() else {
        return respond::internal_error();
    };
    let path = login_path(provider);
    let location = format!("http://{authority}{path}?pass={}", pass.expose());
    state
        .logins()
        .redirected
        .insert(state.clock().now(), pass, Secret::new(""), ());
    respond::found(&location, None)
}

/// Whether [`redirect_to_canonical_host`] sent a request here, which a browser then takes for one of another site.
pub(super) fn is_redirected(state: &AdminState, uri: &Uri) -> bool {
    let pass = single_parameter("pass", uri.query().unwrap_or_default());
    pass.is_some_and(|pass| {
        state
            .logins()
            .redirected
            .contains(state.clock().now(), &pass)
    })
}

/// Receives the browser back at the callback of one provider.
///
/// A code for another provider's login is refused here: an authorization server may have sent the browser to another
/// one's, to get its code (RFC 9700 §4.4).
pub(super) async fn finish_at_provider(
    State(state): State<Arc<AdminState>>,
    provider: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: DrainedBody,
) -> Response {
    let Ok(Path(name)) = provider else {
        return respond::not_found();
    };
    if state.view().tokens.credential(&name).is_none() {
        return respond::unknown_provider(&name);
    }
    finish(State(state), uri, headers, body).await
}

/// Receives the browser back, and exchanges the code that it brings.
pub(super) async fn finish(
    State(state): State<Arc<AdminState>>,
    uri: Uri,
    headers: HeaderMap,
    _: DrainedBody,
) -> Response {
    let query = uri.query().unwrap_or_default();
    let Some(state_parameter) = single_parameter("state", query).map(Secret::new) else {
        return end(None, LoginOutcome::unknown(), None);
    };
    let cookie = LoginCookie::new(&state_parameter, CALLBACK_PATH);
    let check = |browser: &Secret, login: &StartedLogin| match () {
        () if !cookie.is_held_in(&headers, browser) => Err(ClaimError::OtherBrowser),
        () if uri.path() != login.callback_path => Err(ClaimError::OtherRedirectUri),
        () => Ok(()),
    };
    let started = &state.logins().started;
    let claimed = started.claim(state.clock().now(), state_parameter.expose(), check);
    match claimed {
        Ok(login) => {
            let name = login.provider.name.clone();
            let outcome = complete(&state, login, query).await;
            end(Some(&name), outcome, Some(&cookie))
        }
        Err(error) => end(None, LoginOutcome::unclaimed(error), None),
    }
}

async fn complete(state: &Arc<AdminState>, login: StartedLogin, query: &str) -> LoginOutcome {
    let StartedLogin {
        provider, attempt, ..
    } = login;
    let name = provider.name.clone();
    let view = state.view();
    let credential = view
        .tokens
        .credential(&name)
        .filter(|credential| *credential.provider() == provider);
    let Some(credential) = credential.cloned() else {
        return LoginOutcome::reconfigured(&name);
    };
    let authorized = match attempt.read_callback(&provider, query) {
        Ok(authorized) => authorized,
        Err(error) => return LoginOutcome::declined(&name, &error),
    };
    // Shutdown waits for the exchange: the login that a spent code brings would be lost.
    let tracker = state.tracker();
    if tracker.is_closed() && tracker.is_empty() {
        return LoginOutcome::shutting_down(&name);
    }
    // In a task of its own: a browser that disconnects would otherwise cancel it. It ends within the timeouts of the
    // provider and the store.
    let clock = state.shared_clock();
    let exchange = tracker.spawn(async move {
        let receiver = TokenReceiver::Credential(&credential);
        let result = exchange_code(receiver, &provider, clock, &attempt, &authorized).await;
        LoginOutcome::from_exchange(&provider.name, &result)
    });
    exchange
        .await
        .unwrap_or_else(|_| LoginOutcome::interrupted(&name))
}

fn end(provider: Option<&str>, outcome: LoginOutcome, cookie: Option<&LoginCookie>) -> Response {
    match outcome.status.is_success() {
        true => tracing::info!(provider, "login.done"),
        false => tracing::warn!(
            provider,
            status = outcome.status.as_u16(),
            reason = outcome.detail,
            description = outcome.description.as_ref().map(ErrorDescription::as_str),
            "login.failed"
        ),
    }
    let mut response = outcome.to_response(true).into_response();
    if let Some(cookie) = cookie.and_then(LoginCookie::clear) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn requested_host(headers: &HeaderMap) -> Option<Authority> {
    headers.get(header::HOST)?.as_bytes().try_into().ok()
}

/// The parameter `name`, if it occurs exactly once.
fn single_parameter(name: &str, query: &str) -> Option<String> {
    let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
    let (_, value) = found.next()?;
    found.next().is_none().then(|| value.into_owned())
}

/// A secret of 256 random bits.
fn random_secret() -> Result<Secret, getrandom::Error> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes)?;
    Ok(Secret::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes)))
}
