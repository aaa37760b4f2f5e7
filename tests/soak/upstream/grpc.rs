//! The gRPC upstream: one message for one, many for one request, many for many.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::sync::mpsc;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::{
        BoxFuture, Service,
        tokio_stream::{StreamExt, wrappers::ReceiverStream},
    },
    transport::{Server, server::TcpIncoming},
};

use crate::{
    grpc_method::Method,
    ledger::RequestFault,
    pattern,
    places::{Provider, Upstream},
    text_codec::Text,
    world::{FAULT, Received, World},
};

/// Starts the upstream.
pub(crate) async fn start(world: Arc<World>) -> io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(async move {
        let serving = Server::builder().serve_with_incoming(Methods(world), incoming);
        let _ = serving.await;
    });
    Ok(address)
}

#[derive(Clone)]
struct Methods(Arc<World>);

impl Service<http::Request<Body>> for Methods {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let received = self
            .0
            .receive(request.headers(), Provider::Grace, Upstream::Grpc);
        Box::pin(async move {
            if received.refused {
                // As the gateway of an API does it, ahead of the service.
                let mut refusal = http::Response::new(Body::empty());
                *refusal.status_mut() = http::StatusCode::UNAUTHORIZED;
                return Ok(refusal);
            }
            if let Some(status) = failed(received).await {
                return Ok(status.into_http());
            }
            let id = received.id;
            let mut grpc = tonic::server::Grpc::new(Text);
            Ok(match request.uri().path().rsplit('/').next() {
                Some("Unary") => grpc.unary(Method(unary), request).await,
                Some("Download") => {
                    grpc.server_streaming(Method(|count| download(id, count)), request)
                        .await
                }
                Some("Talk") => grpc.streaming(Method(talk), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// The fault of a call, if it ends it.
async fn failed(received: Received) -> Option<Status> {
    match received.fault? {
        RequestFault::Hang => {
            // The sidecar gives up before, and ends this.
            tokio::time::sleep(Duration::from_secs(60)).await;
            None
        }
        RequestFault::Slow => {
            tokio::time::sleep(Duration::from_millis(700)).await;
            None
        }
        _ => {
            let mut status = Status::internal("fault");
            let mark = tonic::metadata::MetadataValue::from_static("1");
            status.metadata_mut().insert(FAULT, mark);
            Some(status)
        }
    }
}

async fn unary(request: Request<String>) -> Result<Response<String>, Status> {
    Ok(Response::new(request.into_inner()))
}

type Messages = ReceiverStream<Result<String, Status>>;

async fn download(id: u64, request: Request<String>) -> Result<Response<Messages>, Status> {
    let count: u64 = request
        .get_ref()
        .parse()
        .map_err(|_| Status::invalid_argument("a number is missing"))?;
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        for number in 0..count {
            if sender.send(Ok(pattern::text(id, number))).await.is_err() {
                return;
            }
        }
    });
    Ok(Response::new(ReceiverStream::new(receiver)))
}

async fn talk(request: Request<Streaming<String>>) -> Result<Response<Messages>, Status> {
    let mut messages = request.into_inner();
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            if sender.send(message).await.is_err() {
                return;
            }
        }
    });
    Ok(Response::new(ReceiverStream::new(receiver)))
}
