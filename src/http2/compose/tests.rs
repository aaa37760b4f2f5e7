//! What heads become in HTTP/1.1, every way in which they are malformed, and that what is composed has one reading.

use proptest::{prelude::*, sample::select};

use super::*;
use crate::http1::{
    framing::{self, Framing},
    head::{Head, HeadError, HeadLimits},
};

const LIMITS: HeadLimits = HeadLimits {
    bytes: 64 * 1024,
    fields: 100,
};

type Pairs<'a> = &'a [(&'a str, &'a str)];

const GET: Pairs<'static> = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "a.example"),
    (":path", "/x?y"),
];

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new(16 * 1024);
    pairs
        .iter()
        .for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
    fields
}

fn get(more: Pairs<'_>) -> Vec<(&'static str, String)> {
    let more: Vec<_> = more
        .iter()
        .map(|(name, value)| (&*name.to_string().leak(), (*value).to_owned()))
        .collect();
    GET.iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .chain(more)
        .collect()
}

fn asked(pairs: Pairs<'_>, is_end: bool) -> Result<(String, Content), Malformed> {
    let mut out = Buffer::new();
    let content = request(&mut out, &fields(pairs), is_end)?;
    Ok((String::from_utf8(out.filled().to_vec()).unwrap(), content))
}

/// A GET with more fields behind its own.
fn asked_with(more: Pairs<'_>, is_end: bool) -> Result<(String, Content), Malformed> {
    let all = get(more);
    asked(
        &all.iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect::<Vec<_>>(),
        is_end,
    )
}

fn answered(
    pairs: Pairs<'_>,
    is_end: bool,
    to_head: bool,
) -> Result<(String, Content, bool), Malformed> {
    let mut out = Buffer::new();
    let (content, is_interim) = answer(&mut out, &fields(pairs), is_end, to_head)?;
    Ok((
        String::from_utf8(out.filled().to_vec()).unwrap(),
        content,
        is_interim,
    ))
}

fn parsed(text: &[u8]) -> Result<Head, HeadError> {
    let mut head = Head::default();
    head.buffer.extend(text);
    head.parse_request(LIMITS).map(|is_whole| {
        assert!(is_whole, "half a head: {}", text.escape_ascii());
        head
    })
}

const CHUNKED: Content = Content {
    length: None,
    is_chunked: true,
};

#[test]
fn a_request_without_content_says_no_length() {
    let (text, content) = asked_with(&[("accept", "*/*")], true).unwrap();
    assert_eq!(
        text,
        "GET /x?y HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\n\r\n"
    );
    assert_eq!(content, Content::NONE);
}

#[test]
fn a_request_with_content_has_its_length_or_is_chunked() {
    let (text, content) = asked_with(&[("content-length", "7")], false).unwrap();
    assert!(text.ends_with("\r\ncontent-length: 7\r\n\r\n"));
    assert_eq!(content, Content::of_length(Some(7)));
    let (text, content) = asked_with(&[], false).unwrap();
    assert!(text.ends_with("\r\ntransfer-encoding: chunked\r\n\r\n"));
    assert_eq!(content, CHUNKED);
}

#[test]
fn trailers_that_are_announced_make_chunks_beside_a_length() {
    for sign in [
        ("trailer", "x-sum"),
        ("content-type", "application/grpc+proto"),
    ] {
        let (text, content) = asked_with(&[("content-length", "7"), sign], false).unwrap();
        assert!(
            text.ends_with("\r\ntransfer-encoding: chunked\r\n\r\n") && !text.contains("length"),
            "{text}"
        );
        assert_eq!(
            content,
            Content {
                length: Some(7),
                is_chunked: true
            }
        );
        let pairs = [(":status", "200"), ("content-length", "7"), sign];
        let (text, content, _) = answered(&pairs, false, false).unwrap();
        assert!(
            text.ends_with("\r\ntransfer-encoding: chunked\r\n\r\n") && !text.contains("length"),
            "{text}"
        );
        assert_eq!(
            content,
            Content {
                length: Some(7),
                is_chunked: true
            }
        );
    }
}

