//! The start of a login in the browser that this command opens: `/start` on loopback, which leads to the consent page.
//!
//! The arguments of a process are visible to every user of the machine, and so is the address that a browser is opened
//! with. The consent URL binds the login, so the browser gets it from here, together with the cookie that its callback
//! needs. The first visitor gets both. A second one ends this way of the login: one of them was not the person's browser.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper_util::{rt::TokioExecutor, service::TowerToHyperService};
use url::Url;

use crate::{
    login::{LoginCookie, LoginOutcome},
    oauth::authorization::Attempt,
    secret::Secret,
    server::{
        address::ListenAddress,
        limits::Limits,
        listener::Bound,
        listening::Listening,
        origin_guard::{CrossSiteRule, OriginGuard, is_navigation},
        problem::{Problem, ProblemFormat, ProblemKind},
        requested_host::RequestedHost,
        serve::Server,
    },
};

/// The path with which a login starts.
const START_PATH: &str = "/start";

/// The same where the `redirect_uri` has that path.
const OTHER_START_PATH: &str = "/start-login";

/// Connections to a listener for the start alone; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 8;

/// The start of one login in the browser that this command opens.
#[derive(Debug)]
pub(super) struct BrowserStart {
    authorization_url: Url,
    path: &'static str,
    cookie: LoginCookie,
    /// The value of the cookie, which the browser has to bring back.
    browser: Secret,
    visits: AtomicUsize,
}

impl BrowserStart {
    /// A start of `attempt` at `authorization_url`, whose callback comes to `callback_path`.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub(super) fn new(
        attempt: &Attempt,
        authorization_url: Url,
        callback_path: &str,
    ) -> io::Result<Arc<Self>> {
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Arc::new(Self {
            authorization_url,
            path: match callback_path == START_PATH {
                true => OTHER_START_PATH,
                false => START_PATH,
            },
            cookie: LoginCookie::new(attempt.state(), callback_path),
            browser: Secret::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes)),
            visits: AtomicUsize::new(0),
        }))
    }

    /// The address that the browser is opened with, on a listener at `origin`.
    pub(super) fn url(&self, origin: &Url) -> Url {
        let mut url = origin.clone();
        url.set_path(self.path);
        url.set_query(None);
        url
    }

    /// Whether the browser that sent `headers` is the only one that started here.
    pub(super) fn is_held_in(&self, headers: &HeaderMap) -> bool {
        let is_only_one = self.visits.load(Ordering::Relaxed) == 1;
        self.cookie.is_held_in(headers, &self.browser) && is_only_one
    }

    /// Routes its path, on the listener at `address`.
    pub(super) fn router(self: Arc<Self>, address: &ListenAddress) -> Router {
        let guard = OriginGuard::for_address(address).with_rule(CrossSiteRule::RequireSameOrigin);
        let refuse_method = || async {
            let detail = "A login starts by GET.";
            respond(Problem::new(ProblemKind::MethodNotAllowed, detail).with_allow("GET"))
        };
        let path = self.path;
        let start = get(receive).head(refuse_method).fallback(refuse_method);
        Router::new()
            .route(path, start)
            .with_state((self, Arc::new(guard)))
    }

    /// Serves its path alone, on a port that the system chooses, and returns the address for the browser.
    ///
    /// # Errors
    /// Those of `bind`; no descriptor is left.
    pub(super) fn serve(self: Arc<Self>) -> io::Result<(Url, Listening)> {
        let bound = Bound::bind(&ListenAddress::Tcp(([127, 0, 0, 1], 0).into()))?;
        let origin = format!("http://{}/", bound.address());
        let origin: Url = origin.parse().map_err(io::Error::other)?;
        let url = self.url(&origin);
        let limits = Limits {
            connections: MAX_CONNECTIONS,
            ..Limits::default()
        };
        let server = Server::new(TokioExecutor::new(), limits);
        let router = self.router(bound.address());
        let service = TowerToHyperService::new(router);
        let listening = Listening::start(bound, server.http1_only().with_date(), service)?;
        Ok((url, listening))
    }

    fn lead_to_consent(&self) -> Response {
        let cookie = self.cookie.set(&self.browser, false);
        let location = HeaderValue::try_from(self.authorization_url.as_str());
        let (Some(cookie), Ok(location)) = (cookie, location) else {
            let detail = "The authorization endpoint cannot be redirected to.";
            return respond(Problem::new(ProblemKind::Internal, detail));
        };
        let headers = [
            (header::LOCATION, location),
            (header::SET_COOKIE, cookie),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            ),
        ];
        (StatusCode::FOUND, headers).into_response()
    }
}

async fn receive(
    State((start, guard)): State<(Arc<BrowserStart>, Arc<OriginGuard>)>,
    headers: HeaderMap,
) -> Response {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.and_then(RequestedHost::parse);
    if !host.is_some_and(|host| guard.accepts_host(host.name)) {
        let detail = "Open the address as it was printed.";
        return respond(Problem::new(ProblemKind::HostNotAllowed, detail));
    }
    // Neither a page of another site nor what a page loads may use the start up.
    if guard.is_cross_site(&headers, host) || !is_navigation(&headers) {
        let detail = "Pages of other sites may not make requests here.";
        return respond(Problem::new(ProblemKind::CrossSite, detail));
    }
    match start.visits.fetch_add(1, Ordering::Relaxed) {
        0 => start.lead_to_consent(),
        _ => LoginOutcome::opened_twice()
            .to_response(false)
            .into_response(),
    }
}

fn respond(problem: Problem<'_>) -> Response {
    problem.to_response(ProblemFormat::Json).into_response()
}
