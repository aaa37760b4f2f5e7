//! A small OAuth 2.0 authorization server (RFC 6749) with introspection (RFC 7662), on loopback and in memory.
//!
//! It is correct in what it speaks, and on demand wrong in ways that real ones are: see the methods of
//! [`AuthorizationServer`].

mod client_authentication;
mod issued;
mod knobs;
mod token_endpoint;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::json;
use tokio::time::timeout;

use self::{client_authentication::authenticate, token_endpoint::OAuthError};
use super::serve::{self, Body, HangUp, Server};
use crate::{clock::Clock, clock::SystemClock, secret::Secret};
pub use issued::IssuedTokens;
use knobs::Knobs;
pub use knobs::{Health, RawAnswer, Seen, Stats};

/// The largest request body.
const LARGEST_BODY: usize = 64 * 1024;

/// How to start one.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 is any free one.
    pub address: SocketAddr,
    /// The one registered client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// The scopes it may ask for.
    pub scopes: Vec<String>,
    /// How long a token lives.
    pub lifetime: Duration,
    /// What the lifetimes are measured by.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: serve::ANY_PORT,
            client_id: "demo".into(),
            client_secret: Secret::new("demo-client-secret"),
            scopes: vec!["devices.read".into(), "devices.write".into()],
            lifetime: Duration::from_secs(300),
            clock: Arc::new(SystemClock),
        }
    }
}

/// A running authorization server; it ends when this is dropped.
#[derive(Debug)]
pub struct AuthorizationServer {
    server: Server,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    client_id: String,
    client_secret: Secret,
    scopes: Vec<String>,
    issued: Arc<IssuedTokens>,
    knobs: Knobs,
}

impl AuthorizationServer {
    /// Starts one on the current runtime.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let state = Arc::new(State {
            client_id: options.client_id,
            client_secret: options.client_secret,
            scopes: options.scopes,
            issued: Arc::new(IssuedTokens::new(options.clock)),
            knobs: Knobs::new(options.lifetime),
        });
        let theirs = state.clone();
        let server = Server::start(options.address, move |request| answer(theirs.clone(), request)).await?;
        Ok(Self { server, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The URL of its token endpoint.
    pub fn token_endpoint(&self) -> String {
        format!("http://{}/oauth2/token", self.address())
    }

    /// The registered client and its secret.
    pub fn client(&self) -> (&str, &Secret) {
        (&self.state.client_id, &self.state.client_secret)
    }

    /// The tokens it has given out, for a resource server in the same process.
    pub fn issued(&self) -> Arc<IssuedTokens> {
        self.state.issued.clone()
    }

    /// The lifetime of the tokens from now on.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.state.knobs.set_lifetime(lifetime);
    }

    /// Up, answering 503, or hanging up; from the next request on.
    pub fn set_health(&self, health: Health) {
        self.state.knobs.set_health(health);
    }

    /// Makes every answer of the token endpoint wait.
    pub fn set_delay(&self, delay: Duration) {
        self.state.knobs.set_delay(delay);
    }

    /// Makes the token endpoint answer this and nothing else; `None` ends it.
    pub fn set_raw_answer(&self, answer: Option<RawAnswer>) {
        self.state.knobs.set_raw_answer(answer);
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        self.state.knobs.stats()
    }

    /// The last 1000 requests of the token endpoint, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.knobs.seen()
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, HangUp> {
    let health = state.knobs.health();
    if health == Health::HangingUp {
        return Err(HangUp);
    }
    let (parts, body) = request.into_parts();
    // What is larger or stops half-way gets no answer: nobody here needs one.
    let body = timeout(serve::PATIENCE, Limited::new(body, LARGEST_BODY).collect()).await;
    let body = body.map_err(|_| HangUp)?.map_err(|_| HangUp)?.to_bytes();
    let response = match (parts.uri.path(), &parts.method) {
        ("/oauth2/token", _) => token(&state, health, &parts, &body).await,
        ("/introspect", &Method::POST) => introspect(&state, &parts, &body),
        ("/introspect", _) => serve::method_not_allowed("POST"),
        ("/stats", &(Method::GET | Method::HEAD)) => serve::json(StatusCode::OK, &state.knobs.stats().to_json()),
        ("/stats", _) => serve::method_not_allowed("GET, HEAD"),
        _ => serve::not_found(),
    };
    Ok(response)
}

/// RFC 6749 §3.2, bent by the knobs.
async fn token(state: &State, health: Health, parts: &Parts, body: &Bytes) -> Response<Body> {
    state.knobs.record(parts, body);
    tokio::time::sleep(state.knobs.delay()).await;
    if let Some(raw) = state.knobs.raw_answer() {
        return raw.into_response();
    }
    if health == Health::Unavailable {
        return serve::with_body(StatusCode::SERVICE_UNAVAILABLE, "text/html", "<html>down for maintenance</html>");
    }
    if parts.method != Method::POST {
        return serve::method_not_allowed("POST");
    }
    let client = (state.client_id.as_str(), &state.client_secret);
    let granted = token_endpoint::parameters(&parts.headers, body)
        .and_then(|parameters| authenticate(client, &parts.headers, &parameters).map(|()| parameters))
        .and_then(|parameters| token_endpoint::grant(&parameters, &state.scopes));
    let issued = granted.and_then(|scope| {
        let lifetime = state.knobs.lifetime();
        let token = state.issued.issue(&state.client_id, &scope, lifetime)?;
        Ok(json!({
            "access_token": token.expose(),
            "token_type": "Bearer",
            "expires_in": lifetime.as_secs(),
            "scope": scope,
        }))
    });
    state.knobs.count(issued.is_ok());
    uncached(match issued {
        Ok(issued) => serve::json(StatusCode::OK, &issued),
        Err(error) => refusal(error),
    })
}

/// RFC 7662 §2; the registered client is the one that may ask.
fn introspect(state: &State, parts: &Parts, body: &Bytes) -> Response<Body> {
    state.knobs.count_introspection();
    let client = (state.client_id.as_str(), &state.client_secret);
    let asked = token_endpoint::parameters(&parts.headers, body)
        .and_then(|parameters| authenticate(client, &parts.headers, &parameters).map(|()| parameters))
        .and_then(|parameters| parameters.get("token").cloned().ok_or(OAuthError::invalid_request("no token")));
    uncached(match asked {
        Ok(token) => serve::json(StatusCode::OK, &state.issued.introspect(&token)),
        Err(error) => refusal(error),
    })
}

/// RFC 6749 §5.2.
fn refusal(error: OAuthError) -> Response<Body> {
    let body = json!({ "error": error.code, "error_description": error.description });
    let mut response = serve::json(error.status, &body);
    if error.status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"bearward demo\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// RFC 6749 §5.1.
fn uncached(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests;
