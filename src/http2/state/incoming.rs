//! What frames of the other side do.

use std::time::Duration;

use tokio::time::Instant;

use super::{Ending, Entry, Fault, Side, State};
use crate::http2::{
    fields::Fields,
    frame::{self, Broken, MOST, Reason, setting},
    hpack::decode::Decoder,
    inbound::Role,
    reader::Frame,
};

/// What the ping says that asks whether the end of a connection was heard of.
pub(super) const GOODBYE: [u8; 8] = *b"goodbye!";

/// Streams that the other side may open and give up in a while, beyond those that come to something.
const MOST_GIVEN_UP: u32 = 256;
const GIVING_UP: Duration = Duration::from_secs(10);
/// Streams that may be refused before the other side has seen our settings.
const MOST_EARLY: u32 = 256;

impl State {
    /// Takes a frame.
    ///
    /// # Errors
    /// What ends the connection.
    pub(in crate::http2) fn take(
        &mut self,
        frame: &Frame<'_>,
        decoder: &mut Decoder,
        fields: &mut Fields,
    ) -> Result<(), Broken> {
        if !self.is_settled && !matches!(frame, Frame::Settings(_)) {
            return Err(Broken::protocol("no settings at the beginning"));
        }
        match *frame {
            Frame::Data {
                stream,
                content,
                flow,
                is_end,
            } => self.take_data(stream, content, flow, is_end),
            Frame::Fields {
                stream,
                block,
                is_end,
            } => {
                // Also where nobody wants them: the table has to be the same on both sides.
                fields.clear();
                decoder
                    .decode(block, |name, value| fields.push(name, value))
                    .map_err(|_| {
                        Broken::new(Reason::COMPRESSION_ERROR, "fields that cannot be unpacked")
                    })?;
                self.take_fields(stream, fields, is_end)
            }
            Frame::Reset { stream, reason } => self.take_reset(stream, reason),
            Frame::Settings(settings) => self.take_settings(settings),
            Frame::Ping {
                is_ack: false,
                payload,
            } => {
                frame::put_ping(&mut self.out, true, payload);
                Ok(())
            }
            Frame::Ping {
                is_ack: true,
                payload,
            } => {
                if payload == GOODBYE && self.ending == Ending::Announced {
                    self.end();
                }
                Ok(())
            }
            Frame::Goaway { last, reason } => {
                self.take_goaway(last, reason);
                Ok(())
            }
            Frame::WindowUpdate { stream, increment } => self.take_window_update(stream, increment),
            Frame::SettingsAck => {
                self.is_heard = true;
                Ok(())
            }
            Frame::Nothing => Ok(()),
        }
    }

    fn take_settings(&mut self, settings: &[u8]) -> Result<(), Broken> {
        self.is_settled = true;
        for pair in settings.chunks_exact(6) {
            let (number, value) = pair.split_at(2);
            let number = u16::from_be_bytes(number.try_into().unwrap_or_default());
            let value = u32::from_be_bytes(value.try_into().unwrap_or_default());
            match number {
                setting::HEADER_TABLE_SIZE => self.owes_table_size = true,
                // A server has none to allow (RFC 9113 §6.5.2).
                setting::ENABLE_PUSH if value > u32::from(!self.is_client()) => {
                    return Err(Broken::protocol("a push that is neither on nor off"));
                }
                setting::MAX_CONCURRENT_STREAMS => self.peer_streams = value,
                setting::INITIAL_WINDOW_SIZE => self.set_peer_window(value)?,
                setting::MAX_FRAME_SIZE if !(16_384..=16_777_215).contains(&value) => {
                    return Err(Broken::protocol("a frame size that is not allowed"));
                }
                _ => {}
            }
        }
        frame::put_settings_ack(&mut self.out);
        self.wake_openers();
        Ok(())
    }

    /// Changes what streams begin with, and those that have begun by the difference (RFC 9113 §6.9.2).
    fn set_peer_window(&mut self, size: u32) -> Result<(), Broken> {
        let overflow = Broken::new(Reason::FLOW_CONTROL_ERROR, "a window that is too large");
        if size > MOST {
            return Err(overflow);
        }
        let by = i64::from(size) - i64::from(self.peer_window);
        self.peer_window = size;
        for at in 0..self.streams.len() {
            let (stream, entry) = &mut self.streams[at];
            entry.send.widen(by).map_err(|_| overflow)?;
            let stream = *stream;
            self.enqueue(stream);
        }
        Ok(())
    }

