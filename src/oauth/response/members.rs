//! The members of a response body: a JSON object of any media type, or else a form.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use http::{HeaderMap, header::CONTENT_TYPE};
use serde_json::Value;
use url::form_urlencoded;
use zeroize::Zeroizing;

/// Parses the members of a body, if it has any.
///
/// Bytes that are not UTF-8 are read in the charset of `Content-Type`, or else as ISO-8859-1.
pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Option<Value> {
    match decode(headers, body) {
        Some(text) => parse_utf8(headers, text.as_bytes()),
        None => parse_utf8(headers, body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)),
    }
}

/// Decodes a body of another encoding; `None` for UTF-8.
fn decode(headers: &HeaderMap, body: &[u8]) -> Option<Zeroizing<String>> {
    let named = Encoding::for_bom(body)
        .map(|(encoding, _)| encoding)
        .or_else(|| charset(headers));
    let is_latin = |encoding| encoding == WINDOWS_1252 || encoding == UTF_8;
    let encoding = match named.filter(|&encoding| !is_latin(encoding)) {
        Some(encoding) => encoding,
        None if std::str::from_utf8(body).is_ok() => return None,
        // The Encoding Standard reads ISO-8859-1 as its superset.
        None => WINDOWS_1252,
    };
    let (text, _) = encoding.decode_with_bom_removal(body);
    Some(Zeroizing::new(text.into_owned()))
}

/// Returns the encoding that `Content-Type` names.
fn charset(headers: &HeaderMap) -> Option<&'static Encoding> {
    let parameters = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').skip(1);
    parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .and_then(|(_, label)| Encoding::for_label(label.trim().trim_matches('"').as_bytes()))
}

fn parse_utf8(headers: &HeaderMap, body: &[u8]) -> Option<Value> {
    if let Ok(value) = serde_json::from_slice::<Value>(body)
        .or_else(|_| serde_json::from_slice(&without_boundless_numbers(body)))
    {
        return value.is_object().then_some(value);
    }
    let text = std::str::from_utf8(body).ok()?.trim();
    (is_form(headers) || looks_like_a_form(text)).then(|| {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Value::Object(
            pairs
                .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
                .collect(),
        )
    })
}

/// Replaces numbers beyond the range of a float, such as `1e999`, by `null`.
///
/// JSON allows them (RFC 8259 §6), but the parser rejects them. Such a lifetime must not cost the token beside it.
fn without_boundless_numbers(body: &[u8]) -> Zeroizing<Vec<u8>> {
    // `null` is shorter than any such number, so the buffer never grows and leaves no copy of a secret.
    let mut cleaned = Zeroizing::new(Vec::with_capacity(body.len()));
    let (mut rest, mut quoted) = (body, false);
    while let Some(&first) = rest.first() {
        let length = match first {
            b'\\' if quoted => rest.len().min(2),
            b'-' | b'0'..=b'9' if !quoted => rest
                .iter()
                .take_while(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
                .count(),
            _ => 1,
        };
        quoted ^= first == b'"';
        let (piece, after) = rest.split_at(length);
        let number = std::str::from_utf8(piece)
            .ok()
            .filter(|_| !quoted)
            .and_then(|text| text.parse::<f64>().ok());
        cleaned.extend_from_slice(if number.is_some_and(f64::is_infinite) {
            b"null"
        } else {
            piece
        });
        rest = after;
    }
    cleaned
}

fn is_form(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = essence
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Recognizes a form of another media type: `name=value` from the start, without blanks and markup.
fn looks_like_a_form(text: &str) -> bool {
    let blank_or_markup =
        |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'<' | b'>' | b'{' | b'"');
    !text.bytes().any(blank_or_markup)
        && text.split('&').all(|pair| {
            pair.split_once('=')
                .is_some_and(|(name, _)| !name.is_empty())
        })
}
