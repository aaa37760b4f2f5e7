//! The head of one request, as far as its framing and its target are concerned (RFC 9112 §3 and §6).

use std::ops::Range;

use memchr::memchr;
use percent_encoding::{AsciiSet, percent_encode};

use super::verdicts::GateRefusal;

/// The largest length that hyper accepts.
const MAX_LENGTH: u64 = u64::MAX - 2;
const CONTENT_LENGTH: &[u8] = b"content-length:";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding:";
const UPGRADE: &[u8] = b"upgrade:";
/// The type of a TLS record that holds a handshake message (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;
const VERSION: &[u8] = b"HTTP/1.";
/// `http::Uri` refuses these and all bytes above 7F, in the path or in the query.
const UNACCEPTABLE: &AsciiSet = &AsciiSet::EMPTY.add(b'"').add(b'<').add(b'>').add(b'`');

/// The state of a partly examined head. Offsets count from the head's first byte.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    request_line: RequestLine,
    line_start: usize,
    searched: usize,
    length: Option<u64>,
    is_chunked: bool,
    fields: usize,
    has_upgrade: bool,
}

/// A complete head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its bytes, the empty line included.
    pub(super) len: usize,
    /// The number of its fields.
    pub(super) fields: usize,
    /// The body that follows it.
    pub(super) body: BodyKind,
    /// Whether the connection may change its protocol behind this message (RFC 9110 §7.8).
    ///
    /// Never behind a body: the response may be written before that ends.
    pub(super) may_switch: bool,
    /// The target, where bytes of it must be percent-encoded.
    pub(super) raw_target: Option<Range<usize>>,
}

/// The framing of the bytes behind a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    Empty,
    Length(u64),
    Chunked,
}

impl HeadScan {
    /// Examines what has arrived of a head, which begins as it did the last time. `None`: more bytes are needed.
    ///
    /// A line is examined once, however often this is called.
    pub(super) fn advance(&mut self, head: &[u8]) -> Result<Option<Head>, GateRefusal> {
        if self.line_start == 0 {
            let Some(end) = self.request_line.advance(head)? else {
                return Ok(None);
            };
            (self.line_start, self.searched) = (end, end);
        }
        // hyper's parser ends a line at a line feed and nowhere else, or refuses the head.
        while let Some(found) = memchr(b'\n', &head[self.searched..]) {
            let line_feed = self.searched + found;
            let line = &head[self.line_start..line_feed];
            (self.line_start, self.searched) = (line_feed + 1, line_feed + 1);
            self.fields += 1;
            match line {
                [] | [b'\r'] => return Ok(Some(self.complete())),
                // The names that matter, and few others.
                [b'C' | b'c' | b'T' | b't' | b'U' | b'u', ..] => self.field(line)?,
                _ => {}
            }
        }
        self.searched = head.len();
        Ok(None)
    }

    /// Whether the request line says HTTP/1.0.
    pub(super) fn is_http10(&self) -> bool {
        self.request_line.is_http10
    }

    /// Examines a field line where its name is one of the few that matter here.
    fn field(&mut self, line: &[u8]) -> Result<(), GateRefusal> {
        // hyper's parser refuses blanks before the colon.
        if has_name(line, CONTENT_LENGTH) {
            self.content_length(value(line, CONTENT_LENGTH))
        } else if has_name(line, TRANSFER_ENCODING) {
            self.transfer_encoding(value(line, TRANSFER_ENCODING))
        } else {
            self.has_upgrade |= has_name(line, UPGRADE);
            Ok(())
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), GateRefusal> {
        if self.is_chunked {
            return Err(GateRefusal::LengthBesideCoding);
        }
        if self.length.is_some() {
            return Err(GateRefusal::RepeatedLength);
        }
        let length = number(value).filter(|length| *length <= MAX_LENGTH);
        self.length = Some(length.ok_or(GateRefusal::InvalidLength)?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), GateRefusal> {
        if self.length.is_some() {
            return Err(GateRefusal::LengthBesideCoding);
        }
        if self.is_http10() {
            return Err(GateRefusal::CodingInHttp10);
        }
        if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(GateRefusal::UnsupportedCoding);
        }
        self.is_chunked = true;
        Ok(())
    }

    fn complete(&self) -> Head {
        let body = match self.length {
            _ if self.is_chunked => BodyKind::Chunked,
            None | Some(0) => BodyKind::Empty,
            Some(length) => BodyKind::Length(length),
        };
        let line = &self.request_line;
        Head {
            len: self.line_start,
            body,
            may_switch: self.has_upgrade && !self.is_http10() && body == BodyKind::Empty,
            // The empty line is counted too.
            fields: self.fields - 1,
            raw_target: line.is_raw.then(|| line.target.clone()),
        }
    }
}

/// The state of a partly examined request line: `token SP target SP HTTP/1.x`, as hyper's parser reads it.
#[derive(Debug, Default)]
struct RequestLine {
    part: Part,
    at: usize,
    target: Range<usize>,
    is_raw: bool,
    is_http10: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Method,
    Target,
    Version,
}

impl RequestLine {
    /// Examines what has arrived of the line, and gives its end.
    fn advance(&mut self, head: &[u8]) -> Result<Option<usize>, GateRefusal> {
        if self.part == Part::Method && !self.method(head)? {
            return Ok(None);
        }
        if self.part == Part::Target && !self.target(head)? {
            return Ok(None);
        }
        self.version(head)
    }