#[test]
fn the_path_may_be_an_asterisk() {
    let pairs = [
        (":method", "OPTIONS"),
        (":scheme", "http"),
        (":path", "*"),
        ("host", "a.example"),
    ];
    assert_eq!(
        asked(&pairs, true).unwrap().0,
        "OPTIONS * HTTP/1.1\r\nhost: a.example\r\n\r\n"
    );
}

#[test]
fn a_connect_is_composed_to_be_refused() {
    let pairs = [(":method", "CONNECT"), (":authority", "a.example:443")];
    assert_eq!(
        asked(&pairs, true).unwrap().0,
        "CONNECT / HTTP/1.1\r\nhost: a.example:443\r\n\r\n"
    );
    for more in [
        (":path", "/"),
        (":scheme", "https"),
        (":protocol", "websocket"),
    ] {
        assert_eq!(
            asked(&[pairs[0], pairs[1], more], true).map(|_| ()),
            if more.0 == ":scheme" {
                Ok(())
            } else {
                Err(Malformed)
            }
        );
    }
}

#[test]
fn crumbs_of_a_cookie_are_joined() {
    let (text, _) = asked_with(
        &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2; c=3")],
        true,
    )
    .unwrap();
    assert!(
        text.ends_with("\r\nx: y\r\ncookie: a=1; b=2; c=3\r\n\r\n"),
        "{text}"
    );
}

#[test]
fn a_host_that_says_the_same_is_left_out_and_another_is_there_to_be_refused() {
    let (text, _) = asked_with(&[("host", "A.example")], true).unwrap();
    assert_eq!(text.matches("host").count(), 1);
    let (text, _) = asked_with(&[("host", "b.example")], true).unwrap();
    assert_eq!(
        parsed(text.as_bytes())
            .unwrap()
            .values(crate::http1::field::Known::Host)
            .count(),
        2
    );
}

#[test]
fn a_transfer_coding_is_refused_by_whoever_reads_the_head() {
    for more in [
        &[("transfer-encoding", "chunked")][..],
        &[("transfer-encoding", "chunked"), ("content-length", "5")],
        &[("content-length", "5"), ("transfer-encoding", "gzip")],
        &[("transfer-encoding", "chunked"), ("trailer", "x")],
        &[
            ("transfer-encoding", "chunked"),
            ("trailer", "x"),
            ("content-length", "5"),
        ],
    ] {
        for is_end in [false, true] {
            let (text, _) = asked_with(more, is_end).unwrap();
            assert!(
                framing::of_request(&parsed(text.as_bytes()).unwrap()).is_err(),
                "{text}"
            );
        }
    }
}

#[test]
fn two_lengths_are_refused_by_whoever_reads_the_head() {
    for lengths in [["5", "7"], ["5", "5"], ["x", "5"], ["5", "x"], ["5", "-5"]] {
        let pair = lengths.map(|length| ("content-length", length));
        for more in [
            &pair[..],
            &[pair[0], pair[1], ("trailer", "x")],
            &[("trailer", "x"), pair[0], pair[1]],
        ] {
            let (text, _) = asked_with(more, false).unwrap();
            assert!(
                framing::of_request(&parsed(text.as_bytes()).unwrap()).is_err(),
                "{text}"
            );
            let all: Vec<_> = [(":status", "200")].iter().chain(more).copied().collect();
            let (text, ..) = answered(&all, false, false).unwrap();
            let mut head = Head::default();
            head.buffer.extend(text.as_bytes());
            assert_eq!(head.parse_response(LIMITS), Ok(true));
            assert!(framing::of_response(&head, false).is_err(), "{text}");
        }
    }
}

#[test]
fn a_head_that_is_too_large_stays_so() {
    let long = "v".repeat(16 * 1024);
    let (text, content) = asked_with(&[("x-long", &long), ("content-length", "0")], true).unwrap();
    assert!(
        text.starts_with("GET /x?y HTTP/1.1\r\nxxx")
            && text.len() > 16 * 1024
            && !text.ends_with('\n')
    );
    assert_eq!(content.length, None);
    let mut head = Head::default();
    head.buffer.extend(text.as_bytes());
    assert_eq!(
        head.parse_request(HeadLimits {
            bytes: 16 * 1024,
            fields: 100
        }),
        Err(HeadError::TooLarge)
    );
}

