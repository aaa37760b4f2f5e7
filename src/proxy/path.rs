//! The one reading of a path: what any upstream must read, or the path is refused.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Decodes a path for matching: percent escapes are resolved once.
///
/// # Errors
/// The ambiguity: a `.` or `..` segment in any spelling, an escaped `/`, `\` or control byte, a bare `\`, an invalid
/// escape, or a byte outside ASCII.
pub fn decode(path: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    if path.is_empty() {
        return Ok(Cow::Borrowed("/"));
    }
    let decoded = if path.contains(&b'%') {
        Cow::Owned(unescape(path)?)
    } else {
        Cow::Borrowed(path)
    };
    for byte in &*decoded {
        match byte {
            b'\\' => return Err("a backslash in the path"),
            // Some servers end a path there, others leave it out: `/..%0d/` is `/../` to them.
            0..0x20 | 0x7F => return Err("a control byte in the path"),
            _ => {}
        }
    }
    if !path.is_ascii() {
        return Err("a byte outside ASCII in the path");
    }
    for segment in decoded.split(|byte| *byte == b'/') {
        let name = segment
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
        if matches!(name, b"." | b"..") {
            return Err("a dot segment in the path");
        }
    }
    match decoded {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|_| NOT_TEXT),
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|_| NOT_TEXT),
    }
}

/// The part of `path` after its first `segments` segments; empty without one.
pub fn after_segments(path: &[u8], segments: usize) -> &[u8] {
    let mut slashes = memchr::memchr_iter(b'/', path).skip(segments);
    slashes.next().map_or(&[], |at| &path[at..])
}

/// The bytes that RFC 3986 §3.3 does not allow in a path.
const NOT_IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Encodes a decoded path for a URL (RFC 3986 §3.3).
pub fn encode(path: &str) -> String {
    utf8_percent_encode(path, NOT_IN_PATH).to_string()
}

/// Removes dot segments (RFC 3986 §5.2.4), escaped dots included.
pub fn remove_dot_segments(path: &[u8]) -> Cow<'_, [u8]> {
    let segments = || path.split(|byte| *byte == b'/').skip(1);
    if segments().all(|segment| dots(segment) == 0) {
        return Cow::Borrowed(path);
    }
    let mut kept: Vec<&[u8]> = vec![b""];
    let mut segments = segments().peekable();
    while let Some(segment) = segments.next() {
        match dots(segment) {
            0 => kept.push(segment),
            2 if kept.len() > 1 => drop(kept.pop()),
            _ => {}
        }
        if dots(segment) > 0 && segments.peek().is_none() {
            // A trailing dot segment names the folder.
            kept.push(b"");
        }
    }
    Cow::Owned(kept.join(&b"/"[..]))
}

/// 1 and 2 for the segments `.` and `..`, 0 for any other.
fn dots(segment: &[u8]) -> usize {
    let (mut rest, mut count) = (segment, 0);
    while let Some(behind) = [&b"."[..], b"%2e", b"%2E"]
        .into_iter()
        .find_map(|dot| rest.strip_prefix(dot))
    {
        (rest, count) = (behind, count + 1);
    }
    if rest.is_empty() && count <= 2 {
        count
    } else {
        0
    }
}

const NOT_TEXT: &str = "escapes in the path that are not UTF-8";

fn unescape(path: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let mut digit = || {
            rest.next()
                .and_then(|digit| char::from(*digit).to_digit(16))
        };
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err("an invalid escape in the path");
        };
        let byte = (high << 4 | low) as u8;
        if byte == b'/' {
            return Err("an escaped slash in the path");
        }
        decoded.push(byte);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_and_escaped_paths_read_the_same() {
        assert_eq!(decode(b"/v1/devices").unwrap(), "/v1/devices");
        assert_eq!(decode(b"/v1/%64evices").unwrap(), "/v1/devices");
        assert_eq!(decode(b"").unwrap(), "/");
        assert_eq!(decode(b"/a%25b%20c").unwrap(), "/a%b c");
        assert_eq!(decode(b"/...;x/..a/.b").unwrap(), "/...;x/..a/.b");
        assert_eq!(decode(b"/%C3%A9").unwrap(), "/é");
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for path in [
            &b"/a/../b"[..],
            b"/a/..",
            b"/./a",
            b"/%2e%2E/a",
            b"/.%2e/a",
            b"/a/..;/b",
            b"/a/..;x=1/b",
            b"/a/%2e%2e%3b/b",
            b"/a%2fb",
            b"/a%5Cb",
            b"/a\\b",
            b"/a%00b",
            b"/a%09b",
            b"/a%0ab",
            b"/a/..%0d/b",
            b"/a%1fb",
            b"/a%7Fb",
            b"/a%zz",
            b"/a%2",
            b"/a%",
            "/é".as_bytes(),
            b"/%ff",
        ] {
            assert!(decode(path).is_err(), "{}", String::from_utf8_lossy(path));
        }
    }

    #[test]
    fn an_escape_is_resolved_once() {
        assert_eq!(decode(b"/%252e%252e").unwrap(), "/%2e%2e");
    }

    #[test]
    fn what_is_behind_a_prefix_keeps_its_spelling() {
        assert_eq!(after_segments(b"/v1/%64/x", 1), b"/%64/x");
        assert_eq!(after_segments(b"/v1", 1), b"");
        assert_eq!(after_segments(b"/v1/", 1), b"/");
        assert_eq!(after_segments(b"/a/b/c", 2), b"/c");
    }

    #[test]
    fn what_may_not_stand_in_a_url_is_escaped() {
        assert_eq!(encode("/v1/a-b._~!$&'()*+,;=:@"), "/v1/a-b._~!$&'()*+,;=:@");
        assert_eq!(encode("/a b/ä\"<%[?#"), "/a%20b/%C3%A4%22%3C%25%5B%3F%23");
    }

    #[test]
    fn a_client_resolves_dots_before_it_asks() {
        for (path, resolved) in [
            ("/a/b", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/../../a", "/a"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b/%2e", "/b/"),
            ("/a//../b", "/a/b"),
            ("/a/.../..b/%2e%2e%2e", "/a/.../..b/%2e%2e%2e"),
            ("/..//a", "//a"),
            ("", ""),
        ] {
            assert_eq!(
                remove_dot_segments(path.as_bytes()),
                resolved.as_bytes(),
                "{path}"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_has_a_dot_segment(path in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(read) = decode(&path) {
                prop_assert!(read.split('/').all(|segment| segment != "." && segment != ".."));
                prop_assert!(!read.bytes().any(|byte| byte.is_ascii_control()));
                prop_assert_eq!(read.matches('/').count(), path.iter().filter(|byte| **byte == b'/').count().max(usize::from(path.is_empty())));
            }
        }
    }
}
