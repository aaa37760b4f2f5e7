//! A small OAuth 2.0 authorization server (RFC 6749) on loopback and in memory: client credentials, authorization code with
//! PKCE (RFC 7636), rotating refresh tokens, introspection (RFC 7662), revocation (RFC 7009), and the ways of four vendors.
//!
//! It is correct in what it speaks, and on demand wrong in ways that real ones are: see the methods of
//! [`AuthorizationServer`].

mod authorize;
mod client_authentication;
mod dialect;
mod grants;
mod issued;
mod knobs;
mod oauth_error;
mod options;
mod parameters;
mod revocation;
mod sign_in;
mod token_endpoint;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::{net::TcpListener, time::timeout};

use self::{client_authentication::Client, grants::Grants, knobs::Knobs, oauth_error::OAuthError};
use super::serve::{self, Body, HangUp, Server};
use crate::secret::Secret;
pub use authorize::ConsentPage;
pub use dialect::Dialect;
pub use grants::Rotation;
pub use issued::IssuedTokens;
pub use knobs::{Health, RawAnswer, Seen, Stats};
pub use options::Options;

/// The largest request body.
const LARGEST_BODY: usize = 64 * 1024;

/// A running authorization server; it ends when this is dropped.
#[derive(Debug)]
pub struct AuthorizationServer {
    server: Server,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    issuer: String,
    dialect: Dialect,
    client: Client,
    scopes: Vec<String>,
    redirect_uris: Vec<String>,
    consent_page: ConsentPage,
    account: (String, Secret),
    issued: Arc<IssuedTokens>,
    grants: Grants,
    knobs: Knobs,
}

impl AuthorizationServer {
    /// Starts one on the current runtime.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            issuer: format!("http://{address}"),
            dialect: options.dialect,
            client: Client {
                id: options.client_id,
                secret: options.client_secret,
                public: options.public,
            },
            scopes: options.scopes,
            redirect_uris: options.redirect_uris,
            consent_page: options.consent_page,
            account: (options.email, options.password),
            issued: Arc::new(IssuedTokens::new(options.clock.clone())),
            grants: Grants::new(options.clock),
            knobs: Knobs::new(options.lifetime),
        });
        let theirs = state.clone();
        let server = Server::serve(listener, address, move |request| {
            answer(theirs.clone(), request)
        });
        Ok(Self { server, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its origin, which relative endpoints can be relative to.
    pub fn base_url(&self) -> &str {
        self.state.issuer()
    }

    /// The URL of its token endpoint.
    pub fn token_endpoint(&self) -> String {
        format!("{}{}", self.base_url(), self.state.dialect.token_path())
    }

    /// The URL of its authorization endpoint, where the dialect has one.
    pub fn authorization_endpoint(&self) -> Option<String> {
        self.state
            .dialect
            .authorization_path()
            .map(|path| format!("{}{path}", self.base_url()))
    }

    /// The URL of its revocation endpoint, where the dialect has one.
    pub fn revocation_endpoint(&self) -> Option<String> {
        self.state
            .dialect
            .revocation_path()
            .map(|path| format!("{}{path}", self.base_url()))
    }

    /// The registered client and its secret, which a public one has not.
    pub fn client(&self) -> (&str, &Secret) {
        (&self.state.client.id, &self.state.client.secret)
    }

    /// The email and the password of the one account that can sign in.
    pub fn account(&self) -> (&str, &Secret) {
        (&self.state.account.0, &self.state.account.1)
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

    /// Makes every answer of the token endpoint wait once it is decided: what it spends is spent, what it issues is issued.
    pub fn set_delay_after(&self, delay: Duration) {
        self.state.knobs.set_delay_after(delay);
    }

    /// Drops the next `count` answers of the token endpoint that bring tokens, once they are issued; the connection ends.
    pub fn drop_answers(&self, count: u32) {
        self.state.knobs.set_drops(count);
    }

    /// How refresh tokens are spent from now on; at first each brings a new one, and none may come twice.
    pub fn set_rotation(&self, rotation: Rotation) {
        self.state.knobs.set_rotation(rotation);
    }

    /// Takes back every login: all refresh tokens and all tokens.
    pub fn revoke_logins(&self) {
        self.state.grants.revoke_all();
        self.state.issued.revoke_all();
    }

    /// Makes the token endpoint answer this and nothing else; `None` ends it.
    pub fn set_raw_answer(&self, answer: Option<RawAnswer>) {
        self.state.knobs.set_raw_answer(answer);
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        self.state.knobs.stats()
    }

    /// The requests of the token endpoint among the last 1000, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen_at(self.state.dialect.token_path())
    }

    /// The requests of the endpoint at `path` among the last 1000, oldest first.
    pub fn seen_at(&self, path: &str) -> Vec<Seen> {
        self.state.knobs.seen(path)
    }
}

impl State {
    /// RFC 9207 §2.
    fn issuer(&self) -> &str {
        &self.issuer
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
    let (path, method) = (parts.uri.path(), &parts.method);
    let dialect = state.dialect;
    let there = |endpoint: Option<&str>| endpoint == Some(path);
    let response = if there(Some(dialect.token_path())) {
        state.knobs.record(&parts, &body);
        token_endpoint::token(&state, health, &parts, &body).await?
    } else if health == Health::Unavailable && path != "/stats" {
        down()
    } else if there(dialect.authorization_path()) {
        state.knobs.record(&parts, &body);
        authorize::authorize(&state, &parts, &body)
    } else if there(dialect.sign_in_path()) {
        state.knobs.record(&parts, &body);
        only_post(method, || sign_in::sign_in(&state, &parts, &body))
    } else if there(dialect.revocation_path()) {
        state.knobs.record(&parts, &body);
        only_post(method, || revocation::revoke(&state, &parts, &body))
    } else if path == "/introspect" {
        only_post(method, || introspect(&state, &parts, &body))
    } else if path != "/stats" {
        serve::not_found()
    } else if matches!(*method, Method::GET | Method::HEAD) {
        serve::json(StatusCode::OK, &state.knobs.stats().to_json())
    } else {
        serve::method_not_allowed("GET, HEAD")
    };
    Ok(response)
}

fn only_post(method: &Method, answer: impl FnOnce() -> Response<Body>) -> Response<Body> {
    if method == Method::POST {
        answer()
    } else {
        serve::method_not_allowed("POST")
    }
}

fn down() -> Response<Body> {
    serve::with_body(
        StatusCode::SERVICE_UNAVAILABLE,
        "text/html",
        "<html>down for maintenance</html>",
    )
}

/// RFC 7662 §2; the registered client is the one that may ask.
fn introspect(state: &State, parts: &Parts, body: &Bytes) -> Response<Body> {
    state.knobs.count(|stats| stats.introspections += 1);
    let asked = parameters::of_form(&parts.headers, body).and_then(|parameters| {
        state.client.authenticate(&parts.headers, &parameters)?;
        parameters
            .get("token")
            .cloned()
            .ok_or(OAuthError::invalid_request("no token"))
    });
    uncached(match asked {
        Ok(token) => serve::json(StatusCode::OK, &state.issued.introspect(&token)),
        Err(error) => error.into_response(),
    })
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
