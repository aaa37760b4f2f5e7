//! How long a body is (RFC 9112 §6), read so that no two readers can disagree.

use super::{
    field::Known,
    head::{Head, Version},
};

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// After this many bytes, at least one.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// With the connection; answers only.
    UntilClose,
}

/// What makes a message's length ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguous {
    /// `Content-Length` beside `Transfer-Encoding`.
    LengthBesideCoding,
    /// More than one `Content-Length`, or a list.
    Lengths,
    /// A `Content-Length` that is not a number.
    Length,
    /// A transfer coding that is not one final `chunked`, or any in HTTP/1.0.
    Coding,
}

impl Ambiguous {
    /// What is wrong, for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LengthBesideCoding => "Content-Length beside Transfer-Encoding",
            Self::Lengths => "more than one Content-Length",
            Self::Length => "a Content-Length that is not a number",
            Self::Coding => "a transfer coding other than one final chunked in HTTP/1.1",
        }
    }
}

/// The framing of a request.
///
/// # Errors
/// See [`Ambiguous`].
pub fn of_request(head: &Head) -> Result<Framing, Ambiguous> {
    Ok(declared(head)?.unwrap_or(Framing::Empty))
}

/// The framing of the answer to a request whose method was HEAD or not.
///
/// # Errors
/// See [`Ambiguous`]; also where the answer has no body, since the sender's next one could not be trusted.
pub fn of_response(head: &Head, to_head: bool) -> Result<Framing, Ambiguous> {
    let declared = declared(head)?;
    if to_head || matches!(head.status, 100..=199 | 204 | 304) {
        return Ok(Framing::Empty);
    }
    Ok(declared.unwrap_or(Framing::UntilClose))
}

/// The one `Content-Length` of a head that was found unambiguous.
pub fn content_length(head: &Head) -> Option<&[u8]> {
    head.values(Known::ContentLength).next()
}

fn declared(head: &Head) -> Result<Option<Framing>, Ambiguous> {
    let (mut length, mut coding) = (None, None);
    if !head.has(Known::ContentLength) && !head.has(Known::TransferEncoding) {
        return Ok(None);
    }
    for field in head.fields() {
        match field.known {
            Known::ContentLength if length.is_some() => return Err(Ambiguous::Lengths),
            Known::ContentLength => length = Some(head.bytes(field.value)),
            Known::TransferEncoding if coding.is_some() => return Err(Ambiguous::Coding),
            Known::TransferEncoding => coding = Some(head.bytes(field.value)),
            _ => {}
        }
    }
    match (length, coding) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Ambiguous::LengthBesideCoding),
        (None, Some(coding))
            if head.version == Version::Http11 && coding.eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(Some(Framing::Chunked))
        }
        (None, Some(_)) => Err(Ambiguous::Coding),
        (Some(length), None) if length.contains(&b',') => Err(Ambiguous::Lengths),
        (Some(length), None) => match number(length).ok_or(Ambiguous::Length)? {
            0 => Ok(Some(Framing::Empty)),
            length => Ok(Some(Framing::Length(length))),
        },
    }
}

/// The value of a `Content-Length`. Digits alone: no sign, no white space, no overflow.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::head::HeadLimits;

    const LIMITS: HeadLimits = HeadLimits {
        bytes: 4096,
        fields: 100,
    };

    fn request(version: &str, fields: &str) -> Result<Framing, Ambiguous> {
        let mut head = Head::default();
        head.buffer
            .extend(format!("POST / HTTP/{version}\r\n{fields}\r\n").as_bytes());
        assert_eq!(head.parse_request(LIMITS), Ok(true));
        of_request(&head)
    }

    fn response(status: u16, fields: &str, to_head: bool) -> Result<Framing, Ambiguous> {
        let mut head = Head::default();
        head.buffer
            .extend(format!("HTTP/1.1 {status} X\r\n{fields}\r\n").as_bytes());
        assert_eq!(head.parse_response(LIMITS), Ok(true));
        of_response(&head, to_head)
    }

    #[test]
    fn plain_requests() {
        assert_eq!(request("1.1", ""), Ok(Framing::Empty));
        assert_eq!(request("1.1", "Content-Length: 0\r\n"), Ok(Framing::Empty));
        assert_eq!(
            request("1.0", "Content-Length: 7\r\n"),
            Ok(Framing::Length(7))
        );
        assert_eq!(
            request("1.1", "Transfer-Encoding: Chunked\r\n"),
            Ok(Framing::Chunked)
        );
    }

    #[test]
    fn whatever_two_readers_could_read_differently_is_refused() {
        let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(request("1.1", both), Err(Ambiguous::LengthBesideCoding));
        let both = "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n";
        assert_eq!(request("1.1", both), Err(Ambiguous::LengthBesideCoding));
        assert_eq!(
            request("1.1", "Content-Length: 5\r\nContent-Length: 5\r\n"),
            Err(Ambiguous::Lengths)
        );
        assert_eq!(
            request("1.1", "Content-Length: 5, 5\r\n"),
            Err(Ambiguous::Lengths)
        );
        for length in ["+5", "-1", "5 5", "0x5", "", "99999999999999999999"] {
            assert_eq!(
                request("1.1", &format!("Content-Length: {length}\r\n")),
                Err(Ambiguous::Length),
                "{length}"
            );
        }
        for coding in [
            "gzip",
            "gzip, chunked",
            "chunked, chunked",
            "chunked;q=1",
            "identity",
            "",
        ] {
            let fields = format!("Transfer-Encoding: {coding}\r\n");
            assert_eq!(request("1.1", &fields), Err(Ambiguous::Coding), "{coding}");
        }
        let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(request("1.1", twice), Err(Ambiguous::Coding));
        assert_eq!(
            request("1.0", "Transfer-Encoding: chunked\r\n"),
            Err(Ambiguous::Coding)
        );
    }

    #[test]
    fn answers_without_a_body() {
        assert_eq!(
            response(200, "Content-Length: 5\r\n", true),
            Ok(Framing::Empty)
        );
        assert_eq!(response(204, "", false), Ok(Framing::Empty));
        assert_eq!(
            response(304, "Content-Length: 5\r\n", false),
            Ok(Framing::Empty)
        );
        assert_eq!(response(200, "", false), Ok(Framing::UntilClose));
    }

    #[test]
    fn ambiguous_answers_are_refused_too() {
        assert_eq!(
            response(200, "Content-Length: 5\r\nContent-Length: 6\r\n", false),
            Err(Ambiguous::Lengths)
        );
        let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(
            response(200, both, true),
            Err(Ambiguous::LengthBesideCoding)
        );
    }
}
