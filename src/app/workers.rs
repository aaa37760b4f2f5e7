//! The threads that serve requests.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    task::{LocalSet, spawn_local},
    time::interval,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    proxy::{
        client_connection::{ClientConnection, ListenerState},
        service::Proxy,
        worker::Worker,
    },
    server::{
        accept::Acceptor,
        connection::ConnectionState,
        listener::Bound,
        serve::{LocalExecutor, Server},
        share::{ConnectionPermit, Share, shares},
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
    pub(super) permits: Arc<Semaphore>,
}

/// All worker threads.
#[derive(Debug)]
pub(super) struct Workers {
    stop: watch::Sender<bool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` workers, each of which serves all listeners.
    ///
    /// `cancel` begins the drain; `tracker` tracks connections and tunnels.
    pub(super) fn start(
        count: usize,
        listeners: Vec<ProxyListener>,
        cancel: &CancellationToken,
        tracker: &TaskTracker,
    ) -> io::Result<Self> {
        let stop = watch::Sender::new(false);
        let mut threads = Vec::with_capacity(count);
        let (started, starts) = mpsc::channel();
        let mut all_shares: Vec<_> = listeners.iter().map(|_| shares(count)).collect();
        for number in 0..count {
            let own_shares = all_shares.iter_mut().filter_map(Vec::pop);
            let worker = WorkerThread {
                listeners: listeners.iter().cloned().zip(own_shares).collect(),
                // A child of its own: connections of different threads do not meet at one lock.
                cancel: cancel.child_token(),
                tracker: tracker.clone(),
                stopped: stop.subscribe(),
            };
            let started = started.clone();
            let run = move || {
                // The receiver is gone only when another worker failed to start.
                let _ = started.send(worker.run(&started));
            };
            let name = format!("worker-{number}");
            threads.push(thread::Builder::new().name(name).spawn(run)?);
        }
        drop(started);
        let workers = Self { stop, threads };
        for _ in 0..count {
            // Each worker reports once: that it has started, or why it has not.
            starts
                .recv()
                .map_err(|_| io::Error::other("a worker ended before it started"))??;
        }
        Ok(workers)
    }

    /// Ends the workers, and with them the connections that are left.
    pub(super) fn stop(self) {
        self.stop.send_replace(true);
        for thread in self.threads {
            // The panic hook has printed a worker's panic.
            let _ = thread.join();
        }
    }
}

/// One worker before its thread runs.
struct WorkerThread {
    listeners: Vec<(ProxyListener, Share)>,
    cancel: CancellationToken,
    tracker: TaskTracker,
    stopped: watch::Receiver<bool>,
}

impl WorkerThread {
    /// Runs the worker to its end. Reports the start through `started`; returns an error when it cannot start.
    fn run(mut self, started: &mpsc::Sender<io::Result<()>>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        LocalSet::new().block_on(&runtime, async {
            let worker = Rc::new(Worker::new(self.tracker.clone()));
            for (listener, share) in std::mem::take(&mut self.listeners) {
                self.accept(listener, share, &worker)?;
            }
            // As in `Workers::start`.
            let _ = started.send(Ok(()));
            spawn_local(sweep(worker));
            // The sender is dropped with the workers, which ends this one too.
            let _ = self.stopped.wait_for(|stopped| *stopped).await;
            Ok(())
        })
    }

    fn accept(&self, listener: ProxyListener, share: Share, worker: &Rc<Worker>) -> io::Result<()> {
        let acceptor = Acceptor {
            listener: listener.bound.listener()?,
            permits: listener.permits,
            share,
            cancel: self.cancel.clone(),
            tracker: self.tracker.clone(),
        };
        let server = Rc::new(Server::new(StreamExecutor, listener.state.limits));
        let (state, worker, cancel) = (listener.state, worker.clone(), self.cancel.clone());
        let serve = move |stream, permit| {
            serve(
                stream,
                permit,
                server.clone(),
                state.clone(),
                worker.clone(),
                cancel.clone(),
            )
        };
        // The accept loop ends with its listening handle: nothing connects once all loops have ended. A drain waits for
        // it, since a connection may be on its way to another worker.
        let tracker = self.tracker.clone();
        spawn_local(tracker.track_future(acceptor.run(LocalExecutor, serve)));
        Ok(())
    }
}

/// Serves one client connection.
async fn serve(
    stream: Stream,
    permit: ConnectionPermit,
    server: Rc<Server<StreamExecutor>>,
    listener: Arc<ListenerState>,
    worker: Rc<Worker>,
    cancel: CancellationToken,
) {
    let counted = listener.count_connection();
    let state = Arc::new(ConnectionState::default());
    let proxy = Proxy::new(ClientConnection {
        listener,
        worker,
        state: state.clone(),
        timer: RefCell::default(),
        admission: (permit, counted),
    });
    server.serve(stream, state, proxy, cancel).await;
}

async fn sweep(worker: Rc<Worker>) {
    let mut ticks = interval(SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        worker.sweep();
    }
}