    fn take_window_update(&mut self, stream: u32, increment: u32) -> Result<(), Broken> {
        if stream == 0 {
            return match self.send.widen(i64::from(increment)) {
                Ok(()) if increment > 0 => Ok(()),
                Ok(()) => Err(Broken::protocol("a window that opens by nothing")),
                Err(_) => Err(Broken::new(
                    Reason::FLOW_CONTROL_ERROR,
                    "a window that is too large",
                )),
            };
        }
        self.check_begun(stream)?;
        let Some(entry) = self.entry(stream).filter(|entry| entry.fault.is_none()) else {
            return Ok(());
        };
        if increment == 0 {
            return self.fail(stream, Reason::PROTOCOL_ERROR);
        }
        if entry.send.widen(i64::from(increment)).is_err() {
            return self.fail(stream, Reason::FLOW_CONTROL_ERROR);
        }
        self.enqueue(stream);
        Ok(())
    }

    fn take_data(
        &mut self,
        stream: u32,
        content: &[u8],
        flow: u32,
        is_end: bool,
    ) -> Result<(), Broken> {
        self.check_begun(stream)?;
        let overflow = Broken::new(
            Reason::FLOW_CONTROL_ERROR,
            "more than the window of the connection allows",
        );
        self.receive.fill(flow).map_err(|_| overflow)?;
        self.free_connection(0);
        let Some(entry) = self
            .entry(stream)
            .filter(|entry| entry.fault.is_none() && !entry.is_left)
        else {
            // It was reset, of which the other side may not know yet.
            self.free_connection(flow);
            return Ok(());
        };
        if entry.inbound.wants_head() {
            return Err(Broken::protocol("content before its head"));
        }
        let wrong = if entry.inbound.is_whole() {
            Some(Reason::STREAM_CLOSED)
        } else if entry.receive.fill(flow).is_err() {
            Some(Reason::FLOW_CONTROL_ERROR)
        } else {
            entry
                .inbound
                .take_content(content, is_end)
                .err()
                .map(|_| Reason::PROTOCOL_ERROR)
        };
        if let Some(reason) = wrong {
            self.free_connection(flow);
            return self.fail(stream, reason);
        }
        if let Some(reader) = entry.reader.take() {
            reader.wake();
        }
        // Without padding too: what was freed before may be due now.
        self.free_stream(stream, flow - content.len() as u32);
        self.free_connection(flow - content.len() as u32);
        Ok(())
    }

    /// `count` bytes of a stream's content have been read.
    pub(super) fn free(&mut self, stream: u32, count: u32) {
        self.free_connection(count);
        self.free_stream(stream, count);
    }

    fn free_stream(&mut self, stream: u32, count: u32) {
        if let Some(entry) = self.entry(stream)
            && !entry.inbound.is_whole()
            && entry.fault.is_none()
            && let Some(freed) = entry.receive.free(count)
        {
            frame::put_window_update(&mut self.out, stream, freed);
            self.wake_driver();
        }
    }

    pub(super) fn free_connection(&mut self, count: u32) {
        if let Some(freed) = self.receive.free(count) {
            frame::put_window_update(&mut self.out, 0, freed);
            self.wake_driver();
        }
    }

    fn take_fields(&mut self, stream: u32, fields: &Fields, is_end: bool) -> Result<(), Broken> {
        if self.side == Side::Server && stream > self.last {
            return self.take_request(stream, fields, is_end);
        }
        self.check_begun(stream)?;
        let Some(entry) = self
            .entry(stream)
            .filter(|entry| entry.fault.is_none() && !entry.is_left)
        else {
            // Trailers may still come on a stream that was reset; a head cannot (RFC 9113 §5.1.1).
            let is_head = fields
                .iter()
                .next()
                .is_some_and(|(name, _)| name.first() == Some(&b':'));
            return match self.side {
                Side::Server if is_head => Err(Broken::new(
                    Reason::STREAM_CLOSED,
                    "a head on a stream that is over",
                )),
                _ => Ok(()),
            };
        };
        if entry.inbound.is_whole() {
            return self.fail(stream, Reason::STREAM_CLOSED);
        }
        if fields.is_too_large() || entry.inbound.take_fields(fields, is_end).is_err() {
            return self.fail(stream, Reason::PROTOCOL_ERROR);
        }
        if let Some(reader) = entry.reader.take() {
            reader.wake();
        }
        Ok(())
    }

