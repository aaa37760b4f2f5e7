//! From bytes to frames: sizes and places are checked, padding and priorities left out, field blocks put together.

use super::frame::{Broken, FrameHead, HEAD, LARGEST, MOST, Reason, flag, kind};
use crate::http1::buffer::Buffer;

/// A frame, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Data {
        stream: u32,
        content: &'a [u8],
        /// Bytes that count for the windows: padding too.
        flow: u32,
        is_end: bool,
    },
    /// A whole field block.
    Fields {
        stream: u32,
        block: &'a [u8],
        is_end: bool,
    },
    Reset {
        stream: u32,
        reason: Reason,
    },
    /// Pairs of a number and a value.
    Settings(&'a [u8]),
    SettingsAck,
    Ping {
        is_ack: bool,
        payload: [u8; 8],
    },
    Goaway {
        last: u32,
        reason: Reason,
    },
    WindowUpdate {
        stream: u32,
        increment: u32,
    },
    /// One that asks for nothing: a priority, one of an unknown kind, a part of a block.
    Nothing,
}

/// Reads the frames of one connection.
#[derive(Debug)]
pub(super) struct Reader {
    /// The largest field block that is taken, packed as it comes.
    most_block: usize,
    partial: Option<Partial>,
    block: Buffer,
}

/// A field block whose end is still to come.
#[derive(Clone, Copy, Debug)]
struct Partial {
    stream: u32,
    is_end: bool,
    pieces: usize,
}

/// Pieces of a field block, of which a long one needs few. More have hardly anything in them.
const MOST_PIECES: usize = 64;

impl Reader {
    pub(super) fn new(most_block: usize) -> Self {
        Self {
            most_block,
            partial: None,
            block: Buffer::new(),
        }
    }

    /// Whether a field block has begun that has not ended.
    pub(super) fn is_amid_fields(&self) -> bool {
        self.partial.is_some()
    }

    /// The bytes of the frame that `bytes` begins with, once its length is known.
    ///
    /// # Errors
    /// It is larger than any that is taken.
    pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let Some(head) = bytes.first_chunk() else {
            return Ok(None);
        };
        match FrameHead::read(head).length {
            length if length > LARGEST => Err(Broken::new(
                Reason::FRAME_SIZE_ERROR,
                "a frame that is too large",
            )),
            length => Ok(Some(HEAD + length)),
        }
    }

    /// Reads a frame, which has to be all of `bytes`.
    ///
    /// # Errors
    /// What ends the connection.
    pub(super) fn read<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Frame<'a>, Broken> {
        let Some((head, payload)) = bytes.split_first_chunk::<HEAD>() else {
            return Ok(Frame::Nothing);
        };
        let head = FrameHead::read(head);
        let stream = head.stream;
        if self.partial.is_none() {
            self.block.release();
        }
        if self.partial.is_some() && head.kind != kind::CONTINUATION {
            return Err(Broken::protocol("a frame in the middle of a field block"));
        }
        if matches!(
            head.kind,
            kind::DATA | kind::HEADERS | kind::PRIORITY | kind::RST_STREAM
        ) && stream == 0
        {
            return Err(Broken::protocol("a frame that needs a stream and has none"));
        }
        if matches!(head.kind, kind::SETTINGS | kind::PING | kind::GOAWAY) && stream != 0 {
            return Err(Broken::protocol("a frame of the connection on a stream"));
        }
        match head.kind {
            kind::DATA => {
                let content = unpadded(head, payload)?;
                Ok(Frame::Data {
                    stream,
                    content,
                    flow: head.length as u32,
                    is_end: head.has(flag::END_STREAM),
                })
            }
            kind::HEADERS => self.headers(head, payload),
            kind::CONTINUATION => self.continuation(head, payload),
            kind::RST_STREAM => Ok(Frame::Reset {
                stream,
                reason: Reason(number(payload)?),
            }),
            kind::SETTINGS if head.has(flag::ACK) && payload.is_empty() => Ok(Frame::SettingsAck),
            kind::SETTINGS if head.has(flag::ACK) || !payload.len().is_multiple_of(6) => {
                Err(size())
            }
            kind::SETTINGS => Ok(Frame::Settings(payload)),
            kind::PING => {
                let payload = payload.try_into().map_err(|_| size())?;
                Ok(Frame::Ping {
                    is_ack: head.has(flag::ACK),
                    payload,
                })
            }
            kind::GOAWAY => {
                let (last, rest) = payload.split_at_checked(4).ok_or_else(size)?;
                let reason = rest.get(..4).ok_or_else(size)?;
                Ok(Frame::Goaway {
                    last: number(last)? & MOST,
                    reason: Reason(number(reason)?),
                })
            }
            kind::WINDOW_UPDATE => Ok(Frame::WindowUpdate {
                stream,
                increment: number(payload)? & MOST,
            }),
            // Nobody was allowed to.
            kind::PUSH_PROMISE => Err(Broken::protocol("a push that was not asked for")),
            kind::PRIORITY if payload.len() != 5 => Err(size()),
            _ => Ok(Frame::Nothing),
        }
    }

    fn headers<'a>(&'a mut self, head: FrameHead, payload: &'a [u8]) -> Result<Frame<'a>, Broken> {
        let mut block = unpadded(head, payload)?;
        if head.has(flag::PRIORITY) {
            block = block.get(5..).ok_or_else(size)?;
        }
        let is_end = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return Ok(Frame::Fields {
                stream: head.stream,
                block,
                is_end,
            });
        }
        self.block = Buffer::with_size(block.len());
        self.block.extend(block);
        self.partial = Some(Partial {
            stream: head.stream,
            is_end,
            pieces: 1,
        });
        Ok(Frame::Nothing)
    }

    fn continuation<'a>(
        &'a mut self,
        head: FrameHead,
        payload: &'a [u8],
    ) -> Result<Frame<'a>, Broken> {
        let Some(partial) = self
            .partial
            .as_mut()
            .filter(|partial| partial.stream == head.stream)
        else {
            return Err(Broken::protocol(
                "a piece of a field block that did not begin",
            ));
        };
        partial.pieces += 1;
        if partial.pieces > MOST_PIECES || self.block.len() + payload.len() > self.most_block {
            return Err(Broken::new(
                Reason::ENHANCE_YOUR_CALM,
                "a field block without end",
            ));
        }
        self.block.extend(payload);
        if !head.has(flag::END_HEADERS) {
            return Ok(Frame::Nothing);
        }
        let (stream, is_end) = (partial.stream, partial.is_end);
        self.partial = None;
        Ok(Frame::Fields {
            stream,
            block: self.block.filled(),
            is_end,
        })
    }
}

fn unpadded(head: FrameHead, payload: &[u8]) -> Result<&[u8], Broken> {
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    let (padding, rest) = payload.split_first().ok_or_else(size)?;
    let length = rest.len().checked_sub(usize::from(*padding));
    length
        .map(|length| &rest[..length])
        .ok_or(Broken::protocol("more padding than payload"))
}

fn number(bytes: &[u8]) -> Result<u32, Broken> {
    bytes.try_into().map(u32::from_be_bytes).map_err(|_| size())
}

fn size() -> Broken {
    Broken::new(
        Reason::FRAME_SIZE_ERROR,
        "a frame of a size that it cannot have",
    )
}

#[cfg(test)]
mod tests;
