//! Messages on their way in: what is read of them is one message of HTTP/1.1, or it breaks.

use proptest::prelude::*;

use super::*;
use crate::http1::{
    body::Body,
    framing,
    head::{Head, HeadLimits},
};

const LIMITS: HeadLimits = HeadLimits {
    bytes: 64 * 1024,
    fields: 100,
};
const POST: [(&str, &str); 4] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "a"),
    (":path", "/"),
];
const ANSWER: Role = Role::Answer { to_head: false };

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new(16 * 1024);
    pairs
        .iter()
        .for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
    fields
}

fn post(more: &[(&str, &str)]) -> Fields {
    fields(&[&POST[..], more].concat())
}

/// All that can be read now, with how much of it is content.
fn read(inbound: &mut Inbound, size: usize) -> (Vec<u8>, usize) {
    let (mut bytes, mut content, mut piece) = (Vec::new(), 0, vec![0; size]);
    loop {
        let given = inbound.give(&mut piece);
        bytes.extend_from_slice(&piece[..given.bytes]);
        content += given.content;
        if given.bytes == 0 {
            return (bytes, content);
        }
    }
}

fn text(inbound: &mut Inbound) -> String {
    String::from_utf8(read(inbound, 1000).0).unwrap()
}

#[test]
fn content_of_a_known_length_is_given_as_it_is() {
    let mut inbound = Inbound::new(Role::Request);
    assert!(inbound.wants_head());
    inbound
        .take_fields(&post(&[("content-length", "5")]), false)
        .unwrap();
    inbound.take_content(b"he", false).unwrap();
    assert_eq!(
        text(&mut inbound),
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhe"
    );
    inbound.take_content(b"llo", true).unwrap();
    assert!(inbound.is_whole());
    assert_eq!(text(&mut inbound), "llo");
    assert!(inbound.is_whole());
}

#[test]
fn a_length_that_is_not_kept_is_malformed() {
    let begin = || {
        let mut inbound = Inbound::new(Role::Request);
        inbound
            .take_fields(&post(&[("content-length", "5")]), false)
            .unwrap();
        inbound.take_content(b"hell", false).unwrap();
        inbound
    };
    assert_eq!(begin().take_content(b"oo", false), Err(Malformed));
    assert_eq!(begin().take_content(b"", true), Err(Malformed));
    assert_eq!(
        begin().take_fields(&fields(&[("x", "y")]), true),
        Err(Malformed)
    );
    assert_eq!(begin().take_content(b"o", true), Ok(()));
    let mut inbound = Inbound::new(Role::Request);
    assert_eq!(
        inbound.take_fields(&post(&[("content-length", "5")]), true),
        Err(Malformed)
    );
    // Where chunks hide the length, it holds all the same.
    let mut inbound = Inbound::new(ANSWER);
    let head = fields(&[
        (":status", "200"),
        ("content-length", "5"),
        ("trailer", "x"),
    ]);
    inbound.take_fields(&head, false).unwrap();
    assert_eq!(inbound.take_content(b"longer", false), Err(Malformed));
}

#[test]
fn content_that_cannot_be_is_malformed() {
    for (status, to_head) in [("204", false), ("304", false), ("200", true)] {
        let mut inbound = Inbound::new(Role::Answer { to_head });
        inbound
            .take_fields(&fields(&[(":status", status)]), false)
            .unwrap();
        assert_eq!(inbound.take_content(b"", false), Ok(()));
        assert_eq!(inbound.take_content(b"x", true), Err(Malformed), "{status}");
    }
    assert_eq!(
        Inbound::new(ANSWER).take_content(b"", false),
        Err(Malformed),
        "before its head"
    );
}

#[test]
fn nothing_comes_behind_the_end() {
    let mut inbound = Inbound::new(Role::Request);
    inbound.take_fields(&post(&[]), true).unwrap();
    assert_eq!(inbound.take_content(b"", true), Err(Malformed));
    assert_eq!(
        inbound.take_fields(&fields(&[("x", "y")]), true),
        Err(Malformed)
    );
    assert_eq!(text(&mut inbound), "POST / HTTP/1.1\r\nhost: a\r\n\r\n");
}

#[test]
fn trailers_end_the_message_and_are_read_behind_the_last_chunk() {
    let mut inbound = Inbound::new(ANSWER);
    inbound
        .take_fields(&fields(&[(":status", "200")]), false)
        .unwrap();
    inbound.take_content(b"hello", false).unwrap();
    inbound
        .take_fields(&fields(&[("x-sum", "1"), ("x", "")]), true)
        .unwrap();
    let expected = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\nx: \r\n\r\n";
    assert_eq!(text(&mut inbound), expected);
}

#[test]
fn trailers_that_do_not_end_the_message_are_malformed() {
    let mut inbound = Inbound::new(Role::Request);
    inbound.take_fields(&post(&[]), false).unwrap();
    assert_eq!(
        inbound.take_fields(&fields(&[("x", "y")]), false),
        Err(Malformed)
    );
    assert_eq!(
        inbound.take_fields(&fields(&[(":path", "/")]), true),
        Err(Malformed)
    );
    let mut large = Fields::new(10);
    large.push(b"x", b"y");
    assert_eq!(inbound.take_fields(&large, true), Err(Malformed));
}

