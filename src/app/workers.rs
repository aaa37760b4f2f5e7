//! The threads that serve requests.

use std::{
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

use crate::{
    http1::buffer,
    proxy::{connection, service::Ingress, worker::Worker},
    server::{
        accept::accept_loop,
        drain::{Drain, Watch},
        listener::Bound,
        share::{Share, shares},
    },
};

/// How often idle connections to upstreams and unused memory are looked over.
const SWEEP: Duration = Duration::from_secs(5);

/// One listener, as every worker serves it.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) bound: Arc<Bound>,
    pub(super) ingress: Arc<Ingress>,
    pub(super) places: Arc<Semaphore>,
}

/// All worker threads.
#[derive(Debug)]
pub(super) struct Workers {
    stop: watch::Sender<bool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` workers, each of which serves all `services`.
    pub(super) fn start(count: usize, services: Vec<Service>, drain: &Drain) -> io::Result<Self> {
        let stop = watch::Sender::new(false);
        let mut threads = Vec::with_capacity(count);
        let (started, starts) = mpsc::channel();
        let mut shares: Vec<_> = services.iter().map(|_| shares(count)).collect();
        for number in 0..count {
            // Each worker has its share of every listener.
            let own = shares.iter_mut().filter_map(Vec::pop);
            let services: Vec<_> = services.iter().cloned().zip(own).collect();
            let started = started.clone();
            let (watch, stopped) = (drain.watch(), stop.subscribe());
            let work = move || {
                // The receiver is gone only when another worker's start failed, and then this one's is of no interest.
                let _ = started.send(work(services, watch, stopped, &started));
            };
            threads.push(
                thread::Builder::new()
                    .name(format!("worker-{number}"))
                    .spawn(work)?,
            );
        }
        drop(started);
        let workers = Self { stop, threads };
        for _ in 0..count {
            // Each worker says once that it has started, or why it has not.
            starts
                .recv()
                .map_err(|_| io::Error::other("a worker ended before it began"))??;
        }
        Ok(workers)
    }

    /// Ends the workers, and with them what they are still at.
    pub(super) fn stop(self) {
        self.stop.send_replace(true);
        for thread in self.threads {
            // A panic in a worker itself has been printed by its own thread.
            let _ = thread.join();
        }
    }
}

/// A worker's life. Gives an error if it cannot begin; says through `started` that it has.
fn work(
    services: Vec<(Service, Share)>,
    watch: Watch,
    mut stopped: watch::Receiver<bool>,
    started: &mpsc::Sender<io::Result<()>>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let worker = Rc::new(Worker::default());
        for (service, share) in services {
            let listener = service.bound.listener()?;
            let (ingress, own) = (service.ingress, worker.clone());
            let serve =
                move |stream, watch| connection::serve(stream, ingress.clone(), own.clone(), watch);
            // With the loop goes this worker's handle to the socket: nothing connects any more once all have ended.
            spawn_local(accept_loop(
                listener,
                service.places,
                share,
                watch.clone(),
                serve,
            ));
        }
        // As in `Workers::start`.
        let _ = started.send(Ok(()));
        spawn_local(sweep(worker.clone()));
        spawn_local(drain(worker, watch));
        // The sender is dropped when nobody waits for us any more, which is an end as well.
        let _ = stopped.wait_for(|stopped| *stopped).await;
        Ok(())
    })
}

async fn sweep(worker: Rc<Worker>) {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        worker.pool.sweep();
        buffer::trim();
    }
}

async fn drain(worker: Rc<Worker>, mut watch: Watch) {
    watch.draining().await;
    worker.drain();
}
