//! A gRPC service whose messages are text, and callers of it: both are tonic, which knows nothing of a sidecar.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    thread,
};

use http::uri::PathAndQuery;
use tokio::sync::{Notify, mpsc};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::{
        BoxFuture, Service,
        tokio_stream::{self, StreamExt, wrappers::ReceiverStream},
    },
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};

use super::{grpc_method::Method, ports, text_codec::Text};

/// The service `test.Text`. Dropping it takes it down.
///
/// `Unary` says hello, `Fail` fails, `Count` answers as many numbers as it is told and then fails where told so, `Join` joins
/// what it gets, `Echo` answers each message as it comes, `Never` and `NeverAgain` (after one message) never answer,
/// `Deadline` tells the deadline it was given.
pub struct GrpcServer {
    address: SocketAddr,
    seen: Seen,
    stop: Arc<Notify>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Clone, Default)]
struct Seen {
    begun: Arc<AtomicUsize>,
    cancelled: Arc<AtomicUsize>,
}

impl GrpcServer {
    /// Starts it.
    pub fn start() -> Self {
        let (address, seen, stop) = (ports::unused(), Seen::default(), Arc::new(Notify::new()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let incoming = {
            let _inside = runtime.enter();
            TcpIncoming::bind(address)
                .expect("a port that was unused")
                .with_nodelay(Some(true))
        };
        let thread = thread::spawn({
            let (methods, stop) = (Methods { seen: seen.clone() }, stop.clone());
            move || {
                let serving = Server::builder().serve_with_incoming(methods, incoming);
                runtime.block_on(async {
                    tokio::select! {
                        ended = serving => ended.expect("a server that serves"),
                        () = stop.notified() => {}
                    }
                });
            }
        });
        Self {
            address,
            seen,
            stop,
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its origin.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Calls that had a good token and so were begun.
    pub fn begun(&self) -> usize {
        self.seen.begun.load(Ordering::SeqCst)
    }

    /// Calls of `Never` and `NeverAgain` that the caller gave up.
    pub fn cancelled(&self) -> usize {
        self.seen.cancelled.load(Ordering::SeqCst)
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A caller with one connection.
pub struct GrpcClient(tonic::client::Grpc<Channel>);

impl GrpcClient {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        Self(tonic::client::Grpc::new(
            endpoint.connect().await.expect("a connection"),
        ))
    }

    /// One message for one.
    pub async fn unary(
        &mut self,
        method: &str,
        request: Request<String>,
    ) -> Result<Response<String>, Status> {
        self.0.ready().await.expect("a connection");
        self.0.unary(request, path(method), Text).await
    }

    /// Many messages for one.
    pub async fn download(
        &mut self,
        method: &str,
        message: &str,
    ) -> Result<Streaming<String>, Status> {
        self.0.ready().await.expect("a connection");
        Ok(self
            .0
            .server_streaming(Request::new(message.to_owned()), path(method), Text)
            .await?
            .into_inner())
    }

    /// One message for many.
    pub async fn upload(&mut self, method: &str, messages: Vec<String>) -> Result<String, Status> {
        self.0.ready().await.expect("a connection");
        let request = Request::new(tokio_stream::iter(messages));
        Ok(self
            .0
            .client_streaming(request, path(method), Text)
            .await?
            .into_inner())
    }

    /// Many for many, each side when it likes.
    pub async fn talk(
        &mut self,
        method: &str,
        messages: mpsc::Receiver<String>,
    ) -> Result<Streaming<String>, Status> {
        self.0.ready().await.expect("a connection");
        let request = Request::new(ReceiverStream::new(messages));
        Ok(self
            .0
            .streaming(request, path(method), Text)
            .await?
            .into_inner())
    }
}

/// The path of a method; one with a slash is a path already.
fn path(method: &str) -> PathAndQuery {
    let path = if method.contains('/') {
        method.to_owned()
    } else {
        format!("/test.Text/{method}")
    };
    PathAndQuery::try_from(path).expect("a path")
}

#[derive(Clone)]
struct Methods {
    seen: Seen,
}

impl Service<http::Request<Body>> for Methods {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let seen = self.seen.clone();
        Box::pin(async move {
            if request
                .headers()
                .get("authorization")
                .is_none_or(|value| value != "Bearer token-1")
            {
                return Ok(Status::unauthenticated("a token is wanted").into_http());
            }
            seen.begun.fetch_add(1, Ordering::SeqCst);
            let mut grpc = tonic::server::Grpc::new(Text);
            Ok(match request.uri().path() {
                "/test.Text/Unary" => grpc.unary(Method(hello), request).await,
                "/test.Text/Fail" => grpc.unary(Method(fail), request).await,
                "/test.Text/Deadline" => grpc.unary(Method(deadline), request).await,
                "/test.Text/Count" => grpc.server_streaming(Method(count), request).await,
                "/test.Text/Join" => grpc.client_streaming(Method(join), request).await,
                "/test.Text/Echo" => grpc.streaming(Method(echo), request).await,
                "/test.Text/Never" => grpc.unary(Method(|_| never(seen.clone())), request).await,
                "/test.Text/NeverAgain" => {
                    grpc.server_streaming(Method(|_| never_again(seen.clone())), request)
                        .await
                }
                _ => Status::unimplemented("the server has no such method").into_http(),
            })
        })
    }
}

async fn hello(request: Request<String>) -> Result<Response<String>, Status> {
    let mut response = Response::new(format!("hello {}", request.get_ref()));
    if let Some(asked) = request.metadata().get("x-asked") {
        response.metadata_mut().insert("x-answered", asked.clone());
    }
    Ok(response)
}

async fn fail(_: Request<String>) -> Result<Response<String>, Status> {
    let mut status = Status::failed_precondition("not now: 100 % \u{e4}");
    status
        .metadata_mut()
        .insert("x-detail", "more".parse().expect("a value"));
    Err(status)
}

async fn deadline(request: Request<String>) -> Result<Response<String>, Status> {
    let given = request
        .metadata()
        .get("grpc-timeout")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("none");
    Err(Status::deadline_exceeded(given))
}

async fn count(
    request: Request<String>,
) -> Result<Response<ReceiverStream<Result<String, Status>>>, Status> {
    let (number, fails) = match request.get_ref().strip_suffix(" then fail") {
        Some(number) => (number, true),
        None => (request.get_ref().as_str(), false),
    };
    let number: usize = number
        .parse()
        .map_err(|_| Status::invalid_argument("a number is wanted"))?;
    let (sender, receiver) = mpsc::channel(8);
    tokio::spawn(async move {
        for number in 0..number {
            if sender.send(Ok(number.to_string())).await.is_err() {
                return;
            }
        }
        if fails {
            let _ = sender
                .send(Err(Status::resource_exhausted("no more numbers")))
                .await;
        }
    });
    Ok(Response::new(ReceiverStream::new(receiver)))
}

async fn join(request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
    let (mut messages, mut joined) = (request.into_inner(), Vec::new());
    while let Some(message) = messages.next().await {
        joined.push(message?);
    }
    Ok(Response::new(joined.join(",")))
}

async fn echo(request: Request<Streaming<String>>) -> Result<Response<Streaming<String>>, Status> {
    Ok(Response::new(request.into_inner()))
}

async fn never(seen: Seen) -> Result<Response<String>, Status> {
    let _cancelled = OnDrop(seen.cancelled);
    std::future::pending().await
}

async fn never_again(
    seen: Seen,
) -> Result<Response<ReceiverStream<Result<String, Status>>>, Status> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let _ = sender.send(Ok("once".to_owned())).await;
        sender.closed().await;
        seen.cancelled.fetch_add(1, Ordering::SeqCst);
    });
    Ok(Response::new(ReceiverStream::new(receiver)))
}

struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
