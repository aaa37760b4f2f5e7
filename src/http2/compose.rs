//! Heads and trailers of HTTP/2 as the bytes that say the same in HTTP/1.1. Pure.
//!
//! So that nothing can be read there as something else, names and values are held to RFC 9113 §8.2 and §8.3.

use http::StatusCode;

use super::fields::Fields;
use crate::http1::{
    body::put_field, buffer::Buffer, field::is_grpc, framing::number, head::is_token,
};

/// A message that is malformed (RFC 9113 §8.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// What a head tells of the content behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// How long it is, if that was told; what is no number, whoever reads the head will refuse.
    pub(super) length: Option<u64>,
    /// Whether it is given on in chunks.
    pub(super) is_chunked: bool,
}

impl Content {
    const NONE: Self = Self::of_length(Some(0));

    const fn of_length(length: Option<u64>) -> Self {
        Self {
            length,
            is_chunked: false,
        }
    }
}

/// Writes the head of a request.
///
/// # Errors
/// See [`Malformed`].
pub(super) fn request(
    out: &mut Buffer,
    fields: &Fields,
    is_end: bool,
) -> Result<Content, Malformed> {
    let pseudo = Pseudo::of(fields)?;
    let method = pseudo
        .method
        .filter(|method| !method.is_empty() && method.iter().all(|byte| is_token(*byte)));
    let method = method.ok_or(Malformed)?;
    let target = match pseudo.path {
        // Answered like any other whose method is not allowed.
        None if method == b"CONNECT" => b"/",
        Some(path) if method != b"CONNECT" && pseudo.scheme.is_some() && is_path(path) => path,
        _ => return Err(Malformed),
    };
    out.extend_all([method, b" ", target, b" HTTP/1.1\r\n"]);
    if fields.is_too_large() {
        // A line that is too long stands for what was left out, so that whoever reads the head refuses it for its size.
        out.extend(&vec![b'x'; fields.most()]);
        return Ok(Content::of_length(None));
    }
    if let Some(authority) = pseudo.authority {
        check_value(authority)?;
        put_field(out, b"host", authority);
    }
    let (mut length, mut has_coding, mut crumbs) = (None, false, Vec::new());
    let has_trailers = !is_end && has_trailers(fields);
    for (name, value) in fields.iter().filter(|(name, _)| !is_pseudo(name)) {
        check(name, value)?;
        match name {
            b"connection" | b"keep-alive" | b"proxy-connection" | b"upgrade" => {
                return Err(Malformed);
            }
            b"te" if value != b"trailers" => return Err(Malformed),
            // A second Host is refused by whoever reads the head, and so is one that says something else.
            b"host"
                if pseudo
                    .authority
                    .is_some_and(|authority| authority.eq_ignore_ascii_case(value)) =>
            {
                continue;
            }
            b"transfer-encoding" => has_coding = true,
            b"content-length" if note_length(&mut length, value, has_trailers) => continue,
            b"cookie" => {
                crumbs.push(value);
                continue;
            }
            _ => {}
        }
        put_field(out, name, value);
    }
    if !crumbs.is_empty() {
        // They may come one by one, and HTTP/1.1 has one line for all (RFC 9113 §8.2.3).
        put_field(out, b"cookie", &crumbs.join(&b"; "[..]));
    }
    let content = if has_coding && length.is_none() {
        // There is none in HTTP/2, so it is to be refused: beside a length it is ambiguous.
        put_field(out, b"content-length", b"0");
        Content::of_length(None)
    } else {
        put_framing(out, length, is_end, has_trailers)
    };
    out.extend(b"\r\n");
    Ok(content)
}

/// Writes the head of an answer; also gives whether it is an interim one.
///
/// # Errors
/// See [`Malformed`].
pub(super) fn answer(
    out: &mut Buffer,
    fields: &Fields,
    is_end: bool,
    to_head: bool,
) -> Result<(Content, bool), Malformed> {
    let status = Pseudo::of(fields)?
        .status
        .and_then(|status| StatusCode::from_bytes(status).ok())
        .ok_or(Malformed)?;
    let is_interim = status.is_informational();
    let reason = status.canonical_reason().unwrap_or_default().as_bytes();
    out.extend_all([
        b"HTTP/1.1 ",
        status.as_str().as_bytes(),
        b" ",
        reason,
        b"\r\n",
    ]);
    let has_content = !to_head && !is_interim && !matches!(status.as_u16(), 204 | 304);
    let has_trailers = has_content && !is_end && has_trailers(fields);
    let mut length = None;
    for (name, value) in fields.iter().filter(|(name, _)| !is_pseudo(name)) {
        check(name, value)?;
        match name {
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" => {
                return Err(Malformed);
            }
            // With a switch of protocols, which is refused for itself.
            b"upgrade" if status != StatusCode::SWITCHING_PROTOCOLS => return Err(Malformed),
            b"content-length" if note_length(&mut length, value, has_trailers) => continue,
            _ => {}
        }
        put_field(out, name, value);
    }
    if is_interim && is_end {
        return Err(Malformed);
    }
    let content = if has_content {
        if is_end && length.is_none() {
            put_field(out, b"content-length", b"0");
        }
        put_framing(out, length, is_end, has_trailers)
    } else {
        Content::NONE
    };
    out.extend(b"\r\n");
    Ok((content, is_interim))
}

