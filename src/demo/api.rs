//! The demo's protected API (RFC 6750): a list of devices, and an echo of the request.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, Request, State},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::{authorization_server::AuthorizationServer, json, serve, tokens::IssuedTokens};
use crate::server::listening::Listening;

/// A running API on any free port of loopback. Dropping it ends it.
#[derive(Debug)]
pub struct Api {
    address: SocketAddr,
    _listening: Listening,
}

impl Api {
    /// Starts the API on the current runtime. It accepts the tokens of `authorization_server`.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn start(authorization_server: &AuthorizationServer) -> io::Result<Self> {
        let (address, listening) = serve(router(authorization_server.tokens()))?;
        Ok(Self {
            address,
            _listening: listening,
        })
    }

    /// The address that the API listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn router(tokens: Arc<IssuedTokens>) -> Router {
    Router::new()
        .route("/v1/devices", get(list_devices))
        .route("/v1/devices/{id}", get(show_device))
        .route("/v1/echo", post(echo))
        .fallback(not_found)
        // A layer covers the fallback too: without a token, paths are not revealed.
        .layer(middleware::from_fn_with_state(tokens, require_token))
}

/// Passes a request on if it has a valid token, and responds with 401 otherwise.
async fn require_token(
    State(tokens): State<Arc<IssuedTokens>>,
    request: Request,
    next: Next,
) -> Response {
    match check_token(request.headers(), &tokens) {
        Ok(()) => next.run(request).await,
        Err(challenge) => {
            let body = json!({ "error": "unauthorized" });
            let mut response = json(StatusCode::UNAUTHORIZED, &body);
            let challenge = HeaderValue::from_static(challenge);
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
    }
}

/// Checks the bearer token. The challenge names an error only for a token that was sent (RFC 6750 §2.1, §3.1).
fn check_token(headers: &HeaderMap, tokens: &IssuedTokens) -> Result<(), &'static str> {
    const INVALID: &str = "Bearer error=\"invalid_token\"";
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or("Bearer")?;
    if values.next().is_some() {
        return Err(INVALID);
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .ok_or(INVALID)?;
    if scheme.eq_ignore_ascii_case("bearer") && tokens.is_valid(token) {
        Ok(())
    } else {
        Err(INVALID)
    }
}

async fn list_devices() -> Response {
    json(StatusCode::OK, &json!({ "devices": devices() }))
}

async fn show_device(Path(id): Path<String>) -> Response {
    match devices().into_iter().find(|device| device["id"] == *id) {
        Some(device) => json(StatusCode::OK, &device),
        None => not_found().await,
    }
}

fn devices() -> [Value; 3] {
    [
        json!({ "id": "7f3a", "name": "Delivery van", "latitude": 52.5163, "longitude": 13.3777, "speed_kmh": 42 }),
        json!({ "id": "9c21", "name": "Cargo bike", "latitude": 48.8584, "longitude": 2.2945, "speed_kmh": 17 }),
        json!({ "id": "b0e4", "name": "Trailer", "latitude": 51.5007, "longitude": -0.1246, "speed_kmh": 0 }),
    ]
}

/// Responds with the request as it arrived, without the token.
async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| match *name {
            header::AUTHORIZATION => json!([name.as_str(), "Bearer …"]),
            _ => json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]),
        })
        .collect();
    let echo = json!({
        "method": method.as_str(),
        "path": uri.path(),
        "query": uri.query(),
        "headers": headers,
        "bytes": body.len(),
    });
    json(StatusCode::OK, &echo)
}

async fn not_found() -> Response {
    json(StatusCode::NOT_FOUND, &json!({ "error": "not_found" }))
}

#[cfg(test)]
mod tests;
