//! A message on its way in, read as HTTP/1.1: its head, its content in chunks or as it is, its trailers.

use super::{
    compose::{self, Malformed},
    fields::Fields,
};
use crate::http1::{
    body::{CHUNK_GAP, size_line},
    buffer::{Buffer, SMALL},
};

/// Bytes of interim answers that nobody has read yet.
const MOST_INTERIM: usize = 64 * 1024;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A request.
    Request,
    /// The answer to a request whose method was HEAD or not.
    Answer { to_head: bool },
}

/// A message on its way in.
#[derive(Debug)]
pub(super) struct Inbound {
    role: Role,
    stage: Stage,
    /// What is read before more of the content: heads, and lines of the chunked coding.
    front: Buffer,
    content: Buffer,
    /// How much of the content may be read before the next line.
    open: usize,
    is_chunked: bool,
    /// What is still to come, where a length was told.
    left: Option<u64>,
    trailers: Buffer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Content,
    /// All has come.
    Whole,
    /// And its end was put in front.
    Over,
    /// Nothing more is read of it.
    Broken,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) bytes: usize,
    /// Bytes of content among them, which make room in the window.
    pub(super) content: usize,
}

impl Inbound {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            stage: Stage::Head,
            front: Buffer::new(),
            content: Buffer::new(),
            open: 0,
            is_chunked: false,
            left: None,
            trailers: Buffer::new(),
        }
    }

    /// Whether the request that came is a HEAD.
    pub(super) fn is_head_request(&self) -> bool {
        self.front.filled().starts_with(b"HEAD ")
    }

    /// Throws away what was not read, so that a broken message does not look as if it began; gives how much content
    /// that was.
    pub(super) fn break_off(&mut self) -> usize {
        let unread = self.content.len();
        self.stage = Stage::Broken;
        self.front.release();
        self.content.release();
        self.open = 0;
        unread
    }

    /// Whether its head is still to come.
    pub(super) fn wants_head(&self) -> bool {
        self.stage == Stage::Head
    }

    /// Whether all of it has come.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.stage, Stage::Whole | Stage::Over)
    }

    /// Takes a head, interim ones too, or trailers.
    ///
    /// # Errors
    /// It is not what may come here.
    pub(super) fn take_fields(&mut self, fields: &Fields, is_end: bool) -> Result<(), Malformed> {
        match self.stage {
            Stage::Head => self.take_head(fields, is_end),
            Stage::Content if is_end && !fields.is_too_large() => {
                compose::trailers(&mut self.trailers, fields)?;
                self.end()
            }
            _ => Err(Malformed),
        }
    }

    fn take_head(&mut self, fields: &Fields, is_end: bool) -> Result<(), Malformed> {
        if self.front.len() > MOST_INTERIM {
            return Err(Malformed);
        }
        self.front.grow(SMALL);
        let content = match self.role {
            Role::Request => compose::request(&mut self.front, fields, is_end)?,
            Role::Answer { to_head } => {
                match compose::answer(&mut self.front, fields, is_end, to_head)? {
                    (_, true) => return Ok(()),
                    (content, false) => content,
                }
            }
        };
        self.stage = Stage::Content;
        self.is_chunked = content.is_chunked;
        self.left = content.length;
        if is_end { self.end() } else { Ok(()) }
    }

    /// Takes content.
    ///
    /// # Errors
    /// It may not come here, or is more than was told.
    pub(super) fn take_content(&mut self, content: &[u8], is_end: bool) -> Result<(), Malformed> {
        if self.stage != Stage::Content {
            return Err(Malformed);
        }
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(content.len() as u64).ok_or(Malformed)?;
        }
        if is_end {
            self.end()?;
        }
        self.content.push(content);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Malformed> {
        self.stage = Stage::Whole;
        if self.left.is_some_and(|left| left > 0) {
            Err(Malformed)
        } else {
            Ok(())
        }
    }

    /// Reads some of it into `bytes`; nothing where there is nothing, or where all was read.
    pub(super) fn give(&mut self, bytes: &mut [u8]) -> Given {
        let mut given = Given::default();
        while given.bytes < bytes.len() {
            let rest = &mut bytes[given.bytes..];
            if !self.front.is_empty() {
                given.bytes += pour(&mut self.front, rest, usize::MAX);
                if self.front.is_empty() {
                    self.front.release();
                }
            } else if self.open > 0 {
                let count = pour(&mut self.content, rest, self.open);
                self.open -= count;
                given.bytes += count;
                given.content += count;
                if self.open == 0 && self.is_chunked {
                    self.front.extend(b"\r\n");
                }
            } else if !self.content.is_empty() {
                self.open = self.content.len();
                if self.is_chunked {
                    let mut line = [0; CHUNK_GAP];
                    let start = size_line(self.open, &mut line);
                    self.front.extend(&line[start..]);
                }
            } else {
                self.content.release();
                if self.stage != Stage::Whole {
                    break;
                }
                self.stage = Stage::Over;
                if self.is_chunked {
                    self.front
                        .extend_all([b"0\r\n", self.trailers.filled(), b"\r\n"]);
                    self.trailers.release();
                }
            }
        }
        given
    }
}

fn pour(from: &mut Buffer, to: &mut [u8], most: usize) -> usize {
    let count = from.len().min(to.len()).min(most);
    to[..count].copy_from_slice(&from.filled()[..count]);
    from.consume(count);
    count
}

#[cfg(test)]
mod tests;