    fn take_request(&mut self, stream: u32, fields: &Fields, is_end: bool) -> Result<(), Broken> {
        if stream.is_multiple_of(2) {
            return Err(Broken::protocol("a stream with the number of another side"));
        }
        if matches!(self.ending, Ending::Going | Ending::Broken | Ending::Over) {
            // It comes behind the last one that was promised to be served.
            return Ok(());
        }
        self.last = stream;
        let mut entry = Entry::new(Role::Request, self.limits.stream_window, self.peer_window);
        let wrong = if self.streams.len().max(self.handles) >= self.limits.streams {
            Some(Reason::REFUSED_STREAM)
        } else {
            entry
                .inbound
                .take_fields(fields, is_end)
                .err()
                .map(|_| Reason::PROTOCOL_ERROR)
        };
        if let Some(reason) = wrong {
            frame::put_reset(&mut self.out, stream, reason);
            self.early += u32::from(!self.is_heard);
            // It does not know yet how many streams it may open.
            let is_excused =
                reason == Reason::REFUSED_STREAM && !self.is_heard && self.early < MOST_EARLY;
            return if is_excused { Ok(()) } else { self.give_up() };
        }
        self.insert(stream, entry);
        self.arrived.push_back(stream);
        Ok(())
    }

    fn take_reset(&mut self, stream: u32, reason: Reason) -> Result<(), Broken> {
        self.check_begun(stream)?;
        let is_client = self.is_client();
        let Some(entry) = self.entry(stream) else {
            return Ok(());
        };
        let came_to_something = entry.is_sent || entry.is_answered;
        if is_client && entry.inbound.is_whole() {
            // The answer is whole; the rest of the request is not wanted (RFC 9113 §8.1).
            entry.is_sent = true;
            entry.waiting.release();
            entry.wake();
        } else {
            entry.break_off(if reason == Reason::REFUSED_STREAM {
                Fault::Refused
            } else {
                Fault::Reset
            });
        }
        // What a caller sent and gave up is not to hold the window that its other requests share.
        let unread = if is_client {
            0
        } else {
            entry.inbound.break_off()
        };
        if entry.is_left {
            self.remove(stream);
        }
        self.free_connection(unread as u32);
        if is_client || came_to_something {
            Ok(())
        } else {
            self.give_up()
        }
    }

    /// Ends a stream on which the other side breaks the protocol.
    fn fail(&mut self, stream: u32, reason: Reason) -> Result<(), Broken> {
        self.reset(stream, reason);
        if self.is_client() {
            Ok(())
        } else {
            self.give_up()
        }
    }

    /// Counts a stream that came to nothing: to open and give up one after another, or to have it reset (CVE-2025-8671),
    /// costs the other side nothing, and this one all the work (CVE-2023-44487).
    fn give_up(&mut self) -> Result<(), Broken> {
        let now = Instant::now();
        if now > self.given_up_since + GIVING_UP {
            (self.given_up, self.given_up_since) = (0, now);
        }
        self.given_up += 1;
        if self.given_up > MOST_GIVEN_UP {
            return Err(Broken::new(
                Reason::ENHANCE_YOUR_CALM,
                "streams that come to nothing, without end",
            ));
        }
        Ok(())
    }

    fn take_goaway(&mut self, last: u32, reason: Reason) {
        tracing::debug!(
            last,
            reason = reason.0,
            "an HTTP/2 connection is told to end"
        );
        if self.side == Side::Server {
            // Streams that the server would open are meant, and it opens none.
            return;
        }
        for (stream, entry) in &mut self.streams {
            if *stream > last {
                entry.break_off(Fault::Refused);
            }
        }
        self.streams
            .retain(|(_, entry)| !(entry.is_left && entry.fault.is_some()));
        if matches!(self.ending, Ending::Open | Ending::Announced) {
            self.ending = Ending::Going;
        }
        self.wake_openers();
    }

    /// A frame for a stream that nobody has begun ends the connection (RFC 9113 §5.1). A server that is going to end takes
    /// no notice of those that begin then, nor of what is sent on them (§6.8).
    fn check_begun(&self, stream: u32) -> Result<(), Broken> {
        let is_late = self.side == Side::Server && self.ending == Ending::Going;
        if stream.is_multiple_of(2) || (stream > self.last && !is_late) {
            return Err(Broken::protocol("a frame on a stream that has not begun"));
        }
        Ok(())
    }
}