#[test]
fn trailers_behind_a_plain_length_are_left_out() {
    let mut inbound = Inbound::new(ANSWER);
    inbound
        .take_fields(
            &fields(&[(":status", "200"), ("content-length", "2")]),
            false,
        )
        .unwrap();
    inbound.take_content(b"hi", false).unwrap();
    inbound.take_fields(&fields(&[("x", "y")]), true).unwrap();
    assert_eq!(
        text(&mut inbound),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
    );
    assert!(inbound.is_whole());
}

#[test]
fn interim_heads_come_before_the_last_one() {
    let mut inbound = Inbound::new(ANSWER);
    inbound
        .take_fields(&fields(&[(":status", "100")]), false)
        .unwrap();
    assert!(inbound.wants_head());
    assert_eq!(text(&mut inbound), "HTTP/1.1 100 Continue\r\n\r\n");
    inbound
        .take_fields(&fields(&[(":status", "103"), ("link", "x")]), false)
        .unwrap();
    inbound
        .take_fields(&fields(&[(":status", "204")]), true)
        .unwrap();
    let expected = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(text(&mut inbound), expected);
    assert_eq!(
        inbound.take_fields(&fields(&[(":status", "103")]), false),
        Err(Malformed),
        "not behind it"
    );
}

#[test]
fn an_interim_head_is_no_beginning_of_content() {
    let mut inbound = Inbound::new(ANSWER);
    inbound
        .take_fields(&fields(&[(":status", "103")]), false)
        .unwrap();
    assert_eq!(inbound.take_content(b"x", false), Err(Malformed));
}

#[test]
fn a_broken_message_gives_nothing_more() {
    let mut inbound = Inbound::new(Role::Request);
    inbound.take_fields(&post(&[]), false).unwrap();
    inbound.take_content(b"hello", false).unwrap();
    let mut some = [0; 60];
    let given = inbound.give(&mut some);
    assert!(given.content > 0 && given.content < 5, "{given:?}");
    assert_eq!(
        inbound.break_off(),
        5 - given.content,
        "what was not read is told, to be freed"
    );
    assert_eq!(read(&mut inbound, 100), (Vec::new(), 0));
    assert!(!inbound.is_whole() && !inbound.wants_head());
    assert_eq!(inbound.break_off(), 0, "once");
    assert_eq!(inbound.take_content(b"x", true), Err(Malformed));
}

#[test]
fn a_request_that_is_a_head_is_known() {
    let mut inbound = Inbound::new(Role::Request);
    let head = fields(&[(":method", "HEAD"), (":scheme", "http"), (":path", "/")]);
    inbound.take_fields(&head, true).unwrap();
    assert!(inbound.is_head_request());
}

type Trailers = Vec<(Vec<u8>, Vec<u8>)>;

/// What any reader of HTTP/1.1 makes of it.
fn message(bytes: &[u8]) -> (Vec<u8>, Trailers) {
    let mut head = Head::default();
    head.buffer.extend(bytes);
    assert_eq!(head.parse_request(LIMITS), Ok(true));
    let mut body = Body::new(framing::of_request(&head).unwrap(), None, 1000);
    let mut rest = head.rest().to_vec();
    let decoded = body.decode(&mut rest).unwrap();
    assert!(
        body.is_done() && decoded.consumed == rest.len(),
        "more or less than one message"
    );
    let mut trailers = Vec::new();
    body.trailers(None, |name, value| {
        trailers.push((name.to_vec(), value.to_vec()))
    })
    .unwrap();
    (rest[..decoded.content].to_vec(), trailers)
}

proptest! {
    /// Whatever comes between, and however it is read.
    #[test]
    fn what_is_read_is_what_came(
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..3000), 0_usize..4), 0..8),
        sizes in prop::collection::vec(1_usize..2000, 1..5),
        has_length: bool,
        has_trailers: bool,
    ) {
        let whole: Vec<u8> = parts.iter().flat_map(|(part, _)| part.iter().copied()).collect();
        let length = whole.len().to_string();
        let mut inbound = Inbound::new(Role::Request);
        let more = [("content-length", length.as_str())];
        inbound.take_fields(&post(if has_length { &more } else { &[] }), false).unwrap();
        let (mut bytes, mut content, mut sizes) = (Vec::new(), 0, sizes.iter().cycle());
        let mut give = |inbound: &mut Inbound| {
            let mut piece = vec![0; *sizes.next().unwrap()];
            let given = inbound.give(&mut piece);
            bytes.extend_from_slice(&piece[..given.bytes]);
            content += given.content;
            given.bytes
        };
        for (part, reads) in &parts {
            inbound.take_content(part, false).unwrap();
            for _ in 0..*reads {
                give(&mut inbound);
            }
        }
        if has_trailers {
            inbound.take_fields(&fields(&[("x-sum", "1")]), true).unwrap();
        } else {
            inbound.take_content(b"", true).unwrap();
        }
        while give(&mut inbound) > 0 {}
        prop_assert_eq!(content, whole.len());
        let (read, trailers) = message(&bytes);
        prop_assert!(read == whole);
        let expected = (has_trailers && !has_length).then(|| (b"x-sum".to_vec(), b"1".to_vec()));
        prop_assert_eq!(trailers, Vec::from_iter(expected));
    }
}
