//! Frames (RFC 9113 §4 and §6): how they are read from bytes, and how they are written.

use crate::http1::buffer::Buffer;
pub use crate::server::preface::PREFACE;

/// Bytes in front of every payload.
pub const HEAD: usize = 9;
/// The largest payload that we take, which is what everybody has to take (SETTINGS_MAX_FRAME_SIZE, §6.5.2).
pub const LARGEST: usize = 16 * 1024;
/// Streams and windows have 31 bits.
pub const MOST: u32 = i32::MAX as u32;

/// Why a stream or a connection ends (RFC 9113 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason(pub u32);

impl Reason {
    /// Not an error.
    pub const NO_ERROR: Self = Self(0);
    /// The other side breaks the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1);
    /// Something broke on this side.
    pub const INTERNAL_ERROR: Self = Self(2);
    /// More was sent than the window allows.
    pub const FLOW_CONTROL_ERROR: Self = Self(3);
    /// A frame for a stream that had ended.
    pub const STREAM_CLOSED: Self = Self(5);
    /// A frame of a size that it cannot have.
    pub const FRAME_SIZE_ERROR: Self = Self(6);
    /// Nothing was done with the request.
    pub const REFUSED_STREAM: Self = Self(7);
    /// The request is no longer wanted.
    pub const CANCEL: Self = Self(8);
    /// The fields cannot be unpacked.
    pub const COMPRESSION_ERROR: Self = Self(9);
    /// More than can be put up with.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
}

/// What ends the whole connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What the other side is told.
    pub reason: Reason,
    /// What it did, for people.
    pub what: &'static str,
}

impl Broken {
    pub(super) const fn new(reason: Reason, what: &'static str) -> Self {
        Self { reason, what }
    }

    pub(super) const fn protocol(what: &'static str) -> Self {
        Self::new(Reason::PROTOCOL_ERROR, what)
    }
}

/// The kinds of frames by their numbers (§6).
pub(super) mod kind {
    pub(in crate::http2) const DATA: u8 = 0;
    pub(in crate::http2) const HEADERS: u8 = 1;
    pub(in crate::http2) const PRIORITY: u8 = 2;
    pub(in crate::http2) const RST_STREAM: u8 = 3;
    pub(in crate::http2) const SETTINGS: u8 = 4;
    pub(in crate::http2) const PUSH_PROMISE: u8 = 5;
    pub(in crate::http2) const PING: u8 = 6;
    pub(in crate::http2) const GOAWAY: u8 = 7;
    pub(in crate::http2) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::http2) const CONTINUATION: u8 = 9;
}

/// The flags that some of them have.
pub(super) mod flag {
    pub(in crate::http2) const ACK: u8 = 1;
    pub(in crate::http2) const END_STREAM: u8 = 1;
    pub(in crate::http2) const END_HEADERS: u8 = 4;
    pub(in crate::http2) const PADDED: u8 = 8;
    pub(in crate::http2) const PRIORITY: u8 = 32;
}

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl FrameHead {
    pub(super) fn read(bytes: &[u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = *bytes;
        Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            // The highest bit is reserved, and ignored.
            stream: u32::from_be_bytes(stream) & MOST,
        }
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// One setting: its number (§6.5.2) and its value.
pub(super) type Setting = (u16, u32);

/// The settings that matter here.
pub(super) mod setting {
    pub(in crate::http2) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in crate::http2) const ENABLE_PUSH: u16 = 2;
    pub(in crate::http2) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in crate::http2) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in crate::http2) const MAX_FRAME_SIZE: u16 = 5;
    pub(in crate::http2) const MAX_HEADER_LIST_SIZE: u16 = 6;
}

fn head(length: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEAD] {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    [a, b, c, kind, flags, d, e, f, g]
}

/// A field block as HEADERS and as many CONTINUATION frames as it needs.
pub(super) fn put_fields(out: &mut Buffer, stream: u32, block: &[u8], is_end: bool) {
    let (first, mut rest) = block.split_at(block.len().min(LARGEST));
    let end = |rest: &[u8]| {
        if rest.is_empty() {
            flag::END_HEADERS
        } else {
            0
        }
    };
    let flags = end(rest) | if is_end { flag::END_STREAM } else { 0 };
    out.extend_all([&head(first.len(), kind::HEADERS, flags, stream), first]);
    while !rest.is_empty() {
        let (next, behind) = rest.split_at(rest.len().min(LARGEST));
        out.extend_all([
            &head(next.len(), kind::CONTINUATION, end(behind), stream),
            next,
        ]);
        rest = behind;
    }
}

pub(super) fn put_data(out: &mut Buffer, stream: u32, content: &[u8], is_end: bool) {
    let flags = if is_end { flag::END_STREAM } else { 0 };
    out.extend_all([&head(content.len(), kind::DATA, flags, stream), content]);
}

pub(super) fn put_reset(out: &mut Buffer, stream: u32, reason: Reason) {
    out.extend_all([
        &head(4, kind::RST_STREAM, 0, stream),
        &reason.0.to_be_bytes(),
    ]);
}

pub(super) fn put_settings(out: &mut Buffer, settings: &[Setting]) {
    out.extend(&head(6 * settings.len(), kind::SETTINGS, 0, 0));
    for (number, value) in settings {
        out.extend_all([&number.to_be_bytes(), &value.to_be_bytes()]);
    }
}

pub(super) fn put_settings_ack(out: &mut Buffer) {
    out.extend(&head(0, kind::SETTINGS, flag::ACK, 0));
}

pub(super) fn put_ping(out: &mut Buffer, is_ack: bool, payload: [u8; 8]) {
    out.extend_all([
        &head(8, kind::PING, u8::from(is_ack) * flag::ACK, 0),
        &payload,
    ]);
}

pub(super) fn put_goaway(out: &mut Buffer, last: u32, reason: Reason) {
    out.extend_all([
        &head(8, kind::GOAWAY, 0, 0),
        &last.to_be_bytes(),
        &reason.0.to_be_bytes(),
    ]);
}

pub(super) fn put_window_update(out: &mut Buffer, stream: u32, increment: u32) {
    out.extend_all([
        &head(4, kind::WINDOW_UPDATE, 0, stream),
        &increment.to_be_bytes(),
    ]);
}