#[test]
fn a_request_without_what_it_needs_is_malformed() {
    for (left_out, (name, _)) in GET.iter().enumerate() {
        let pairs: Vec<_> = GET
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != left_out)
            .map(|(_, pair)| *pair)
            .collect();
        assert_eq!(
            asked(&pairs, true).is_ok(),
            *name == ":authority",
            "without {name}"
        );
    }
    assert_eq!(asked(&[], true), Err(Malformed));
    assert_eq!(asked(&[("host", "a.example")], true), Err(Malformed));
}

#[test]
fn a_start_line_that_could_be_another_is_malformed() {
    let with = |name: &str, value: &str| {
        let pairs: Vec<_> = GET
            .iter()
            .map(|pair| {
                if pair.0 == name {
                    (pair.0, value)
                } else {
                    *pair
                }
            })
            .collect();
        asked(&pairs, true).map(|_| ())
    };
    for path in [
        "",
        "x",
        "http://b.example/",
        "/a b",
        "/\t",
        "/\r\n",
        "/\0",
        "/\x7f",
        "//b /",
        " /",
        "**",
        "?x",
    ] {
        assert_eq!(with(":path", path), Err(Malformed), "{path:?}");
    }
    for method in ["", "G T", "GET /", "GET\r\n", "G\0", "GÉT", "(GET)"] {
        assert_eq!(with(":method", method), Err(Malformed), "{method:?}");
    }
    for authority in ["a\r\nx: y", "a\n", "a\0", "\ra", " a", "a\t"] {
        assert_eq!(
            with(":authority", authority),
            Err(Malformed),
            "{authority:?}"
        );
    }
}

#[test]
fn pseudo_fields_out_of_place_are_malformed() {
    for more in [
        (":method", "GET"),
        (":path", "/"),
        (":status", "200"),
        (":protocol", "x"),
        (":", "x"),
        (":x", ""),
    ] {
        assert_eq!(asked_with(&[more], true), Err(Malformed), "{more:?}");
        assert_eq!(
            answered(&[(":status", "200"), ("x", "y"), more], true, false),
            Err(Malformed),
            "{more:?}"
        );
        assert_eq!(
            trailers(&mut Buffer::new(), &fields(&[more])),
            Err(Malformed),
            "{more:?}"
        );
    }
    let late = [GET[0], GET[1], ("x", "y"), GET[3]];
    assert_eq!(asked(&late, true), Err(Malformed));
    assert_eq!(
        answered(&[("x", "y"), (":status", "200")], true, false),
        Err(Malformed)
    );
    assert_eq!(
        answered(&[(":status", "200"), (":status", "200")], true, false),
        Err(Malformed)
    );
    assert_eq!(
        answered(&[(":status", "200"), (":path", "/")], true, false),
        Err(Malformed)
    );
    assert_eq!(
        answered(GET, true, false),
        Err(Malformed),
        "a request is no answer"
    );
    assert_eq!(
        asked(&[(":status", "200")], true),
        Err(Malformed),
        "an answer is no request"
    );
}

/// Fields that are malformed in any section.
const BAD: [(&str, &str); 20] = [
    ("Accept", "x"),
    ("x-Y", "x"),
    ("", "x"),
    ("a b", "x"),
    ("a:b", "x"),
    ("a\r\nb", "x"),
    ("a\0", "x"),
    ("a\x7f", "x"),
    ("é", "x"),
    (" a", "x"),
    ("a", "x\r\ny: z"),
    ("a", "x\n"),
    ("a", "\r"),
    ("a", "x\0y"),
    ("a", " x"),
    ("a", "x "),
    ("a", "\tx"),
    ("a", "x\t"),
    ("a", " "),
    ("content-length", "5 "),
];

#[test]
fn names_and_values_with_bytes_that_do_not_belong_there_are_malformed() {
    for bad in BAD {
        assert_eq!(asked_with(&[bad], false), Err(Malformed), "{bad:?}");
        assert_eq!(
            answered(&[(":status", "200"), bad], false, false),
            Err(Malformed),
            "{bad:?}"
        );
        assert_eq!(
            answered(&[(":status", "103"), bad], false, false),
            Err(Malformed),
            "{bad:?}"
        );
        assert_eq!(
            trailers(&mut Buffer::new(), &fields(&[("x", "y"), bad])),
            Err(Malformed),
            "{bad:?}"
        );
    }
}

