//! Heads, read whole and in pieces.

use super::*;

const LIMITS: HeadLimits = HeadLimits {
    bytes: 1024,
    fields: 4,
};

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
    assert_eq!(
        (head.method(), head.target(), head.rest()),
        (&b"POST"[..], &b"/a?b"[..], &b"body"[..])
    );
    assert_eq!(head.values(Known::Host).collect::<Vec<_>>(), [b"x"]);
    assert_eq!(head.bytes(head.fields()[1].value), b"");
}

#[test]
fn a_head_that_comes_byte_by_byte_is_read_in_the_end() {
    let text = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut head = Head::default();
    for (at, byte) in text.iter().enumerate() {
        head.buffer.extend(&[*byte]);
        assert_eq!(
            head.parse_request(LIMITS),
            Ok(at == text.len() - 1),
            "at {at}"
        );
    }
}

#[test]
fn some_line_breaks_before_a_head_are_forgiven_and_many_are_not() {
    assert_eq!(request(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n").1, Ok(true));
    assert_eq!(request(b"\r\n\r\n\r\n\r\n").1, Ok(false));
    assert_eq!(request(b"\n\n\n\n\n\n\n\n\n").1, Err(HeadError::Malformed));
}

#[test]
fn a_line_that_would_be_written_otherwise_is_no_plain_one() {
    let (head, _) =
        request(b"GET / HTTP/1.1\r\nA: b\r\nC:d\r\nE: f \r\nG:  h\r\nI:\r\nJ: k\nL: m\r\n\r\n");
    let lines: Vec<_> = head
        .fields()
        .iter()
        .map(|field| head.line(field).map(|line| head.bytes(line)))
        .collect();
    assert_eq!(
        lines,
        [
            Some(&b"A: b\r\n"[..]),
            None,
            None,
            None,
            None,
            None,
            Some(b"L: m\r\n")
        ]
    );
}

#[test]
fn a_value_can_be_shortened_in_its_place() {
    let (mut head, _) = request(b"GET / HTTP/1.1\r\nA: bcd\r\nE: f\r\n\r\n");
    for (value, shortened) in [(&b"bd"[..], &b"bd"[..]), (b"", b"")] {
        head.shorten(0, value);
        assert_eq!(head.bytes(head.fields()[0].value), shortened);
        assert_eq!(
            head.line(&head.fields()[0]),
            None,
            "the line is not written that way"
        );
    }
    assert_eq!(
        head.line(&head.fields()[1]).map(|line| head.bytes(line)),
        Some(&b"E: f\r\n"[..])
    );
}

#[test]
fn names_that_are_there_are_known_to_be() {
    let (mut head, _) = request(b"GET / HTTP/1.1\r\nHost: a\r\nTE: b\r\n\r\n");
    assert!(head.has(Known::Te) && head.has(Known::Host) && !head.has(Known::Upgrade));
    head.next(0);
    assert!(!head.has(Known::Te));
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
    assert_eq!(
        request(b"\x16\x03\x01\x02\x00").1,
        Err(HeadError::Malformed)
    );
    assert_eq!(request(b"GET / HTTP/3.0\r\n").1, Err(HeadError::Malformed));
    assert_eq!(
        request(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n").1,
        Err(HeadError::Malformed)
    );
    assert_eq!(
        request(b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n").1,
        Err(HeadError::Malformed)
    );
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
    assert_eq!(
        (head.status, head.reason(), head.version),
        (404, &b"Not Here"[..], Version::Http10)
    );
}

#[test]
fn a_target_is_bytes_not_text() {
    for target in [&b"/\xff"[..], b"/?\xff", b"/\xc3\xa9", b"/a\xe9?b=\x80#"] {
        let text = [
            b"\r\nGET ",
            target,
            b" HTTP/1.1\r\nHost: x\r\nA: \xff\r\n\r\nrest",
        ]
        .concat();
        let (head, parsed) = request(&text);
        assert_eq!(parsed, Ok(true), "{}", String::from_utf8_lossy(target));
        assert_eq!(
            (head.method(), head.target(), head.rest()),
            (&b"GET"[..], target, &b"rest"[..])
        );
        assert_eq!(
            head.fields()
                .iter()
                .map(|field| head.bytes(field.value))
                .collect::<Vec<_>>(),
            [&b"x"[..], b"\xff"]
        );
    }
}

#[test]
fn bytes_outside_ascii_stand_in_the_target_alone() {
    for line in [
        &b"G\xffT / HTTP/1.1"[..],
        b"GET / HTTP/1.\xff",
        b"GET / \xffHTTP/1.1",
        b"GET /\xff",
        b"GET /\xff\x7f HTTP/1.1",
    ] {
        let text = [line, b"\r\nHost: x\r\n\r\n"].concat();
        assert_eq!(
            request(&text).1,
            Err(HeadError::Malformed),
            "{}",
            String::from_utf8_lossy(line)
        );
    }
    assert_eq!(
        request(b"GET /\xff HTTP/1.1\r\nHost: x\r\n").1,
        Ok(false),
        "more of it may come"
    );
    assert_eq!(
        request(b"GET /\xff HTTP/1.1\r\nB\xffd: x\r\n\r\n").1,
        Err(HeadError::Malformed)
    );
}
