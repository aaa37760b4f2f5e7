//! `bearward status`: asks a running sidecar how it is.

mod address;
mod table;

use std::{
    fmt,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{BAD_INPUT, Format, complain, print};
use crate::secret::Secret;
use address::Peer;
pub use address::{AdminAddress, InvalidAddress};

/// The admin listener that is asked unless another one is named.
pub const DEFAULT_ADMIN: &str = "http://127.0.0.1:9900";

/// The environment variable that holds `[admin] key`.
pub const KEY_VARIABLE: &str = "BEARWARD_ADMIN_KEY";

/// For the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest status that is read: ten thousand routes take a tenth of it.
const LARGEST_STATUS: usize = 32 * 1024 * 1024;

/// Ask a running sidecar how it is
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Its admin listener; a key for it comes from $BEARWARD_ADMIN_KEY
    #[arg(long, value_name = "URL", default_value = DEFAULT_ADMIN)]
    admin: String,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    // Parsed here and not by clap, which would repeat what does not parse, with the key in it.
    let admin = match arguments.admin.parse::<AdminAddress>() {
        Ok(admin) => admin,
        Err(error) => {
            complain(&format!("--admin: {error}"));
            return ExitCode::from(BAD_INPUT);
        }
    };
    let key = std::env::var(KEY_VARIABLE).ok().map(Secret::new);
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let json = arguments.format == Format::Json;
    let answer = runtime.block_on(status(&admin, key, json, SystemTime::now()));
    // A look-up that hangs is not waited for.
    runtime.shutdown_background();
    match answer {
        Ok(text) => print(&text, ExitCode::SUCCESS),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// What the sidecar at `admin` says of itself: a table as of `now`, or with `json` its answer as it came. Ends with a
/// line feed.
///
/// `key` is what [`KEY_VARIABLE`] holds; one in the address comes first.
///
/// # Errors
/// There is no such sidecar, or it does not answer so.
pub async fn status(
    admin: &AdminAddress,
    key: Option<Secret>,
    json: bool,
    now: SystemTime,
) -> Result<String, StatusError> {
    let (status, body) = timeout(TIMEOUT, ask(admin, key))
        .await
        .map_err(|_| StatusError::Slow)??;
    let document: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    match (status, document) {
        (StatusCode::OK, Some(document))
            if document["providers"].is_object() && document["routes"].is_object() =>
        {
            // Valid JSON, and so UTF-8.
            let answer = String::from_utf8_lossy(&body);
            Ok(if json {
                format!("{}\n", answer.trim_end())
            } else {
                table::render(&document, now)
            })
        }
        (StatusCode::OK, _) => Err(StatusError::Nonsense),
        (StatusCode::UNAUTHORIZED, _) => Err(StatusError::KeyRequired),
        (status, document) => {
            let detail = document
                .as_ref()
                .and_then(|problem| problem["detail"].as_str());
            Err(StatusError::Refused {
                status,
                detail: table::printable(detail.unwrap_or_default()),
            })
        }
    }
}

/// Why there is no status.
#[derive(Debug)]
pub enum StatusError {
    /// Nobody listens there, or the connection broke.
    Unreachable(String),
    /// No answer within 5 s.
    Slow,
    /// It wants a key, or another one.
    KeyRequired,
    /// It answers with an error.
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// What it says; may be empty.
        detail: String,
    },
    /// Whoever answers is no sidecar.
    Nonsense,
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "no sidecar answers there: {error}"),
            Self::Slow => write!(f, "no answer within {} s", TIMEOUT.as_secs()),
            Self::KeyRequired => write!(
                f,
                "the sidecar asks for its key: put it into ${KEY_VARIABLE}"
            ),
            Self::Refused { status, detail } => write!(f, "the sidecar answers {status} {detail}"),
            Self::Nonsense => f.write_str("whoever answers there is no bearward sidecar"),
        }
    }
}

impl std::error::Error for StatusError {}

async fn ask(
    admin: &AdminAddress,
    key: Option<Secret>,
) -> Result<(StatusCode, Bytes), StatusError> {
    let mut request = Request::get(admin.status_path())
        .header(header::HOST, admin.authority())
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(unreachable)?;
    if let Some(key) = admin.key().or(key.as_ref()) {
        let mut value =
            HeaderValue::try_from(format!("Bearer {}", key.expose())).map_err(unreachable)?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    match admin.peer() {
        Peer::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port))
                .await
                .map_err(unreachable)?;
            exchange(stream, request).await
        }
        Peer::Unix(path) => {
            exchange(
                UnixStream::connect(path).await.map_err(unreachable)?,
                request,
            )
            .await
        }
    }
}

async fn exchange<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<(StatusCode, Bytes), StatusError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(unreachable)?;
    let answer = async {
        let answer: Response<Incoming> = sender.send_request(request).await.map_err(unreachable)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST_STATUS)
            .collect()
            .await
            .map_err(unreachable)?;
        Ok((status, body.to_bytes()))
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection ends when it has handed over all it had, which may be before the answer was read.
        _ = connection => answer.await,
    }
}

fn unreachable(error: impl fmt::Display) -> StatusError {
    StatusError::Unreachable(error.to_string())
}

#[cfg(test)]
mod tests;
