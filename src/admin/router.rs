//! The endpoints of the admin listener, and what happens to a request before it reaches one.
//!
//! Logged → admitted by the guard → routed → its body drained → handled. No handler reads a body.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, Request, State, rejection::PathRejection},
    handler::Handler,
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::{MethodRouter, get, post},
};
use http::{HeaderMap, StatusCode};
use tokio::time::timeout;

use super::{
    admission::{admit, admit_login},
    drained_body::DrainedBody,
    events,
    guard::Audience,
    health, login, page, respond,
    state::AdminState,
    status::{ProviderStatus, Status},
};
use crate::{
    login::{CALLBACK_PATH, login_hint},
    server::{html, origin_guard::is_navigation},
    token::error::TokenError,
};

/// The time for a refresh that an operator asks for; longer than a token request takes.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(15);

/// The time for a reload; longer than reading the configuration may take.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(30);

type SharedState = State<Arc<AdminState>>;

/// The admin listener as a service: pure routing, with no connection in it.
pub fn router(state: Arc<AdminState>) -> Router {
    let admitting = |audience: Audience| from_fn_with_state((state.clone(), audience), admit);

    let open = Router::new()
        .route("/livez", get_or_head(livez))
        .route("/readyz", get_or_head(readyz))
        .route("/metrics", get_or_head(metrics))
        .layer(admitting(Audience::Anyone));
    let returning = Router::new()
        .route(CALLBACK_PATH, get_only(login::finish))
        .route("/callback/{provider}", get_only(login::finish_at_provider))
        .layer(admitting(Audience::Returning));
    let starting = Router::new()
        .route("/login/{provider}", get_only(login::start))
        .layer(from_fn_with_state(state.clone(), admit_login));
    let private = Router::new()
        .route("/", get_or_head(status_page))
        .route("/api/status", get_or_head(status))
        .route("/api/events", get_only(events::events))
        .route("/api/providers/{provider}/refresh", post_only(refresh))
        .route("/api/reload", post_only(reload))
        .fallback(not_found)
        .layer(admitting(Audience::Operator));

    private
        .merge(open)
        .merge(returning)
        .merge(starting)
        .layer(from_fn(secure_and_log))
        .with_state(state)
}

fn get_or_head<H, T>(handler: H) -> MethodRouter<Arc<AdminState>>
where
    H: Handler<T, Arc<AdminState>>,
    T: 'static,
{
    get(handler).fallback(|| async { respond::method_not_allowed("GET, HEAD") })
}

/// For endpoints that take effect, which a HEAD must not (RFC 9110 §9.2.1), or that do not end.
fn get_only<H, T>(handler: H) -> MethodRouter<Arc<AdminState>>
where
    H: Handler<T, Arc<AdminState>>,
    T: 'static,
{
    let refuse = || async { respond::method_not_allowed("GET") };
    get(handler).head(refuse).fallback(refuse)
}

fn post_only<H, T>(handler: H) -> MethodRouter<Arc<AdminState>>
where
    H: Handler<T, Arc<AdminState>>,
    T: 'static,
{
    post(handler).fallback(|| async { respond::method_not_allowed("POST") })
}

async fn secure_and_log(request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = next.run(request).await;
    html::add_security_headers(response.headers_mut());
    // Without the query, which carries the code of a login.
    tracing::debug!(%method, path = uri.path(), status = response.status().as_u16(), "admin.request");
    response
}

async fn not_found() -> Response {
    respond::not_found()
}

async fn livez(_: DrainedBody) -> Response {
    respond::text("ok\n")
}

async fn readyz(State(state): SharedState, _: DrainedBody) -> Response {
    let view = state.view();
    let readiness = health::readiness(&view.routes, state.is_draining(), |provider| {
        view.tokens
            .credential(provider)
            .map(|credential| credential.status().state)
    });
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    respond::json(status, &readiness)
}

// The views below grow with the configuration, and this thread may have requests to forward.

async fn metrics(State(state): SharedState, _: DrainedBody) -> Response {
    run_blocking(move || respond::metrics(state.metrics().render())).await
}

async fn status(State(state): SharedState, _: DrainedBody) -> Response {
    run_blocking(move || respond::json(StatusCode::OK, &Status::of(&state))).await
}

async fn status_page(State(state): SharedState, _: DrainedBody) -> Response {
    run_blocking(move || page::respond(&Status::of(&state), state.clock().wall())).await
}

/// Refreshes the token of a provider. A browser without scripts is led back to the page, which shows the outcome.
async fn refresh(
    state: SharedState,
    provider: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    _: DrainedBody,
) -> Response {
    let response = refresh_now(state, provider).await;
    // Other clients than browsers send no such field.
    match headers.contains_key("sec-fetch-mode") && is_navigation(&headers) {
        true => respond::see_page(),
        false => response,
    }
}

async fn refresh_now(
    State(state): SharedState,
    provider: Result<Path<String>, PathRejection>,
) -> Response {
    let Ok(Path(provider)) = provider else {
        return respond::not_found();
    };
    let view = state.view();
    let Some(credential) = view.tokens.credential(&provider) else {
        return respond::unknown_provider(&provider);
    };
    tracing::info!(provider, "token.refresh_requested");
    let refreshed = timeout(REFRESH_TIMEOUT, credential.refresh_now()).await;
    let failure = match refreshed {
        Ok(Ok(_)) => {
            let status = ProviderStatus::of(credential, state.address());
            return respond::json(StatusCode::OK, &status);
        }
        Ok(Err(failure)) => failure,
        Err(_) => TokenError::Unavailable {
            retry_after: Duration::from_secs(1),
            detail: "The refresh takes longer than this request may; it goes on.".into(),
        },
    };
    let hint = login_hint(credential.provider(), Some(state.address()));
    respond::refresh_failed(&provider, &failure, &hint)
}

/// Reloads the configuration: 200, or 422 with the problems.
async fn reload(State(state): SharedState, _: DrainedBody) -> Response {
    let reply = match state.reloads().filter(|_| !state.is_draining()) {
        Some(reloads) => timeout(RELOAD_TIMEOUT, reloads.reload()).await,
        None => Ok(None),
    };
    match reply {
        Ok(Some(reply)) if reply.is_applied => respond::json(StatusCode::OK, &reply.report),
        Ok(Some(reply)) => respond::json(StatusCode::UNPROCESSABLE_ENTITY, &reply.report),
        Ok(None) => respond::no_reload("the process is about to end"),
        Err(_) => respond::no_reload("the configuration is still being read; look at the log"),
    }
}

fn run_blocking(
    work: impl FnOnce() -> Response + Send + 'static,
) -> impl Future<Output = Response> {
    let work = tokio::task::spawn_blocking(work);
    async {
        work.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a response of the admin listener failed");
            respond::internal_error()
        })
    }
}
