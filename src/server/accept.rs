//! The accept loop of one listener on one worker.

use std::{future::Future, io, sync::Arc, time::Duration};

use hyper::rt::Executor;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::task::{TaskTracker, task_tracker::TrackedFuture};

use super::{
    listener::Listener,
    share::{ConnectionPermit, Share},
    shutdown::Shutdown,
    stream::Stream,
};

/// Pauses after an `accept` that failed for want of descriptors or memory.
const MIN_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A listener on one worker, and the bounds of its connections.
#[derive(Debug)]
pub struct Acceptor {
    /// The listening socket.
    pub listener: Listener,
    /// One permit a connection, over all workers. Without a permit, connections wait in the kernel.
    pub permits: Arc<Semaphore>,
    /// The worker's share of the connections.
    pub share: Share,
    /// Its drain ends the loop.
    pub shutdown: Shutdown,
    /// Tracks the connections, so that a drain waits for them.
    pub tracker: TaskTracker,
}

impl Acceptor {
    /// Accepts until the drain begins, and spawns a task for each connection.
    ///
    /// `serve` holds the permit as long as the connection lives. A panic ends its own connection alone.
    pub async fn run<S, F, E>(mut self, executor: E, serve: S)
    where
        S: Fn(Stream, ConnectionPermit) -> F,
        F: Future<Output = ()>,
        E: Executor<TrackedFuture<F>>,
    {
        let tracker = self.tracker.clone();
        let spawn = |(stream, permit): (Stream, ConnectionPermit)| {
            executor.execute(tracker.track_future(serve(stream, permit)));
        };
        let mut pause = MIN_PAUSE;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.draining() => break,
                received = self.share.recv() => received.map(Some),
                accepted = accept(&self.listener, &self.permits) => {
                    accepted.and_then(|(stream, permit)| self.share.assign(stream, permit))
                }
            };
            match accepted {
                Ok(own) => {
                    pause = MIN_PAUSE;
                    own.into_iter().for_each(spawn);
                }
                Err(error) if is_about_one_connection(&error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections; raise the descriptor limit if this persists");
                    tokio::select! {
                        () = self.shutdown.draining() => break,
                        () = sleep(pause) => pause = (pause * 2).min(MAX_PAUSE),
                    }
                }
            }
        }
        // The kernel has completed these connections, so their clients wait for a response.
        self.share.close().into_iter().for_each(spawn);
    }
}

async fn accept(
    listener: &Listener,
    permits: &Arc<Semaphore>,
) -> io::Result<(Stream, Option<OwnedSemaphorePermit>)> {
    // The semaphore is never closed.
    let permit = permits.clone().acquire_owned().await.ok();
    Ok((listener.accept().await?, permit))
}

/// Whether the error concerns one connection, not the listener (accept(2)).
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | NotConnected
    )
}
