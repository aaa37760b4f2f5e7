//! From a request to its answer.

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;

use super::{
    endpoint::Endpoint,
    guard::{self, Audience},
    health, login, page,
    respond::{self, Answer},
    state::AdminState,
    status::{ProviderStatus, Status},
};

/// Nothing here takes a body; what comes all the same is read up to this and thrown away.
const LARGEST_BODY: usize = 64 * 1024;

/// For a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// For a renewal; longer than the token endpoint is waited for.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(15);

/// Answers one request.
pub(super) async fn answer<B>(state: Arc<AdminState>, request: Request<B>) -> Answer
where
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let answer = answered(state, &parts, body).await;
    // Without the query, which brings the code of a login.
    tracing::debug!(method = %parts.method, path = parts.uri.path(), status = answer.status().as_u16(), "admin.request");
    answer
}

async fn answered<B>(state: Arc<AdminState>, parts: &Parts, body: B) -> Answer
where
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let endpoint = match admitted(&state, parts) {
        Ok(endpoint) => endpoint,
        Err(answer) => return *answer,
    };
    if let Err(answer) = read_and_forget(body).await {
        return *answer;
    }
    match endpoint {
        Endpoint::Livez => respond::text("ok\n"),
        Endpoint::Readyz => readyz(&state),
        // The views below grow with the configuration, and this thread may have requests to forward.
        Endpoint::Metrics => aside(move || respond::metrics(state.metrics().render())).await,
        Endpoint::Status => aside(move || respond::json(StatusCode::OK, &Status::of(&state))).await,
        Endpoint::Page => aside(move || respond::html(StatusCode::OK, page(&state))).await,
        Endpoint::Login { provider } => login::begin(&state, &provider, parts),
        Endpoint::Callback => login::finish(&state, parts).await,
        Endpoint::Refresh { provider } => refresh(&state, &provider).await,
    }
}

/// The endpoint that is asked for, by someone who may, with a method that it has.
fn admitted(state: &AdminState, parts: &Parts) -> Result<Endpoint, Box<Answer>> {
    let endpoint = Endpoint::at(parts.uri.path());
    let audience = match &endpoint {
        Some(Endpoint::Login { .. }) if login::is_redirected(state, parts) => Audience::Redirected,
        Some(endpoint) => endpoint.audience(),
        None => Audience::Operator,
    };
    if parts.uri.path().len() > state.limits().path_bytes {
        return Err(respond::path_too_long().into());
    }
    let key = state.view().key.as_ref().map(|key| key.current());
    guard::check(parts, state.address(), audience, key.as_deref()).map_err(respond::refusal)?;
    let endpoint = endpoint.ok_or_else(respond::not_found)?;
    if !endpoint.allows(&parts.method) {
        return Err(respond::method_not_allowed(&endpoint).into());
    }
    Ok(endpoint)
}

async fn read_and_forget<B>(body: B) -> Result<(), Box<Answer>>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = std::pin::pin!(Limited::new(body, LARGEST_BODY));
    let read = async {
        while let Some(frame) = body.frame().await {
            if frame.is_err_and(|error| error.is::<LengthLimitError>()) {
                return Err(respond::body_too_large().into());
            }
        }
        Ok(())
    };
    tokio::time::timeout(BODY_TIMEOUT, read)
        .await
        .unwrap_or_else(|_| Err(respond::request_timeout().into()))
}

fn page(state: &AdminState) -> String {
    page::render(&Status::of(state), state.clock().wall())
}

fn readyz(state: &AdminState) -> Answer {
    let view = state.view();
    let judged = health::readiness(&view.routes, state.is_draining(), |provider| {
        view.tokens
            .credential(provider)
            .map(|credential| credential.status().state)
    });
    let status = if judged.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    respond::json(status, &judged)
}

async fn refresh(state: &AdminState, provider: &str) -> Answer {
    let view = state.view();
    let Some(credential) = view.tokens.credential(provider) else {
        return respond::unknown_provider(provider);
    };
    let way = login::way(credential.provider(), Some(state.address()));
    tracing::info!(provider, "an operator asks for a renewal");
    match tokio::time::timeout(RENEWAL_TIMEOUT, credential.refresh_now()).await {
        Ok(Ok(_)) => respond::json(
            StatusCode::OK,
            &ProviderStatus::of(credential, state.address()),
        ),
        Ok(Err(failure)) => respond::renewal_failed(provider, &failure, &way),
        Err(_) => {
            let failure = crate::token::error::TokenError::Unavailable {
                retry_after: Duration::from_secs(1),
                detail: "The renewal takes longer than this request may; it goes on.".into(),
            };
            respond::renewal_failed(provider, &failure, &way)
        }
    }
}

/// Runs what takes its time on a thread that is there for it.
async fn aside(work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "an answer of the admin listener failed");
            respond::internal_error()
        })
}
