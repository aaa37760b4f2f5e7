//! Heads of requests and answers: the bytes as they were read, and where everything in them lies.

use std::mem::MaybeUninit;

use super::{
    buffer::Buffer,
    field::{Field, Known, Span},
};

/// The most field lines that any limit may allow.
pub const MOST_FIELDS: usize = 256;
/// Room for what we add to a head on its way.
pub const ADDED_FIELDS: usize = 8;

/// The most bytes of line breaks that may come before a start line. RFC 9112 §2.2 wants one break forgiven.
const MOST_BREAKS: usize = 8;

/// The version in a start line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

/// Why a head cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// It is not HTTP/1.
    Malformed,
    /// More bytes than the limit.
    TooLarge,
    /// More field lines than the limit.
    TooManyFields,
}

/// Bounds of a head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes in all.
    pub bytes: usize,
    /// Field lines; at most [`MOST_FIELDS`].
    pub fields: usize,
}

/// The head of a message, and whatever was read behind it.
///
/// It is filled by reading into `buffer` and calling one of the `parse` functions until that says that it is whole.
#[derive(Debug, Default)]
pub struct Head {
    /// What was read. Its content from 0 up to [`Head::len`] is the head.
    pub buffer: Buffer,
    /// The version of the start line.
    pub version: Version,
    /// The status of an answer.
    pub status: u16,
    first: Span,
    second: Span,
    fields: Vec<Field>,
    /// A bit for each known name that some field has.
    present: u32,
    len: usize,
    searched: usize,
}

impl Head {
    /// The method of a request.
    pub fn method(&self) -> &[u8] {
        self.first.of(self.buffer.all())
    }

    /// The target of a request, as it came.
    pub fn target(&self) -> &[u8] {
        self.second.of(self.buffer.all())
    }

    /// Where the target lies.
    pub fn target_span(&self) -> Span {
        self.second
    }

    /// The reason phrase of an answer.
    pub fn reason(&self) -> &[u8] {
        self.second.of(self.buffer.all())
    }

    /// The field lines in their order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The bytes of a span of this head.
    pub fn bytes(&self, span: Span) -> &[u8] {
        span.of(self.buffer.all())
    }

    /// The values of all lines of a known name, in their order.
    pub fn values(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        let fields = if self.has(known) { self.fields() } else { &[] };
        fields
            .iter()
            .filter(move |field| field.known == known)
            .map(|field| self.bytes(field.value))
    }

    /// Whether there is a field of this known name: costs no look at the fields.
    pub fn has(&self, known: Known) -> bool {
        self.present & known.bit() != 0
    }

    /// The whole line of a field, if it is written just as it would be written afresh.
    pub fn line(&self, field: &Field) -> Option<Span> {
        let bytes = self.buffer.all();
        let (name, value) = (field.name, field.value);
        let is_plain = bytes.get(name.end()..value.start()) == Some(b": ")
            && bytes.get(value.end()..value.end() + 2) == Some(b"\r\n");
        is_plain.then(|| Span::new(name.start(), value.end() + 2))
    }

    /// Puts a value that is no longer in the place of that of the field with this number.
    pub fn shorten(&mut self, number: usize, value: &[u8]) {
        let place = &mut self.fields[number].value;
        *place = Span::new(place.start(), place.start() + value.len().min(place.len()));
        self.buffer.all_mut()[place.start()..place.end()].copy_from_slice(&value[..place.len()]);
    }

    /// The bytes of the head, the empty line at its end included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no head was read yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was read behind the head.
    pub fn rest(&self) -> &[u8] {
        &self.buffer.all()[self.len..]
    }

    /// Forgets this head and the first `consumed` bytes behind it; what is left is the beginning of the next.
    pub fn next(&mut self, consumed: usize) {
        self.buffer.rewind(0);
        self.buffer.consume(self.len + consumed);
        self.buffer.compact();
        self.forget();
        if self.buffer.is_empty() {
            self.buffer.release();
        }
    }

    /// Forgets all, bytes behind the head included.
    pub fn clear(&mut self) {
        self.forget();
        self.buffer.reset(0);
    }

    /// Reads a request head from the buffer; true when it is whole.
    ///
    /// # Errors
    /// See [`HeadError`].
    pub fn parse_request(&mut self, limits: HeadLimits) -> Result<bool, HeadError> {
        if !self.worth_parsing(limits, |byte| is_break(byte) || is_token(byte))? {
            return Ok(false);
        }
        let bytes = self.buffer.all();
        let read = match read_request(bytes, &mut self.fields) {
            // The parser takes nothing but text for a target. What is not comes seldom, and is then read in a copy without it.
            Err(httparse::Error::Token) => match masked(bytes) {
                Some(masked) => read_request(&masked, &mut self.fields),
                None => return Err(HeadError::Malformed),
            },
            read => read,
        };
        match read {
            Ok(httparse::Status::Complete(request)) => {
                self.first = request.method;
                self.second = request.target;
                self.version = request.version;
                self.len = request.len;
                self.present = request.present;
                self.check(limits)
            }
            Ok(httparse::Status::Partial) => self.partial(limits),
            Err(error) => Err(error_of(error)),
        }
    }

