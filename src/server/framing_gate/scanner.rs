//! Follows the messages of a connection through its bytes, as hyper's server does.

use std::ops::Range;

use super::{
    chunked::{BrokenAt, Chunked},
    head::{BodyKind, HeadScan},
    verdicts::{GatePhase, GateRefusal},
};

/// The bytes that every HTTP/2 connection begins with (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Where in the stream of messages a connection stands.
#[derive(Debug)]
pub(super) struct Scanner {
    position: Position,
    head: HeadScan,
    /// Whether the message asks for another protocol.
    may_switch: bool,
    max_head_bytes: usize,
    max_head_fields: usize,
    heads: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// Nothing has arrived yet, or not enough to tell HTTP/2 from HTTP/1.
    First,
    /// Before or in a head.
    Head,
    Length(u64),
    Chunked(Chunked),
    /// Behind a message that asks for another protocol, before its response.
    Undecided,
    Stopped,
    PassThrough,
}

/// The result of scanning new bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// The number of bytes that may pass as they are.
    pub(super) passed: usize,
    /// The action for the bytes behind those.
    pub(super) rest: Rest,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// There are none.
    Empty,
    /// They are part of a head, and are scanned again with what follows them.
    Incomplete,
    /// They begin with a head whose target must be percent-encoded.
    Encode {
        head_len: usize,
        target: Range<usize>,
    },
    /// They begin with a head that must not go on, and nothing behind it either.
    Refuse { why: GateRefusal, is_http10: bool },
    /// Nothing of them may go on.
    Drop,
}

impl Scanner {
    pub(super) fn new(max_head_bytes: usize, max_head_fields: usize) -> Self {
        Self {
            position: Position::First,
            head: HeadScan::default(),
            may_switch: false,
            max_head_bytes,
            max_head_fields,
            heads: 0,
        }
    }

    /// Follows the messages through `bytes`, up to the first bytes that cannot pass as they are.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut passed = 0;
        loop {
            let left = &bytes[passed..];
            if left.is_empty() {
                return Scan {
                    passed,
                    rest: Rest::Empty,
                };
            }
            match self.position {
                Position::First if left.starts_with(PREFACE) => {
                    self.position = Position::PassThrough;
                }
                Position::First if PREFACE.starts_with(left) => {
                    let rest = Rest::Incomplete;
                    return Scan { passed, rest };
                }
                Position::First => self.position = Position::Head,
                Position::Head => match self.head(left) {
                    (skipped, None) => passed += skipped,
                    (skipped, Some(rest)) => {
                        passed += skipped;
                        return Scan { passed, rest };
                    }
                },
                Position::Length(length) => {
                    let there = length.min(left.len() as u64);
                    passed += there as usize;
                    self.position = match length - there {
                        0 => self.after_message(),
                        to_come => Position::Length(to_come),
                    };
                }
                Position::Chunked(mut chunked) => match chunked.advance(left) {
                    Ok(there) => {
                        passed += there;
                        self.position = match chunked.is_done() {
                            true => self.after_message(),
                            false => Position::Chunked(chunked),
                        };
                    }
                    Err(BrokenAt(there)) => {
                        passed += there;
                        self.position = Position::Stopped;
                    }
                },
                Position::Undecided => {
                    let rest = Rest::Incomplete;
                    return Scan { passed, rest };
                }
                Position::Stopped => {
                    let rest = Rest::Drop;
                    return Scan { passed, rest };
                }
                Position::PassThrough => passed = bytes.len(),
            }
        }
    }

    /// Decides against HTTP/2 where the preface is incomplete.
    pub(super) fn expect_http1(&mut self) {
        if self.position == Position::First {
            self.position = Position::Head;
        }
    }

    /// Whether the protocol of the next bytes is undecided.
    pub(super) fn is_undecided(&self) -> bool {
        self.position == Position::Undecided
    }

    /// Decides that the connection stays with HTTP/1.
    pub(super) fn stay(&mut self) {
        if self.is_undecided() {
            self.position = Position::Head;
        }
    }

    /// Lets everything pass from here on.
    pub(super) fn pass_through(&mut self) {
        self.position = Position::PassThrough;
    }

    /// Whether it is not known yet whether the connection speaks HTTP/2.
    pub(super) fn is_first(&self) -> bool {
        self.position == Position::First
    }

    pub(super) fn is_passing_through(&self) -> bool {
        self.position == Position::PassThrough
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.position == Position::Stopped
    }

    /// The number of heads that were complete or refused.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// The phase, where `held` bytes have been incomplete.
    pub(super) fn phase(&self, held: usize) -> GatePhase {
        match self.position {
            Position::First | Position::Head | Position::Undecided if held > 0 => GatePhase::Head,
            Position::First | Position::Head | Position::Undecided => GatePhase::BetweenMessages,
            Position::Length(_) | Position::Chunked(_) => GatePhase::Body,
            Position::Stopped => GatePhase::Stopped,
            Position::PassThrough => GatePhase::PassThrough,
        }
    }

    /// Examines a head, and the empty lines that may precede it: how many bytes pass, and what is done with the rest.
    fn head(&mut self, bytes: &[u8]) -> (usize, Option<Rest>) {
        let mut start = 0;
        loop {
            match bytes[start..] {
                // hyper looks for the end of a connection only while it has nothing to parse: empty lines wait here.
                [] | [b'\r'] if start <= self.max_head_bytes => {
                    return (0, Some(Rest::Incomplete));
                }
                [] | [b'\r'] => return (start, Some(self.refuse(GateRefusal::HeadTooLong))),
                [b'\n', ..] => start += 1,
                [b'\r', b'\n', ..] => start += 2,
                _ => break,
            }
        }
        let bytes = &bytes[start..];
        match self
            .head
            .advance(&bytes[..bytes.len().min(self.max_head_bytes)])
        {
            Ok(Some(head)) if head.fields > self.max_head_fields => {
                (start, Some(self.refuse(GateRefusal::TooManyFields)))
            }
            Ok(Some(head)) => {
                self.heads += 1;
                self.head = HeadScan::default();
                self.may_switch = head.may_switch;
                self.position = match head.body {
                    BodyKind::Empty => self.after_message(),
                    BodyKind::Length(length) => Position::Length(length),
                    BodyKind::Chunked => Position::Chunked(Chunked::START),
                };
                match head.raw_target {
                    None => (start + head.len, None),
                    Some(target) => {
                        let head_len = head.len;
                        (start, Some(Rest::Encode { head_len, target }))
                    }
                }
            }
            Ok(None) if bytes.len() <= self.max_head_bytes => (start, Some(Rest::Incomplete)),
            Ok(None) => (start, Some(self.refuse(GateRefusal::HeadTooLong))),
            Err(why) => (start, Some(self.refuse(why))),
        }
    }

    fn after_message(&self) -> Position {
        match self.may_switch {
            true => Position::Undecided,
            false => Position::Head,
        }
    }

    pub(super) fn refuse(&mut self, why: GateRefusal) -> Rest {
        self.heads += 1;
        self.position = Position::Stopped;
        let is_http10 = self.head.is_http10();
        Rest::Refuse { why, is_http10 }
    }
}
