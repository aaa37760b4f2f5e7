//! The HTTP/1.1 and HTTP/2 upstream: bodies by request id, echoes, checked uploads, and faults.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tonic::codegen::tokio_stream;

use crate::{
    ledger::RequestFault,
    pattern::{Check, pieces},
    places::{Provider, Route, Upstream},
    world::{FAULT, ID, Received, World},
};

/// The time that a slow response takes.
const SLOW: Duration = Duration::from_millis(700);

/// The reason to break a connection.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
pub(crate) struct Closed;

type Body = UnsyncBoxBody<Bytes, Closed>;

/// Starts the upstream `upstream`, which is one of HTTP/1.1 or HTTP/2.
pub(crate) async fn start(upstream: Upstream, world: Arc<World>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener, upstream, world));
    Ok(address)
}

async fn serve(listener: TcpListener, upstream: Upstream, world: Arc<World>) -> Infallible {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let world = world.clone();
        tokio::spawn(async move {
            let stream = TokioIo::new(stream);
            let service = service_fn(|request| respond(request, upstream, world.clone()));
            // An error is a connection that was closed, on purpose or by the sidecar.
            let _ = match upstream {
                Upstream::Http2 => {
                    let server = http2::Builder::new(TokioExecutor::new());
                    server.serve_connection(stream, service).await
                }
                _ => {
                    http1::Builder::new()
                        .serve_connection(stream, service)
                        .await
                }
            };
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    upstream: Upstream,
    world: Arc<World>,
) -> Result<Response<Body>, Closed> {
    let received = world.receive(request.headers(), provider(request.uri().path()), upstream);
    let status = match received.fault {
        _ if received.refused => Some(StatusCode::UNAUTHORIZED),
        Some(RequestFault::Status500) => Some(StatusCode::INTERNAL_SERVER_ERROR),
        _ => None,
    };
    if let Some(status) = status {
        // The end of a connection whose body was not read may overtake the response.
        collected(request.into_body()).await?;
        return Ok(marked(received, status));
    }
    match received.fault {
        Some(RequestFault::CutBeforeResponse) => return Err(Closed),
        Some(RequestFault::Hang) => {
            // The sidecar gives up before, and ends this.
            tokio::time::sleep(Duration::from_secs(60)).await;
            return Err(Closed);
        }
        Some(RequestFault::Slow) => tokio::time::sleep(SLOW).await,
        Some(RequestFault::Status500 | RequestFault::CutInBody) | None => {}
    }
    let body = match *request.method() {
        Method::GET => {
            let length = request.uri().query().and_then(|query| query.parse().ok());
            streamed(received, length.unwrap_or_default())
        }
        _ if request.uri().path().ends_with("/upload") => {
            full(checked(received, request.into_body()).await?)
        }
        _ => full(collected(request.into_body()).await?),
    };
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(ID, HeaderValue::from(received.id));
    Ok(response)
}

/// The provider of the route that a path belongs to.
fn provider(path: &str) -> Provider {
    let mut routes = Route::ALL.into_iter();
    let route = routes.find(|route| path.starts_with(route.path()));
    route.map_or(Provider::Fast, Route::provider)
}

/// A response that is a fault, marked as one.
fn marked(received: Received, status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::from_static(b"fault")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(FAULT, HeaderValue::from_static("1"));
    headers.insert(ID, HeaderValue::from(received.id));
    response
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// The pattern of the request, cut in the middle if that is its fault.
fn streamed(received: Received, length: usize) -> Body {
    let is_cut = received.fault == Some(RequestFault::CutInBody);
    let sent = if is_cut { length / 2 } else { length };
    let whole = pieces(received.id, length).scan(0, move |done, piece| {
        let begin = *done;
        *done += piece.len();
        (begin <= sent).then_some(piece)
    });
    let frames = whole
        .map(|piece| Ok(Frame::data(piece)))
        .chain(is_cut.then_some(Err(Closed)));
    StreamBody::new(tokio_stream::iter(frames)).boxed_unsync()
}

async fn collected(body: Incoming) -> Result<Bytes, Closed> {
    let collected = body.collect().await.map_err(|_| Closed)?;
    Ok(collected.to_bytes())
}

/// Reads an upload, and says how long it was and whether it was right.
async fn checked(received: Received, mut body: Incoming) -> Result<Bytes, Closed> {
    let mut check = Check::new(received.id);
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(|_| Closed)?.into_data() {
            check.feed(&piece);
        }
    }
    Ok(Bytes::from(report(check.length(), check.is_right())))
}

/// The body of the response to an upload.
pub(crate) fn report(length: usize, is_right: bool) -> String {
    format!(
        "{length} bytes, {}",
        if is_right { "right" } else { "wrong" }
    )
}
