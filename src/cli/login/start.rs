//! The start of a login in the browser that this command opens: `/start` on loopback, which leads to the consent page.
//!
//! The arguments of a process are visible to every user of the machine, and so is the address that a browser is opened
//! with. The consent URL binds the login, so the browser gets it from here, together with the cookie that its callback
//! needs. The first visitor gets both, unless another user of the machine is connected. A second one ends this way of the
//! login: one of them was not the person's browser.

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
use rustix::process::geteuid;
use url::Url;

use super::local_clients::has_foreign_client;
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

/// The path where the `redirect_uri` has the other one.
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
        Router::new().route(path, start).with_state((
            self,
            Arc::new(guard),
            address.port().unwrap_or_default(),
        ))
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
    State((start, guard, port)): State<(Arc<BrowserStart>, Arc<OriginGuard>, u16)>,
    headers: HeaderMap,
) -> Response {
    let Some(host) = accepted_host(&guard, &headers) else {
        return refuse_host();
    };
    // Neither a page of another site nor what a page loads may use the start up.
    if guard.is_cross_site(&headers, Some(host)) || !is_navigation(&headers) {
        let detail = "Pages of other sites may not make requests here.";
        return respond(Problem::new(ProblemKind::CrossSite, detail));
    }
    if has_foreign_client(port, geteuid().as_raw()) {
        return LoginOutcome::opened_by_other_user()
            .to_response(false)
            .into_response();
    }
    match start.visits.fetch_add(1, Ordering::Relaxed) {
        0 => start.lead_to_consent(),
        _ => LoginOutcome::opened_twice()
            .to_response(false)
            .into_response(),
    }
}

/// The one host of a request, if the guard accepts it.
pub(super) fn accepted_host<'a>(
    guard: &OriginGuard,
    headers: &'a HeaderMap,
) -> Option<RequestedHost<'a>> {
    let mut fields = headers.get_all(header::HOST).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return None;
    };
    RequestedHost::parse(field.to_str().ok()?).filter(|host| guard.accepts_host(host.name))
}

pub(super) fn refuse_host() -> Response {
    let detail = "The Host is not this listener's: open the address as it was printed.";
    respond(Problem::new(ProblemKind::HostNotAllowed, detail))
}

fn respond(problem: Problem<'_>) -> Response {
    problem.to_response(ProblemFormat::Json).into_response()
}

#[cfg(test)]
mod tests {
    use testkit::client::{Response, send};

    use super::*;
    use crate::oauth::fake;

    async fn served() -> (Arc<BrowserStart>, Url, Listening) {
        let provider = fake::with_consent("https://as.example/token");
        let attempt = Attempt::new(&provider, None).unwrap();
        let consent = "https://as.example/authorize?state=canary".parse().unwrap();
        let start = BrowserStart::new(&attempt, consent, "/callback").unwrap();
        let (url, listening) = start.clone().serve().unwrap();
        (start, url, listening)
    }

    async fn visit(url: &Url, method: &str, fields: &[(&str, &str)]) -> Response {
        let address = (url.host_str().unwrap(), url.port().unwrap());
        send(address, method, url.path(), fields, "").await.unwrap()
    }

    #[tokio::test]
    async fn the_first_browser_gets_the_consent_page_and_the_cookie_of_its_callback() {
        let (start, url, _listening) = served().await;
        assert_eq!((url.path(), url.query()), ("/start", None));
        assert!(!start.is_held_in(&HeaderMap::new()), "before the first");
        let first = visit(&url, "GET", &[]).await;
        assert_eq!(first.status, 302);
        assert_eq!(
            first.header("location"),
            "https://as.example/authorize?state=canary"
        );
        assert_eq!(first.header("referrer-policy"), "no-referrer");
        let (cookie, attributes) = first.header("set-cookie").split_once(';').unwrap();
        assert_eq!(
            attributes,
            " Path=/callback; Max-Age=600; HttpOnly; SameSite=Lax"
        );
        let mut headers = HeaderMap::new();
        assert!(!start.is_held_in(&headers), "without the cookie");
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        assert!(start.is_held_in(&headers));

        let second = visit(&url, "GET", &[]).await;
        assert_eq!(
            (second.status, second.headers.get("set-cookie")),
            (400, None)
        );
        assert!(!second.body.contains("canary"));
        assert!(
            !start.is_held_in(&headers),
            "one of two browsers is another's"
        );
    }

    #[tokio::test]
    async fn a_page_of_another_site_does_not_use_the_start_up() {
        let (_start, url, _listening) = served().await;
        for (method, fields, status) in [
            ("GET", &[("host", "evil.example")][..], 421),
            ("GET", &[("host", "localhost:x")], 421),
            ("GET", &[("sec-fetch-site", "cross-site")], 403),
            ("GET", &[("sec-fetch-mode", "no-cors")], 403),
            ("GET", &[("origin", "http://evil.example")], 403),
            ("HEAD", &[], 405),
            ("POST", &[], 405),
        ] {
            let response = visit(&url, method, fields).await;
            assert_eq!(response.status, status, "{method} {fields:?}");
        }
        assert_eq!(visit(&url, "GET", &[]).await.status, 302);
    }
}
