//! The chunked transfer coding (RFC 9112 §7.1), decoded strictly and without copying.

use std::ops::Range;

/// Bytes of the extensions of one chunk; they mean nothing to us and are dropped.
const MOST_EXTENSION_BYTES: usize = 16 * 1024;

/// A body that is not chunked as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A decoder's place in a chunked body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    remaining: u64,
    digits: u8,
    extension_bytes: usize,
    trailers: Vec<u8>,
    most_trailer_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Blank,
    Extension,
    SizeLineFeed,
    Data,
    DataReturn,
    DataLineFeed,
    Trailers,
    Done,
}

/// What one step found.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes of the input are done with.
    pub consumed: usize,
    /// Which of them are content; may be empty.
    pub data: Range<usize>,
}

impl Decoder {
    /// A decoder at the beginning of a body, whose trailer section may have `most_trailer_bytes`.
    pub fn new(most_trailer_bytes: usize) -> Self {
        Self {
            state: State::Size,
            remaining: 0,
            digits: 0,
            extension_bytes: 0,
            trailers: Vec::new(),
            most_trailer_bytes,
        }
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The raw trailer section once the body has ended: field lines and the empty line, which may be all.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Reads on, up to the end of one piece of content or of the input.
    ///
    /// # Errors
    /// The input is not a chunked body, or a limit is passed.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let mut at = 0;
        while at < input.len() {
            if self.state == State::Data {
                let piece = usize::try_from(self.remaining)
                    .unwrap_or(usize::MAX)
                    .min(input.len() - at);
                self.remaining -= piece as u64;
                if self.remaining == 0 {
                    self.state = State::DataReturn;
                }
                return Ok(Step {
                    consumed: at + piece,
                    data: at..at + piece,
                });
            }
            if self.state == State::Done {
                break;
            }
            self.take(input[at])?;
            at += 1;
        }
        Ok(Step {
            consumed: at,
            data: at..at,
        })
    }

    /// One byte of the structure between the pieces of content.
    fn take(&mut self, byte: u8) -> Result<(), Malformed> {
        self.state = match (self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => {
                // 15 digits are 2^60 - 1 at the most.
                if self.digits == 15 {
                    return Err(Malformed);
                }
                self.digits += 1;
                let digit = (byte as char).to_digit(16).ok_or(Malformed)?;
                self.remaining = self.remaining << 4 | u64::from(digit);
                State::Size
            }
            (State::Size, b'\r') if self.digits > 0 => State::SizeLineFeed,
            (State::Size, b' ' | b'\t') if self.digits > 0 => self.extend(State::Blank)?,
            (State::Size, b';') if self.digits > 0 => State::Extension,
            (State::Blank, b' ' | b'\t') => self.extend(State::Blank)?,
            (State::Blank, b';') => State::Extension,
            (State::Blank, b'\r') => State::SizeLineFeed,
            (State::Extension, b'\r') => State::SizeLineFeed,
            (State::Extension, byte) if byte != b'\n' && byte != 0 => {
                self.extend(State::Extension)?
            }
            (State::SizeLineFeed, b'\n') => {
                self.digits = 0;
                self.extension_bytes = 0;
                if self.remaining == 0 {
                    State::Trailers
                } else {
                    State::Data
                }
            }
            (State::DataReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::Size,
            (State::Trailers, byte) => {
                // A bare line feed ends a line to some readers, and so the body where others read on.
                let is_bare = byte == b'\n' && self.trailers.last() != Some(&b'\r');
                if is_bare || self.trailers.len() == self.most_trailer_bytes {
                    return Err(Malformed);
                }
                self.trailers.push(byte);
                if self.trailers == b"\r\n" || self.trailers.ends_with(b"\r\n\r\n") {
                    State::Done
                } else {
                    State::Trailers
                }
            }
            _ => return Err(Malformed),
        };
        Ok(())
    }
}

impl Decoder {
    /// One more byte that means nothing to us, of which there may not be many.
    fn extend(&mut self, state: State) -> Result<State, Malformed> {
        self.extension_bytes += 1;
        if self.extension_bytes > MOST_EXTENSION_BYTES {
            Err(Malformed)
        } else {
            Ok(state)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(input: &[u8], piece: usize) -> Result<(Vec<u8>, usize, bool, Vec<u8>), Malformed> {
        let mut decoder = Decoder::new(1024);
        let (mut content, mut at) = (Vec::new(), 0);
        while at < input.len() && !decoder.is_done() {
            let window = &input[at..input.len().min(at + piece)];
            let step = decoder.step(window)?;
            content.extend_from_slice(&window[step.data]);
            at += step.consumed;
        }
        Ok((content, at, decoder.is_done(), decoder.trailers().to_vec()))
    }

    #[test]
    fn decodes_chunks_extensions_and_trailers() {
        let body = b"5;a=b\r\nhello\r\n6 \r\n world\r\n0\r\nX-Sum: 1\r\n\r\nrest";
        let (content, consumed, done, trailers) = decode(body, 1000).unwrap();
        assert_eq!(content, b"hello world");
        assert!(done);
        assert_eq!(&body[consumed..], b"rest");
        assert_eq!(trailers, b"X-Sum: 1\r\n\r\n");
    }

    #[test]
    fn malformed_bodies_are_refused() {
        for body in [
            &b"\r\n"[..],
            b"x\r\n",
            b"5\nhello",
            b"5\r\nhelloX",
            b"5\r\nhello\n",
            b"-1\r\n",
            b"+5\r\n",
            b"0x5\r\n",
            b"1000000000000000\r\n",
            b"5;a\nb\r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"5 5\r\nhello\r\n",
            b"5 x\r\nhello\r\n",
            b"0\r\n\n",
            b"0\r\nA: b\n\n",
            b"0\r\nA: b\r\n\n",
        ] {
            assert_eq!(
                decode(body, 1000),
                Err(Malformed),
                "{:?}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn trailers_and_extensions_are_bounded() {
        let mut body = b"0\r\n".to_vec();
        body.extend(b"a: b\r\n".repeat(1000));
        assert_eq!(decode(&body, 4096), Err(Malformed));
        let mut body = b"1;".to_vec();
        body.extend([b'x'; MOST_EXTENSION_BYTES + 1]);
        assert_eq!(decode(&body, 4096), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_content(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..8), piece in 1_usize..64) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend(format!("{:x}\r\n", chunk.len()).bytes());
                body.extend(chunk);
                body.extend(b"\r\n");
            }
            body.extend(b"0\r\n\r\n");
            let (content, consumed, done, _) = decode(&body, piece).unwrap();
            prop_assert_eq!(content, chunks.concat());
            prop_assert_eq!(consumed, body.len());
            prop_assert!(done);
        }

        #[test]
        fn garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..200), piece in 1_usize..64) {
            let _ = decode(&body, piece);
        }
    }
}
