//! What the streams of one connection share: their windows, what is to be sent, and who waits for what.

mod ending;
mod incoming;
mod outgoing;
mod seat;

use std::{collections::VecDeque, io, rc::Rc, task::Waker};

use tokio::time::Instant;

pub(super) use self::{ending::Ending, seat::Seat};
use super::{
    frame::{self, MOST, PREFACE, Setting, setting},
    hpack::encode,
    inbound::{Inbound, Role},
    window::{self, ReceiveWindow, SendWindow},
};
use crate::http1::buffer::Buffer;

/// Content of a stream that waits for room in a window.
const MOST_WAITING: usize = 64 * 1024;
/// Frames that wait to be written: more content is not framed, and, at the double, nothing more is read.
const MOST_OUT: usize = 64 * 1024;

/// Which side of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Asks.
    Client,
    /// Is asked.
    Server,
}

/// Bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of content that the other side may send ahead on a stream.
    pub stream_window: u32,
    /// The same for all streams together.
    pub connection_window: u32,
    /// Bytes of a head or of trailers, as HTTP/2 counts them (RFC 9113 §6.5.2).
    pub head_bytes: usize,
    /// Streams at a time.
    pub streams: usize,
}

/// Why a stream broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The other side has done nothing with it (RFC 9113 §8.7).
    Refused,
    /// It is no longer wanted, or it went wrong.
    Reset,
    /// The connection ended.
    Lost,
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused => io::ErrorKind::ConnectionRefused.into(),
            Fault::Reset => io::ErrorKind::ConnectionReset.into(),
            Fault::Lost => io::ErrorKind::ConnectionAborted.into(),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct State {
    side: Side,
    limits: Limits,
    /// Frames to be written.
    pub(super) out: Buffer,
    /// How many bytes have left.
    left: u64,
    /// By their numbers, which only grow.
    streams: Vec<(u32, Box<Entry>)>,
    /// Streams with content that waits for room, in turn.
    queue: VecDeque<u32>,
    send: SendWindow,
    receive: ReceiveWindow,
    /// What streams begin with.
    peer_window: u32,
    peer_streams: u32,
    is_settled: bool,
    /// Our settings are known on the other side.
    is_heard: bool,
    early: u32,
    /// The table of the other side's decoder was changed, which has to be confirmed (RFC 7541 §4.2).
    owes_table_size: bool,
    /// The last stream that this side opened, or took from the other.
    last: u32,
    /// Streams that somebody holds, those that the other side has reset included.
    handles: usize,
    /// Streams that nobody has taken yet.
    arrived: VecDeque<u32>,
    /// Who waits for the next one.
    seats: Vec<Rc<Seat>>,
    idle_since: Instant,
    has_begun: bool,
    /// Wait until they may open a stream.
    openers: Vec<Waker>,
    pub(super) ending: Ending,
    /// Nobody will ask for a stream again.
    pub(super) is_unwanted: bool,
    /// Streams that the other side opened and gave up, less those that came to something.
    given_up: u32,
    given_up_since: Instant,
    driver: Option<Waker>,
}

/// One stream.
#[derive(Debug)]
struct Entry {
    inbound: Inbound,
    fault: Option<Fault>,
    receive: ReceiveWindow,
    reader: Option<Waker>,
    /// Where its head ends among all bytes that were put out.
    head_at: u64,
    waiting: Buffer,
    trailers: Buffer,
    send: SendWindow,
    writer: Option<Waker>,
    is_queued: bool,
    /// No more will be written.
    is_written: bool,
    /// END_STREAM was put out.
    is_sent: bool,
    /// A head that is not an interim one was put out.
    is_answered: bool,
    /// Whoever holds it reads no more than it has to.
    is_closing: bool,
    /// Nobody holds it any more.
    is_left: bool,
    /// How much of it waited when it was last looked after.
    unmoved: Option<usize>,
    /// What is still to come is not wanted, of which the other side is told once all was sent.
    is_reset_behind: bool,
}

impl Entry {
    fn new(role: Role, receive: u32, send: u32) -> Self {
        Self {
            inbound: Inbound::new(role),
            fault: None,
            receive: ReceiveWindow::new(receive),
            reader: None,
            head_at: u64::MAX,
            waiting: Buffer::new(),
            trailers: Buffer::new(),
            send: SendWindow::new(send),
            writer: None,
            is_queued: false,
            is_written: false,
            is_sent: false,
            is_answered: false,
            is_closing: false,
            is_left: false,
            unmoved: None,
            is_reset_behind: false,
        }
    }

    fn wake(&mut self) {
        [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
            .for_each(Waker::wake);
    }

    fn break_off(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
        self.waiting.release();
        self.wake();
    }
}

impl State {
    pub(super) fn new(side: Side, limits: Limits) -> Self {
        let mut state = Self {
            side,
            limits,
            out: Buffer::new(),
            left: 0,
            streams: Vec::new(),
            queue: VecDeque::new(),
            send: SendWindow::new(window::DEFAULT),
            receive: ReceiveWindow::new(limits.connection_window.max(window::DEFAULT)),
            peer_window: window::DEFAULT,
            // Until it says otherwise: what RFC 9113 §6.5.2 asks of everybody at the least.
            peer_streams: 100,
            is_settled: false,
            is_heard: false,
            early: 0,
            owes_table_size: false,
            last: 0,
            handles: 0,
            arrived: VecDeque::new(),
            seats: Vec::new(),
            idle_since: Instant::now(),
            has_begun: false,
            openers: Vec::new(),
            ending: Ending::Open,
            is_unwanted: false,
            given_up: 0,
            given_up_since: Instant::now(),
            driver: None,
        };
        state.introduce();
        state
    }

