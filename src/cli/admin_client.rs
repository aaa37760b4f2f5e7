//! A client of a running sidecar's admin listener.

mod address;
mod error;

use std::{fmt::Display, pin::pin, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use self::address::Peer;
pub(super) use self::{
    address::{AdminAddress, InvalidAddress},
    error::{AdminError, AdminFault, KeySource},
};
use crate::{
    secret::Secret,
    server::key_proof::{ProofFields, ProvedRequest, SCHEME},
    tls::{self, Trust},
};

/// The environment variable that holds `[admin] key`.
pub(super) const KEY_VARIABLE: &str = "BEARWARD_ADMIN_KEY";

/// The time for one request and its response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest response; the status of ten thousand routes takes a tenth of it.
const MAX_RESPONSE_BYTES: usize = 32 * 1024 * 1024;

/// Sends requests to one admin listener.
///
/// A key is never sent: any program may listen there while the sidecar is down. Each side proves it to the other, see
/// [`crate::server::key_proof`].
#[derive(Debug)]
pub(super) struct AdminClient {
    address: AdminAddress,
    key: Option<(Secret, KeySource)>,
    timeout: Duration,
}

/// The key for an admin listener.
#[derive(Clone, Debug)]
pub(super) enum AdminKey {
    /// The key of the sidecar's own configuration: a listener that does not ask for it is another program's.
    Configured(Secret),
    /// The key of the environment, for listeners that ask for one.
    Environment(Option<Secret>),
}

/// A response, read to its end.
#[derive(Debug)]
struct AdminResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// The document of `/api/status`, as it came and parsed.
#[derive(Debug)]
pub(super) struct StatusDocument {
    /// The JSON text.
    pub(super) text: String,
    /// The parsed text; `providers` and `routes` are objects.
    pub(super) json: Value,
}

impl AdminClient {
    /// A client of the listener at `address`. A key in the address comes before `key`.
    pub(super) fn new(address: AdminAddress, key: AdminKey) -> Self {
        let key = match (address.key().cloned(), key) {
            (Some(key), _) => Some((key, KeySource::Address)),
            (None, AdminKey::Configured(key)) => Some((key, KeySource::Configuration)),
            (None, AdminKey::Environment(key)) => key.map(|key| (key, KeySource::Environment)),
        };
        Self {
            address,
            key,
            timeout: REQUEST_TIMEOUT,
        }
    }

    /// Waits longer for a response than the default.
    pub(super) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// A client that has no key.
    pub(super) fn without_key(address: AdminAddress) -> Self {
        Self::new(address, AdminKey::Environment(None))
    }

    /// Whether a live sidecar responds. Needs no key.
    pub(super) async fn is_live(&self) -> bool {
        let response = self.exchange(&Method::GET, "/livez", None).await;
        response.is_ok_and(|response| response.status.is_success() && response.body == "ok\n")
    }

    /// Requests the status of the sidecar.
    ///
    /// # Errors
    /// The listener is unreachable, is no sidecar's, or refuses.
    pub(super) async fn status(&self) -> Result<StatusDocument, AdminError> {
        let (status, body) = self.request(&Method::GET, "/api/status").await?;
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        match (status, json) {
            (StatusCode::OK, Some(json))
                if json["providers"].is_object() && json["routes"].is_object() =>
            {
                // Valid JSON is valid UTF-8.
                let text = String::from_utf8_lossy(&body).into_owned();
                Ok(StatusDocument { text, json })
            }
            (StatusCode::OK, _) => Err(self.not_a_sidecar()),
            (status, problem) => Err(self.refused(status, problem.as_ref())),
        }
    }

    /// The error of a response that is not an admin listener's.
    pub(super) fn not_a_sidecar(&self) -> AdminError {
        self.error(AdminFault::NotASidecar)
    }

    /// The error of a response with another status than expected.
    pub(super) fn refused(&self, status: StatusCode, problem: Option<&Value>) -> AdminError {
        self.error(AdminFault::refused(status, problem))
    }

    fn error(&self, fault: AdminFault) -> AdminError {
        AdminError::new(self.address.to_string(), fault)
    }

    /// Requests an endpoint, with a proof of the key where the listener asks for it.
    ///
    /// # Errors
    /// The listener is unreachable, does not accept the key, or does not prove it.
    pub(super) async fn request(
        &self,
        method: &Method,
        endpoint: &str,
    ) -> Result<(StatusCode, Bytes), AdminError> {
        let response = self.authenticated(method, endpoint).await;
        let response = response.map_err(|fault| self.error(fault))?;
        Ok((response.status, response.body))
    }

    async fn authenticated(
        &self,
        method: &Method,
        endpoint: &str,
    ) -> Result<AdminResponse, AdminFault> {
        let credentials = self.key.as_ref().map(|_| SCHEME);
        let response = self.exchange(method, endpoint, credentials).await?;
        let is_challenge = response.status == StatusCode::UNAUTHORIZED;
        match &self.key {
            Some((key, source)) if is_challenge => {
                let nonce = nonce(&response.headers).ok_or(AdminFault::Unproved)?;
                let response = self.prove(key, nonce, method, endpoint).await?;
                match response.status {
                    StatusCode::UNAUTHORIZED => Err(AdminFault::KeyRefused(*source)),
                    _ => Ok(response),
                }
            }
            Some((_, KeySource::Configuration)) => Err(AdminFault::Unproved),
            None if is_challenge => Err(AdminFault::KeyRequired),
            _ => Ok(response),
        }
    }

    /// Repeats a request with a proof of `key`, and demands the listener's in its response.
    async fn prove(
        &self,
        key: &Secret,
        nonce: &str,
        method: &Method,
        endpoint: &str,
    ) -> Result<AdminResponse, AdminFault> {
        let client_nonce = random_nonce().map_err(unreachable)?;
        let proved = ProvedRequest {
            nonce,
            client_nonce: &client_nonce,
            method: method.as_str(),
            // A reverse proxy may have removed the path of the address before this.
            target: endpoint,
        };
        let proof = proved.client_proof(key);
        let credentials =
            format!("{SCHEME} nonce=\"{nonce}\", cnonce=\"{client_nonce}\", proof=\"{proof}\"");
        let response = self.exchange(method, endpoint, Some(&credentials)).await?;
        if response.status == StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let theirs = response.headers.get("authentication-info");
        let theirs = theirs.and_then(|field| field.to_str().ok());
        let theirs = theirs.and_then(|field| ProofFields::parse_parameters(field).proof);
        let is_proved =
            theirs.is_some_and(|theirs| proved.is_listener_proof(key, response.status, theirs));
        match is_proved {
            true => Ok(response),
            false => Err(AdminFault::Unproved),
        }
    }

    async fn exchange(
        &self,
        method: &Method,
        endpoint: &str,
        credentials: Option<&str>,
    ) -> Result<AdminResponse, AdminFault> {
        let request = self.head(method, endpoint, credentials)?;
        let response = async {
            match self.address.peer() {
                Peer::Tcp { host, port } => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await;
                    exchange(stream.map_err(unreachable)?, request).await
                }
                Peer::Tls { host, port } => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await;
                    let name = host.clone().try_into().map_err(unreachable)?;
                    let config = tls::client_config(&Trust::default(), &[b"http/1.1"], None);
                    let connector = TlsConnector::from(Arc::new(config.map_err(unreachable)?));
                    let stream = connector.connect(name, stream.map_err(unreachable)?).await;
                    exchange(stream.map_err(unreachable)?, request).await
                }
                Peer::Unix(path) => {
                    let stream = UnixStream::connect(path).await;
                    exchange(stream.map_err(unreachable)?, request).await
                }
            }
        };
        timeout(self.timeout, response)
            .await
            .unwrap_or(Err(AdminFault::Timeout(self.timeout)))
    }

    fn head(
        &self,
        method: &Method,
        endpoint: &str,
        credentials: Option<&str>,
    ) -> Result<Request<Empty<Bytes>>, AdminFault> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.address.path(endpoint))
            .header(header::HOST, self.address.authority())
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close")
            .body(Empty::new())
            .map_err(unreachable)?;
        if let Some(credentials) = credentials {
            let credentials = HeaderValue::try_from(credentials).map_err(unreachable)?;
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, credentials);
        }
        Ok(request)
    }
}

/// The nonce of a challenge to prove the key.
fn nonce(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all(header::WWW_AUTHENTICATE).iter();
    fields.find_map(|field| ProofFields::parse(field.to_str().ok()?)?.nonce)
}

/// A nonce of 128 random bits.
fn random_nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<AdminResponse, AdminFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(unreachable)?;
    let response = async {
        let response = sender.send_request(request).await.map_err(unreachable)?;
        read_response(response).await
    };
    let mut response = pin!(response);
    tokio::select! {
        response = &mut response => response,
        // The connection may end before its last bytes have been read here.
        _ = connection => response.await,
    }
}

async fn read_response(response: Response<Incoming>) -> Result<AdminResponse, AdminFault> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_RESPONSE_BYTES);
    let body = body.collect().await.map_err(unreachable)?;
    Ok(AdminResponse {
        status: head.status,
        headers: head.headers,
        body: body.to_bytes(),
    })
}

fn unreachable(error: impl Display) -> AdminFault {
    AdminFault::Unreachable(error.to_string())
}
