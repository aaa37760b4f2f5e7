//! A connection: what moves bytes between a socket and the state that its streams share.

use std::{
    cell::RefCell,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    fields::Fields,
    frame::{self, Broken, LARGEST, PREFACE, Reason},
    hpack::decode::Decoder,
    reader::{Frame, Reader},
    state::{Ending, State},
    stream::Stream,
};
use crate::http1::buffer::{Buffer, LARGE, SMALL};

/// What the packed fields of the other side may refer back to (SETTINGS_HEADER_TABLE_SIZE, RFC 9113 §6.5.2).
const TABLE: usize = 4096;
/// Frames in a row that ask for nothing.
const MOST_NOTHINGS: u32 = 10_000;
/// What the ping says that asks whether the other side lives.
const ALIVE: [u8; 8] = *b"bearward";
/// How long the other side may take nothing of what is written before it counts as gone.
const STUCK: Duration = Duration::from_secs(60);
/// How long a connection that is given up may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long, and for how many bytes, what still comes is thrown away once all was told.
const LINGER: Duration = Duration::from_secs(2);
const MOST_LINGERING_BYTES: usize = 1024 * 1024;

/// How often a connection is looked after.
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    /// How long nothing may move: then streams that nobody holds any more are given up.
    pub interval: Duration,
    /// How long the other side may take to say that it lives. None: it is not asked.
    pub timeout: Option<Duration>,
}

/// A connection. It has to be polled for anything to happen on its streams.
#[derive(Debug)]
pub struct Connection<T> {
    io: T,
    state: Rc<RefCell<State>>,
    input: Buffer,
    reader: Reader,
    decoder: Decoder,
    fields: Fields,
    preface: usize,
    nothings: u32,
    liveness: Liveness,
    /// When it is time to ask, or to give up.
    alarm: Pin<Box<Sleep>>,
    moved: Instant,
    asked: bool,
    /// How many bytes are still thrown away, where there is nothing else to do.
    lingering: Option<usize>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Connection<T> {
    pub(super) fn new(
        io: T,
        state: Rc<RefCell<State>>,
        liveness: Liveness,
        head_bytes: usize,
    ) -> Self {
        let now = Instant::now();
        let is_server = !state.borrow().is_client();
        Self {
            io,
            state,
            input: Buffer::new(),
            // Packed by a careless sender, fields may take more than they hold; a head that is too large is to be answered.
            reader: Reader::new(head_bytes.saturating_mul(4)),
            decoder: Decoder::new(TABLE),
            fields: Fields::new(head_bytes),
            preface: if is_server { PREFACE.len() } else { 0 },
            nothings: 0,
            liveness,
            alarm: Box::pin(sleep_until(now + liveness.interval)),
            moved: now,
            asked: false,
            lingering: None,
        }
    }

    /// Runs the connection as far as it goes now, and hands each new stream of the other side to `accept`. Ready at its
    /// end.
    pub fn poll(&mut self, cx: &mut Context<'_>, accept: &mut dyn FnMut(Stream)) -> Poll<()> {
        self.state.borrow_mut().set_driver(cx.waker());
        let ended = self.poll_moving(cx, accept);
        if ended.is_ready() {
            self.state.borrow_mut().lose();
        }
        ended
    }

    fn poll_moving(&mut self, cx: &mut Context<'_>, accept: &mut dyn FnMut(Stream)) -> Poll<()> {
        if self.lingering.is_some() {
            return self.poll_linger(cx);
        }
        loop {
            let read = match self.poll_read(cx) {
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(End::Lost)) => {
                    if !self.input.is_empty() || self.reader.is_amid_fields() {
                        // Some of an answer came, and nobody knows of which.
                        self.state.borrow_mut().fail_all();
                    }
                    return Poll::Ready(());
                }
                Poll::Ready(Err(End::Broken(broken))) => {
                    self.give_up(broken);
                    true
                }
                Poll::Pending => false,
            };
            loop {
                let arrived = self.state.borrow_mut().seat();
                let Some(stream) = arrived else { break };
                accept(Stream::arrived(self.state.clone(), stream));
            }
            self.state.borrow_mut().end_unwanted();
            let Ok(wrote) = self.write(cx) else {
                return Poll::Ready(());
            };
            if self.is_over() {
                if self.has_answered() {
                    // Whoever breaks the protocol is not listened to for long.
                    let is_broken = self.state.borrow().ending == Ending::Broken;
                    self.lingering = Some(if is_broken {
                        LARGE
                    } else {
                        MOST_LINGERING_BYTES
                    });
                    self.alarm.as_mut().reset(Instant::now() + LINGER);
                    return self.poll_linger(cx);
                }
                // The other side has been told all there is; how it takes that is not waited for.
                let _ = Pin::new(&mut self.io).poll_shutdown(cx);
                return Poll::Ready(());
            }
            if !read && !wrote {
                return self.poll_alarm(cx);
            }
        }
    }

    /// Whether there is nothing left to do.
    fn is_over(&self) -> bool {
        let state = self.state.borrow();
        match state.ending {
            Ending::Open | Ending::Announced => false,
            Ending::Going => state.is_idle() && state.out.is_empty(),
            Ending::Broken => state.out.is_empty(),
            Ending::Over => true,
        }
    }

    /// Whether answers, or the reason why there are none, may still be on their way.
    fn has_answered(&self) -> bool {
        let state = self.state.borrow();
        !state.is_client() && matches!(state.ending, Ending::Going | Ending::Broken)
    }