#[test]
fn fields_of_a_connection_are_malformed() {
    for name in ["connection", "keep-alive", "proxy-connection", "upgrade"] {
        assert_eq!(asked_with(&[(name, "x")], true), Err(Malformed), "{name}");
        assert_eq!(
            answered(&[(":status", "200"), (name, "x")], true, false),
            Err(Malformed),
            "{name}"
        );
    }
    assert_eq!(
        answered(
            &[(":status", "200"), ("transfer-encoding", "chunked")],
            false,
            false
        ),
        Err(Malformed)
    );
    for te in ["gzip", "trailers, gzip", "", "chunked"] {
        assert_eq!(asked_with(&[("te", te)], true), Err(Malformed), "{te}");
    }
    assert!(asked_with(&[("te", "trailers")], true).is_ok());
}

#[test]
fn an_answer_has_its_length_or_is_chunked() {
    let (text, content, is_interim) =
        answered(&[(":status", "200"), ("content-length", "7")], false, false).unwrap();
    assert_eq!(text, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
    assert_eq!((content, is_interim), (Content::of_length(Some(7)), false));
    let (text, content, _) = answered(&[(":status", "200")], false, false).unwrap();
    assert_eq!(
        (text.as_str(), content),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            CHUNKED
        )
    );
    let (text, content, _) = answered(&[(":status", "599"), ("x", "y")], true, false).unwrap();
    assert_eq!(
        (text.as_str(), content),
        (
            "HTTP/1.1 599 \r\nx: y\r\ncontent-length: 0\r\n\r\n",
            Content::NONE
        )
    );
}

#[test]
fn an_answer_that_can_have_no_content_is_not_framed() {
    for (status, to_head) in [("204", false), ("304", false), ("200", true)] {
        let (text, content, _) = answered(&[(":status", status)], false, to_head).unwrap();
        assert!(
            !text.contains("length") && !text.contains("coding"),
            "{text}"
        );
        assert_eq!(content, Content::NONE);
        let (text, content, _) = answered(
            &[(":status", status), ("content-length", "9")],
            true,
            to_head,
        )
        .unwrap();
        assert!(text.contains("content-length: 9"), "{text}");
        assert_eq!(content, Content::NONE);
    }
}

#[test]
fn an_interim_answer_is_told_from_the_last_one_and_ends_nothing() {
    let pairs = [(":status", "103"), ("link", "</a>")];
    let (text, _, is_interim) = answered(&pairs, false, false).unwrap();
    assert_eq!(
        (text.as_str(), is_interim),
        ("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", true)
    );
    assert_eq!(answered(&pairs, true, false), Err(Malformed));
}

#[test]
fn a_status_that_is_none_is_malformed() {
    for status in [
        "", "20", "2000", "abc", "099", "2 0", "+20", "200 OK", "20\n", "1000", "-20",
    ] {
        assert_eq!(
            answered(&[(":status", status)], true, false),
            Err(Malformed),
            "{status:?}"
        );
    }
    assert_eq!(answered(&[("x", "y")], true, false), Err(Malformed));
    assert_eq!(answered(&[], true, false), Err(Malformed));
}

fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let names = [
        "host",
        "cookie",
        "content-length",
        "transfer-encoding",
        "te",
        "connection",
        "trailer",
        "x-a",
        "b",
        "Ab",
    ];
    prop_oneof![
        4 => select(names.to_vec()).prop_map(|name| name.as_bytes().to_vec()),
        2 => "[a-z0-9-]{1,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => "[ -~]{0,20}".prop_map(String::into_bytes),
        2 => select(vec!["5", "0", "05", "5 ", " 5", "5,5", "chunked", "trailers", "a.example"])
            .prop_map(|value| value.as_bytes().to_vec()),
        1 => prop::collection::vec(select(b"\r\n\t \0:;,x\x80\x7f\x01".to_vec()), 0..6),
    ]
}

