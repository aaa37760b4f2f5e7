//! How a connection comes to its end.

use super::{Fault, State, incoming::GOODBYE};
use crate::http2::frame::{self, MOST, Reason};

/// How a connection comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http2) enum Ending {
    Open,
    /// The other side was told that this is going to end, and has not confirmed it.
    Announced,
    /// No new streams; those that there are are finished.
    Going,
    /// Nothing more is read. What is to be written still may be.
    Broken,
    Over,
}

impl State {
    /// Tells the other side that this connection is going to end (RFC 9113 §6.8): what it sends until it knows is served.
    pub(in crate::http2) fn announce_end(&mut self) {
        if self.ending == Ending::Open {
            self.ending = Ending::Announced;
            frame::put_goaway(&mut self.out, MOST, Reason::NO_ERROR);
            frame::put_ping(&mut self.out, false, GOODBYE);
            self.wake_driver();
        }
    }

    /// Ends a connection for which nobody has any use.
    pub(in crate::http2) fn end_unwanted(&mut self) {
        if self.is_unwanted && self.is_idle() {
            self.end();
        }
    }

    /// Takes no more streams.
    pub(in crate::http2) fn end(&mut self) {
        if matches!(self.ending, Ending::Open | Ending::Announced) {
            self.ending = Ending::Going;
            let last = if self.is_client() { 0 } else { self.last };
            frame::put_goaway(&mut self.out, last, Reason::NO_ERROR);
            self.wake_openers();
            self.empty_seats();
            self.wake_driver();
        }
    }

    /// The connection is gone: whoever waits for anything learns of it.
    pub(in crate::http2) fn lose(&mut self) {
        self.ending = Ending::Over;
        let (is_client, left) = (self.is_client(), self.left);
        for (_, entry) in &mut self.streams {
            if !entry.inbound.is_whole() || !entry.is_sent {
                let has_not_left = is_client && entry.head_at > left;
                entry.break_off(if has_not_left {
                    Fault::Refused
                } else {
                    Fault::Lost
                });
            }
        }
        self.streams.retain(|(_, entry)| !entry.is_left);
        self.wake_openers();
        self.empty_seats();
    }

    /// All streams broke, which tells nothing of whether their requests were served: they are not repeated.
    pub(in crate::http2) fn fail_all(&mut self) {
        self.streams
            .iter_mut()
            .for_each(|(_, entry)| entry.break_off(Fault::Reset));
    }

    /// The other side cannot be understood any more: it is told so, and that is all.
    pub(in crate::http2) fn break_off(&mut self, reason: Reason) {
        let last = if self.is_client() { 0 } else { self.last };
        frame::put_goaway(&mut self.out, last, reason);
        self.fail_all();
        self.queue.clear();
        self.lose();
        self.ending = Ending::Broken;
    }
}
