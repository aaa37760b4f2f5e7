//! Connections of the admin listener: HTTP/1.1, few, short, and none of them able to hold up the process.

use std::{convert::Infallible, future::Future, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{service, state::AdminState};
use crate::server::listener::Listener;

/// The least buffer that hyper works with, in bytes.
const LEAST_BUFFER: usize = 8 * 1024;

/// How long a connection may live: what stops reading its answer ends here too.
const LIFETIME: Duration = Duration::from_secs(300);

/// For the last answer of a connection that has to end.
const GRACE: Duration = Duration::from_secs(20);

/// Between two attempts to accept when the system has no more descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then lets requests in flight finish, which takes 20 s at most.
pub async fn serve(listener: Listener, state: Arc<AdminState>, shutdown: impl Future<Output = ()>) {
    let (ending, ended) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(done) = connections.join_next() => note(done),
            accepted = listener.accept(), if connections.len() < state.limits().connections => match accepted {
                Ok(stream) => {
                    let mut ended = ended.clone();
                    // The sender never sends: its end is the message.
                    let shutdown = async move { while ended.changed().await.is_ok() {} };
                    connections.spawn(serve_connection(stream, state.clone(), shutdown));
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener cannot accept");
                    sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    drop(ending);
    while let Some(done) = connections.join_next().await {
        note(done);
    }
}

/// A panic ends its own connection alone; the panic's hook has told of it.
fn note(done: Result<(), tokio::task::JoinError>) {
    if done.is_err() {
        tracing::error!("a connection of the admin listener ended by a panic");
    }
}

/// Serves one connection until it closes, has lived for 5 minutes, or `shutdown`; then its request in flight may still
/// finish.
pub async fn serve_connection<S>(
    stream: S,
    state: Arc<AdminState>,
    shutdown: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = *state.limits();
    let service = service_fn(move |request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(service::answer(state, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(limits.head_fields)
        .max_buf_size(limits.head_bytes.max(LEAST_BUFFER))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let over = async {
        tokio::select! { () = shutdown => {}, () = sleep(LIFETIME) => {} }
    };
    let ended = tokio::select! {
        ended = &mut connection => Ok(ended),
        () = over => {
            connection.as_mut().graceful_shutdown();
            timeout(GRACE, connection).await
        }
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection of the admin listener broke"),
        Err(_) => tracing::debug!("a connection of the admin listener had to be cut"),
    }
}
