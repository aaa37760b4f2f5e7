//! Heads of requests and answers: the bytes as they were read, and where everything in them lies.

use std::mem::MaybeUninit;

use super::{
    buffer::Buffer,
    field::{Field, Known, Span},
};

/// The most field lines that any limit may allow.
pub const MOST_FIELDS: usize = 256;

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
        self.fields.iter().filter(move |field| field.known == known).map(|field| self.bytes(field.value))
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
        let mut lines = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, &mut lines) {
            Ok(httparse::Status::Complete(len)) => {
                let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version)
                else {
                    return Err(HeadError::Malformed);
                };
                self.first = Span::locate(bytes, method.as_bytes());
                self.second = Span::locate(bytes, target.as_bytes());
                self.version = version_of(version);
                self.len = len;
                note_fields(&mut self.fields, bytes, request.headers);
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
        let mut lines = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut response, bytes, &mut lines) {
            Ok(httparse::Status::Complete(len)) => {
                let (Some(status @ 100..), Some(version)) = (response.code, response.version) else {
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
                note_fields(&mut self.fields, bytes, response.headers);
                self.check(limits)
            }
            Ok(httparse::Status::Partial) => self.partial(limits),
            Err(error) => Err(error_of(error)),
        }
    }

    /// Makes the head of a request that came by other means than HTTP/1 (its fields are given in order).
    pub fn compose<'a>(method: &[u8], target: &[u8], fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut head = Self::default();
        let mut put = |bytes: &[u8]| {
            let start = head.buffer.all().len();
            head.buffer.extend(bytes);
            Span::new(start, start + bytes.len())
        };
        let first = put(method);
        let second = put(target);
        let fields =
            fields.map(|(name, value)| Field { known: Known::of(name), name: put(name), value: put(value) }).collect();
        head.first = first;
        head.second = second;
        head.fields = fields;
        head.len = head.buffer.all().len();
        head
    }

    fn forget(&mut self) {
        self.fields.clear();
        self.len = 0;
        self.searched = 0;
        self.first = Span::default();
        self.second = Span::default();
    }

    /// Whether a parse can succeed: one that was tried in vain is repeated only when an empty line has come since,
    /// so that a head that trickles in byte by byte is neither parsed nor searched once for each byte.
    fn worth_parsing(&mut self, limits: HeadLimits, may_begin: fn(u8) -> bool) -> Result<bool, HeadError> {
        let bytes = self.buffer.all();
        match bytes.first() {
            None => Ok(false),
            Some(first) if !may_begin(*first) => Err(HeadError::Malformed),
            // Each of them would be an empty line that a head might end with.
            Some(_) if bytes.iter().take_while(|byte| is_break(**byte)).nth(MOST_BREAKS).is_some() => {
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

fn note_fields(fields: &mut Vec<Field>, bytes: &[u8], lines: &[httparse::Header<'_>]) {
    fields.clear();
    fields.reserve(lines.len());
    for line in lines {
        let name = line.name.as_bytes();
        fields.push(Field {
            known: Known::of(name),
            name: Span::locate(bytes, name),
            // An empty value may lie anywhere, even outside the buffer.
            value: if line.value.is_empty() { Span::default() } else { Span::locate(bytes, line.value) },
        });
    }
}

fn version_of(minor: u8) -> Version {
    if minor == 0 { Version::Http10 } else { Version::Http11 }
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
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 1024, fields: 4 };

    fn request(text: &[u8]) -> (Head, Result<bool, HeadError>) {
        let mut head = Head::default();
        head.buffer.extend(text);
        let parsed = head.parse_request(LIMITS);
        (head, parsed)
    }

    #[test]
    fn reads_a_request_and_what_is_behind_it() {
        let (head, parsed) = request(b"POST /a?b HTTP/1.1\r\nHost: x\r\nEmpty:\r\n\r\nbody");
        assert_eq!(parsed, Ok(true));
        assert_eq!((head.method(), head.target(), head.rest()), (&b"POST"[..], &b"/a?b"[..], &b"body"[..]));
        assert_eq!(head.values(Known::Host).collect::<Vec<_>>(), [b"x"]);
        assert_eq!(head.bytes(head.fields()[1].value), b"");
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_is_read_in_the_end() {
        let text = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut head = Head::default();
        for (at, byte) in text.iter().enumerate() {
            head.buffer.extend(&[*byte]);
            assert_eq!(head.parse_request(LIMITS), Ok(at == text.len() - 1), "at {at}");
        }
    }

    #[test]
    fn some_line_breaks_before_a_head_are_forgiven_and_many_are_not() {
        assert_eq!(request(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n").1, Ok(true));
        assert_eq!(request(b"\r\n\r\n\r\n\r\n").1, Ok(false));
        assert_eq!(request(b"\n\n\n\n\n\n\n\n\n").1, Err(HeadError::Malformed));
    }

    #[test]
    fn limits_are_kept() {
        assert_eq!(request(&[b'A'; 1025]).1, Err(HeadError::TooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5));
        assert_eq!(request(many.as_bytes()).1, Err(HeadError::TooManyFields));
        let most = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(4));
        assert_eq!(request(most.as_bytes()).1, Ok(true));
    }

    #[test]
    fn what_is_not_http_is_refused_before_it_ends() {
        assert_eq!(request(b"\x16\x03\x01\x02\x00").1, Err(HeadError::Malformed));
        assert_eq!(request(b"GET / HTTP/3.0\r\n").1, Err(HeadError::Malformed));
        assert_eq!(request(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n").1, Err(HeadError::Malformed));
        assert_eq!(request(b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n").1, Err(HeadError::Malformed));
    }

    #[test]
    fn the_next_head_begins_where_the_last_message_ended() {
        let (mut head, _) = request(b"POST / HTTP/1.1\r\n\r\nbodyGET /2 HTTP/1.1\r\n\r\n");
        head.next(4);
        assert_eq!(head.parse_request(LIMITS), Ok(true));
        assert_eq!(head.target(), b"/2");
        head.next(0);
        assert_eq!(head.buffer.size(), 0, "an idle connection holds no buffer");
    }

    #[test]
    fn reads_an_answer() {
        let mut head = Head::default();
        head.buffer.extend(b"HTTP/1.0 404 Not Here\r\nA: b\r\n\r\n");
        assert_eq!(head.parse_response(LIMITS), Ok(true));
        assert_eq!((head.status, head.reason(), head.version), (404, &b"Not Here"[..], Version::Http10));
    }

    #[test]
    fn composed_heads_read_like_parsed_ones() {
        let head = Head::compose(b"GET", b"/x", [(&b"host"[..], &b"a"[..])].into_iter());
        assert_eq!((head.method(), head.target()), (&b"GET"[..], &b"/x"[..]));
        assert_eq!(head.values(Known::Host).next(), Some(&b"a"[..]));
        assert!(head.rest().is_empty());
    }
}
