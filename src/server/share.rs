//! Connections of one listener go to the worker that has the fewest.
//!
//! The kernel wakes any worker for a new connection. Without sharing, that worker would keep all of a burst while others
//! idle.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    net::{TcpStream, UnixStream},
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};

use super::{
    connection_limit::ConnectionSlot,
    stream::{Socket, Stream},
};

/// The load of each worker, and a channel to each.
#[derive(Debug)]
struct Workers {
    loads: Vec<AtomicUsize>,
    // Bounded by the listener's permits: each connection on its way holds one.
    senders: Vec<UnboundedSender<Handoff>>,
}

/// One worker's share of a listener's connections.
#[derive(Debug)]
pub struct Share {
    workers: Arc<Workers>,
    own: usize,
    handoffs: UnboundedReceiver<Handoff>,
}

/// The permit of an accepted connection. Counts for one worker and one listener until it is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    workers: Arc<Workers>,
    worker: usize,
    _permit: Option<ConnectionSlot>,
}

/// A connection on its way to another worker, registered with no runtime.
#[derive(Debug)]
struct Handoff {
    socket: UnregisteredSocket,
    permit: ConnectionPermit,
}

#[derive(Debug)]
enum UnregisteredSocket {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// Makes a share for each of `count` workers.
pub fn shares(count: usize) -> Vec<Share> {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..count).map(|_| mpsc::unbounded_channel()).unzip();
    let loads = (0..count).map(|_| AtomicUsize::new(0)).collect();
    let workers = Arc::new(Workers { loads, senders });
    let share = |(own, handoffs)| Share {
        workers: workers.clone(),
        own,
        handoffs,
    };
    receivers.into_iter().enumerate().map(share).collect()
}

impl Share {
    /// Makes the share of a listener that has one worker.
    pub fn single() -> Self {
        let (sender, handoffs) = mpsc::unbounded_channel();
        let workers = Workers {
            loads: vec![AtomicUsize::new(0)],
            senders: vec![sender],
        };
        Self {
            workers: Arc::new(workers),
            own: 0,
            handoffs,
        }
    }

    /// Assigns an accepted connection to a worker. Returns it when that is the own worker.
    ///
    /// # Errors
    /// The connection cannot be handed over, and is closed.
    pub fn assign(
        &self,
        stream: Stream,
        permit: Option<ConnectionSlot>,
    ) -> io::Result<Option<(Stream, ConnectionPermit)>> {
        let worker = self.workers.least_loaded(self.own);
        let permit = ConnectionPermit::new(self.workers.clone(), worker, permit);
        if worker == self.own {
            return Ok(Some((stream, permit)));
        }
        let handoff = Handoff {
            socket: UnregisteredSocket::new(stream)?,
            permit,
        };
        match self.workers.senders[worker].send(handoff) {
            Ok(()) => Ok(None),
            // That worker ends already.
            Err(rejected) => rejected.0.register().map(Some),
        }
    }

    /// Receives the next connection that another worker hands over.
    ///
    /// # Errors
    /// The connection cannot be registered with this runtime, and is closed.
    pub async fn recv(&mut self) -> io::Result<(Stream, ConnectionPermit)> {
        match self.handoffs.recv().await {
            Some(handoff) => handoff.register(),
            // This share holds a sender too, so the channel is closed by `close` alone.
            None => std::future::pending().await,
        }
    }

    /// Closes the channel, and returns the connections that were handed over before.
    pub fn close(&mut self) -> Vec<(Stream, ConnectionPermit)> {
        self.handoffs.close();
        std::iter::from_fn(|| self.handoffs.try_recv().ok())
            .filter_map(|handoff| handoff.register().ok())
            .collect()
    }
}

impl Workers {
    /// Finds the worker with the fewest connections; `own` when no other has fewer.
    fn least_loaded(&self, own: usize) -> usize {
        let load = |worker: usize| self.loads[worker].load(Ordering::Relaxed);
        let least = (0..self.loads.len())
            .min_by_key(|worker| load(*worker))
            .unwrap_or(own);
        if load(least) < load(own) { least } else { own }
    }
}

impl ConnectionPermit {
    fn new(workers: Arc<Workers>, worker: usize, permit: Option<ConnectionSlot>) -> Self {
        workers.loads[worker].fetch_add(1, Ordering::Relaxed);
        Self {
            workers,
            worker,
            _permit: permit,
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.workers.loads[self.worker].fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handoff {
    fn register(self) -> io::Result<(Stream, ConnectionPermit)> {
        let socket = match self.socket {
            UnregisteredSocket::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            UnregisteredSocket::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
        };
        Ok((Stream::new(socket), self.permit))
    }
}

impl UnregisteredSocket {
    fn new(stream: Stream) -> io::Result<Self> {
        match stream.into_socket() {
            Socket::Tcp(stream) => stream.into_std().map(Self::Tcp),
            Socket::Unix(stream) => stream.into_std().map(Self::Unix),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Opens a connection; gives both ends.
    async fn connection() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let accepted = listener.accept().await.unwrap().0;
        (Stream::new(Socket::Tcp(accepted)), client)
    }

    #[tokio::test]
    async fn a_worker_that_accepts_keeps_no_more_connections_than_the_others_have() {
        let mut shares = shares(3);
        let (mut kept, mut clients) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            let (stream, client) = connection().await;
            kept.extend(shares[0].assign(stream, None).unwrap());
            clients.push(client);
        }
        assert_eq!(kept.len(), 3);
        for share in &mut shares[1..] {
            for _ in 0..2 {
                kept.push(share.recv().await.unwrap());
            }
        }
        let loads = |share: &Share| {
            let loads = &share.workers.loads;
            loads
                .iter()
                .map(|load| load.load(Ordering::Relaxed))
                .collect::<Vec<_>>()
        };
        assert_eq!(loads(&shares[0]), [3, 2, 2]);
        drop(kept);
        assert_eq!(loads(&shares[0]), [0, 0, 0]);
    }

    #[tokio::test]
    async fn a_connection_for_a_worker_that_ends_is_served_by_another() {
        let mut shares = shares(2);
        let mut kept = Vec::new();
        for _ in 0..2 {
            kept.extend(shares[0].assign(connection().await.0, None).unwrap());
        }
        let handed_over = shares[1].close();
        assert_eq!((kept.len(), handed_over.len()), (1, 1));
        kept.extend(shares[0].assign(connection().await.0, None).unwrap());
        assert_eq!(kept.len(), 2, "a later connection stays with its worker");
    }
}
