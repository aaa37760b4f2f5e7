//! The accept loop of one listener on one worker.

use std::{future::Future, io, sync::Arc, time::Duration};

use hyper::rt::Executor;
use tokio::time::sleep;
use tokio_util::task::{TaskTracker, task_tracker::TrackedFuture};

use super::{
    connection_limit::{ConnectionLimit, ConnectionSlot},
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
    /// The bound of its connections, over all workers.
    pub limit: Arc<ConnectionLimit>,
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
        let mut waiting = None;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.draining() => break,
                received = self.share.recv() => received.map(Some),
                accepted = accept(&self.listener, &self.limit, &mut waiting) => {
                    accepted.and_then(|(stream, slot)| self.share.assign(stream, Some(slot)))
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
                    tracing::warn!(%error, "listener.not_accepting: cannot accept connections; raise the descriptor limit if this persists");
                    tokio::select! {
                        () = self.shutdown.draining() => break,
                        () = sleep(pause) => pause = (pause * 2).min(MAX_PAUSE),
                    }
                }
            }
        }
        // The kernel has completed these connections, so their clients wait for a response.
        let last = waiting.map(|stream| self.share.assign(stream, None));
        if let Some(Ok(Some(own))) = last {
            spawn(own);
        }
        self.share.close().into_iter().for_each(spawn);
    }
}

/// Accepts a connection, and waits until there may be another one. Cancel-safe: `waiting` has the connection meanwhile.
///
/// It is accepted first, since only a client that waits is a reason to close an idle connection.
async fn accept(
    listener: &Listener,
    limit: &ConnectionLimit,
    waiting: &mut Option<Stream>,
) -> io::Result<(Stream, ConnectionSlot)> {
    loop {
        if waiting.is_none() {
            *waiting = Some(listener.accept().await?);
        }
        let slot = limit.acquire().await;
        if let Some(stream) = waiting.take() {
            return Ok((stream, slot));
        }
    }
}

/// Whether the error concerns one connection, not the listener (accept(2)).
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | NotConnected
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::UnixStream, task::LocalSet};

    use super::*;
    use crate::server::{
        address::ListenAddress, adjustable_limit::AdjustableLimit, listener::Bound,
        serve::LocalExecutor, share::shares,
    };

    #[tokio::test]
    async fn a_panic_ends_its_own_connection_and_neither_the_worker_nor_a_permit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let bound = Bound::bind(&ListenAddress::Unix(path.clone())).unwrap();
        let acceptor = Acceptor {
            listener: bound.listener().unwrap(),
            limit: Arc::new(ConnectionLimit::new(2, Arc::new(AdjustableLimit::new(2)))),
            share: shares(1).pop().unwrap(),
            shutdown: Shutdown::default(),
            tracker: TaskTracker::new(),
        };
        let number = Cell::new(0);
        let serve = move |mut stream: Stream, permit| {
            number.set(number.get() + 1);
            let panics = (2..=6).contains(&number.get());
            async move {
                assert!(!panics, "as the test wants it");
                let mut byte = [0];
                while stream.read_exact(&mut byte).await.is_ok() {
                    stream.write_all(&byte).await.unwrap();
                }
                drop(permit);
            }
        };
        let clients = async {
            let mut bystander = UnixStream::connect(&path).await.unwrap();
            let mut byte = [0];
            bystander.write_all(b"a").await.unwrap();
            bystander.read_exact(&mut byte).await.unwrap();
            for _ in 0..5 {
                let mut client = UnixStream::connect(&path).await.unwrap();
                assert_eq!(client.read(&mut byte).await.unwrap(), 0);
            }
            let mut next = UnixStream::connect(&path).await.unwrap();
            for client in [&mut bystander, &mut next] {
                client.write_all(b"b").await.unwrap();
                client.read_exact(&mut byte).await.unwrap();
                assert_eq!(&byte, b"b");
            }
        };
        let worker = LocalSet::new();
        worker.spawn_local(acceptor.run(LocalExecutor, serve));
        worker.run_until(clients).await;
    }
}
