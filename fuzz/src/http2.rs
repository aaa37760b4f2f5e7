//! A connection and a peer that sends anything at all, while its streams are read, written to, and dropped: it neither
//! panics nor spins, what it sends is HTTP/2 within the windows, no window leaks, and what is read of a stream is HTTP/1.1
//! with one reading.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bearward::http2::{
    connection::{Connection, Liveness},
    frame::PREFACE,
    session::{Client, Limits, Server},
    stream::Stream,
};
use tokio::runtime::{Builder, Runtime};

use self::{
    pipe::{End, Pipe},
    reading::Reading,
    wire::{Fed, Said},
};

mod pipe;
mod reading;
mod wire;

const LIMITS: Limits = Limits {
    stream_window: 20_000,
    connection_window: wire::WINDOW,
    head_bytes: 16 * 1024,
    streams: 8,
};
/// The clock is not part of the play.
const LIVENESS: Liveness = Liveness {
    interval: Duration::from_secs(1000),
    timeout: Some(Duration::from_secs(1000)),
};
/// How often a connection may want to be polled again at once.
const MOST_POLLS: usize = 4;
/// What may be kept to be sent: frames that wait, and content of all streams.
const MOST_KEPT: usize = 192 * 1024 + LIMITS.streams * 96 * 1024;

/// Requests and answers as they are written.
const REQUESTS: [&[u8]; 4] = [
    b"GET /a HTTP/1.1\r\nauthorization: x\r\n\r\n",
    b"POST / HTTP/1.1\r\ncontent-length: 200000\r\n\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
    b"HEAD / HTTP/1.1\r\n\r\n",
];
const ANSWERS: [&[u8]; 5] = [
    b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
];
const CHUNKS: [&[u8]; 4] = [
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\ngrpc-status: 0\r\n\r\n",
    b"nonsense",
];

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
}

/// Reads `data` as a byte that picks the side, and steps: a byte that says which, and its operands.
pub fn check(data: &[u8]) {
    let [side, steps @ ..] = data else { return };
    RUNTIME.with(|runtime| {
        let _inside = runtime.enter();
        let mut play = if side % 2 == 0 {
            Play::server()
        } else {
            Play::client()
        };
        let mut steps = Steps(steps);
        while let Some(step) = steps.byte() {
            play.step(step, &mut steps);
            play.poll();
        }
        play.finish();
    });
}

/// What is left of the input; operands that are missing are 0.
struct Steps<'a>(&'a [u8]);

impl<'a> Steps<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn operand(&mut self) -> usize {
        usize::from(self.byte().unwrap_or(0))
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = self.operand();
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whichever side the connection is.
enum Side {
    Server(Server),
    Client(Option<Client>),
}

struct Held {
    stream: Stream,
    reading: Reading,
    is_closed: bool,
}

struct Play {
    side: Side,
    connection: Option<Connection<End>>,
    pipe: Rc<RefCell<Pipe>>,
    woken: Arc<Woken>,
    held: Vec<Held>,
    fed: Fed,
    said: Said,
    /// Messages that were read in all.
    messages: usize,
}

impl Play {
    fn server() -> Self {
        let pipe = Rc::new(RefCell::new(Pipe::new()));
        let (server, connection) = Server::begin(End(pipe.clone()), LIMITS, LIVENESS);
        let mut play = Self::new(Side::Server(server), connection, pipe, Said::default());
        play.pipe.borrow_mut().input.extend_from_slice(PREFACE);
        play.feed(&wire::frame(4, 0, 0, &[]));
        play.poll();
        play
    }

    fn client() -> Self {
        let pipe = Rc::new(RefCell::new(Pipe::new()));
        let end = End(pipe.clone());
        let (client, connection) = Client::begin(end, "http", "a.example".into(), LIMITS, LIVENESS);
        let mut play = Self::new(
            Side::Client(Some(client)),
            connection,
            pipe,
            Said::behind(PREFACE),
        );
        play.feed(&wire::frame(4, 0, 0, &[]));
        (0..3).for_each(|which| play.ask(which));
        play.poll();
        play
    }

