//! Decodes the content codings of responses (RFC 9110 §8.4.1), which some servers apply although no request asks for them.

use std::{
    fmt,
    io::{self, Read},
};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header::CONTENT_ENCODING};
use ruzstd::decoding::StreamingDecoder;
use zeroize::Zeroizing;

/// The maximum number of codings of one response.
const MAX_CODINGS: usize = 4;

/// The size of the buffer of the brotli decoder, in bytes.
const BROTLI_BUFFER: usize = 4096;

/// A body that cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The decoded body is larger than the maximum.
    TooLarge,
    /// The coding is unknown, or the body is not in it.
    Invalid,
}

/// Decodes `body` by the `Content-Encoding` in `headers`, up to `max_bytes` bytes.
///
/// # Errors
/// The decoded body is larger, its coding is unknown, or the body is not in it.
pub fn decode(
    headers: &HeaderMap,
    body: Zeroizing<Vec<u8>>,
    max_bytes: usize,
) -> Result<Zeroizing<Vec<u8>>, DecodeError> {
    let codings = codings(headers)?;
    // A response without a body may name a coding all the same.
    if codings.is_empty() || body.is_empty() {
        return Ok(body);
    }
    let mut reader: Box<dyn Read + '_> = Box::new(&body[..]);
    for coding in codings.iter().rev() {
        reader = decoder(coding, reader)?;
    }
    let mut decoded = Zeroizing::new(Vec::new());
    let limit = u64::try_from(max_bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let read = reader.take(limit).read_to_end(&mut decoded);
    read.map_err(|_| DecodeError::Invalid)?;
    match decoded.len() > max_bytes {
        true => Err(DecodeError::TooLarge),
        false => Ok(decoded),
    }
}

/// Lists the codings in the order in which they were applied, in small letters.
fn codings(headers: &HeaderMap) -> Result<Vec<String>, DecodeError> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = value.to_str().map_err(|_| DecodeError::Invalid)?;
        let names = value
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase());
        codings.extend(names.filter(|name| !name.is_empty() && name != "identity"));
    }
    match codings.len() > MAX_CODINGS {
        true => Err(DecodeError::Invalid),
        false => Ok(codings),
    }
}

fn decoder<'a>(
    coding: &str,
    mut encoded: Box<dyn Read + 'a>,
) -> Result<Box<dyn Read + 'a>, DecodeError> {
    Ok(match coding {
        "gzip" | "x-gzip" => Box::new(MultiGzDecoder::new(encoded)),
        "deflate" => {
            let mut first = [0];
            let length = encoded.read(&mut first).map_err(|_| DecodeError::Invalid)?;
            let encoded = io::Cursor::new(first).take(length as u64).chain(encoded);
            // RFC 9110 §8.4.1.2: some servers leave out the wrapper of zlib, whose first byte names this method.
            match first[0] & 0x0f == 8 {
                true => Box::new(ZlibDecoder::new(encoded)),
                false => Box::new(DeflateDecoder::new(encoded)),
            }
        }
        "br" => Box::new(brotli_decompressor::Decompressor::new(
            encoded,
            BROTLI_BUFFER,
        )),
        "zstd" => Box::new(StreamingDecoder::new(encoded).map_err(|_| DecodeError::Invalid)?),
        _ => return Err(DecodeError::Invalid),
    })
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl DecodeError {
    /// Returns what is wrong with the response.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "it is larger than 1 MiB",
            Self::Invalid => "its content coding is unknown or damaged",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::{Engine, prelude::BASE64_STANDARD};
    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };
    use http::HeaderValue;

    use super::*;

    const TEXT: &str = r#"{"access_token":"AT-1"}"#;
    /// The text, encoded by the reference implementations of the two formats.
    const BROTLI: &str = "CwuAeyJhY2Nlc3NfdG9rZW4iOiJBVC0xIn0D";
    const ZSTD: &str = "KLUv/QRYuQAAeyJhY2Nlc3NfdG9rZW4iOiJBVC0xIn1YGdrS";

    fn decoded(coding: &'static str, body: &[u8], max: usize) -> Result<Vec<u8>, DecodeError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        let body = Zeroizing::new(body.to_vec());
        decode(&headers, body, max).map(|body| body.to_vec())
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_coding_in_use_is_decoded() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(TEXT.as_bytes()).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(TEXT.as_bytes()).unwrap();
        for (coding, body) in [
            ("gzip", gzip(TEXT.as_bytes())),
            ("X-GZIP", gzip(TEXT.as_bytes())),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", raw.finish().unwrap()),
            ("br", BASE64_STANDARD.decode(BROTLI).unwrap()),
            ("zstd", BASE64_STANDARD.decode(ZSTD).unwrap()),
            ("gzip, gzip", gzip(&gzip(TEXT.as_bytes()))),
            ("identity", TEXT.as_bytes().to_vec()),
            ("", TEXT.as_bytes().to_vec()),
        ] {
            let text = decoded(coding, &body, 1000).unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), TEXT, "{coding}");
        }
    }

    #[test]
    fn a_bomb_is_cut_at_the_maximum() {
        let bomb = gzip(&vec![0; 1 << 22]);
        assert!(bomb.len() < 1 << 13);
        assert_eq!(decoded("gzip", &bomb, 1 << 20), Err(DecodeError::TooLarge));
        let exact = gzip(&[0; 100]);
        assert_eq!(decoded("gzip", &exact, 100).map(|body| body.len()), Ok(100));
        assert_eq!(decoded("gzip", &exact, 99), Err(DecodeError::TooLarge));
    }

    #[test]
    fn damaged_and_unknown_codings_are_refused() {
        for coding in [
            "gzip",
            "deflate",
            "br",
            "zstd",
            "compress",
            "gzip,gzip,gzip,gzip,gzip",
        ] {
            assert_eq!(
                decoded(coding, b"\xff\xffnot encoded", 1000),
                Err(DecodeError::Invalid),
                "{coding}"
            );
        }
        assert_eq!(decoded("gzip", b"", 1000), Ok(Vec::new()));
    }
}