    /// Reads the head of an answer from the buffer; true when it is whole.
    ///
    /// # Errors
    /// See [`HeadError`].
    pub fn parse_response(&mut self, limits: HeadLimits) -> Result<bool, HeadError> {
        if !self.worth_parsing(limits, |byte| byte == b'H' || is_break(byte))? {
            return Ok(false);
        }
        let bytes = self.buffer.all();
        let mut lines = [const { MaybeUninit::uninit() }; MOST_FIELDS + ADDED_FIELDS];
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut response, bytes, &mut lines) {
            Ok(httparse::Status::Complete(len)) => {
                let (Some(status @ 100..), Some(version)) = (response.code, response.version)
                else {
                    return Err(HeadError::Malformed);
                };
                self.second = match response.reason {
                    // A reason with bytes outside ASCII is given as an empty text that lies elsewhere.
                    Some(reason) if !reason.is_empty() => Span::locate(bytes, reason.as_bytes()),
                    _ => Span::default(),
                };
                self.status = status;
                self.version = version_of(version);
                self.len = len;
                self.present = note_fields(&mut self.fields, bytes, response.headers);
                self.check(limits)
            }
            Ok(httparse::Status::Partial) => self.partial(limits),
            Err(error) => Err(error_of(error)),
        }
    }

    fn forget(&mut self) {
        self.fields.clear();
        self.present = 0;
        self.len = 0;
        self.searched = 0;
        self.first = Span::default();
        self.second = Span::default();
    }

    /// Whether a parse can succeed: one that was tried in vain is repeated only when an empty line has come since,
    /// so that a head that trickles in byte by byte is neither parsed nor searched once for each byte.
    fn worth_parsing(
        &mut self,
        limits: HeadLimits,
        may_begin: fn(u8) -> bool,
    ) -> Result<bool, HeadError> {
        let bytes = self.buffer.all();
        match bytes.first() {
            None => Ok(false),
            Some(first) if !may_begin(*first) => Err(HeadError::Malformed),
            // Each of them would be an empty line that a head might end with.
            Some(_)
                if bytes
                    .iter()
                    .take_while(|byte| is_break(**byte))
                    .nth(MOST_BREAKS)
                    .is_some() =>
            {
                Err(HeadError::Malformed)
            }
            Some(_) if self.searched == 0 || has_empty_line(bytes, self.searched) => Ok(true),
            Some(_) if bytes.len() > limits.bytes => Err(HeadError::TooLarge),
            Some(_) => {
                self.searched = bytes.len();
                Ok(false)
            }
        }
    }

    fn partial(&mut self, limits: HeadLimits) -> Result<bool, HeadError> {
        let read = self.buffer.all().len();
        if read > limits.bytes {
            return Err(HeadError::TooLarge);
        }
        self.searched = read;
        Ok(false)
    }

    fn check(&self, limits: HeadLimits) -> Result<bool, HeadError> {
        if self.len > limits.bytes {
            Err(HeadError::TooLarge)
        } else if self.fields.len() > limits.fields {
            Err(HeadError::TooManyFields)
        } else {
            Ok(true)
        }
    }
}

/// What was found of a request, besides its fields.
struct Request {
    method: Span,
    target: Span,
    version: Version,
    len: usize,
    present: u32,
}

fn read_request(bytes: &[u8], fields: &mut Vec<Field>) -> httparse::Result<Request> {
    let mut lines = [const { MaybeUninit::uninit() }; MOST_FIELDS + ADDED_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(bytes, &mut lines)? {
        httparse::Status::Complete(len) => len,
        httparse::Status::Partial => return Ok(httparse::Status::Partial),
    };
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(httparse::Error::Token);
    };
    Ok(httparse::Status::Complete(Request {
        method: Span::locate(bytes, method.as_bytes()),
        target: Span::locate(bytes, target.as_bytes()),
        version: version_of(version),
        len,
        present: note_fields(fields, bytes, request.headers),
    }))
}

/// The same bytes with a letter for each byte outside ASCII behind the method, up to the end of the request line; `None`
/// where there is no such byte. Everything lies in them where it lies in the original.
fn masked(bytes: &[u8]) -> Option<Vec<u8>> {
    let start = bytes.iter().position(|byte| !is_break(*byte))?;
    let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at);
    let target = start + memchr::memchr(b' ', &bytes[start..end])?;
    if bytes[target..end].is_ascii() {
        return None;
    }
    let mut masked = bytes.to_vec();
    masked[target..end]
        .iter_mut()
        .filter(|byte| !byte.is_ascii())
        .for_each(|byte| *byte = b'x');
    Some(masked)
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Whether an empty line ends at or behind `from`.
fn has_empty_line(bytes: &[u8], from: usize) -> bool {
    let from = from.saturating_sub(3);
    memchr::memchr_iter(b'\n', &bytes[from..]).any(|found| {
        let behind = &bytes[from + found + 1..];
        behind.starts_with(b"\n") || behind.starts_with(b"\r\n")
    })
}

/// Gives a bit for each known name among them.
fn note_fields(fields: &mut Vec<Field>, bytes: &[u8], lines: &[httparse::Header<'_>]) -> u32 {
    let mut present = 0;
    fields.clear();
    fields.reserve(lines.len());
    for line in lines {
        let name = line.name.as_bytes();
        let known = Known::of(name);
        present |= known.bit();
        fields.push(Field {
            known,
            name: Span::locate(bytes, name),
            // An empty value may lie anywhere, even outside the buffer.
            value: if line.value.is_empty() {
                Span::default()
            } else {
                Span::locate(bytes, line.value)
            },
        });
    }
    present
}

fn version_of(minor: u8) -> Version {
    if minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    }
}

fn error_of(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        _ => HeadError::Malformed,
    }
}

/// Whether `byte` may stand in a token (RFC 9110 §5.6.2).
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
