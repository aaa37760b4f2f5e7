//! The connections of the admin listener: HTTP/1.1, few and short, and none delays shutdown for long.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{router, state::AdminState};
use crate::server::{limits::Limits, listener::Listener};

/// The smallest buffer that hyper accepts.
const MIN_BUFFER_BYTES: usize = 8 * 1024;

/// The lifetime of a connection, also of one whose client stops reading.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);

/// The time for the last response of a connection that has to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// The pause after a failed `accept`, when the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then lets requests in flight finish, which takes 20 s at most.
pub async fn serve(listener: Listener, state: Arc<AdminState>, shutdown: impl Future<Output = ()>) {
    let limits = *state.limits();
    let router = router(state);
    let (ending, ended) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(done) = connections.join_next() => log_panic(done),
            accepted = listener.accept(), if connections.len() < limits.connections => match accepted {
                Ok(stream) => {
                    let mut ended = ended.clone();
                    // The sender never sends: its end is the message.
                    let shutdown = async move { while ended.changed().await.is_ok() {} };
                    connections.spawn(serve_connection(stream, router.clone(), limits, shutdown));
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    drop(ending);
    while let Some(done) = connections.join_next().await {
        log_panic(done);
    }
}

/// Logs the end of a connection by a panic, which the panic hook has described.
fn log_panic(done: Result<(), tokio::task::JoinError>) {
    if done.is_err() {
        tracing::error!("a connection of the admin listener ended by a panic");
    }
}

/// Serves one connection until it closes, has lived for 5 minutes, or `shutdown`; then its request in flight may still
/// finish.
pub async fn serve_connection<S>(
    stream: S,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(limits.head_fields)
        .max_buf_size(limits.head_bytes.max(MIN_BUFFER_BYTES))
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let over = async {
        tokio::select! { () = shutdown => {}, () = sleep(CONNECTION_TIMEOUT) => {} }
    };
    let ended = tokio::select! {
        ended = &mut connection => Ok(ended),
        () = over => {
            connection.as_mut().graceful_shutdown();
            timeout(DRAIN_TIMEOUT, connection).await
        }
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection of the admin listener broke"),
        Err(_) => tracing::debug!("a connection of the admin listener had to be cut"),
    }
}
