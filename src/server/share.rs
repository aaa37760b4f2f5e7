//! How the connections of one listener are shared out among the workers: to the one that has the fewest.
//!
//! Whichever worker is woken accepts what has come, and left alone it would keep all of it, however many idle workers
//! there are beside it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    net::{TcpStream, UnixStream},
    sync::{
        OwnedSemaphorePermit,
        mpsc::{self, UnboundedReceiver, UnboundedSender},
    },
};

use super::stream::Stream;

/// What the workers know of each other: how many connections each has, and how to hand it one.
#[derive(Debug)]
struct Workers {
    loads: Vec<AtomicUsize>,
    // Bounded by the places of the listener: each connection that is handed over holds one.
    doors: Vec<UnboundedSender<Handed>>,
}

/// One worker's share of a listener's connections.
#[derive(Debug)]
pub struct Share {
    workers: Arc<Workers>,
    own: usize,
    handed: UnboundedReceiver<Handed>,
}

/// An accepted connection: it holds one of the listener's places, and counts for one worker, while it lives.
#[derive(Debug)]
pub struct Place {
    workers: Arc<Workers>,
    worker: usize,
    _place: Option<OwnedSemaphorePermit>,
}

/// A connection on its way to another worker, tied to no runtime.
#[derive(Debug)]
struct Handed {
    stream: Unbound,
    place: Place,
}

#[derive(Debug)]
enum Unbound {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// A share for each of `count` workers.
pub fn shares(count: usize) -> Vec<Share> {
    let (doors, inboxes): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::unbounded_channel()).unzip();
    let loads = (0..count).map(|_| AtomicUsize::new(0)).collect();
    let workers = Arc::new(Workers { loads, doors });
    let share = |(own, handed)| Share {
        workers: workers.clone(),
        own,
        handed,
    };
    inboxes.into_iter().enumerate().map(share).collect()
}

impl Share {
    /// Decides who serves a connection that was accepted here. Gives it back where that is this worker itself.
    ///
    /// # Errors
    /// The connection cannot be handed over, and is lost.
    pub fn assign(
        &self,
        stream: Stream,
        place: Option<OwnedSemaphorePermit>,
    ) -> io::Result<Option<(Stream, Place)>> {
        let worker = self.workers.least(self.own);
        let place = Place::new(self.workers.clone(), worker, place);
        if worker == self.own {
            return Ok(Some((stream, place)));
        }
        let handed = Handed {
            stream: Unbound::from(stream)?,
            place,
        };
        match self.workers.doors[worker].send(handed) {
            Ok(()) => Ok(None),
            // That worker ends already.
            Err(refused) => refused.0.bind().map(Some),
        }
    }

    /// The next connection that another worker hands over.
    ///
    /// # Errors
    /// It cannot be served on this runtime, and is lost.
    pub async fn handed(&mut self) -> io::Result<(Stream, Place)> {
        match self.handed.recv().await {
            Some(handed) => handed.bind(),
            // The door stays open as long as this exists, unless it was closed here.
            None => std::future::pending().await,
        }
    }

    /// Takes no more, but for what was handed over already.
    pub fn close(&mut self) -> Vec<(Stream, Place)> {
        self.handed.close();
        std::iter::from_fn(|| self.handed.try_recv().ok())
            .filter_map(|handed| handed.bind().ok())
            .collect()
    }
}

impl Workers {
    /// The worker with the fewest connections; `own` where no other has fewer.
    fn least(&self, own: usize) -> usize {
        let load = |worker: usize| self.loads[worker].load(Ordering::Relaxed);
        let least = (0..self.loads.len())
            .min_by_key(|worker| load(*worker))
            .unwrap_or(own);
        if load(least) < load(own) { least } else { own }
    }
}

impl Place {
    fn new(workers: Arc<Workers>, worker: usize, place: Option<OwnedSemaphorePermit>) -> Self {
        workers.loads[worker].fetch_add(1, Ordering::Relaxed);
        Self {
            workers,
            worker,
            _place: place,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.workers.loads[self.worker].fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handed {
    fn bind(self) -> io::Result<(Stream, Place)> {
        let stream = match self.stream {
            Unbound::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Unbound::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
        };
        Ok((stream, self.place))
    }
}

impl Unbound {
    fn from(stream: Stream) -> io::Result<Self> {
        match stream {
            Stream::Tcp(stream) => stream.into_std().map(Self::Tcp),
            Stream::Unix(stream) => stream.into_std().map(Self::Unix),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A connection, and its other end.
    async fn connection() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        (Stream::Tcp(listener.accept().await.unwrap().0), other)
    }

    #[tokio::test]
    async fn whoever_accepts_connections_keeps_no_more_than_the_others_have() {
        let mut shares = shares(3);
        let (mut kept, mut others) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            let (stream, other) = connection().await;
            kept.extend(shares[0].assign(stream, None).unwrap());
            others.push(other);
        }
        assert_eq!(kept.len(), 3);
        for share in &mut shares[1..] {
            for _ in 0..2 {
                kept.push(share.handed().await.unwrap());
            }
        }
        let loads = |share: &Share| {
            share
                .workers
                .loads
                .iter()
                .map(|load| load.load(Ordering::Relaxed))
                .collect::<Vec<_>>()
        };
        assert_eq!(loads(&shares[0]), [3, 2, 2]);
        drop(kept);
        assert_eq!(loads(&shares[0]), [0, 0, 0]);
    }

    #[tokio::test]
    async fn a_connection_for_a_worker_that_ends_is_served_by_somebody() {
        let mut shares = shares(2);
        let mut kept = Vec::new();
        for _ in 0..2 {
            kept.extend(shares[0].assign(connection().await.0, None).unwrap());
        }
        assert_eq!(
            (kept.len(), shares[1].close().len()),
            (1, 1),
            "what was handed over before is not lost"
        );
        kept.extend(shares[0].assign(connection().await.0, None).unwrap());
        assert_eq!(kept.len(), 2, "and what comes later stays");
    }
}