    fn method(&mut self, head: &[u8]) -> Result<bool, GateRefusal> {
        let rest = &head[self.at..];
        let len = rest.iter().position(|byte| !is_token(*byte));
        self.at += len.unwrap_or(rest.len());
        match head.get(self.at) {
            None => Ok(false),
            Some(b' ') if self.at > 0 => {
                self.at += 1;
                self.target = self.at..self.at;
                self.part = Part::Target;
                Ok(true)
            }
            Some(&TLS_HANDSHAKE) if self.at == 0 => Err(GateRefusal::TlsHandshake),
            Some(_) => Err(GateRefusal::MalformedRequestLine),
        }
    }

    fn target(&mut self, head: &[u8]) -> Result<bool, GateRefusal> {
        let rest = &head[self.at..];
        let space = memchr(b' ', rest);
        let piece = &rest[..space.unwrap_or(rest.len())];
        // A fold without a way out is what the compiler turns into vector instructions.
        if (piece.iter()).fold(false, |found, byte| found | is_special(*byte)) {
            self.special(piece)?;
        }
        self.at += piece.len();
        if space.is_none() {
            return Ok(false);
        }
        self.target.end = self.at;
        self.at += 1;
        self.part = Part::Version;
        if self.target.is_empty() {
            return Err(GateRefusal::MalformedRequestLine);
        }
        Ok(true)
    }

    fn special(&mut self, piece: &[u8]) -> Result<(), GateRefusal> {
        match piece
            .iter()
            .find(|byte| matches!(byte, b'#' | ..=b' ' | 0x7F))
        {
            Some(b'#') => Err(GateRefusal::FragmentInTarget),
            Some(_) => Err(GateRefusal::MalformedRequestLine),
            None => {
                self.is_raw = true;
                Ok(())
            }
        }
    }

    fn version(&mut self, head: &[u8]) -> Result<Option<usize>, GateRefusal> {
        let rest = &head[self.at..];
        let there = rest.len().min(VERSION.len());
        if rest[..there] != VERSION[..there] {
            return Err(GateRefusal::MalformedRequestLine);
        }
        let len = match rest[there..] {
            [] | [b'0' | b'1'] | [b'0' | b'1', b'\r'] => return Ok(None),
            [b'0' | b'1', b'\n', ..] => there + 2,
            [b'0' | b'1', b'\r', b'\n', ..] => there + 3,
            _ => return Err(GateRefusal::MalformedRequestLine),
        };
        self.is_http10 = rest[there] == b'0';
        Ok(Some(self.at + len))
    }
}

/// Appends `target` to `out`, with the bytes of its path and query percent-encoded that `http::Uri` refuses.
pub(super) fn encode_target(target: &[u8], out: &mut Vec<u8>) {
    let (before, path) = target.split_at(path_start(target));
    out.extend_from_slice(before);
    for piece in percent_encode(path, UNACCEPTABLE) {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Whether the path of `target` has bytes outside ASCII.
pub(super) fn has_raw_path(target: &[u8]) -> bool {
    let path = &target[path_start(target)..];
    let end = memchr(b'?', path).unwrap_or(path.len());
    !path[..end].is_ascii()
}

/// Where a target's path begins: behind the authority of an absolute form. The authority is left to hyper to refuse.
fn path_start(target: &[u8]) -> usize {
    if target.starts_with(b"/") {
        return 0;
    }
    let scheme = target.iter().position(|byte| *byte == b':');
    let authority = match scheme {
        Some(colon) if target[colon + 1..].starts_with(b"//") => colon + 3,
        _ => return target.len(),
    };
    let rest = &target[authority..];
    let len = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    authority + len.unwrap_or(rest.len())
}

fn has_name(line: &[u8], name_and_colon: &[u8]) -> bool {
    line.get(name_and_colon.len() - 1) == Some(&b':')
        && line[..name_and_colon.len()].eq_ignore_ascii_case(name_and_colon)
}

fn value<'a>(line: &'a [u8], name_and_colon: &[u8]) -> &'a [u8] {
    let value = &line[name_and_colon.len()..];
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    let Some(first) = value.iter().position(|byte| !is_blank(byte)) else {
        return &[];
    };
    let last = value.iter().rposition(|byte| !is_blank(byte));
    &value[first..=last.unwrap_or(first)]
}

fn number(digits: &[u8]) -> Option<u64> {
    // `u64::from_str` would accept a sign.
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Bytes of a target that need a closer look.
fn is_special(byte: u8) -> bool {
    (byte <= b' ') | (byte >= 0x7F) | (byte & 0xFE == b'"') | (byte & 0xFD == b'<') | (byte == b'`')
}
