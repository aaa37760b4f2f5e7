//! A client of a running sidecar's admin listener.

mod address;

use std::{fmt::Display, pin::pin, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use self::address::Peer;
pub(super) use self::address::{AdminAddress, InvalidAddress};
use super::terminal::printable;
use crate::secret::Secret;

/// The environment variable that holds `[admin] key`.
pub(super) const KEY_VARIABLE: &str = "BEARWARD_ADMIN_KEY";

/// The time for one request and its response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest response; the status of ten thousand routes takes a tenth of it.
const MAX_RESPONSE_BYTES: usize = 32 * 1024 * 1024;

/// Why an admin listener gave no usable response.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminError {
    /// Nothing listens there, or the connection broke.
    #[error("no sidecar responds there: {0}")]
    Unreachable(String),
    /// No response came in time.
    #[error("no response within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout,
    /// The key is missing or wrong.
    #[error("the sidecar asks for its key: put it into ${KEY_VARIABLE}")]
    KeyRequired,
    /// The listener responds with an error.
    #[error("the sidecar responds {status} {detail}")]
    Refused {
        /// The status of the response.
        status: StatusCode,
        /// The `detail` of the problem; may be empty.
        detail: String,
    },
    /// The response is not one of an admin listener.
    #[error("the server that responds there is not a bearward sidecar")]
    NotASidecar,
}

/// Sends requests to one admin listener.
#[derive(Debug)]
pub(super) struct AdminClient {
    address: AdminAddress,
    key: Option<Secret>,
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
    pub(super) fn new(address: AdminAddress, key: Option<Secret>) -> Self {
        let key = address.key().cloned().or(key);
        Self { address, key }
    }

    /// Whether a live sidecar responds. Needs no key.
    pub(super) async fn is_live(&self) -> bool {
        let response = self.get("/livez").await;
        response.is_ok_and(|(status, body)| status.is_success() && body == "ok\n")
    }

    /// Requests the status of the sidecar.
    ///
    /// # Errors
    /// The listener is unreachable, is no sidecar's, or refuses.
    pub(super) async fn status(&self) -> Result<StatusDocument, AdminError> {
        let (status, body) = self.get("/api/status").await?;
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        match (status, json) {
            (StatusCode::OK, Some(json))
                if json["providers"].is_object() && json["routes"].is_object() =>
            {
                // Valid JSON is valid UTF-8.
                let text = String::from_utf8_lossy(&body).into_owned();
                Ok(StatusDocument { text, json })
            }
            (StatusCode::OK, _) => Err(AdminError::NotASidecar),
            (StatusCode::UNAUTHORIZED, _) => Err(AdminError::KeyRequired),
            (status, problem) => {
                let detail = problem
                    .as_ref()
                    .and_then(|problem| problem["detail"].as_str());
                let detail = printable(detail.unwrap_or_default());
                Err(AdminError::Refused { status, detail })
            }
        }
    }

    async fn get(&self, endpoint: &str) -> Result<(StatusCode, Bytes), AdminError> {
        let request = self.request(endpoint)?;
        let response = async {
            match self.address.peer() {
                Peer::Tcp { host, port } => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await;
                    exchange(stream.map_err(unreachable)?, request).await
                }
                Peer::Unix(path) => {
                    let stream = UnixStream::connect(path).await;
                    exchange(stream.map_err(unreachable)?, request).await
                }
            }
        };
        timeout(REQUEST_TIMEOUT, response)
            .await
            .unwrap_or(Err(AdminError::Timeout))
    }

    fn request(&self, endpoint: &str) -> Result<Request<Empty<Bytes>>, AdminError> {
        let mut request = Request::get(self.address.path(endpoint))
            .header(header::HOST, self.address.authority())
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close")
            .body(Empty::new())
            .map_err(unreachable)?;
        if let Some(key) = &self.key {
            let credentials = format!("Bearer {}", key.expose());
            let mut credentials = HeaderValue::try_from(credentials).map_err(unreachable)?;
            credentials.set_sensitive(true);
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, credentials);
        }
        Ok(request)
    }
}

async fn exchange<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<(StatusCode, Bytes), AdminError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(unreachable)?;
    let response = async {
        let response = sender.send_request(request).await.map_err(unreachable)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES);
        let body = body.collect().await.map_err(unreachable)?;
        Ok((status, body.to_bytes()))
    };
    let mut response = pin!(response);
    tokio::select! {
        response = &mut response => response,
        // The connection may end before its last bytes have been read here.
        _ = connection => response.await,
    }
}

fn unreachable(error: impl Display) -> AdminError {
    AdminError::Unreachable(error.to_string())
}