/// Writes trailers.
///
/// # Errors
/// See [`Malformed`].
pub(super) fn trailers(out: &mut Buffer, fields: &Fields) -> Result<(), Malformed> {
    for (name, value) in fields.iter() {
        if is_pseudo(name) {
            return Err(Malformed);
        }
        check(name, value)?;
        put_field(out, name, value);
    }
    Ok(())
}

/// Notes a `Content-Length`. Gives whether chunks take its place. A second one stays where it is, beside the chunks, and is
/// refused by whoever reads the head.
fn note_length(length: &mut Option<Option<u64>>, value: &[u8], has_trailers: bool) -> bool {
    let told = number(value);
    let is_first = length.replace(told).is_none();
    has_trailers && is_first && told.is_some()
}

/// Frames the content behind a head, in which a length was told or not.
fn put_framing(
    out: &mut Buffer,
    length: Option<Option<u64>>,
    is_end: bool,
    has_trailers: bool,
) -> Content {
    match length {
        Some(None) => Content::of_length(None),
        Some(length) if !has_trailers => Content::of_length(length),
        None if is_end => Content::NONE,
        length => {
            put_field(out, b"transfer-encoding", b"chunked");
            Content {
                length: length.flatten(),
                is_chunked: true,
            }
        }
    }
}

/// Whether trailers are to be expected. They need chunks, even where the length was told: gRPC's status is one of them.
fn has_trailers(fields: &Fields) -> bool {
    let is_sign = |(name, value): (&[u8], &[u8])| match name {
        b"trailer" => true,
        b"content-type" => is_grpc(value),
        _ => false,
    };
    fields.iter().any(is_sign)
}

/// The fields that stand for a start line (RFC 9113 §8.3).
#[derive(Default)]
struct Pseudo<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
}

impl<'a> Pseudo<'a> {
    /// They come first, each once, and there are no others.
    fn of(fields: &'a Fields) -> Result<Self, Malformed> {
        let mut pseudo = Self::default();
        let mut others = false;
        for (name, value) in fields.iter() {
            if !is_pseudo(name) {
                others = true;
                continue;
            }
            let place = match name {
                b":method" => &mut pseudo.method,
                b":scheme" => &mut pseudo.scheme,
                b":authority" => &mut pseudo.authority,
                b":path" => &mut pseudo.path,
                b":status" => &mut pseudo.status,
                _ => return Err(Malformed),
            };
            if others || place.replace(value).is_some() {
                return Err(Malformed);
            }
        }
        // Those of a request and that of an answer never stand together.
        let is_request = pseudo
            .method
            .or(pseudo.scheme)
            .or(pseudo.authority)
            .or(pseudo.path)
            .is_some();
        if is_request && pseudo.status.is_some() {
            Err(Malformed)
        } else {
            Ok(pseudo)
        }
    }
}

fn is_pseudo(name: &[u8]) -> bool {
    name.first() == Some(&b':')
}

/// A path, or `*`: nothing that could end the start line, or name another origin in it.
fn is_path(path: &[u8]) -> bool {
    let begins = path.first() == Some(&b'/') || path == b"*";
    begins && path.iter().all(|byte| !matches!(byte, 0..=b' ' | 0x7f))
}

fn check(name: &[u8], value: &[u8]) -> Result<(), Malformed> {
    let is_name = !name.is_empty()
        && name
            .iter()
            .all(|byte| is_token(*byte) && !byte.is_ascii_uppercase());
    if is_name {
        check_value(value)
    } else {
        Err(Malformed)
    }
}

/// Nothing that ends a line, and no white space round it, which HTTP/1.1 would read as none of the value: a length with a
/// blank behind it would be one there, and none here (RFC 9113 §8.2.1).
fn check_value(value: &[u8]) -> Result<(), Malformed> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let is_malformed = value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'));
    if is_malformed || is_blank(value.first()) || is_blank(value.last()) {
        Err(Malformed)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