    /// Ends so that the other side can still read what it was told: a socket that is closed while anything on it is unread,
    /// be it an update of a window, takes back what has not arrived (RFC 9112 §9.6 has it for HTTP/1.1).
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match Pin::new(&mut self.io).poll_shutdown(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Pending => return self.alarm.as_mut().poll(cx),
        }
        while let Some(left) = &mut self.lingering {
            if self.input.size() == 0 {
                self.input = Buffer::with_size(SMALL);
            }
            self.input.reset(0);
            let mut buffer = ReadBuf::new(self.input.spare());
            let read = Pin::new(&mut self.io).poll_read(cx, &mut buffer);
            let count = buffer.filled().len();
            match read {
                Poll::Ready(Ok(())) if count > 0 && count <= *left => *left -= count,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.alarm.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }

    /// Reads once, and takes all frames that are whole.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        {
            let state = self.state.borrow();
            if state.is_clogged() || state.ending == Ending::Broken {
                return Poll::Pending;
            }
        }
        self.make_room();
        let mut buffer = ReadBuf::new(self.input.spare());
        let read = Pin::new(&mut self.io).poll_read(cx, &mut buffer);
        let count = buffer.filled().len();
        match read {
            Poll::Pending => {
                if self.input.is_empty() {
                    self.input.release();
                }
                return Poll::Pending;
            }
            Poll::Ready(Ok(())) if count > 0 => self.input.advance(count),
            Poll::Ready(_) => return Poll::Ready(Err(End::Lost)),
        }
        self.moved = Instant::now();
        self.asked = false;
        Poll::Ready(self.take_frames().map_err(End::Broken))
    }

    fn make_room(&mut self) {
        if self.input.is_empty() {
            self.input.reset(0);
        }
        if self.input.size() == 0 {
            self.input = Buffer::with_size(SMALL);
        } else if self.input.spare().len() < self.input.size() / 4 {
            self.input.compact();
            if self.input.len() > self.input.size() / 2 {
                self.input.grow(LARGE.max(2 * LARGEST));
            }
        }
    }

    fn take_frames(&mut self) -> Result<(), Broken> {
        self.take_preface()?;
        let mut state = self.state.borrow_mut();
        while self.preface == 0
            && let Some(length) = Reader::length(self.input.filled())?
            && let Some(bytes) = self.input.filled().get(..length)
        {
            let frame = self.reader.read(bytes)?;
            match frame {
                Frame::Data {
                    content: [],
                    is_end: false,
                    ..
                }
                | Frame::Nothing => self.nothings += 1,
                Frame::Data { .. } | Frame::Fields { .. } => self.nothings = 0,
                _ => {}
            }
            if self.nothings > MOST_NOTHINGS {
                return Err(Broken::new(
                    Reason::ENHANCE_YOUR_CALM,
                    "frames that ask for nothing, without end",
                ));
            }
            state.take(&frame, &mut self.decoder, &mut self.fields)?;
            self.input.consume(length);
        }
        Ok(())
    }

    /// What a client says first was looked at already where it was told from HTTP/1.1, and has to be all of it.
    fn take_preface(&mut self) -> Result<(), Broken> {
        let count = self.preface.min(self.input.len());
        let from = PREFACE.len() - self.preface;
        if self.input.filled()[..count] != PREFACE[from..from + count] {
            return Err(Broken::protocol("another preface"));
        }
        self.input.consume(count);
        self.preface -= count;
        Ok(())
    }

    /// Writes what there is to be written; whether anything was.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut wrote = false;
        loop {
            let mut state = self.state.borrow_mut();
            state.pump();
            if state.out.is_empty() {
                state.out.release();
                break;
            }
            match Pin::new(&mut self.io).poll_write(cx, state.out.filled()) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => state.sent(count),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    state.out.compact();
                    break;
                }
            }
            wrote = true;
        }
        if wrote {
            self.moved = Instant::now();
        }
        if let Poll::Ready(Err(error)) = Pin::new(&mut self.io).poll_flush(cx) {
            return Err(error);
        }
        Ok(wrote)
    }

    /// The other side breaks the protocol: it is told so, and that is all.
    fn give_up(&mut self, broken: Broken) {
        tracing::debug!(
            reason = broken.reason.0,
            "an HTTP/2 connection broke: {}",
            broken.what
        );
        let mut state = self.state.borrow_mut();
        state.break_off(broken.reason);
        self.alarm.as_mut().reset(Instant::now() + LAST_WORDS);
    }

    /// Gives up streams that nobody holds and that do not move. Asks the other side whether it lives once nothing has moved
    /// for too long; ready when it does not answer, though it could.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.alarm.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let mut state = self.state.borrow_mut();
            if state.ending == Ending::Broken {
                return Poll::Ready(());
            }
            state.sweep();
            let interval = self.liveness.interval;
            let next = match self.liveness.timeout {
                None if self.moved + interval <= now && !state.out.is_empty() => {
                    tracing::debug!("an HTTP/2 connection is not read any more");
                    return Poll::Ready(());
                }
                None => now + interval,
                Some(_) if !self.asked && self.moved + interval > now => self.moved + interval,
                Some(timeout) if !self.asked => {
                    self.asked = true;
                    frame::put_ping(&mut state.out, false, ALIVE);
                    now + timeout
                }
                // Its answer may wait behind what is still on its way there.
                Some(timeout) if !state.out.is_empty() && self.moved + STUCK > now => now + timeout,
                Some(timeout) if self.moved + timeout > now => now + timeout,
                Some(_) => {
                    tracing::debug!("an HTTP/2 connection is dead");
                    return Poll::Ready(());
                }
            };
            self.alarm.as_mut().reset(next);
            // What was put out is written when this is polled again.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// Whoever is still at a stream learns that nothing more moves.
impl<T> Drop for Connection<T> {
    fn drop(&mut self) {
        self.state.borrow_mut().lose();
    }
}

/// How a connection ends from the other side.
enum End {
    /// It is gone.
    Lost,
    /// It can no longer be understood.
    Broken(Broken),
}
