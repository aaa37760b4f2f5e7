//! Bodies that name their request: each byte follows from the request's id and the byte's position.

use bytes::{Bytes, BytesMut};

use crate::random::mix;

/// Bytes of a streamed body that are sent at a time.
pub(crate) const PIECE: usize = 16 * 1024;

/// The body of request `id`, from its byte `from` to before its byte `to`.
pub(crate) fn part(id: u64, from: usize, to: usize) -> Bytes {
    let mut bytes = BytesMut::with_capacity(to - from + 16);
    let first = from / 8;
    for word in first..to.div_ceil(8) {
        bytes.extend_from_slice(&mix(mix(id) ^ word as u64).to_le_bytes());
    }
    bytes.freeze().slice(from - first * 8..to - first * 8)
}

/// The pieces of the body of request `id`, which is `length` bytes long.
pub(crate) fn pieces(id: u64, length: usize) -> impl Iterator<Item = Bytes> + Send {
    (0..length)
        .step_by(PIECE)
        .map(move |from| part(id, from, length.min(from + PIECE)))
}

/// Text for messages: the request's id, a number, and more of the pattern.
pub(crate) fn text(id: u64, number: u64) -> String {
    format!("{id}:{number}:{:016x}", mix(mix(id) ^ number))
}

/// The comparison of a body that arrives in pieces with the one that was sent.
#[derive(Debug)]
pub(crate) struct Check {
    id: u64,
    length: usize,
    differs: bool,
}

impl Check {
    /// A check of the body of request `id`.
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            length: 0,
            differs: false,
        }
    }

    /// Compares the next piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        let end = self.length + piece.len();
        self.differs |= part(self.id, self.length, end) != piece;
        self.length = end;
    }

    /// The bytes so far.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Whether all bytes were those of the request.
    pub(crate) fn is_right(&self) -> bool {
        !self.differs
    }
}
