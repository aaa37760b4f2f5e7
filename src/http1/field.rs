//! Field lines of a head: where they lie in its bytes, and which of the names that matter here they carry.

/// A range of bytes in the buffer of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The bytes from `start` up to `end`.
    pub fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= u32::MAX as usize);
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    /// Where `part` lies in `whole`, of which it is a slice.
    pub fn locate(whole: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        Self::new(start, start + part.len())
    }

    /// The bytes themselves.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }

    /// Its first byte.
    pub fn start(self) -> usize {
        self.start as usize
    }

    /// The byte behind its last.
    pub fn end(self) -> usize {
        self.end as usize
    }

    /// How many bytes.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// One field line.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Which of the known names it carries.
    pub known: Known,
    /// Its name as it came.
    pub name: Span,
    /// Its value without the white space round it.
    pub value: Span,
}

/// The names that a proxy has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Any name not listed here.
    Other,
    /// Removed from what is sent on, whatever it says (RFC 9110 §7.6.1).
    HopByHop,
    /// `Alt-Svc`.
    AltSvc,
    /// `x-bearward-key`, also written with `_`.
    BearwardKey,
    /// `Connection`.
    Connection,
    /// `Content-Length`.
    ContentLength,
    /// `Content-Location`.
    ContentLocation,
    /// `Content-Type`.
    ContentType,
    /// `Expect`.
    Expect,
    /// `Host`.
    Host,
    /// `Location`.
    Location,
    /// `Origin`.
    Origin,
    /// `Sec-Fetch-Site`.
    SecFetchSite,
    /// `TE`.
    Te,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Upgrade`.
    Upgrade,
}

impl Known {
    /// A bit of its own.
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Which known name `name` is, without regard to case.
    pub fn of(name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let Some(first) = name.first() else {
            return Self::Other;
        };
        // Length and first letter leave one of them at the most to compare with, and mostly none.
        match (name.len(), first.to_ascii_lowercase()) {
            (2, b't') if is("te") => Self::Te,
            (4, b'h') if is("host") => Self::Host,
            (6, b'e') if is("expect") => Self::Expect,
            (6, b'o') if is("origin") => Self::Origin,
            (7, b'u') if is("upgrade") => Self::Upgrade,
            (7, b'a') if is("alt-svc") => Self::AltSvc,
            (8, b'l') if is("location") => Self::Location,
            (10, b'c') if is("connection") => Self::Connection,
            (10, b'k') if is("keep-alive") => Self::HopByHop,
            (12, b'c') if is("content-type") => Self::ContentType,
            (14, b'c') if is("content-length") => Self::ContentLength,
            (14, b's') if is("sec-fetch-site") => Self::SecFetchSite,
            (14, b'x') if same_name(name, b"x-bearward-key") => Self::BearwardKey,
            (16, b'c') if is("content-location") => Self::ContentLocation,
            (16, b'p') if is("proxy-connection") => Self::HopByHop,
            (17, b't') if is("transfer-encoding") => Self::TransferEncoding,
            (18, b'p') if is("proxy-authenticate") => Self::HopByHop,
            (19, b'p') if same_name(name, b"proxy-authorization") => Self::HopByHop,
            (25, b'p') if is("proxy-authentication-info") => Self::HopByHop,
            _ => Self::Other,
        }
    }
}

/// Whether two field names are the same to a server that reads `_` as `-`, as CGI and its heirs do.
pub fn same_name(left: &[u8], right: &[u8]) -> bool {
    let plain = |byte: u8| {
        if byte == b'_' {
            b'-'
        } else {
            byte.to_ascii_lowercase()
        }
    };
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(left, right)| plain(*left) == plain(*right))
}

/// Whether a `Content-Type` is one of gRPC's. Types are read without regard to case (RFC 9110 §8.3.1).
pub fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    content_type
        .get(..GRPC.len())
        .is_some_and(|value| value.eq_ignore_ascii_case(GRPC))
}

/// The members of a comma-separated list, empty ones left out (RFC 9110 §5.6.1).
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(Known::of(b"Content-LENGTH"), Known::ContentLength);
        assert_eq!(Known::of(b"content_length"), Known::Other);
        assert_eq!(Known::of(b"x-request-id"), Known::Other);
    }

    #[test]
    fn an_underscore_does_not_hide_a_credential() {
        assert_eq!(Known::of(b"Proxy_Authorization"), Known::HopByHop);
        assert_eq!(Known::of(b"X_Bearward-Key"), Known::BearwardKey);
        assert!(same_name(b"X_API_KEY", b"x-api-key"));
        assert!(!same_name(b"x-api-key2", b"x-api-key"));
    }

    #[test]
    fn lists_skip_empty_members() {
        let members: Vec<_> = list(b" close, ,\tx-a ,").collect();
        assert_eq!(members, [b"close".as_slice(), b"x-a"]);
    }
}
