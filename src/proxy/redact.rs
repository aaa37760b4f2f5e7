//! Keeps secrets that were sent in the query out of redirects that repeat the query.

use std::ops::Range;

use http::HeaderMap;

use super::{inject::PreparedToken, location};

/// The levels of escapes that are resolved: a URL in another's query is escaped once more.
const MAX_ESCAPE_LEVELS: usize = 3;

/// Strips the token, and secrets of `[api]`, from `Location` and `Content-Location`, where the query carried them.
pub fn strip_secrets(headers: &mut HeaderMap, sent: Option<&PreparedToken>) {
    if let Some(query) = sent.and_then(|sent| sent.query.as_ref())
        && !query.secret_pairs.is_empty()
    {
        location::map_locations(headers, |url| without(url, &query.secret_pairs));
    }
}

/// Removes the parameters `pairs` from a URL, at each level of escapes; `None` when it has none of them.
fn without(url: &[u8], pairs: &[String]) -> Option<Vec<u8>> {
    let mut left = Text {
        bytes: url.to_vec(),
        origin: (0..=url.len()).collect(),
    };
    let mut kept = vec![true; url.len()];
    for escaped in 0..=MAX_ESCAPE_LEVELS {
        for pair in pairs {
            for range in left.parameters(pair.as_bytes()) {
                // Within another parameter the separators may belong to that one; the rest of its value is harmless.
                let range = if escaped == 0 {
                    left.with_separator(range)
                } else {
                    range
                };
                kept[left.origin[range.start]..left.origin[range.end]].fill(false);
            }
        }
        if !left.bytes.contains(&b'%') {
            break;
        }
        left = left.unescaped();
    }
    let shorter = || {
        url.iter()
            .zip(&kept)
            .filter(|(_, kept)| **kept)
            .map(|(byte, _)| *byte)
            .collect()
    };
    kept.contains(&false).then(shorter)
}

/// A text, and the position of each of its bytes, and of its end, in the escaped original.
struct Text {
    bytes: Vec<u8>,
    origin: Vec<usize>,
}

impl Text {
    fn parameters(&self, pair: &[u8]) -> Vec<Range<usize>> {
        let ends = |byte: Option<&u8>| byte.is_none_or(|byte| b"&;#".contains(byte));
        let begins = |byte: &u8| b"?&;#".contains(byte);
        memchr::memmem::find_iter(&self.bytes, pair)
            .map(|at| at..at + pair.len())
            .filter(|range| {
                range.start > 0
                    && begins(&self.bytes[range.start - 1])
                    && ends(self.bytes.get(range.end))
            })
            .collect()
    }

    fn with_separator(&self, range: Range<usize>) -> Range<usize> {
        match self.bytes.get(range.end) {
            Some(b'&') => range.start..range.end + 1,
            _ => range.start - 1..range.end,
        }
    }

    fn unescaped(&self) -> Self {
        let digit = |at: usize| {
            self.bytes
                .get(at)
                .and_then(|digit| char::from(*digit).to_digit(16))
        };
        let (mut text, mut at) = (
            Self {
                bytes: Vec::new(),
                origin: Vec::new(),
            },
            0,
        );
        while at < self.bytes.len() {
            let (byte, length) = match (self.bytes[at], digit(at + 1), digit(at + 2)) {
                (b'%', Some(high), Some(low)) => ((high << 4 | low) as u8, 3),
                (byte, ..) => (byte, 1),
            };
            text.bytes.push(byte);
            text.origin.push(self.origin[at]);
            at += length;
        }
        text.origin.push(self.origin[at]);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(url: &str) -> Option<String> {
        let pairs = [
            "access_token=a%2Bb%2F1".to_owned(),
            "access_token=a+b/1".to_owned(),
        ];
        without(url.as_bytes(), &pairs).map(|url| String::from_utf8(url).unwrap())
    }

    #[test]
    fn the_token_leaves_a_url_as_if_it_had_not_been_there() {
        for (from, to) in [
            ("/x?access_token=a%2Bb%2F1", "/x"),
            ("/x?access_token=a%2Bb%2F1#top", "/x#top"),
            ("/x?a=1&access_token=a%2Bb%2F1", "/x?a=1"),
            (
                "https://h/x?access_token=a%2Bb%2F1&a=1&&b",
                "https://h/x?a=1&&b",
            ),
            ("/x?a&access_token=a+b/1&b#c", "/x?a&b#c"),
            ("/x#access_token=a+b/1", "/x"),
        ] {
            assert_eq!(stripped(from).as_deref(), Some(to), "{from}");
        }
    }

    #[test]
    fn no_spelling_of_the_token_stays() {
        for (from, to) in [
            ("/x?access_token=a%2bb/1&b", "/x?&b"),
            ("/x?access%5Ftoken=%61%2B%62%2f1", "/x?"),
            (
                "/in?to=%2Fx%3Faccess_token%3Da%252Bb%252F1&b=1",
                "/in?to=%2Fx%3F&b=1",
            ),
            (
                "/in?to=/x%3Fc%26access_token%3Da+b/1%26d",
                "/in?to=/x%3Fc%26%26d",
            ),
            (
                "/in?to=%252Fx%253Faccess_token%253Da%25252Bb%25252F1",
                "/in?to=%252Fx%253F",
            ),
            ("/x?access_token=a%2Bb%2F1&access_token=a%2Bb%2F1", "/x?"),
        ] {
            assert_eq!(stripped(from).as_deref(), Some(to), "{from}");
        }
    }

    #[test]
    fn what_is_not_the_token_passes() {
        for url in [
            "/x?a=1",
            "/x?access_token=other",
            "/x?access_token=a%2Bb%2F12",
            "/x?my_access_token=a%2Bb%2F1",
            "/x?access_token",
            "/x%",
            "/x?%zz=%4",
            "access_token=a+b/1",
            "",
        ] {
            assert_eq!(stripped(url), None, "{url}");
        }
    }
}
