//! A small OAuth 2.0 authorization server (RFC 6749): client credentials, authorization code with PKCE (RFC 7636),
//! rotating refresh tokens, revocation (RFC 7009), and the dialects of four vendors.
//!
//! It follows the RFCs, and fails on demand in the ways that real servers fail: see the setters of
//! [`AuthorizationServer`].

mod authorize;
mod client_authentication;
mod controls;
mod dialect;
mod grants;
mod issued;
mod oauth_error;
mod options;
mod parameters;
mod revocation;
mod sign_in;
mod token_endpoint;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::{net::TcpListener, time::timeout};

use self::{client_authentication::Client, controls::Controls, grants::Grants};
use crate::serve::{self, Body, CloseConnection, Server};
pub use authorize::ConsentPage;
pub use controls::{Health, RawResponse, RecordedRequest, Stats};
pub use dialect::Dialect;
pub use grants::Rotation;
pub use issued::IssuedTokens;
pub use options::Options;

/// The largest request body that is read.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A running authorization server. Dropping it ends it.
pub struct AuthorizationServer {
    server: Server,
    state: Arc<State>,
}

/// State shared by the server's handlers.
struct State {
    /// RFC 9207 §2.
    issuer: String,
    dialect: Dialect,
    client: Client,
    scopes: Vec<String>,
    redirect_uris: Vec<String>,
    consent_page: ConsentPage,
    email: String,
    password: String,
    issued: Arc<IssuedTokens>,
    grants: Grants,
    controls: Controls,
}

impl AuthorizationServer {
    /// Starts a server on the current runtime.
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
            email: options.email,
            password: options.password,
            issued: Arc::new(IssuedTokens::new(options.clock.clone())),
            grants: Grants::new(options.clock),
            controls: Controls::new(options.lifetime),
        });
        let handler_state = state.clone();
        let server = Server::start(listener, address, move |request| {
            respond(handler_state.clone(), request)
        });
        Ok(Self { server, state })
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The server's origin, which is also its issuer identifier.
    pub fn base_url(&self) -> &str {
        &self.state.issuer
    }

    /// The URL of the token endpoint.
    pub fn token_endpoint(&self) -> String {
        self.url(self.state.dialect.token_path())
    }

    /// The URL of the authorization endpoint, if the dialect has one.
    pub fn authorization_endpoint(&self) -> Option<String> {
        let path = self.state.dialect.authorization_path()?;
        Some(self.url(path))
    }

    /// The URL of the revocation endpoint, if the dialect has one.
    pub fn revocation_endpoint(&self) -> Option<String> {
        let path = self.state.dialect.revocation_path()?;
        Some(self.url(path))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url())
    }

    /// The registered client's id and secret. A public client does not use the secret.
    pub fn client(&self) -> (&str, &str) {
        (&self.state.client.id, &self.state.client.secret)
    }

    /// The email and password of the account that can sign in without a browser.
    pub fn account(&self) -> (&str, &str) {
        (&self.state.email, &self.state.password)
    }

    /// The access tokens that are valid now, for a resource server in the same process.
    pub fn issued(&self) -> Arc<IssuedTokens> {
        self.state.issued.clone()
    }

    /// Sets the lifetime of access tokens issued from now on.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.state.controls.set_lifetime(lifetime);
    }

    /// Sets whether the server responds, from the next request on.
    pub fn set_health(&self, health: Health) {
        self.state.controls.set_health(health);
    }

    /// Delays each token request before it is processed.
    pub fn set_delay(&self, delay: Duration) {
        self.state.controls.set_delay(delay);
    }

    /// Delays each token response after the request was processed: tokens are spent and issued by then.
    pub fn set_delay_after_issue(&self, delay: Duration) {
        self.state.controls.set_delay_after_issue(delay);
    }

    /// Drops the next `count` successful token responses after the tokens are issued, and closes the connection.
    pub fn drop_responses(&self, count: u32) {
        self.state.controls.set_responses_to_drop(count);
    }

    /// Sets how refresh tokens rotate. The default is to rotate, without a grace period.
    pub fn set_rotation(&self, rotation: Rotation) {
        self.state.controls.set_rotation(rotation);
    }

    /// Revokes every grant: all refresh tokens and all access tokens.
    pub fn revoke_grants(&self) {
        self.state.grants.revoke_all();
        self.state.issued.revoke_all();
    }

    /// Makes the token endpoint send this response to every request; `None` restores it.
    pub fn set_raw_response(&self, response: Option<RawResponse>) {
        self.state.controls.set_raw_response(response);
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.state.controls.stats()
    }

    /// The token requests among the last 1000 requests, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.requests_to(self.state.dialect.token_path())
    }

    /// The requests to `path` among the last 1000 requests, oldest first.
    pub fn requests_to(&self, path: &str) -> Vec<RecordedRequest> {
        self.state.controls.requests_to(path)
    }
}

/// Shows the address only: the rest is secrets.
impl fmt::Debug for AuthorizationServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServer")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

async fn respond(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Body>, CloseConnection> {
    let health = state.controls.health();
    if health == Health::ClosesConnections {
        return Err(CloseConnection);
    }
    let (parts, body) = request.into_parts();
    let body = timeout(
        serve::BODY_TIMEOUT,
        Limited::new(body, MAX_BODY_BYTES).collect(),
    );
    let body = body
        .await
        .map_err(|_| CloseConnection)?
        .map_err(|_| CloseConnection)?
        .to_bytes();

    let dialect = state.dialect;
    let path = parts.uri.path();
    let is_path = |endpoint: Option<&str>| endpoint == Some(path);
    let response = if is_path(Some(dialect.token_path())) {
        state.controls.record(&parts, &body);
        token_endpoint::token(&state, health, &parts, &body).await?
    } else if health == Health::Unavailable {
        unavailable()
    } else if is_path(dialect.authorization_path()) {
        state.controls.record(&parts, &body);
        authorize::authorize(&state, &parts, &body)
    } else if is_path(dialect.sign_in_path()) {
        state.controls.record(&parts, &body);
        if_post(&parts.method, || sign_in::sign_in(&state, &parts, &body))
    } else if is_path(dialect.revocation_path()) {
        state.controls.record(&parts, &body);
        if_post(&parts.method, || revocation::revoke(&state, &parts, &body))
    } else {
        serve::not_found()
    };
    Ok(response)
}

fn if_post(method: &Method, respond: impl FnOnce() -> Response<Body>) -> Response<Body> {
    if method == Method::POST {
        respond()
    } else {
        serve::method_not_allowed("POST")
    }
}

fn unavailable() -> Response<Body> {
    serve::with_body(
        StatusCode::SERVICE_UNAVAILABLE,
        "text/html",
        "<html>down for maintenance</html>",
    )
}

/// Adds the headers of RFC 6749 §5.1.
fn uncached(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests;
