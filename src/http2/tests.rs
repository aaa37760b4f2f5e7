//! Connections from end to end: both sides are ours, or one is written frame by frame, or is another implementation.

use std::{future::poll_fn, io, time::Duration};

use tokio::{
    io::DuplexStream,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::{JoinHandle, LocalSet, spawn_local},
    time::{Instant, timeout},
};

use self::wire::Wire;
use super::{
    connection::Liveness,
    session::{Client, Limits, Server},
};

mod ends;
mod exchange;
mod liveness;
mod others;
mod peer;
mod pressure;
mod seats;
pub(in crate::http2) mod transcript;
mod wire;

const LIMITS: Limits = Limits {
    stream_window: 65_535,
    connection_window: 100_000,
    head_bytes: 16 * 1024,
    streams: 8,
};
const LIVENESS: Liveness = Liveness {
    interval: Duration::from_secs(20),
    timeout: Some(Duration::from_secs(10)),
};
const SECOND: Duration = Duration::from_secs(1);

/// Runs a test on a thread like a worker's. Time passes where nobody has anything to do, so that what stands still is
/// found out at once.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        timeout(600 * SECOND, test).await.expect("nothing goes on")
    });
}

/// A server, and the streams that come to it.
struct Serving {
    server: Server,
    arrived: UnboundedReceiver<Wire>,
    task: JoinHandle<()>,
}

/// A client whose connection runs.
struct Asking {
    client: Client,
    task: JoinHandle<()>,
}

impl Serving {
    fn begin(io: DuplexStream, limits: Limits) -> Self {
        let (server, mut connection) = Server::begin(io, limits, LIVENESS);
        let (sender, arrived) = unbounded_channel();
        let mut accept = move |stream| drop(sender.send(Wire(stream)));
        let task = spawn_local(async move { poll_fn(|cx| connection.poll(cx, &mut accept)).await });
        Self {
            server,
            arrived,
            task,
        }
    }

    async fn next(&mut self) -> Wire {
        self.arrived.recv().await.unwrap()
    }

    /// Answers each request with its own content and trailers, in the same task as long as more of them come.
    fn echo(self) -> Server {
        let Self {
            server,
            mut arrived,
            ..
        } = self;
        spawn_local(async move {
            while let Some(mut wire) = arrived.recv().await {
                spawn_local(async move {
                    while let Ok(Some(request)) = wire.request().await {
                        if wire.write_all(&request.echoed()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        server
    }
}

impl Asking {
    fn begin(io: DuplexStream, limits: Limits) -> Self {
        let (client, mut connection) =
            Client::begin(io, "http", "a.example".into(), limits, LIVENESS);
        let task = spawn_local(async move { poll_fn(|cx| connection.poll(cx, &mut |_| {})).await });
        Self { client, task }
    }

    /// A stream on which this was written.
    async fn ask(&self, bytes: &[u8]) -> io::Result<Wire> {
        let mut wire = Wire(self.client.stream());
        wire.write_all(bytes).await?;
        Ok(wire)
    }

    /// Posts content and gives the content of the answer.
    async fn post(&self, content: &[u8]) -> io::Result<Vec<u8>> {
        let mut wire = self.ask(&posting(content)).await?;
        Ok(wire.answer().await?.content)
    }
}

/// Both sides, with so many bytes between them.
fn pair(between: usize, asking: Limits, serving: Limits) -> (Asking, Serving) {
    let (here, there) = tokio::io::duplex(between);
    (Asking::begin(here, asking), Serving::begin(there, serving))
}

fn posting(content: &[u8]) -> Vec<u8> {
    [
        format!(
            "POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n",
            content.len()
        )
        .as_bytes(),
        content,
    ]
    .concat()
}

/// Bytes of which no part is like another.
fn content(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8)
        .collect()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
