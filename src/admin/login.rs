//! Logging in with a browser (RFC 6749 §4.1): out to the authorization server, and back.
//!
//! A login is bound to the browser it began in: whoever comes back needs the cookie that was set on the way out beside
//! the state. Neither the query of a callback nor anything in it is written to a log.

mod cookie;
mod outcome;
mod pending;
pub mod redirect;
mod way;

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, header, request::Parts, uri::Authority};
use url::form_urlencoded;

use self::{
    cookie::Cookie,
    pending::{Pending, Unclaimed},
};
pub use self::{
    outcome::{Outcome, WITHOUT_REFRESH_TOKEN},
    pending::LIFETIME,
    way::way,
};
use super::{
    respond::{self, Answer},
    segment,
    state::AdminState,
};
use crate::{
    clock::Clock,
    oauth::{
        authorization::{self, Attempt},
        endpoint::TokenEndpoint,
        provider::{GrantType, Provider},
        redirect_uri::RedirectUri,
    },
    secret::Secret,
    server::address::ListenAddress,
    token::{credential::Credential, grant::RecordedLogin},
};

/// The logins under way.
#[derive(Debug)]
pub(super) struct Logins {
    pending: Pending<Login>,
    /// Browsers that were sent to another name of this listener; see [`is_redirected`].
    redirected: Pending<()>,
}

impl Logins {
    pub(super) fn new() -> Self {
        Self {
            pending: Pending::new(),
            redirected: Pending::new(),
        }
    }
}

struct Login {
    provider: Arc<Provider>,
    attempt: Attempt,
}

/// Whether somebody can log in at `provider` with a browser.
pub fn is_possible(provider: &Provider) -> bool {
    let has_endpoint = provider
        .authorization
        .as_ref()
        .is_some_and(|authorization| authorization.endpoint.is_some());
    provider.grant_type == GrantType::AuthorizationCode && has_endpoint
}

/// Whether a login at `provider` can begin at the listener at `admin`, the real address, and comes back there.
pub(super) fn comes_back_to(provider: &Provider, admin: &ListenAddress) -> bool {
    let by_its_own_name = |uri: &RedirectUri| {
        let (name, port) = (uri.url().host_str()?, uri.url().port_or_known_default()?);
        let host = format!("{name}:{port}").parse().ok()?;
        Some(redirect::leads_here(uri.url(), &host, admin))
    };
    is_possible(provider)
        && redirect::uri_for(provider, Some(admin))
            .is_some_and(|uri| by_its_own_name(&uri) == Some(true))
}

/// Sends the browser that asks to the authorization server of the provider of that name.
pub(super) fn begin(state: &AdminState, name: &str, parts: &Parts) -> Answer {
    let view = state.view();
    let Some(credential) = view.tokens.credential(name) else {
        return respond::unknown_provider(name);
    };
    let provider = credential.provider();
    if !is_possible(provider) {
        return respond::no_login(name);
    }
    // The guard has seen to it that there is one.
    let Some(host) = host(&parts.headers) else {
        return respond::not_found();
    };
    let uri = redirect::uri_for(provider, Some(state.address()));
    let Some(uri) = uri.filter(|uri| redirect::leads_here(uri.url(), &host, state.address()))
    else {
        return respond::login_elsewhere(name);
    };
    if let Some(authority) = redirect::start_elsewhere(uri.url(), &host) {
        return send_to(state, &authority, name);
    }
    let (Ok(attempt), Ok(browser)) = (Attempt::new(provider, Some(&uri)), random()) else {
        tracing::error!(
            provider = name,
            "login.failed: the system gives no randomness"
        );
        return respond::internal_error();
    };
    let cookie = Cookie::of(attempt.state()).set(&browser, uri.url().scheme() == "https");
    let (Some(url), Some(cookie)) = (attempt.url(provider), cookie) else {
        return respond::internal_error();
    };
    tracing::info!(provider = name, "login.begun");
    let (now, sent) = (state.clock().now(), attempt.state().clone());
    state.logins().pending.keep(
        now,
        sent,
        browser,
        Login {
            provider: provider.clone(),
            attempt,
        },
    );
    respond::found(url.as_str(), Some(cookie))
}

/// Sends the browser to this listener by the name that its cookie has to be set for.
fn send_to(state: &AdminState, authority: &str, name: &str) -> Answer {
    let Ok(pass) = random() else {
        return respond::internal_error();
    };
    let location = format!(
        "http://{authority}/login/{}?pass={}",
        segment::encoded(name),
        pass.expose()
    );
    state
        .logins()
        .redirected
        .keep(state.clock().now(), pass, Secret::new(""), ());
    respond::found(&location, None)
}

