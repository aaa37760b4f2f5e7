//! The threads that serve requests.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    sync::{Arc, mpsc::sync_channel},
    thread,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::{LocalSet, spawn_local},
    time::interval,
};
use tokio_util::task::TaskTracker;

use crate::{
    proxy::{
        client_connection::{ClientConnection, ListenerState},
        service::Proxy,
        worker::Worker,
    },
    server::{
        accept::Acceptor,
        connection::ConnectionState,
        limits::Limits,
        listener::Bound,
        serve::{LocalExecutor, Server},
        share::{ConnectionPermit, Share, shares},
        shutdown::Shutdown,
        stream::Stream,
        stream_watch::StreamExecutor,
    },
};

/// The interval at which idle upstream connections are checked.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// One listener, as every worker serves it.
#[derive(Clone, Debug)]
pub(super) struct ProxyListener {
    pub(super) bound: Arc<Bound>,
    pub(super) state: Arc<ListenerState>,
    pub(super) shutdown: Shutdown,
}

/// All worker threads. Dropping it ends them, and with them the connections that are left.
#[derive(Debug)]
pub(super) struct Workers {
    threads: Vec<WorkerThread>,
}

/// One worker, as the control thread knows it.
#[derive(Debug)]
struct WorkerThread {
    listeners: mpsc::UnboundedSender<NewListener>,
    thread: thread::JoinHandle<()>,
}

/// A listener for a worker to serve, and the sender of the outcome.
struct NewListener {
    listener: ProxyListener,
    share: Share,
    started: oneshot::Sender<io::Result<()>>,
}

impl Workers {
    /// Starts `count` workers without listeners. `tracker` tracks their connections and tunnels.
    ///
    /// # Errors
    /// The system gives no thread or descriptor.
    pub(super) fn start(count: usize, tracker: &TaskTracker) -> io::Result<Self> {
        let (started, starts) = sync_channel(count);
        let mut threads = Vec::with_capacity(count);
        for number in 0..count {
            let (sender, listeners) = mpsc::unbounded_channel();
            let (tracker, started) = (tracker.clone(), started.clone());
            let run = move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                // The receiver is gone only when another worker failed to start.
                match runtime {
                    Ok(runtime) => {
                        let _ = started.send(Ok(()));
                        LocalSet::new().block_on(&runtime, work(listeners, tracker));
                    }
                    Err(error) => {
                        let _ = started.send(Err(error));
                    }
                }
            };
            let name = format!("worker-{number}");
            threads.push(WorkerThread {
                listeners: sender,
                thread: thread::Builder::new().name(name).spawn(run)?,
            });
        }
        for _ in 0..count {
            // Each worker reports once: that it has started, or why it has not.
            starts.recv().map_err(io::Error::other)??;
        }
        Ok(Self { threads })
    }

    /// Serves another listener on every worker.
    ///
    /// # Errors
    /// No descriptor is left. Then the listener has been shut down.
    pub(super) async fn serve(&self, listener: &ProxyListener) -> io::Result<()> {
        let mut starts = Vec::with_capacity(self.threads.len());
        for (worker, share) in self.threads.iter().zip(shares(self.threads.len())) {
            let (started, start) = oneshot::channel();
            // A worker that has ended drops `started`, which is reported below.
            let _ = worker.listeners.send(NewListener {
                listener: listener.clone(),
                share,
                started,
            });
            starts.push(start);
        }
        for start in starts {
            if let Err(error) = start.await.unwrap_or_else(|_| Err(ended())) {
                listener.shutdown.start_drain();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends the workers, and with them the connections that are left.
    pub(super) fn stop(self) {
        let threads = self.threads.into_iter().map(|worker| {
            drop(worker.listeners);
            worker.thread
        });
        for thread in threads.collect::<Vec<_>>() {
            // The panic hook has printed a worker's panic.
            let _ = thread.join();
        }
    }
}

fn ended() -> io::Error {
    io::Error::other("a worker has ended")
}

/// Runs a worker: serves every listener that arrives, until their sender is dropped.
async fn work(mut listeners: mpsc::UnboundedReceiver<NewListener>, tracker: TaskTracker) {
    let worker = Rc::new(Worker::new(tracker));
    spawn_local(sweep(worker.clone()));
    while let Some(new) = listeners.recv().await {
        // The receiver is gone only when another worker failed.
        let _ = new.started.send(accept(&new.listener, new.share, &worker));
    }
}

/// Accepts the connections of a listener, until its shutdown begins.
fn accept(listener: &ProxyListener, share: Share, worker: &Rc<Worker>) -> io::Result<()> {
    // A child of its own: connections of different threads do not meet at one lock.
    let shutdown = listener.shutdown.child();
    let acceptor = Acceptor {
        listener: listener.bound.listener()?,
        limit: listener.state.connection_limit.clone(),
        share,
        shutdown: shutdown.clone(),
        tracker: worker.tasks.clone(),
    };
    let servers = Servers::new(&listener.state);
    let tracker = worker.tasks.clone();
    // Not the listener itself: a connection outlives the socket.
    let (state, worker) = (listener.state.clone(), worker.clone());
    let serve = move |stream, permit| {
        let server = servers.for_limits(&state);
        // A child of its own: while the listener is full, an idle connection may have to go.
        let shutdown = shutdown.child();
        let (state, worker) = (state.clone(), worker.clone());
        serve(stream, permit, server, state, worker, shutdown)
    };
    // The accept loop ends with its listening handle: nothing connects once all loops have ended. A drain waits for it,
    // since a connection may be on its way to another worker.
    let accepting = tracker.track_future(acceptor.run(LocalExecutor, serve));
    spawn_local(accepting);
    Ok(())
}

/// The server of a listener on one worker, made anew when the limits change.
struct Servers(RefCell<Rc<Server<StreamExecutor>>>);

impl Servers {
    fn new(state: &ListenerState) -> Self {
        Self(RefCell::new(Self::server(**state.limits.load())))
    }

    fn for_limits(&self, state: &ListenerState) -> Rc<Server<StreamExecutor>> {
        let limits = **state.limits.load();
        let mut server = self.0.borrow_mut();
        if *server.limits() != limits {
            *server = Self::server(limits);
        }
        server.clone()
    }

    fn server(limits: Limits) -> Rc<Server<StreamExecutor>> {
        Rc::new(Server::new(StreamExecutor, limits))
    }
}

/// Serves one client connection.
async fn serve(
    stream: Stream,
    permit: ConnectionPermit,
    server: Rc<Server<StreamExecutor>>,
    listener: Arc<ListenerState>,
    worker: Rc<Worker>,
    shutdown: Shutdown,
) {
    let counted = listener.count_connection();
    let state = Arc::new(ConnectionState::default());
    let limit = &listener.connection_limit;
    let _registration = limit.register(state.clone(), shutdown.clone());
    let proxy = Proxy::new(ClientConnection {
        listener,
        limits: *server.limits(),
        worker,
        state: state.clone(),
        timer: RefCell::default(),
        admission: (permit, counted),
    });
    server.serve(stream, state, proxy, shutdown).await;
}

async fn sweep(worker: Rc<Worker>) {
    let mut ticks = interval(SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        worker.sweep();
    }
}
