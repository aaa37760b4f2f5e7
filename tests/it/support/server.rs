//! A listening socket whose every connection is served by a thread, and which can be taken down and brought up again.

use std::{
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    patience::{lock, until},
    ports,
};

type Serve = dyn Fn(TcpStream, usize) + Send + Sync;

/// A server on loopback. Dropping it takes it down; a panic in its script then fails the test.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<Accepting>>,
}

struct Shared {
    serve: Box<Serve>,
    connections: AtomicUsize,
    open: Mutex<Vec<(usize, TcpStream)>>,
    panicked: AtomicBool,
}

struct Accepting {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Server {
    /// Starts one; `serve` gets each connection and its number, counted from 0.
    pub fn start(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        Self::start_at(ports::unused(), serve)
    }

    /// As [`Server::start`], at an address of the test's choice.
    pub fn start_at(
        address: SocketAddr,
        serve: impl Fn(TcpStream, usize) + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            serve: Box::new(serve),
            connections: AtomicUsize::new(0),
            open: Mutex::default(),
            panicked: AtomicBool::new(false),
        });
        let server = Self {
            address,
            shared,
            accepting: Mutex::new(None),
        };
        server.up();
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that were accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// Listens, on the same port as ever.
    pub fn up(&self) {
        let mut accepting = lock(&self.accepting);
        if accepting.is_some() {
            return;
        }
        let listener = until("the port of a test server", || {
            TcpListener::bind(self.address).ok()
        });
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (stop, shared) = (stop.clone(), self.shared.clone());
            move || accept(&listener, &stop, &shared)
        });
        *accepting = Some(Accepting { stop, thread });
    }

    /// Refuses connections and cuts those that are open.
    pub fn down(&self) {
        let Some(accepting) = lock(&self.accepting).take() else {
            return;
        };
        accepting.stop.store(true, Ordering::SeqCst);
        // Wakes the thread out of its accept.
        let _ = TcpStream::connect(self.address);
        let _ = accepting.thread.join();
        self.cut();
    }

    /// Closes all connections that are open, and goes on listening.
    pub fn cut(&self) {
        for (_, stream) in lock(&self.shared.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, stop: &AtomicBool, shared: &Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept() else {
            continue;
        };
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
        let _ = stream.set_write_timeout(Some(Duration::from_secs(60)));
        let Ok(handle) = stream.try_clone() else {
            continue;
        };
        lock(&shared.open).push((number, handle));
        let shared = shared.clone();
        thread::spawn(move || {
            let served = panic::catch_unwind(AssertUnwindSafe(|| (shared.serve)(stream, number)));
            if served.is_err() {
                shared.panicked.store(true, Ordering::SeqCst);
            }
            // The clone that is kept for `cut` would hold the connection open.
            lock(&shared.open).retain(|(other, handle)| {
                if *other == number {
                    let _ = handle.shutdown(Shutdown::Both);
                }
                *other != number
            });
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down();
        if self.shared.panicked.load(Ordering::SeqCst) && !thread::panicking() {
            panic!("the script of a test server panicked");
        }
    }
}
