//! The clients: closed loops that send, check the response, pause, and send again.

mod grpc;
mod http1;
mod http2;
mod response;
mod upload;
mod websocket;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, task::JoinSet};

use crate::{random::Random, world::World};

/// The longest wait for the end of a request: several times the longest of the sidecar's own.
const PATIENCE: Duration = Duration::from_secs(90);

/// Clients of each sort.
const KEEP_ALIVE: u64 = 8;
const ONE_SHOT: u64 = 3;
const HTTP2: u64 = 3;
const UPLOADS: u64 = 3;
const GRPC: u64 = 4;
const WEBSOCKETS: u64 = 4;

/// All clients, running.
pub(crate) struct Load {
    tasks: JoinSet<()>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// One client: its world, its random numbers.
struct Client {
    world: Arc<World>,
    random: Random,
}

impl Load {
    /// Starts all clients.
    pub(crate) fn start(world: &Arc<World>) -> Self {
        let mut number = 1000;
        let mut client = || {
            number += 1;
            Client {
                world: world.clone(),
                random: Random::new(world.seed, number),
            }
        };
        let mut tasks = JoinSet::new();
        for _ in 0..KEEP_ALIVE {
            tasks.spawn(http1::keep_alive(client()));
        }
        for _ in 0..ONE_SHOT {
            tasks.spawn(http1::one_shot(client()));
        }
        for _ in 0..HTTP2 {
            tasks.spawn(http2::run(client()));
        }
        for _ in 0..UPLOADS {
            tasks.spawn(upload::run(client()));
        }
        for _ in 0..GRPC {
            tasks.spawn(grpc::run(client()));
        }
        let threads = (0..WEBSOCKETS).map(|_| {
            let client = client();
            thread::spawn(move || websocket::run(client))
        });
        let threads = threads.collect();
        Self { tasks, threads }
    }

    /// Waits until every client has ended, which each does after its last request.
    pub(crate) async fn wait(self) -> Result<(), String> {
        let Self { mut tasks, threads } = self;
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| format!("a client failed: {error}"))?;
        }
        for thread in threads {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                return Err("a WebSocket client failed".into());
            }
        }
        Ok(())
    }
}

impl Client {
    /// Connects to the sidecar; waits and tries again while it is down. `None` when the load has ended.
    async fn connect(&self) -> Option<TcpStream> {
        while !self.world.is_over() {
            let since = Instant::now();
            match TcpStream::connect(self.world.listen).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Some(stream);
                }
                Err(_) => {
                    self.world.ledger.record_unconnected(since);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        None
    }

    /// Pauses between two requests.
    async fn think(&mut self) {
        tokio::time::sleep(self.random.millis(30, 150)).await;
    }
}