/// Whether a request was sent here by [`send_to`], and so begins at our own page, even though a browser takes the other
/// name for another site.
pub(super) fn is_redirected(state: &AdminState, parts: &Parts) -> bool {
    let pass = only("pass", parts.uri.query().unwrap_or_default());
    pass.is_some_and(|pass| state.logins().redirected.knows(state.clock().now(), &pass))
}

/// Takes the browser back, and exchanges the code that it brings.
pub(super) async fn finish(state: &Arc<AdminState>, parts: &Parts) -> Answer {
    let query = parts.uri.query().unwrap_or_default();
    let Some(sent) = only("state", query).map(Secret::new) else {
        return ended(None, Outcome::unknown(), None);
    };
    let cookie = Cookie::of(&sent);
    let holds = |browser: &Secret| cookie.is_held(&parts.headers, browser);
    let Login { provider, attempt } =
        match state
            .logins()
            .pending
            .claim(state.clock().now(), sent.expose(), holds)
        {
            Ok(login) => login,
            Err(Unclaimed::Unknown) => return ended(None, Outcome::unknown(), None),
            Err(Unclaimed::OtherBrowser) => return ended(None, Outcome::other_browser(), None),
        };
    let cookie = Some(&cookie);
    let view = state.view();
    let credential = view
        .tokens
        .credential(&provider.name)
        .filter(|credential| *credential.provider() == provider);
    let Some(credential) = credential.cloned() else {
        return ended(
            Some(&provider),
            Outcome::reconfigured(&provider.name),
            cookie,
        );
    };
    let code = match attempt.read_callback(&provider, query) {
        Ok(code) => code,
        Err(error) => {
            return ended(
                Some(&provider),
                Outcome::declined(&provider.name, &error),
                cookie,
            );
        }
    };
    // The end of the process waits for it: what a spent code brought would be lost.
    let tracker = state.tracker();
    if tracker.is_closed() && tracker.is_empty() {
        return ended(Some(&provider), Outcome::ending(&provider.name), cookie);
    }
    let tracked = tracker.token();
    // A task of its own: a browser that goes away would otherwise take the answer, and the login in it, along. It ends
    // within the provider's timeout and the store's.
    let clock = state.shared_clock();
    let exchange = tokio::spawn(async move {
        let outcome = exchange(&credential, clock, attempt, code).await;
        drop(tracked);
        outcome
    });
    let outcome = exchange
        .await
        .unwrap_or_else(|_| Outcome::interrupted(&provider.name));
    ended(Some(&provider), outcome, cookie)
}

async fn exchange(
    credential: &Credential,
    clock: Arc<dyn Clock>,
    attempt: Attempt,
    code: Secret,
) -> Outcome {
    let provider = credential.provider();
    // Before the code is spent: it is good once.
    let prepared = match credential.prepare_login().await {
        Ok(prepared) => prepared,
        Err(error) => return Outcome::not_stored(&provider.name, &error),
    };
    let endpoint = TokenEndpoint::new(provider.clone(), clock);
    match authorization::exchange(&endpoint, &attempt, &code).await {
        Err(error) => Outcome::not_exchanged(&provider.name, &error),
        Ok(issued) => match credential.complete_login(prepared, issued).await {
            RecordedLogin {
                unsaved: Some(error),
                ..
            } => Outcome::unsaved(&provider.name, &error),
            RecordedLogin {
                has_refresh_token: false,
                ..
            } => Outcome::without_refresh_token(&provider.name),
            RecordedLogin { .. } => Outcome::logged_in(&provider.name),
        },
    }
}

fn ended(provider: Option<&Provider>, outcome: Outcome, cookie: Option<&Cookie>) -> Answer {
    let provider = provider.map_or("", |provider| &provider.name);
    match outcome.status.is_success() {
        true => tracing::info!(provider, "login.done"),
        false => tracing::warn!(
            provider,
            status = outcome.status.as_u16(),
            reason = outcome.detail,
            "login.failed"
        ),
    }
    let mut answer = outcome.answer(true);
    if let Some(cookie) = cookie.and_then(Cookie::clear) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    headers.get(header::HOST)?.as_bytes().try_into().ok()
}

/// The parameter of that name, if it is there once.
fn only(name: &str, query: &str) -> Option<String> {
    let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
    let (_, value) = found.next()?;
    found.next().is_none().then(|| value.into_owned())
}

/// 256 bits that nobody guesses.
fn random() -> Result<Secret, getrandom::Error> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes)?;
    Ok(Secret::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes)))
}
