//! Bodies on their way through: what is still to come of one, and how its content is framed afresh.

use std::fmt;

use super::{
    buffer::Buffer,
    chunked::Decoder,
    field::{Known, list, same_name},
    framing::Framing,
    head::Head,
};

/// Bytes that have to be free in front of content which is to become a chunk: its size line.
pub const CHUNK_GAP: usize = 10;

/// Fields of a trailer section.
const MOST_TRAILERS: usize = 100;

/// How the content is framed for the next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// As it is: its length was announced, or it ends with the connection.
    Plain,
    /// In chunks.
    Chunked,
}

/// Why a body cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is not chunked as it should be, or its trailers are no field lines.
    Malformed,
    /// It is longer than it may be.
    TooLarge,
    /// The connection ended before it did.
    Cut,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "a malformed body",
            Self::TooLarge => "a body that is too large",
            Self::Cut => "a body that was cut off",
        })
    }
}

impl std::error::Error for BodyError {}

/// What is still to come of one body.
#[derive(Debug)]
pub struct Body {
    state: State,
    content: u64,
    limit: Option<u64>,
}

#[derive(Debug)]
enum State {
    Done,
    Length(u64),
    Chunked(Box<Chunks>),
    UntilClose,
}

/// A body in chunks, and the names that stay here if they stand in its trailers.
#[derive(Debug)]
struct Chunks {
    decoder: Decoder,
    withheld: Vec<Box<[u8]>>,
}

/// What a decoding step did with its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Content, moved to the front of the input.
    pub content: usize,
    /// Bytes of the input that belong to this body; what is behind them does not.
    pub consumed: usize,
}

impl Body {
    /// A body at its beginning, of which no more than `limit` bytes of content may come.
    pub fn new(framing: Framing, limit: Option<u64>, most_trailer_bytes: usize) -> Self {
        let state = match framing {
            Framing::Empty => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => {
                let decoder = Decoder::new(most_trailer_bytes);
                State::Chunked(Box::new(Chunks {
                    decoder,
                    withheld: Vec::new(),
                }))
            }
            Framing::UntilClose => State::UntilClose,
        };
        Self {
            state,
            content: 0,
            limit,
        }
    }

    /// Keeps those trailers back that `Connection` of this body's head names (RFC 9110 §7.6.1).
    pub fn withhold_named_by(&mut self, head: &Head) {
        if let State::Chunked(chunks) = &mut self.state {
            chunks.withheld = head
                .values(Known::Connection)
                .flat_map(list)
                .map(Box::from)
                .collect();
        }
    }

    /// Whether it has ended.
    pub fn is_done(&self) -> bool {
        match &self.state {
            State::Done => true,
            State::Chunked(chunks) => chunks.decoder.is_done(),
            State::Length(_) | State::UntilClose => false,
        }
    }

    /// Bytes of content so far.
    pub fn content(&self) -> u64 {
        self.content
    }

    /// Bytes of content as far as is known: what has come, and what was announced.
    pub fn known_length(&self) -> u64 {
        match self.state {
            State::Length(left) => self.content + left,
            _ => self.content,
        }
    }

    /// How many bytes can be read without reading into the next message, as far as that is known.
    pub fn appetite(&self) -> usize {
        match &self.state {
            State::Done => 0,
            State::Length(length) => usize::try_from(*length).unwrap_or(usize::MAX),
            State::Chunked(_) | State::UntilClose => usize::MAX,
        }
    }

    /// Takes what was read, and moves the content in it to its front.
    ///
    /// # Errors
    /// [`BodyError::Malformed`] and [`BodyError::TooLarge`].
    pub fn decode(&mut self, input: &mut [u8]) -> Result<Decoded, BodyError> {
        let decoded = match &mut self.state {
            State::Done => Decoded {
                content: 0,
                consumed: 0,
            },
            State::UntilClose => Decoded {
                content: input.len(),
                consumed: input.len(),
            },
            State::Length(_) => {
                let content = self.appetite().min(input.len());
                self.take_length(content);
                Decoded {
                    content,
                    consumed: content,
                }
            }
            State::Chunked(chunks) => {
                let decoder = &mut chunks.decoder;
                let mut decoded = Decoded {
                    content: 0,
                    consumed: 0,
                };
                while decoded.consumed < input.len() && !decoder.is_done() {
                    let step = decoder
                        .step(&input[decoded.consumed..])
                        .map_err(|_| BodyError::Malformed)?;
                    let (from, to) = (
                        decoded.consumed + step.data.start,
                        decoded.consumed + step.data.end,
                    );
                    if from != decoded.content {
                        input.copy_within(from..to, decoded.content);
                    }
                    decoded.content += to - from;
                    decoded.consumed += step.consumed;
                }
                decoded
            }
        };
        self.count(decoded.content)?;
        Ok(decoded)
    }

    fn take_length(&mut self, taken: usize) {
        if let State::Length(length) = &mut self.state {
            *length -= taken as u64;
            if *length == 0 {
                self.state = State::Done;
            }
        }
    }

    fn count(&mut self, content: usize) -> Result<(), BodyError> {
        self.content += content as u64;
        if self.limit.is_some_and(|limit| self.content > limit) {
            Err(BodyError::TooLarge)
        } else {
            Ok(())
        }
    }

