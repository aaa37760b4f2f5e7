//! A caller that speaks HTTP/2 with prior knowledge.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, combinators::BoxBody};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, time::timeout};

use super::patience::PATIENCE;

/// A request body.
pub type Body = BoxBody<Bytes, Infallible>;

/// One HTTP/2 connection.
#[derive(Clone)]
pub struct H2Client {
    sender: http2::SendRequest<Body>,
    authority: String,
}

/// An answer, whole.
pub struct H2Answer {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: HeaderMap,
}

impl H2Client {
    /// Connects; the connection ends with the runtime.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = timeout(PATIENCE, TcpStream::connect(address))
            .await
            .expect("in time")
            .expect("a connection");
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = timeout(PATIENCE, handshake)
            .await
            .expect("in time")
            .expect("a handshake");
        tokio::spawn(connection);
        Self {
            sender,
            authority: format!("localhost:{}", address.port()),
        }
    }

    /// A request to `path`, to be completed.
    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.authority))
    }

    /// Sends `request` and gives the answer whole; a broken one is an error.
    pub async fn send(&mut self, request: Request<Body>) -> Result<H2Answer, hyper::Error> {
        let exchange = async {
            self.sender.ready().await?;
            let response: Response<Incoming> = self.sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            let collected = body.collect().await?;
            let trailers = collected.trailers().cloned().unwrap_or_default();
            Ok(H2Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body: collected.to_bytes().to_vec(),
                trailers,
            })
        };
        timeout(PATIENCE * 2, exchange)
            .await
            .expect("an answer in time")
    }
}

/// No body.
pub fn empty() -> Body {
    http_body_util::Empty::new().boxed()
}

/// A body of one piece.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(bytes.into()).boxed()
}

/// A body of one piece, and trailers after it.
pub fn with_trailers(bytes: impl Into<Bytes>, trailers: HeaderMap) -> Body {
    Frames([Frame::data(bytes.into()), Frame::trailers(trailers)].into_iter()).boxed()
}

/// Frames that are there already.
struct Frames<I>(I);

impl<I: Iterator<Item = Frame<Bytes>> + Unpin> http_body::Body for Frames<I> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}
