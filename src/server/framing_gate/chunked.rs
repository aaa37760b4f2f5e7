//! Where a chunked body ends (RFC 9112 §7.1), by hyper's own rules.

/// The state of a chunked body after the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    part: Part,
    /// Of the chunk: its size while that is read, then how many of its bytes are to come.
    left: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Start,
    Size,
    SizeBlank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    TrailerLf,
    EndCr,
    EndLf,
    End,
}

/// The body breaks the grammar in the byte before this offset; hyper refuses it there too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BrokenAt(pub(super) usize);

impl Chunked {
    pub(super) const START: Self = Self {
        part: Part::Start,
        left: 0,
    };

    /// Whether the body has ended.
    pub(super) fn is_done(&self) -> bool {
        self.part == Part::End
    }

    /// Follows the body through `bytes`, and gives how many of them belong to it.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, BrokenAt> {
        let mut at = 0;
        while at < bytes.len() && self.part != Part::End {
            if self.part == Part::Data {
                let there = u64::min(self.left, (bytes.len() - at) as u64);
                self.left -= there;
                at += there as usize;
                if self.left == 0 {
                    self.part = Part::DataCr;
                }
                continue;
            }
            let byte = bytes[at];
            at += 1;
            self.part = self.after(byte).ok_or(BrokenAt(at))?;
        }
        Ok(at)
    }

    /// The state after a byte that is not chunk data.
    fn after(&mut self, byte: u8) -> Option<Part> {
        Some(match (self.part, byte) {
            (Part::Start | Part::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16)?;
                self.left = self.left.checked_mul(16)?.checked_add(digit.into())?;
                Part::Size
            }
            (Part::Size | Part::SizeBlank, b' ' | b'\t') => Part::SizeBlank,
            (Part::Size | Part::SizeBlank, b';') => Part::Extension,
            (Part::Size | Part::SizeBlank | Part::Extension, b'\r') => Part::SizeLf,
            (Part::Extension, b'\n') => return None,
            (Part::Extension, _) => Part::Extension,
            (Part::SizeLf, b'\n') if self.left == 0 => Part::EndCr,
            (Part::SizeLf, b'\n') => Part::Data,
            (Part::DataCr, b'\r') => Part::DataLf,
            (Part::DataLf, b'\n') => Part::Start,
            (Part::Trailer, b'\r') => Part::TrailerLf,
            (Part::TrailerLf, b'\n') => Part::EndCr,
            (Part::EndCr, b'\r') => Part::EndLf,
            (Part::EndCr | Part::Trailer, _) => Part::Trailer,
            (Part::EndLf, b'\n') => Part::End,
            _ => return None,
        })
    }
}