    /// The connection it came on has ended.
    ///
    /// # Errors
    /// [`BodyError::Cut`], unless that is how this body ends.
    pub fn end(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            _ if self.is_done() => Ok(()),
            _ => Err(BodyError::Cut),
        }
    }

    /// Calls `pass` with each trailer field that may go on: none that frames, routes or authenticates, nor `injected`, nor
    /// one that `Connection` names.
    ///
    /// # Errors
    /// [`BodyError::Malformed`]: the trailer section is not made of field lines.
    pub fn trailers(
        &self,
        injected: Option<&[u8]>,
        mut pass: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), BodyError> {
        let State::Chunked(chunks) = &self.state else {
            return Ok(());
        };
        let Chunks { decoder, withheld } = &**chunks;
        if decoder.trailers().len() <= 2 {
            return Ok(());
        }
        let mut lines = [httparse::EMPTY_HEADER; MOST_TRAILERS];
        let parsed = httparse::parse_headers(decoder.trailers(), &mut lines)
            .map_err(|_| BodyError::Malformed)?;
        let httparse::Status::Complete((_, lines)) = parsed else {
            return Err(BodyError::Malformed);
        };
        for line in lines {
            let name = line.name.as_bytes();
            let ends_here = injected.is_some_and(|injected| same_name(name, injected))
                || withheld
                    .iter()
                    .any(|withheld| withheld.eq_ignore_ascii_case(name));
            if may_trail(name) && !ends_here {
                pass(name, line.value);
            }
        }
        Ok(())
    }

    /// Frames the content in `wire`, in front of which [`CHUNK_GAP`] bytes are free, and ends it if the body has ended.
    ///
    /// # Errors
    /// As [`Body::trailers`].
    pub fn frame(
        &self,
        wire: &mut Buffer,
        sink: Sink,
        injected: Option<&[u8]>,
    ) -> Result<(), BodyError> {
        if sink == Sink::Plain {
            return Ok(());
        }
        if !wire.is_empty() {
            let mut line = [0; CHUNK_GAP];
            let start = size_line(wire.len(), &mut line);
            wire.prepend(&line[start..]);
            wire.extend(b"\r\n");
        }
        self.finish(wire, sink, injected)
    }

    /// Adds the first part of the body, read together with the head, to the message in `wire`. Gives how many bytes
    /// of `rest` belong to it.
    ///
    /// # Errors
    /// As [`Body::decode`].
    pub fn begin(
        &mut self,
        rest: &[u8],
        wire: &mut Buffer,
        sink: Sink,
        injected: Option<&[u8]>,
    ) -> Result<usize, BodyError> {
        let consumed = if rest.is_empty() || self.is_done() {
            0
        } else if sink == Sink::Plain && matches!(self.state, State::Length(_)) {
            let part = &rest[..rest.len().min(self.appetite())];
            wire.extend(part);
            self.take_length(part.len());
            self.count(part.len())?;
            part.len()
        } else {
            let mut part = rest.to_owned();
            let decoded = self.decode(&mut part)?;
            put_content(wire, &part[..decoded.content], sink);
            decoded.consumed
        };
        self.finish(wire, sink, injected)?;
        Ok(consumed)
    }

    fn finish(
        &self,
        wire: &mut Buffer,
        sink: Sink,
        injected: Option<&[u8]>,
    ) -> Result<(), BodyError> {
        if sink == Sink::Chunked && self.is_done() {
            wire.extend(b"0\r\n");
            self.trailers(injected, |name, value| put_field(wire, name, value))?;
            wire.extend(b"\r\n");
        }
        Ok(())
    }
}

/// Adds a field line to a head or a trailer section.
pub fn put_field(wire: &mut Buffer, name: &[u8], value: &[u8]) {
    wire.extend_all([name, b": ", value, b"\r\n"]);
}

/// Adds content to a message, as one chunk or as it is. An empty chunk would be the last one, so none is made of nothing.
fn put_content(wire: &mut Buffer, content: &[u8], sink: Sink) {
    match sink {
        Sink::Plain => wire.extend(content),
        Sink::Chunked if content.is_empty() => {}
        Sink::Chunked => {
            let mut line = [0; CHUNK_GAP];
            let start = size_line(content.len(), &mut line);
            wire.extend(&line[start..]);
            wire.extend(content);
            wire.extend(b"\r\n");
        }
    }
}

/// Whether a field may stand in a trailer section (RFC 9110 §6.5.1): none that frames, routes or authenticates.
fn may_trail(name: &[u8]) -> bool {
    const NEVER: [&[u8]; 11] = [
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"cookie",
        b"forwarded",
        b"host",
        b"set-cookie",
        b"trailer",
        b"transfer-encoding",
        b"www-authenticate",
    ];
    const ROUTING: &[u8] = b"x-forwarded-";
    Known::of(name) == Known::Other
        && !NEVER.iter().any(|never| same_name(name, never))
        && !name
            .get(..ROUTING.len())
            .is_some_and(|head| same_name(head, ROUTING))
}

/// Writes `SIZE CR LF` at the end of `line` and gives where it starts.
pub fn size_line(mut size: usize, line: &mut [u8; CHUNK_GAP]) -> usize {
    let mut start = CHUNK_GAP - 2;
    line[start..].copy_from_slice(b"\r\n");
    loop {
        start -= 1;
        line[start] = b"0123456789abcdef"[size & 15];
        size >>= 4;
        if size == 0 {
            return start;
        }
    }
}

#[cfg(test)]
mod tests;
