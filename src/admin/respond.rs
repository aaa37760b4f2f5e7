//! Answers: the only place of the admin listener with header fields.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use super::{endpoint::Endpoint, guard::Refusal, page};
use crate::{
    server::problem::{self, Problem},
    telemetry::metrics,
    token::error::TokenError,
};

pub(super) type Answer = Response<Full<Bytes>>;

pub(super) fn text(body: &'static str) -> Answer {
    answer(StatusCode::OK, "text/plain; charset=utf-8", body)
}

pub(super) fn metrics(body: String) -> Answer {
    answer(StatusCode::OK, metrics::CONTENT_TYPE, body)
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_vec(body) {
        Ok(body) => answer(status, "application/json", body),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            internal_error()
        }
    }
}

pub(super) fn html(status: StatusCode, body: String) -> Answer {
    let mut answer = answer(status, "text/html; charset=utf-8", body);
    answer.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        page::content_security_policy(),
    );
    answer
}

/// To `location`, by a GET.
pub(super) fn found(location: &str, cookie: Option<HeaderValue>) -> Answer {
    let Ok(location) = HeaderValue::try_from(location) else {
        return internal_error();
    };
    let mut answer = answer(StatusCode::FOUND, "text/plain; charset=utf-8", "");
    answer.headers_mut().insert(header::LOCATION, location);
    if let Some(cookie) = cookie {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

pub(super) fn not_found() -> Answer {
    refuse(
        StatusCode::NOT_FOUND,
        "not-found",
        "Not found",
        "There is no such page on the admin listener.",
    )
}

pub(super) fn unknown_provider(name: &str) -> Answer {
    let (title, detail) = (
        "Unknown provider",
        "The configuration has no provider of this name.",
    );
    let status = StatusCode::NOT_FOUND;
    problem(Problem {
        provider: Some(name),
        ..blank(status, "unknown-provider", title, detail)
    })
}

/// A provider at which nobody logs in.
pub(super) fn no_login(provider: &str) -> Answer {
    let detail = "This provider's tokens are obtained without anybody logging in with a browser.";
    let status = StatusCode::CONFLICT;
    problem(Problem {
        provider: Some(provider),
        ..blank(status, "no-login", "No login", detail)
    })
}

/// A provider whose `redirect_uri` a browser does not follow to this listener.
pub(super) fn login_elsewhere(provider: &str) -> Answer {
    let detail = format!(
        "A browser that comes by this address is not led back to /callback on the admin listener by the provider's \
         redirect_uri: run `bearward login {provider}`, or set redirect_uri to an address that does."
    );
    let status = StatusCode::CONFLICT;
    problem(Problem {
        provider: Some(provider),
        ..blank(status, "login-elsewhere", "Login elsewhere", &detail)
    })
}

pub(super) fn method_not_allowed(endpoint: &Endpoint) -> Answer {
    let detail = "The path is right, the method is not; see Allow.";
    let mut answer = refuse(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "Method not allowed",
        detail,
    );
    answer
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(endpoint.allow()));
    answer
}

pub(super) fn body_too_large() -> Answer {
    let detail = "Nothing here takes a request body.";
    refuse(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
        "Body too large",
        detail,
    )
}

pub(super) fn request_timeout() -> Answer {
    let detail = "The request body did not arrive in time.";
    refuse(
        StatusCode::REQUEST_TIMEOUT,
        "request-timeout",
        "Request timeout",
        detail,
    )
}

pub(super) fn internal_error() -> Answer {
    refuse(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Internal error",
        "The log says more.",
    )
}

pub(super) fn path_too_long() -> Answer {
    let detail = "The path is longer than [limits] path_bytes.";
    refuse(
        StatusCode::URI_TOO_LONG,
        "path-too-long",
        "Path too long",
        detail,
    )
}

/// What the guard refuses.
pub(super) fn refusal(refusal: Refusal) -> Answer {
    match refusal {
        Refusal::BadHost => {
            let detail = "A request has to have one Host, a name with an optional port.";
            refuse(
                StatusCode::BAD_REQUEST,
                "bad-request",
                "Bad request",
                detail,
            )
        }
        Refusal::UnknownHost => {
            let detail = "The Host is none of the admin listener's: localhost, 127.0.0.1, [::1], the address it listens on.";
            refuse(
                StatusCode::MISDIRECTED_REQUEST,
                "host-not-allowed",
                "Host not allowed",
                detail,
            )
        }
        Refusal::CrossSite => {
            let detail = "Pages of other sites may not make requests here.";
            refuse(
                StatusCode::FORBIDDEN,
                "cross-site",
                "Cross-site request",
                detail,
            )
        }
        Refusal::Private => {
            let detail = "Others than this machine can reach the listener, so it shows only /livez, /readyz and /metrics \
                          unless the configuration sets [admin] key.";
            refuse(StatusCode::FORBIDDEN, "not-allowed", "Not allowed", detail)
        }
        Refusal::KeyRequired => {
            let detail = "Send [admin] key as a Bearer token or as the password of HTTP Basic.";
            let mut answer = refuse(
                StatusCode::UNAUTHORIZED,
                "admin-key-required",
                "Admin key required",
                detail,
            );
            let challenges = [
                "Basic realm=\"bearward\", charset=\"UTF-8\"",
                "Bearer realm=\"bearward\"",
            ];
            for challenge in challenges {
                answer.headers_mut().append(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static(challenge),
                );
            }
            answer
        }
    }
}

/// A renewal that an operator asked for and that failed: always 502, told apart by its type.
pub(super) fn renewal_failed(provider: &str, failure: &TokenError, way: &str) -> Answer {
    let status = StatusCode::BAD_GATEWAY;
    let detail;
    let mut told = match failure {
        TokenError::Refused { error } => {
            let about = "The authorization server refuses this client.";
            Problem {
                error: Some(error),
                ..blank(status, "token-refused", "Token refused", about)
            }
        }
        TokenError::Unavailable { detail, .. } => {
            blank(status, "token-unavailable", "Token unavailable", detail)
        }
        TokenError::LoginRequired => {
            detail = format!("Nobody is logged in: {way}.");
            blank(status, "login-required", "Login required", &detail)
        }
    };
    told.provider = Some(provider);
    problem(told)
}

fn refuse(status: StatusCode, kind: &'static str, title: &'static str, detail: &str) -> Answer {
    problem(blank(status, kind, title, detail))
}

fn blank<'a>(
    status: StatusCode,
    kind: &'static str,
    title: &'a str,
    detail: &'a str,
) -> Problem<'a> {
    Problem {
        kind,
        title,
        status,
        detail,
        route: None,
        provider: None,
        error: None,
    }
}

fn problem(problem: Problem<'_>) -> Answer {
    let mut answer = answer(problem.status, problem::CONTENT_TYPE, problem.to_json());
    // RFC 9209 §2.3.
    let cause = match problem.status.as_u16() {
        401 | 403 | 421 => "bearward; error=http_request_denied",
        500.. => "bearward; error=proxy_internal_error",
        _ => "bearward; error=http_request_error",
    };
    answer
        .headers_mut()
        .insert("proxy-status", HeaderValue::from_static(cause));
    answer
}

fn answer(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    secure(answer.headers_mut());
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

/// Nothing of this listener is to be stored, guessed at, framed, or told to other sites.
fn secure(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
