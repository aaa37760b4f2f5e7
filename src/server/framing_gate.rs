//! Keeps ambiguous framing away from hyper, on the bytes of a connection before they are parsed.
//!
//! hyper resolves some ambiguities silently that a proxy must refuse, and refuses bytes in targets that a proxy must
//! pass. The gate follows the messages as hyper's server does and
//!
//! - refuses heads whose framing is ambiguous, and targets with a `#`,
//! - percent-encodes the bytes of a target that `http::Uri` refuses but legacy clients send.
//!
//! A head goes on only when it is whole, since a later line may change what an earlier one means. One that arrives in
//! one read, as nearly all do, is examined in place and never copied. In place of a refused head goes a minimal valid
//! one, the last of its connection: the service learns through [`GateVerdicts`] what it stands for and responds in its
//! order behind pipelined requests.

mod chunked;
mod head;
mod scanner;
#[cfg(test)]
mod tests;
mod verdicts;

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::scanner::{Rest, Scan, Scanner};
pub use self::verdicts::{GatePhase, GateRefusal, GateVerdicts};
use super::limits::Limits;

/// The protocol that a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateProtocol {
    /// HTTP/1.1 or HTTP/1.0.
    Http1,
    /// HTTP/2 with prior knowledge (RFC 9113 §3.3).
    Http2,
}

/// Bytes that are read at a time while a head is incomplete.
const READ_BYTES: usize = 4096;

/// A client's connection that checks and encodes request heads before hyper parses them.
#[derive(Debug)]
pub struct FramingGate<S> {
    stream: S,
    scanner: Scanner,
    verdicts: GateVerdicts,
    /// The part of an incomplete head that has arrived.
    held: Vec<u8>,
    /// Bytes that may go on but have not been read yet, from `ready_at`.
    ready: Vec<u8>,
    ready_at: usize,
    is_refused: bool,
    /// The reader that waits until the protocol of the next bytes is decided.
    waiting: Option<Waker>,
}

impl<S> FramingGate<S> {
    /// Wraps an accepted `stream`. Heads above `limits.head_bytes` or `limits.head_fields` are refused.
    ///
    /// An incomplete head is held back, so that this also bounds the gate's memory. Encoded targets grow: where one
    /// makes a head larger than hyper's buffer, hyper responds with a bare 431.
    pub fn new(stream: S, verdicts: GateVerdicts, limits: &Limits) -> Self {
        Self {
            stream,
            scanner: Scanner::new(limits.head_bytes, limits.head_fields),
            verdicts,
            held: Vec::new(),
            ready: Vec::new(),
            ready_at: 0,
            is_refused: false,
            waiting: None,
        }
    }

    /// A handle to what the gate knows of this connection.
    pub fn verdicts(&self) -> GateVerdicts {
        self.verdicts.clone()
    }

    /// The stream behind the gate.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream behind the gate. What is read from it directly, the gate does not see.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The stream behind the gate, and what was read from it but not from the gate.
    pub fn into_parts(mut self) -> (S, Vec<u8>) {
        self.ready.drain(..self.ready_at);
        self.ready.append(&mut self.held);
        (self.stream, self.ready)
    }

    /// Moves `bytes` to where they wait, as `scan` has found them and as those behind it are found.
    fn settle(&mut self, mut bytes: &[u8], mut scan: Scan) {
        loop {
            let (pass, left) = bytes.split_at(scan.passed);
            self.ready.extend_from_slice(pass);
            match scan.rest {
                Rest::Empty | Rest::Drop => return,
                Rest::Incomplete => return self.held.extend_from_slice(left),
                Rest::Refuse { why, is_http10 } => {
                    self.is_refused = true;
                    self.verdicts.refuse(self.scanner.heads(), why);
                    let is_head = left.starts_with(b"HEAD ");
                    self.ready.extend_from_slice(substitute(is_head, is_http10));
                    return;
                }
                Rest::Encode { head_len, target } => {
                    self.ready.extend_from_slice(&left[..target.start]);
                    if head::has_raw_path(&left[target.clone()]) {
                        self.verdicts.mark_raw_path(self.scanner.heads());
                    }
                    head::encode_target(&left[target.clone()], &mut self.ready);
                    self.ready.extend_from_slice(&left[target.end..head_len]);
                    bytes = &left[head_len..];
                    scan = self.scanner.scan(bytes);
                }
            }
        }
    }

    /// Refuses the incomplete head because its time is over.
    pub fn expire_head(&mut self) {
        let refused = Scan {
            passed: 0,
            rest: self.scanner.refuse(GateRefusal::HeadTimeout),
        };
        let held = mem::take(&mut self.held);
        self.settle(&held, refused);
        self.publish();
    }

    /// Publishes the state of the connection to the holders of the handle.
    fn publish(&self) {
        // Empty lines before a head are not its beginning.
        let is_blank = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let is_empty = self.held.ends_with(b"\n") && self.held.iter().all(is_blank);
        let held = if is_empty { 0 } else { self.held.len() };
        let (phase, heads) = (self.scanner.phase(held), self.scanner.heads());
        self.verdicts.publish(phase, heads, held);
    }