fn all(head: &Head) -> Vec<(&[u8], &[u8])> {
    head.fields()
        .iter()
        .map(|field| (head.bytes(field.name), head.bytes(field.value)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Malformed, or refused by whoever reads it, or it says the same and nothing else, as one message.
    #[test]
    fn a_request_has_one_reading(
        path in "/[!-~]{0,12}",
        given in prop::collection::vec((any_name(), any_value()), 0..8),
        is_end: bool,
    ) {
        let mut fields = Fields::new(16 * 1024);
        for (name, value) in [(":method", "POST"), (":scheme", "http"), (":authority", "a.example"), (":path", &path)] {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        given.iter().for_each(|(name, value)| fields.push(name, value));
        let mut out = Buffer::new();
        let Ok(content) = request(&mut out, &fields, is_end) else { return Ok(()) };
        let Ok(head) = parsed(out.filled()) else { return Ok(()) };
        prop_assert_eq!(head.len(), out.len(), "more than one head");
        prop_assert_eq!((head.method(), head.target()), (&b"POST"[..], path.as_bytes()));
        let Ok(framing) = framing::of_request(&head) else { return Ok(()) };

        let expected = match framing {
            Framing::Chunked => Content { length: content.length, is_chunked: true },
            Framing::Length(length) => Content::of_length(Some(length)),
            Framing::Empty => Content::NONE,
            Framing::UntilClose => unreachable!("of an answer"),
        };
        prop_assert_eq!(content, expected, "what may come is not what is read");

        let framed = [&b"content-length"[..], b"transfer-encoding", b"host"];
        let same = |name: &[u8]| name != b"cookie" && !framed.contains(&name);
        let read: Vec<_> = all(&head).into_iter().filter(|(name, _)| same(name)).collect();
        let put: Vec<_> = given.iter().map(|(name, value)| (&name[..], &value[..])).filter(|(name, _)| same(name)).collect();
        prop_assert_eq!(read, put);
        let crumbs: Vec<_> = given.iter().filter(|(name, _)| name == b"cookie").map(|(_, value)| &value[..]).collect();
        let cookie: Vec<_> = all(&head).into_iter().filter(|(name, _)| *name == b"cookie").map(|(_, value)| value).collect();
        prop_assert_eq!(cookie.len(), usize::from(!crumbs.is_empty()));
        let joined = crumbs.join(&b"; "[..]);
        prop_assert_eq!(cookie.first().map_or(&b""[..], |cookie| *cookie), joined.trim_ascii());
    }

    #[test]
    fn an_answer_has_one_reading(
        status in 200_u16..600,
        given in prop::collection::vec((any_name(), any_value()), 0..8),
        is_end: bool,
        to_head: bool,
    ) {
        let mut fields = Fields::new(16 * 1024);
        fields.push(b":status", status.to_string().as_bytes());
        given.iter().for_each(|(name, value)| fields.push(name, value));
        let mut out = Buffer::new();
        let Ok((content, false)) = answer(&mut out, &fields, is_end, to_head) else { return Ok(()) };
        let mut head = Head::default();
        head.buffer.extend(out.filled());
        let Ok(is_whole) = head.parse_response(LIMITS) else { return Ok(()) };
        prop_assert!(is_whole);
        prop_assert_eq!(head.len(), out.len(), "more than one head");
        prop_assert_eq!(head.status, status);
        let Ok(framing) = framing::of_response(&head, to_head) else { return Ok(()) };
        let expected = match framing {
            Framing::Chunked => Content { length: content.length, is_chunked: true },
            Framing::Length(length) => Content::of_length(Some(length)),
            Framing::Empty => Content::NONE,
            Framing::UntilClose => return Err(TestCaseError::fail("an answer whose end nobody sees")),
        };
        prop_assert_eq!(content, expected, "what may come is not what is read");
        let same = |name: &[u8]| name != b"content-length" && name != b"transfer-encoding";
        let read: Vec<_> = all(&head).into_iter().filter(|(name, _)| same(name)).collect();
        let put: Vec<_> = given.iter().map(|(name, value)| (&name[..], &value[..])).filter(|(name, _)| same(name)).collect();
        prop_assert_eq!(read, put);
    }
}
