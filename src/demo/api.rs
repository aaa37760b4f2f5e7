//! A small protected API (RFC 6750): devices to list, and ways to look at what arrives and to move many bytes.

mod bytes_body;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::timeout;

use self::bytes_body::BytesBody;
use super::{
    authorization_server::{AuthorizationServer, IssuedTokens},
    serve::{self, Body, HangUp, Server},
};

/// How to start one.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 is any free one.
    pub address: SocketAddr,
    /// Whose tokens it accepts.
    pub issued: Arc<IssuedTokens>,
}

impl Options {
    /// On any free port, accepting the tokens of `server`.
    pub fn new(server: &AuthorizationServer) -> Self {
        Self {
            address: serve::ANY_PORT,
            issued: server.issued(),
        }
    }
}

/// A running API; it ends when this is dropped.
#[derive(Debug)]
pub struct Api {
    server: Server,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    issued: Arc<IssuedTokens>,
    requests: AtomicU64,
    refused: AtomicU64,
}

impl Api {
    /// Starts one on the current runtime.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let state = Arc::new(State {
            issued: options.issued,
            requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let theirs = state.clone();
        let server = Server::start(options.address, move |request| {
            answer(theirs.clone(), request)
        })
        .await?;
        Ok(Self { server, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Requests that arrived, with or without a token.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// Requests that were refused for want of a live token.
    pub fn refused(&self) -> u64 {
        self.state.refused.load(Ordering::Relaxed)
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, HangUp> {
    state.requests.fetch_add(1, Ordering::Relaxed);
    if let Err(challenge) = check_token(request.headers(), &state.issued) {
        state.refused.fetch_add(1, Ordering::Relaxed);
        return Ok(unauthorized(challenge));
    }
    let path = request.uri().path().to_owned();
    let read = matches!(request.method(), &Method::GET | &Method::HEAD);
    let post = request.method() == Method::POST;
    let response = match path
        .strip_prefix("/v1/")
        .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
    {
        Some(("devices", "")) if read => {
            serve::json(StatusCode::OK, &json!({ "devices": devices() }))
        }
        Some(("devices", id)) if read => {
            match devices().into_iter().find(|device| device["id"] == id) {
                Some(device) => serve::json(StatusCode::OK, &device),
                None => serve::not_found(),
            }
        }
        Some(("bytes", length)) if read => match length.parse() {
            Ok(length) => bytes(length),
            Err(_) => serve::not_found(),
        },
        Some(("echo", "")) if post => echo(request).await?,
        Some(("sink", "")) if post => serve::json(
            StatusCode::OK,
            &json!({ "bytes": count(request.into_body()).await? }),
        ),
        Some(("devices" | "bytes", _)) => serve::method_not_allowed("GET, HEAD"),
        Some(("echo" | "sink", "")) => serve::method_not_allowed("POST"),
        _ => serve::not_found(),
    };
    Ok(response)
}

/// RFC 6750 §2.1 and §3.1: the challenge names an error only where a token came.
fn check_token(headers: &HeaderMap, issued: &IssuedTokens) -> Result<(), &'static str> {
    const INVALID: &str = "Bearer error=\"invalid_token\"";
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let field = fields.next().ok_or("Bearer")?;
    if fields.next().is_some() {
        return Err(INVALID);
    }
    let (scheme, token) = field
        .to_str()
        .ok()
        .and_then(|field| field.split_once(' '))
        .ok_or(INVALID)?;
    if scheme.eq_ignore_ascii_case("bearer") && issued.is_live(token) {
        Ok(())
    } else {
        Err(INVALID)
    }
}

fn unauthorized(challenge: &'static str) -> Response<Body> {
    let mut response = serve::json(
        StatusCode::UNAUTHORIZED,
        &json!({ "error": "unauthorized" }),
    );
    response.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(challenge),
    );
    response
}

fn devices() -> Vec<Value> {
    vec![
        json!({ "id": "7f3a", "name": "Delivery van", "latitude": 52.5163, "longitude": 13.3777, "speed_kmh": 42 }),
        json!({ "id": "9c21", "name": "Cargo bike", "latitude": 48.8584, "longitude": 2.2945, "speed_kmh": 17 }),
        json!({ "id": "b0e4", "name": "Trailer", "latitude": 51.5007, "longitude": -0.1246, "speed_kmh": 0 }),
    ]
}

/// What arrived, but for the token.
async fn echo(request: Request<Incoming>) -> Result<Response<Body>, HangUp> {
    let (parts, body) = request.into_parts();
    let headers: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| match *name {
            header::AUTHORIZATION => json!([name.as_str(), "Bearer …"]),
            _ => json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]),
        })
        .collect();
    let echo = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query(),
        "headers": headers,
        "bytes": count(body).await?,
    });
    Ok(serve::json(StatusCode::OK, &echo))
}

/// Reads a body to its end without keeping it.
async fn count(mut body: Incoming) -> Result<u64, HangUp> {
    let mut count = 0;
    while let Some(frame) = timeout(serve::PATIENCE, body.frame())
        .await
        .map_err(|_| HangUp)?
    {
        count += frame
            .map_err(|_| HangUp)?
            .data_ref()
            .map_or(0, |data| data.len() as u64);
    }
    Ok(count)
}

fn bytes(length: u64) -> Response<Body> {
    let mut response = Response::new(BytesBody::new(length).boxed());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    response
}

#[cfg(test)]
mod tests;
