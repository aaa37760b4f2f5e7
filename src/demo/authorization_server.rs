//! The demo's authorization server (RFC 6749): client credentials for one client, in memory.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    response::Response,
    routing::post,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use url::form_urlencoded;

use super::{json, serve, tokens::IssuedTokens};
use crate::{clock::Clock, server::listening::Listening};

/// The id of the registered client.
pub const CLIENT_ID: &str = "demo";

/// The secret of the registered client. It protects nothing beyond the demo's own API.
pub const CLIENT_SECRET: &str = "demo-client-secret";

/// The scopes that the client may request.
const SCOPES: [&str; 2] = ["devices.read", "devices.write"];

const TOKEN_PATH: &str = "/oauth2/token";

const TOKEN_LIFETIME: Duration = Duration::from_secs(300);

const MAX_BODY_BYTES: usize = 64 * 1024;

/// A running authorization server on any free port of loopback. Dropping it ends it.
#[derive(Debug)]
pub struct AuthorizationServer {
    address: SocketAddr,
    _listening: Listening,
    tokens: Arc<IssuedTokens>,
}

impl AuthorizationServer {
    /// Starts the server on the current runtime; `clock` decides when its tokens expire.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn start(clock: Arc<dyn Clock>) -> io::Result<Self> {
        let tokens = Arc::new(IssuedTokens::new(clock));
        let (address, listening) = serve(router(tokens.clone()))?;
        Ok(Self {
            address,
            tokens,
            _listening: listening,
        })
    }

    /// The URL of the token endpoint.
    pub fn token_endpoint(&self) -> String {
        format!("http://{}{TOKEN_PATH}", self.address)
    }

    /// The issued tokens, which the demo's API accepts.
    pub(super) fn tokens(&self) -> Arc<IssuedTokens> {
        self.tokens.clone()
    }
}

fn router(tokens: Arc<IssuedTokens>) -> Router {
    Router::new()
        .route(TOKEN_PATH, post(issue_token))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(tokens)
}

/// The token endpoint (RFC 6749 §4.4).
async fn issue_token(
    State(tokens): State<Arc<IssuedTokens>>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    if !is_authenticated(&headers) {
        let mut response = oauth_error(StatusCode::UNAUTHORIZED, "invalid_client");
        let challenge = HeaderValue::from_static("Basic realm=\"bearward demo\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
        return response;
    }
    let parameter = |wanted: &str| {
        form_urlencoded::parse(&form)
            .find(|(name, value)| name == wanted && !value.is_empty())
            .map(|(_, value)| value.into_owned())
    };
    match parameter("grant_type").as_deref() {
        Some("client_credentials") => {}
        Some(_) => return oauth_error(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        None => return oauth_error(StatusCode::BAD_REQUEST, "invalid_request"),
    }
    // RFC 6749 §3.3: without a requested scope, the client's default.
    let scope = parameter("scope").unwrap_or_else(|| SCOPES.join(" "));
    if !scope.split(' ').all(|scope| SCOPES.contains(&scope)) {
        return oauth_error(StatusCode::BAD_REQUEST, "invalid_scope");
    }
    let Some(token) = tokens.issue(TOKEN_LIFETIME) else {
        return oauth_error(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
    };

    let body = json!({
        "access_token": token.expose(),
        "token_type": "Bearer",
        "expires_in": TOKEN_LIFETIME.as_secs(),
        "scope": scope,
    });
    uncached(json(StatusCode::OK, &body))
}

/// Whether the request has the client's Basic authorization (RFC 6749 §2.3.1).
///
/// Neither the id nor the secret has a character that form-encoding changes.
fn is_authenticated(headers: &HeaderMap) -> bool {
    let credentials = BASE64_STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.split_once(' '))
        .is_some_and(|(scheme, given)| scheme.eq_ignore_ascii_case("basic") && given == credentials)
}

/// An error response (RFC 6749 §5.2).
fn oauth_error(status: StatusCode, code: &str) -> Response {
    uncached(json(status, &json!({ "error": code })))
}

/// Forbids caching (RFC 6749 §5.1).
fn uncached(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

#[cfg(test)]
mod tests {
    use testkit::client::{Response, send};

    use super::*;
    use crate::clock::SystemClock;

    type Headers<'a> = &'a [(&'a str, &'a str)];

    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
    const BASIC: (&str, &str) = ("authorization", "Basic ZGVtbzpkZW1vLWNsaWVudC1zZWNyZXQ=");

    async fn started() -> AuthorizationServer {
        AuthorizationServer::start(Arc::new(SystemClock))
            .await
            .unwrap()
    }

    async fn post(server: &AuthorizationServer, headers: Headers<'_>, body: &str) -> Response {
        send(server.address, "POST", TOKEN_PATH, headers, body)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn the_client_gets_a_token() {
        let server = started().await;
        let response = post(&server, &[FORM, BASIC], "grant_type=client_credentials").await;
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.header("cache-control"), "no-store");
        let json = response.json();
        assert_eq!(json["token_type"], "Bearer");
        assert_eq!(json["expires_in"], 300);
        assert_eq!(json["scope"], "devices.read devices.write");
        assert!(
            server
                .tokens
                .is_valid(json["access_token"].as_str().unwrap())
        );
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_by_its_rfc_6749_code() {
        let server = started().await;
        let wrong = ("authorization", "Basic ZGVtbzp3cm9uZw==");
        let bearer = ("authorization", "Bearer x");
        let granted = "grant_type=client_credentials";
        let cases: [(Headers<'_>, &str, u16, &str); 7] = [
            (&[FORM], granted, 401, "invalid_client"),
            (&[FORM, wrong], granted, 401, "invalid_client"),
            (&[FORM, bearer], granted, 401, "invalid_client"),
            (&[FORM, BASIC], "scope=devices.read", 400, "invalid_request"),
            (&[FORM, BASIC], "grant_type=", 400, "invalid_request"),
            (
                &[FORM, BASIC],
                "grant_type=password",
                400,
                "unsupported_grant_type",
            ),
            (
                &[FORM, BASIC],
                "grant_type=client_credentials&scope=devices.read+all",
                400,
                "invalid_scope",
            ),
        ];
        for (headers, body, status, code) in cases {
            let response = post(&server, headers, body).await;
            assert_eq!(
                (response.status, response.json()["error"].as_str().unwrap()),
                (status, code),
                "{body}"
            );
            assert_eq!(
                response.header("www-authenticate").is_empty(),
                status != 401
            );
        }
        let address = server.address;
        let response = send(address, "GET", TOKEN_PATH, &[], "").await.unwrap();
        assert_eq!((response.status, response.header("allow")), (405, "POST"));
    }

    #[tokio::test]
    async fn it_ends_when_it_is_dropped() {
        let server = started().await;
        let address = server.address;
        drop(server);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            assert!(tokio::time::Instant::now() < deadline, "still listening");
            tokio::task::yield_now().await;
        }
    }
}
