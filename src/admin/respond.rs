//! The responses of the admin listener.

use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::guard::Refusal;
use crate::{
    server::problem::{Problem, ProblemFormat, ProblemKind},
    telemetry::metrics,
    token::error::TokenError,
};

pub(super) fn text(body: &'static str) -> Response {
    body.into_response()
}

pub(super) fn metrics(body: String) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], body).into_response()
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => {
            let media_type = [(header::CONTENT_TYPE, "application/json")];
            (status, media_type, body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a response cannot be written as JSON");
            internal_error()
        }
    }
}

/// Redirects to `location` by a GET (RFC 9110 §15.4.3).
pub(super) fn found(location: &str, cookie: Option<HeaderValue>) -> Response {
    let Ok(location) = HeaderValue::try_from(location) else {
        return internal_error();
    };
    let mut response = StatusCode::FOUND.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Redirects to the status page by a GET (RFC 9110 §15.4.4).
pub(super) fn see_page() -> Response {
    Redirect::to("/").into_response()
}

pub(super) fn not_found() -> Response {
    let detail = "There is no such page on the admin listener.";
    problem(ProblemKind::NotFound, detail)
}

pub(super) fn unknown_provider(name: &str) -> Response {
    let detail = "The configuration has no provider of this name.";
    respond(Problem::new(ProblemKind::UnknownProvider, detail).with_provider(Some(name)))
}

/// Responds to a login at a provider without logins in a browser.
pub(super) fn no_login(provider: &str) -> Response {
    let detail = "This provider's tokens are obtained without a login in a browser.";
    respond(Problem::new(ProblemKind::NoLogin, detail).with_provider(Some(provider)))
}

/// Responds to a login whose `redirect_uri` does not bring the browser back to this listener.
pub(super) fn login_elsewhere(provider: &str) -> Response {
    let detail = format!(
        "A browser that comes by this address is not led back to /callback on the admin listener by the provider's \
         redirect_uri: run `bearward login {provider}`, or set redirect_uri to an address that does."
    );
    respond(Problem::new(ProblemKind::LoginElsewhere, detail).with_provider(Some(provider)))
}

pub(super) fn method_not_allowed(allow: &'static str) -> Response {
    let detail = "The path is right, the method is not; see Allow.";
    respond(Problem::new(ProblemKind::MethodNotAllowed, detail).with_allow(allow))
}

pub(super) fn body_too_large() -> Response {
    problem(
        ProblemKind::BodyTooLarge,
        "No endpoint here reads a request body.",
    )
}

pub(super) fn request_timeout() -> Response {
    problem(
        ProblemKind::RequestTimeout,
        "The request body did not arrive in time.",
    )
}

pub(super) fn internal_error() -> Response {
    problem(ProblemKind::Internal, "The log says more.")
}

/// Responds to a reload that did not take place.
pub(super) fn no_reload(reason: &str) -> Response {
    let detail = format!("The configuration was not reloaded: {reason}.");
    respond(
        Problem::new(ProblemKind::Internal, detail).with_status(StatusCode::SERVICE_UNAVAILABLE),
    )
}

/// Responds to a client that cannot have events now.
pub(super) fn no_events(reason: &str) -> Response {
    let detail = format!("There are no events: {reason}.");
    respond(
        Problem::new(ProblemKind::Internal, detail).with_status(StatusCode::SERVICE_UNAVAILABLE),
    )
}

pub(super) fn path_too_long() -> Response {
    let detail = "The path is longer than [limits] path_bytes.";
    problem(ProblemKind::PathTooLong, detail)
}

pub(super) fn refusal(refusal: Refusal) -> Response {
    let (kind, detail) = match refusal {
        Refusal::BadHost => (
            ProblemKind::BadRequest,
            "A request has to have one Host, a name with an optional port.",
        ),
        Refusal::UnknownHost => (
            ProblemKind::HostNotAllowed,
            "The Host is not the admin listener's: use localhost, 127.0.0.1, [::1], the address it listens on, or a name in `[admin] hosts`.",
        ),
        Refusal::CrossSite => (
            ProblemKind::CrossSite,
            "Pages of other sites may not make requests here.",
        ),
        Refusal::ClosedToNetwork => (
            ProblemKind::NotAllowed,
            "Other machines can reach the listener, so it shows only /livez, /readyz and /metrics unless the \
             configuration sets [admin] key.",
        ),
        Refusal::KeyRequired => (
            ProblemKind::AdminKeyRequired,
            "Send [admin] key as a Bearer token or as the password of HTTP Basic.",
        ),
    };
    problem(kind, detail)
}

/// Responds to a failed refresh that an operator asked for: always 502, with the type of the failure.
pub(super) fn refresh_failed(provider: &str, failure: &TokenError, login_hint: &str) -> Response {
    let failed = match failure {
        TokenError::Refused { error, detail } => {
            Problem::new(ProblemKind::TokenRefused, &**detail).with_error_code(Some(error))
        }
        TokenError::Unavailable { detail, .. } => {
            Problem::new(ProblemKind::TokenUnavailable, &**detail)
        }
        TokenError::LoginRequired => {
            let detail = format!("There is no login: {login_hint}.");
            Problem::new(ProblemKind::LoginRequired, detail)
        }
    };
    respond(
        failed
            .with_status(StatusCode::BAD_GATEWAY)
            .with_provider(Some(provider)),
    )
}

fn problem(kind: ProblemKind, detail: &str) -> Response {
    respond(Problem::new(kind, detail))
}

fn respond(problem: Problem<'_>) -> Response {
    problem.to_response(ProblemFormat::Json).into_response()
}