    fn new(side: Side, connection: Connection<End>, pipe: Rc<RefCell<Pipe>>, said: Said) -> Self {
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let (connection, held) = (Some(connection), Vec::new());
        Self {
            side,
            connection,
            pipe,
            woken,
            held,
            fed: Fed::default(),
            said,
            messages: 0,
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.pipe.borrow_mut().input.extend_from_slice(bytes);
        self.fed.take(bytes);
    }

    fn step(&mut self, step: u8, steps: &mut Steps<'_>) {
        let is_server = matches!(self.side, Side::Server(_));
        match step % 14 {
            0 => self.feed(steps.bytes()),
            1 => {
                let (kind, flags, stream) = (
                    steps.operand() as u8,
                    steps.operand() as u8,
                    steps.operand() as u32,
                );
                self.feed(&wire::frame(kind, flags, stream, steps.bytes()));
            }
            // A GET or a POST, or the head of an answer: as the static table has them.
            2 => {
                let (stream, flags) = (steps.operand() as u32, steps.operand() as u8 & 1 | 4);
                let method = if flags & 1 == 1 { 0x82 } else { 0x83 };
                let block: &[u8] = if is_server {
                    &[method, 0x86, 0x84, 0x01, 0x01, b'a']
                } else {
                    &[0x88]
                };
                self.feed(&wire::frame(1, flags, stream, block));
            }
            3 => {
                let (stream, flags) = (steps.operand() as u32, steps.operand() as u8 & 1);
                self.feed(&wire::frame(
                    0,
                    flags,
                    stream,
                    &vec![b'x'; steps.operand() * 64],
                ));
            }
            4 => {
                let (stream, by) = (steps.operand() as u32, steps.operand() as u32 * 256);
                self.feed(&wire::frame(8, 0, stream, &by.to_be_bytes()));
            }
            5 => {
                let (at, size) = (steps.operand(), 1 + steps.operand() * 64);
                self.read(at, size);
            }
            6 => {
                let (at, which) = (steps.operand(), steps.operand());
                let bytes = if is_server {
                    ANSWERS[which % ANSWERS.len()]
                } else {
                    CHUNKS[which % CHUNKS.len()]
                };
                self.write(at, bytes);
            }
            7 => {
                let (at, which) = (steps.operand(), steps.operand());
                self.write(at, CHUNKS[which % CHUNKS.len()]);
            }
            8 => {
                let (at, size) = (steps.operand(), steps.operand() * 512);
                self.write(at, &vec![b'y'; size]);
            }
            9 => drop(self.pick(steps.operand()).map(|at| self.held.remove(at))),
            10 if !is_server => self.ask(steps.operand()),
            10 => {
                if let Some(at) = self.pick(steps.operand()) {
                    self.held[at].stream.close();
                    self.held[at].is_closed = true;
                }
            }
            11 => self.pipe.borrow_mut().room = steps.operand() * 16,
            12 => self.pipe.borrow_mut().room = usize::MAX,
            _ => match (&mut self.side, steps.operand() % 8) {
                (_, 0) => self.pipe.borrow_mut().is_ended = true,
                (Side::Server(server), _) => server.announce_end(),
                (Side::Client(client), _) => drop(client.take()),
            },
        }
    }

    fn pick(&self, at: usize) -> Option<usize> {
        at.checked_rem(self.held.len())
    }

    fn ask(&mut self, which: usize) {
        let Side::Client(Some(client)) = &self.side else {
            return;
        };
        // The pool asks no more of a connection than it has room for, but for what the peer has changed since.
        if self.held.len() >= 2 * LIMITS.streams {
            return;
        }
        let which = which % REQUESTS.len();
        let (stream, reading) = (client.stream(), Reading::answer(which == 3));
        self.held.push(Held {
            stream,
            reading,
            is_closed: false,
        });
        self.write(self.held.len() - 1, REQUESTS[which]);
    }

    fn write(&mut self, at: usize, mut bytes: &[u8]) {
        let Some(at) = self.pick(at) else { return };
        let waker = Waker::from(self.woken.clone());
        while !bytes.is_empty()
            && let Poll::Ready(Ok(count)) = self.held[at]
                .stream
                .poll_write(&mut Context::from_waker(&waker), bytes)
        {
            assert!(
                (1..=bytes.len()).contains(&count),
                "{count} of {} bytes were taken",
                bytes.len()
            );
            bytes = &bytes[count..];
        }
    }

    /// Whether more may come.
    fn read(&mut self, at: usize, size: usize) -> bool {
        let Some(at) = self.pick(at) else {
            return false;
        };
        let held = &mut self.held[at];
        let (waker, mut bytes) = (Waker::from(self.woken.clone()), vec![0; size]);
        match held
            .stream
            .poll_read(&mut Context::from_waker(&waker), &mut bytes)
        {
            Poll::Ready(Ok(0)) => {
                assert!(
                    held.is_closed || held.reading.may_end(),
                    "a message that was cut ends as if it were whole"
                );
                false
            }
            Poll::Ready(Ok(count)) => {
                self.messages += held.reading.take(&bytes[..count]);
                true
            }
            Poll::Ready(Err(_)) | Poll::Pending => false,
        }
    }

    /// Polls the connection until it rests.
    fn poll(&mut self) {
        for _ in 0..MOST_POLLS {
            let Some(connection) = &mut self.connection else {
                return;
            };
            self.woken.0.store(false, Ordering::Relaxed);
            let before = self.pipe.borrow().meter();
            let (waker, held) = (Waker::from(self.woken.clone()), &mut self.held);
            let mut accept = |stream| {
                held.push(Held {
                    stream,
                    reading: Reading::request(),
                    is_closed: false,
                })
            };
            let polled = connection.poll(&mut Context::from_waker(&waker), &mut accept);
            self.pipe.borrow().check_pace(before);
            if polled.is_ready() {
                self.connection = None;
            }
            self.said
                .take(&mut self.pipe.borrow_mut().output, &self.fed);
            assert!(
                self.held.len() <= 2 * LIMITS.streams,
                "more streams than are allowed"
            );
            if polled.is_ready() || !self.woken.0.load(Ordering::Relaxed) {
                return;
            }
            // Those who wait for a stream see whether they may have one.
            let mut cx = Context::from_waker(&waker);
            self.held
                .iter_mut()
                .for_each(|held| drop(held.stream.poll_flush(&mut cx)));
        }
        panic!("it does not come to rest");
    }

    fn finish(mut self) {
        self.pipe.borrow_mut().room = usize::MAX;
        let before = self.said.bytes;
        self.poll();
        assert!(
            self.said.bytes - before <= MOST_KEPT,
            "{} bytes were kept",
            self.said.bytes - before
        );
        // What came is read to its end, and by whoever waits when the connection ends too.
        for at in 0..self.held.len() {
            while self.read(at, 5000) {}
        }
        if matches!(self.side, Side::Server(_)) {
            assert!(
                self.messages <= self.fed.heads,
                "more requests are read than came"
            );
        }
        if self.connection.is_none() {
            let waker = Waker::from(self.woken.clone());
            for held in &mut self.held {
                let read = held
                    .stream
                    .poll_read(&mut Context::from_waker(&waker), &mut [0]);
                assert!(read.is_ready(), "somebody waits for ever");
            }
        }
        self.held.clear();
        self.poll();
        let is_read = self.pipe.borrow().input.is_empty();
        if self.connection.is_some() && is_read && !self.said.is_over {
            let held = self.fed.content - self.said.freed;
            assert!(
                held <= u64::from(wire::WINDOW / 2),
                "{held} bytes of the window leaked"
            );
        }
    }
}
