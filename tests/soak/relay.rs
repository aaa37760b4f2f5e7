//! A relay of bytes in front of an upstream, which cuts connections and refuses them on demand.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinHandle},
};

use crate::{
    places::Upstream,
    random::Random,
    timeline::{Event, Timeline},
};

/// A relay. Its address stays the same.
pub(crate) struct Relay {
    upstream: Upstream,
    address: SocketAddr,
    backend: SocketAddr,
    timeline: Arc<Timeline>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl Relay {
    /// Starts a relay from `address` to `backend`.
    pub(crate) async fn start(
        upstream: Upstream,
        address: SocketAddr,
        backend: SocketAddr,
        timeline: Arc<Timeline>,
    ) -> io::Result<Self> {
        let relay = Self {
            upstream,
            address,
            backend,
            timeline,
            connections: Arc::default(),
            accepting: Mutex::default(),
        };
        relay.listen().await?;
        Ok(relay)
    }

    pub(crate) fn upstream(&self) -> Upstream {
        self.upstream
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts one connection of `one_in`, or all of them with 1.
    pub(crate) fn cut(&self, one_in: u64, random: &mut Random) {
        let event = Event::Cut(self.upstream);
        self.timeline.begin(event);
        let mut connections = lock(&self.connections);
        connections.retain(|connection| !connection.is_finished());
        for connection in connections.iter() {
            if random.one_in(one_in) {
                connection.abort();
            }
        }
        drop(connections);
        self.timeline.end(event);
    }

    /// Refuses connections for a while. Open ones stay.
    pub(crate) async fn close(&self, length: Duration) -> io::Result<()> {
        let event = Event::Closed(self.upstream);
        self.timeline.begin(event);
        if let Some(accepting) = lock(&self.accepting).take() {
            accepting.abort();
        }
        tokio::time::sleep(length).await;
        let listening = self.listen().await;
        self.timeline.end(event);
        listening
    }

    async fn listen(&self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        let (backend, connections) = (self.backend, self.connections.clone());
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let mut connections = lock(&connections);
                connections.retain(|connection| !connection.is_finished());
                connections.push(tokio::spawn(relay(stream, backend)).abort_handle());
            }
        });
        *lock(&self.accepting) = Some(task);
        Ok(())
    }
}

async fn relay(mut client: TcpStream, backend: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(backend).await {
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        // Ends with either side, or when it is cut.
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
