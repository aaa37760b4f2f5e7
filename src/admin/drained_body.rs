//! The body of a request to the admin listener: read up to a limit, and discarded.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    response::Response,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::respond;

/// The part of an unexpected request body that is read and discarded.
const MAX_DRAINED_BYTES: usize = 64 * 1024;

/// The time for a request body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A request body that was read and discarded.
pub(super) struct DrainedBody;

impl<S: Sync> FromRequest<S> for DrainedBody {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        match timeout(BODY_TIMEOUT, drain_body(request.into_body())).await {
            Ok(Ok(())) => Ok(Self),
            Ok(Err(_)) => Err(respond::body_too_large()),
            Err(_) => Err(respond::request_timeout()),
        }
    }
}

/// Reads and discards a body. One that breaks off has ended as well.
async fn drain_body(body: Body) -> Result<(), LengthLimitError> {
    let mut body = Limited::new(body, MAX_DRAINED_BYTES);
    while let Some(frame) = body.frame().await {
        if let Err(error) = frame {
            return error.downcast().map_or(Ok(()), |limit| Err(*limit));
        }
    }
    Ok(())
}
