//! A second reading of HTTP/1.1, written for plainness alone, which the real one is held against.

/// The lines of a head as any server would see them.
pub struct Lines<'a> {
    /// The first line that is not empty.
    pub start: &'a [u8],
    /// Names and values, without the blanks round the values.
    pub fields: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Lines<'a> {
    /// Reads a whole head, and insists that every line of it can be read in one way only.
    pub fn of(head: &'a [u8]) -> Self {
        let mut lines = head
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let start = lines
            .find(|line| !line.is_empty())
            .expect("a head without a start line");
        let mut fields = Vec::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            assert!(
                !line.iter().any(|byte| matches!(byte, b'\r' | 0)),
                "a bare CR or a NUL in a field line"
            );
            let colon = line
                .iter()
                .position(|byte| *byte == b':')
                .expect("a field line without a colon");
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            assert!(
                !name.is_empty() && name.iter().all(is_token),
                "a field name that is no token"
            );
            fields.push((name, value.trim_ascii()));
        }
        Self { start, fields }
    }

    /// The values of the fields of that name.
    pub fn values(&self, name: &str) -> Vec<&'a [u8]> {
        let ours = |field: &&(&[u8], &[u8])| field.0.eq_ignore_ascii_case(name.as_bytes());
        self.fields
            .iter()
            .filter(ours)
            .map(|(_, value)| *value)
            .collect()
    }
}

/// A body's length as its head declares it.
#[derive(Debug, PartialEq, Eq)]
pub enum Declared {
    /// Nothing is said of it.
    Nothing,
    /// That many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// What the fields declare; insists that it is one thing.
pub fn declared(lines: &Lines<'_>) -> Declared {
    let (lengths, codings) = (
        lines.values("content-length"),
        lines.values("transfer-encoding"),
    );
    assert!(
        lengths.len() + codings.len() <= 1,
        "more than one declaration of the length"
    );
    if let Some(length) = lengths.first() {
        assert!(
            !length.is_empty() && length.iter().all(u8::is_ascii_digit),
            "a length that is not all digits"
        );
        let length = std::str::from_utf8(length)
            .expect("digits are text")
            .parse()
            .expect("a length that overflows");
        return Declared::Length(length);
    }
    if let Some(coding) = codings.first() {
        assert!(
            coding.eq_ignore_ascii_case(b"chunked"),
            "a coding that is not chunked"
        );
        return Declared::Chunked;
    }
    Declared::Nothing
}

/// What was made of the bytes of a body.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Its content as far as it is there.
    pub content: Vec<u8>,
    /// Bytes that belong to it.
    pub consumed: usize,
    /// Whether it is there to its end.
    pub done: bool,
    /// The trailer section with its empty line.
    pub trailers: Vec<u8>,
}

/// Decodes a chunked body as far as it is there. Gives nothing if it breaks the grammar of RFC 9112 §7.1; what is
/// incomplete may still turn out to.
pub fn dechunk(body: &[u8]) -> Option<Decoded> {
    let mut decoded = Decoded::default();
    loop {
        let Some(end) = find(&body[decoded.consumed..], b"\r\n") else {
            return Some(decoded);
        };
        let line = &body[decoded.consumed..decoded.consumed + end];
        let digits = line
            .iter()
            .position(|byte| !byte.is_ascii_hexdigit())
            .unwrap_or(line.len());
        if digits == 0 || digits > 15 || !is_extension(&line[digits..]) {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
        let size = usize::try_from(size).ok()?;
        decoded.consumed += end + 2;
        if size == 0 {
            break;
        }
        let rest = &body[decoded.consumed..];
        let there = size.min(rest.len());
        decoded.content.extend_from_slice(&rest[..there]);
        decoded.consumed += there;
        let rest = &body[decoded.consumed..];
        if there < size || rest.is_empty() {
            return Some(decoded);
        }
        if !rest.starts_with(&b"\r\n"[..rest.len().min(2)]) {
            return None;
        }
        decoded.consumed += rest.len().min(2);
    }
    let rest = &body[decoded.consumed..];
    let is_bare = |at: usize| rest[at] == b'\n' && !rest[..at].ends_with(b"\r");
    let end = if rest.starts_with(b"\r\n") {
        Some(2)
    } else {
        find(rest, b"\r\n\r\n").map(|end| end + 4)
    };
    // A line feed that ends a line to some readers only.
    if (0..end.unwrap_or(rest.len())).any(is_bare) {
        return None;
    }
    if let Some(end) = end {
        decoded.trailers = rest[..end].to_vec();
        decoded.consumed += end;
        decoded.done = true;
    }
    Some(decoded)
}

fn is_extension(rest: &[u8]) -> bool {
    let blanks = rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    match &rest[blanks..] {
        [] => true,
        [b';', extension @ ..] => !extension
            .iter()
            .any(|byte| matches!(byte, b'\r' | b'\n' | 0)),
        _ => false,
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}

/// RFC 9110 §5.6.2.
pub fn is_token(byte: &u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'z' | b'|' | b'~' | b'0'..=b'9' | b'A'..=b'Z')
}