    /// Moves what may go on into `buffer`, and frees the memory with the last of it.
    fn release(&mut self, buffer: &mut ReadBuf<'_>) {
        let left = &self.ready[self.ready_at..];
        let part = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..part]);
        self.ready_at += part;
        if self.ready_at == self.ready.len() {
            self.ready = Vec::new();
            self.ready_at = 0;
        }
    }

    /// Ends the wait behind a message that asks for another protocol, once the response to it is written.
    ///
    /// Until then it is open what the bytes behind that message are. The service has called
    /// [`GateVerdicts::pass_through`] by now if the protocol changes.
    fn decide(&mut self) {
        if self.verdicts.requests() < self.scanner.heads() {
            // This is the response to an earlier request.
            return;
        }
        self.apply_pass_through();
        self.scanner.stay();
        if !self.held.is_empty() && self.ready.is_empty() {
            self.judge_held();
        }
        if let Some(reader) = self.waiting.take() {
            reader.wake();
        }
    }

    /// Scans what was held back, while nothing else waits.
    fn judge_held(&mut self) {
        let bytes = mem::take(&mut self.held);
        let scan = self.scanner.scan(&bytes);
        match scan.rest {
            Rest::Empty => self.ready = bytes,
            Rest::Incomplete if scan.passed == 0 => self.held = bytes,
            _ => self.settle(&bytes, scan),
        }
        self.publish();
    }

    /// Applies [`GateVerdicts::pass_through`].
    fn apply_pass_through(&mut self) {
        if self.verdicts.passes_through() && !self.scanner.is_passing_through() {
            self.scanner.pass_through();
            self.ready.append(&mut self.held);
            self.held = Vec::new();
            self.publish();
        }
    }
}

impl<S: AsyncRead + Unpin> FramingGate<S> {
    /// Reads into `buffer` and examines the bytes there.
    fn poll_in_place(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let bytes = &buffer.filled()[before..];
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let count = bytes.len();
        let Scan { passed, rest } = self.scanner.scan(bytes);
        if rest != Rest::Empty {
            self.settle(&bytes[passed..], Scan { passed: 0, rest });
            buffer.set_filled(before + passed);
        }
        self.publish();
        Poll::Ready(Ok(count))
    }

    /// Waits for the response to a message that asks for another protocol.
    ///
    /// No more is read once bytes have arrived behind it: hyper itself would not read on either.
    fn poll_undecided<T>(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        self.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Reads the first bytes, until they tell HTTP/2 from HTTP/1. They are read again by `poll_read`.
    ///
    /// # Errors
    /// The stream failed.
    pub fn poll_protocol(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<GateProtocol>> {
        while self.scanner.is_first() {
            let count = ready!(self.poll_held(cx))?;
            if count == 0 && self.held.is_empty() && self.ready.is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(match self.scanner.is_passing_through() {
            true => GateProtocol::Http2,
            false => GateProtocol::Http1,
        }))
    }

    /// Reads more of a head that is held back.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let len = self.held.len();
        self.held.resize(len + READ_BYTES, 0);
        let mut buffer = ReadBuf::new(&mut self.held[len..]);
        let outcome = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
        let count = buffer.filled().len();
        self.held.truncate(len + count);
        ready!(outcome)?;
        if count == 0 {
            // What has not become a preface may be a malformed request.
            self.scanner.expect_http1();
        }
        self.judge_held();
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FramingGate<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            this.apply_pass_through();
            if !this.ready.is_empty() {
                this.release(buffer);
                return Poll::Ready(Ok(()));
            }
            if this.scanner.is_passing_through() {
                return Pin::new(&mut this.stream).poll_read(cx, buffer);
            }
            if this.is_refused {
                // hyper would take an end for a client that is gone, and would drop the response.
                return Poll::Pending;
            }
            if this.scanner.is_stopped() {
                return Poll::Ready(Ok(()));
            }
            if this.scanner.is_undecided() && !this.held.is_empty() {
                return this.poll_undecided(cx);
            }
            let before = buffer.filled().len();
            let count = match this.held.is_empty() {
                true => ready!(this.poll_in_place(cx, buffer))?,
                false => ready!(this.poll_held(cx))?,
            };
            if buffer.filled().len() > before || (count == 0 && this.ready.is_empty()) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FramingGate<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.scanner.is_undecided() {
            self.decide();
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.scanner.is_undecided() {
            self.decide();
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The head that hyper parses in place of a refused one: of the same kind, without a body, and the connection's last.
fn substitute(is_head: bool, is_http10: bool) -> &'static [u8] {
    match (is_head, is_http10) {
        (false, false) => b"GET / HTTP/1.1\r\nhost: gate.invalid\r\nconnection: close\r\n\r\n",
        (true, false) => b"HEAD / HTTP/1.1\r\nhost: gate.invalid\r\nconnection: close\r\n\r\n",
        (false, true) => b"GET / HTTP/1.0\r\nhost: gate.invalid\r\nconnection: close\r\n\r\n",
        (true, true) => b"HEAD / HTTP/1.0\r\nhost: gate.invalid\r\nconnection: close\r\n\r\n",
    }
}