    /// What either side says first (RFC 9113 §3.4).
    fn introduce(&mut self) {
        let limits = self.limits;
        let own: Setting = match self.side {
            Side::Client => {
                self.out.extend(PREFACE);
                (setting::ENABLE_PUSH, 0)
            }
            Side::Server => (
                setting::MAX_CONCURRENT_STREAMS,
                u32::try_from(limits.streams).unwrap_or(MOST),
            ),
        };
        let head_bytes = u32::try_from(limits.head_bytes).unwrap_or(u32::MAX);
        let window = (setting::INITIAL_WINDOW_SIZE, limits.stream_window);
        frame::put_settings(
            &mut self.out,
            &[own, window, (setting::MAX_HEADER_LIST_SIZE, head_bytes)],
        );
        if let Some(more) = limits
            .connection_window
            .checked_sub(window::DEFAULT)
            .filter(|more| *more > 0)
        {
            frame::put_window_update(&mut self.out, 0, more);
        }
    }

    pub(super) fn is_client(&self) -> bool {
        self.side == Side::Client
    }

    fn entry(&mut self, stream: u32) -> Option<&mut Entry> {
        let found = self
            .streams
            .binary_search_by_key(&stream, |(id, _)| *id)
            .ok()?;
        Some(&mut self.streams[found].1)
    }

    fn insert(&mut self, stream: u32, entry: Entry) {
        debug_assert!(
            self.streams.last().is_none_or(|(last, _)| *last < stream),
            "numbers of streams only grow"
        );
        self.streams.push((stream, Box::new(entry)));
    }

    fn remove(&mut self, stream: u32) {
        if let Ok(found) = self.streams.binary_search_by_key(&stream, |(id, _)| *id) {
            self.streams.remove(found);
            self.wake_openers();
            self.stir_if_idle();
        }
    }

    fn wake_openers(&mut self) {
        self.openers.drain(..).for_each(Waker::wake);
    }

    /// Whether another stream may be opened now: a first one at once, more when the other side has said how many.
    fn may_open(&self) -> bool {
        let most = if self.is_settled {
            self.limits.streams.min(self.peer_streams as usize)
        } else {
            1
        };
        self.streams.len() < most && self.out.len() < MOST_OUT
    }

    /// Whether this connection takes another request, those counted that were given a place and have not begun.
    pub(super) fn has_room(&self) -> bool {
        let taken = self.streams.len().max(self.handles);
        self.is_open()
            && self.out.len() < MOST_OUT
            && taken < self.limits.streams.min(self.peer_streams as usize)
    }

    /// Whether new streams may begin.
    pub(super) fn is_open(&self) -> bool {
        // The numbers run out after a thousand million requests.
        self.ending == Ending::Open && self.last < MOST - 2
    }

    /// Whether there is nothing to be done.
    pub(super) fn is_idle(&self) -> bool {
        self.streams.is_empty() && self.handles == 0
    }

    /// Whether so much waits to be written that nothing more is read.
    pub(super) fn is_clogged(&self) -> bool {
        self.out.len() >= 2 * MOST_OUT
    }

    /// Since when there is nothing to be done; none while there is. Also whether there ever was.
    pub(super) fn idle_since(&self) -> (Option<Instant>, bool) {
        let is_quiet = self.is_idle() && self.out.is_empty();
        (is_quiet.then_some(self.idle_since), self.has_begun)
    }

    /// Somebody holds one more stream.
    pub(super) fn hold(&mut self) {
        self.handles += 1;
        self.has_begun = true;
    }

    /// Somebody holds a stream no more.
    pub(super) fn let_go(&mut self) {
        self.handles -= 1;
        if self.is_idle() {
            self.stir();
            // Which may be what it waited for.
            self.wake_driver();
        }
    }

    fn stir_if_idle(&mut self) {
        if self.is_idle() {
            self.stir();
        }
    }

    /// Counts what is idle from now on.
    pub(super) fn stir(&mut self) {
        self.idle_since = Instant::now();
    }

    pub(super) fn set_driver(&mut self, waker: &Waker) {
        match &mut self.driver {
            Some(driver) => driver.clone_from(waker),
            None => self.driver = Some(waker.clone()),
        }
    }

    pub(super) fn wake_driver(&self) {
        if let Some(driver) = &self.driver {
            driver.wake_by_ref();
        }
    }

    /// Bytes of `out` that have left.
    pub(super) fn sent(&mut self, count: usize) {
        self.left += count as u64;
        self.out.consume(count);
        if !self.openers.is_empty() && self.out.len() < MOST_OUT {
            self.wake_openers();
        }
    }

    fn put_fields(&mut self, stream: u32, block: &Buffer, is_end: bool) {
        if std::mem::take(&mut self.owes_table_size) {
            let mut whole = Buffer::with_size(block.len() + 1);
            encode::no_table(&mut whole);
            whole.extend(block.filled());
            frame::put_fields(&mut self.out, stream, whole.filled(), is_end);
        } else {
            frame::put_fields(&mut self.out, stream, block.filled(), is_end);
        }
    }
}

#[cfg(test)]
mod tests;
