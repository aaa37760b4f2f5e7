//! What is put out on the streams of this side.

use std::{
    io,
    task::{Context, Poll},
};

use super::{Ending, Entry, Fault, MOST_OUT, MOST_WAITING, State};
use crate::{
    http1::buffer::Buffer,
    http2::{
        frame::{self, LARGEST, Reason},
        inbound::Role,
        outbound::{Next, Outbound},
    },
};

impl State {
    /// Opens a stream for a request that is ready to go, as soon as the other side takes one more.
    pub(in crate::http2) fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
        to_head: bool,
    ) -> Poll<io::Result<u32>> {
        if !self.is_open() {
            return Poll::Ready(Err(Fault::Refused.into()));
        }
        if !self.may_open() {
            if !self
                .openers
                .iter()
                .any(|waiting| waiting.will_wake(cx.waker()))
            {
                self.openers.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        self.last = if self.last == 0 { 1 } else { self.last + 2 };
        let entry = Entry::new(
            Role::Answer { to_head },
            self.limits.stream_window,
            self.peer_window,
        );
        self.insert(self.last, entry);
        Poll::Ready(Ok(self.last))
    }

    /// Puts out a head.
    pub(in crate::http2) fn put_head(&mut self, stream: u32, block: &Buffer, next: Next) {
        let is_end = next == Next::Nothing;
        let is_broken = self.entry(stream).is_none_or(|entry| entry.fault.is_some());
        if is_broken {
            return;
        }
        self.put_fields(stream, block, is_end);
        let head_at = self.left + self.out.len() as u64;
        if let Some(entry) = self.entry(stream) {
            entry.head_at = head_at;
            entry.is_written = is_end;
            entry.is_answered = next != Next::Head;
        }
        if is_end {
            self.ended(stream);
        }
        self.wake_driver();
    }

    /// Takes bytes behind a head; as many as there is room for.
    pub(in crate::http2) fn poll_write(
        &mut self,
        stream: u32,
        message: &mut Outbound,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let is_clogged = self.out.len() >= MOST_OUT;
        let Some(entry) = self.entry(stream) else {
            return Poll::Ready(Err(Fault::Lost.into()));
        };
        if let Some(fault) = entry.fault {
            return Poll::Ready(Err(fault.into()));
        }
        if entry.is_sent {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = MOST_WAITING.saturating_sub(entry.waiting.len());
        if room == 0 || (is_clogged && !entry.waiting.is_empty()) {
            entry.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let part = &bytes[..bytes.len().min(room)];
        message.take_content(part, &mut entry.waiting)?;
        self.go_on(stream, message)?;
        Poll::Ready(Ok(part.len()))
    }

    /// Puts out what was written so far, and the end of the message if that was written.
    pub(in crate::http2) fn go_on(
        &mut self,
        stream: u32,
        message: &mut Outbound,
    ) -> io::Result<()> {
        if let Some(entry) = self.entry(stream) {
            message.take_early(&mut entry.waiting);
            entry.is_written = message.finish(&mut entry.trailers)?;
        }
        self.enqueue(stream);
        self.pump();
        self.wake_driver();
        Ok(())
    }

    /// Puts a stream among those that have something to send, if it has and there is room for it.
    pub(super) fn enqueue(&mut self, stream: u32) {
        let Some(entry) = self.entry(stream) else {
            return;
        };
        let has_content = !entry.waiting.is_empty() && entry.send.room() > 0;
        let has_end = entry.waiting.is_empty() && entry.is_written;
        if !entry.is_queued && !entry.is_sent && entry.fault.is_none() && (has_content || has_end) {
            entry.is_queued = true;
            if has_end {
                // It needs no window, and so does not wait behind content that does.
                self.queue.push_front(stream);
            } else {
                self.queue.push_back(stream);
            }
        }
    }

    /// Frames what there is room for, a frame of each stream in turn.
    pub(in crate::http2) fn pump(&mut self) {
        while self.out.len() < MOST_OUT
            && let Some(stream) = self.queue.pop_front()
        {
            let room = self.send.room();
            let Ok(found) = self.streams.binary_search_by_key(&stream, |(id, _)| *id) else {
                continue;
            };
            let entry = &mut self.streams[found].1;
            entry.is_queued = false;
            if entry.fault.is_some() || entry.is_sent {
                continue;
            }
            let count = entry
                .waiting
                .len()
                .min(entry.send.room())
                .min(room)
                .min(LARGEST);
            if count == 0 && !entry.waiting.is_empty() {
                if room == 0 {
                    // No stream with content can go on before the window of the connection opens.
                    entry.is_queued = true;
                    self.queue.push_front(stream);
                    return;
                }
                continue;
            }
            let is_end = entry.is_written && count == entry.waiting.len();
            let has_trailers = !entry.trailers.is_empty();
            if count > 0 || !has_trailers {
                frame::put_data(
                    &mut self.out,
                    stream,
                    &entry.waiting.filled()[..count],
                    is_end && !has_trailers,
                );
            }
            entry.waiting.consume(count);
            entry.send.take(count);
            self.send.take(count);
            if entry.waiting.is_empty() {
                entry.waiting.release();
            }
            if let Some(writer) = entry.writer.take() {
                writer.wake();
            }
            if !is_end {
                self.enqueue(stream);
                continue;
            }
            if has_trailers {
                let trailers = std::mem::take(&mut entry.trailers);
                self.put_fields(stream, &trailers, true);
            }
            self.ended(stream);
        }
    }

    /// END_STREAM was put out.
    fn ended(&mut self, stream: u32) {
        let is_server = !self.is_client();
        if is_server {
            self.given_up = self.given_up.saturating_sub(1);
        }
        let Some(entry) = self.entry(stream) else {
            return;
        };
        entry.is_sent = true;
        entry.wake();
        if entry.is_left {
            if entry.is_reset_behind {
                frame::put_reset(&mut self.out, stream, Reason::NO_ERROR);
            }
            self.remove(stream);
        }
    }

    /// Ends a stream for both sides.
    pub(super) fn reset(&mut self, stream: u32, reason: Reason) {
        frame::put_reset(&mut self.out, stream, reason);
        self.wake_driver();
        let Some(entry) = self.entry(stream) else {
            return;
        };
        let unread = entry.inbound.break_off();
        entry.break_off(Fault::Reset);
        if entry.is_left {
            self.remove(stream);
        }
        self.free_connection(unread as u32);
    }

    /// Whoever held the stream goes away. What is whole is still sent; what is not must not look so.
    pub(in crate::http2) fn leave(&mut self, stream: u32) {
        let is_client = self.is_client();
        let is_over = self.ending == Ending::Over;
        let Some(entry) = self.entry(stream) else {
            return;
        };
        entry.is_left = true;
        let (is_whole, is_written, is_sent) =
            (entry.inbound.is_whole(), entry.is_written, entry.is_sent);
        let is_broken = entry.fault.is_some();
        let unread = entry.inbound.break_off();
        self.free_connection(unread as u32);
        if is_over || is_broken || (is_sent && is_whole) {
            return self.remove(stream);
        }
        if is_client {
            self.reset(stream, Reason::CANCEL);
        } else if is_sent {
            // All was answered, and no more of the request is wanted (RFC 9113 §8.1).
            frame::put_reset(&mut self.out, stream, Reason::NO_ERROR);
            self.remove(stream);
        } else if !is_written {
            self.reset(stream, Reason::INTERNAL_ERROR);
        } else if let Some(entry) = self.entry(stream) {
            entry.is_reset_behind = !is_whole;
        }
        self.wake_driver();
    }

    /// Gives up streams that nobody holds, and of which nothing was sent since the last time.
    pub(in crate::http2) fn sweep(&mut self) {
        let mut stuck = Vec::new();
        for (stream, entry) in self.streams.iter_mut().filter(|(_, entry)| entry.is_left) {
            if entry.unmoved.replace(entry.waiting.len()) == Some(entry.waiting.len()) {
                stuck.push(*stream);
            }
        }
        for stream in stuck {
            self.reset(stream, Reason::CANCEL);
        }
    }

    /// Reads bytes of a message; 0 behind its end, and, on the side that answers, once the answer has left.
    pub(in crate::http2) fn poll_read(
        &mut self,
        stream: u32,
        cx: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let is_client = self.is_client();
        let Some(entry) = self.entry(stream) else {
            return Poll::Ready(Err(Fault::Lost.into()));
        };
        if !entry.is_closing {
            let given = entry.inbound.give(bytes);
            if given.content > 0 {
                self.free(stream, given.content as u32);
            }
            if given.bytes > 0 {
                return Poll::Ready(Ok(given.bytes));
            }
        }
        let Some(entry) = self.entry(stream) else {
            return Poll::Ready(Err(Fault::Lost.into()));
        };
        let is_end = (entry.inbound.is_whole() || entry.is_closing) && (is_client || entry.is_sent);
        match entry.fault {
            _ if is_end => Poll::Ready(Ok(0)),
            Some(fault) => Poll::Ready(Err(fault.into())),
            None => {
                entry.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether all was asked and all was answered.
    pub(in crate::http2) fn is_over(&mut self, stream: u32) -> bool {
        let is_over =
            |entry: &mut Entry| entry.inbound.is_whole() && entry.is_sent && !entry.is_closing;
        self.entry(stream).is_some_and(is_over)
    }

    /// No more than has to be is read of a message.
    pub(in crate::http2) fn close(&mut self, stream: u32) {
        if let Some(entry) = self.entry(stream) {
            entry.is_closing = true;
        }
    }

    /// Ready once the stream is broken.
    pub(in crate::http2) fn poll_broken(&mut self, stream: u32, cx: &mut Context<'_>) -> Poll<()> {
        let Some(entry) = self.entry(stream) else {
            return Poll::Ready(());
        };
        if entry.fault.is_some() {
            return Poll::Ready(());
        }
        entry.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether the other side has done nothing with the request.
    pub(in crate::http2) fn was_refused(&mut self, stream: u32) -> bool {
        self.entry(stream)
            .is_some_and(|entry| entry.fault == Some(Fault::Refused))
    }

    /// Whether the stream was reset by either side.
    pub(in crate::http2) fn was_reset(&mut self, stream: u32) -> bool {
        self.entry(stream)
            .is_some_and(|entry| entry.fault == Some(Fault::Reset))
    }

    /// Whether the request on a stream that just arrived is a HEAD.
    pub(in crate::http2) fn is_head_request(&mut self, stream: u32) -> bool {
        self.entry(stream)
            .is_some_and(|entry| entry.inbound.is_head_request())
    }
}
