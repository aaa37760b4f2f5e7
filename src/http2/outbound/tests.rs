//! Messages on their way out: what is written becomes the same fields and content, however it is written.

use proptest::prelude::*;

use super::*;
use crate::http2::hpack::decode::Decoder;

type Fields = Vec<(String, String)>;

const ANSWER: Role = Role::Answer { to_head: false };

fn request() -> Role {
    Role::Request(Rc::new(Origin {
        scheme: "https",
        authority: "api.example".into(),
    }))
}

fn unpacked(block: &Buffer) -> Fields {
    let mut fields = Fields::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Decoder::new(4096)
        .decode(block.filled(), |name, value| {
            fields.push((text(name), text(value)))
        })
        .unwrap();
    fields
}

/// What a message became.
#[derive(Debug, Default, PartialEq)]
struct Sent {
    heads: Vec<Fields>,
    content: Vec<u8>,
    trailers: Fields,
    is_whole: bool,
}

/// Writes a message in pieces of `size`, as a stream does.
fn write(role: Role, message: &[u8], size: usize) -> io::Result<Sent> {
    let (mut outbound, mut sent, mut content, mut trailers) = (
        Outbound::new(role),
        Sent::default(),
        Buffer::new(),
        Buffer::new(),
    );
    for piece in message.chunks(size) {
        if !outbound.wants_head() {
            outbound.take_content(piece, &mut content)?;
        } else {
            outbound.add_to_head(piece);
            loop {
                let mut block = Buffer::new();
                let next = outbound.take_head(&mut block)?;
                if next == Next::More {
                    assert!(block.is_empty());
                    break;
                }
                sent.heads.push(unpacked(&block));
                if next != Next::Head {
                    break;
                }
            }
            outbound.take_early(&mut content);
        }
        sent.is_whole = outbound.finish(&mut trailers)?;
    }
    sent.content = content.filled().to_vec();
    sent.trailers = unpacked(&trailers);
    assert_eq!(sent.is_whole, outbound.is_over());
    Ok(sent)
}

/// The same in whatever pieces.
#[track_caller]
fn written(role: &Role, message: &str) -> Sent {
    let whole = write(role.clone(), message.as_bytes(), usize::MAX).unwrap();
    for size in [1, 2, 3, 7, 20, 100] {
        assert_eq!(
            write(role.clone(), message.as_bytes(), size).unwrap(),
            whole,
            "in pieces of {size}"
        );
    }
    whole
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "api.example"),
    (":path", "/x?y"),
];

#[test]
fn a_request_goes_to_its_origin() {
    let sent = written(
        &request(),
        "GET /x?y HTTP/1.1\r\nHost: other\r\nX-A: B\r\nx-empty:\r\n\r\n",
    );
    assert_eq!(
        sent.heads,
        [fields(
            &[&GET[..], &[("x-a", "B"), ("x-empty", "")]].concat()
        )]
    );
    assert!(sent.is_whole && sent.content.is_empty());
}

#[test]
fn fields_of_a_connection_stay_behind() {
    let sent = written(
        &request(),
        "GET /x?y HTTP/1.1\r\nhost: a\r\nconnection: x\r\nkeep-alive: 1\r\nproxy-connection: x\r\nupgrade: y\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    assert_eq!(sent.heads, [fields(&GET)]);
    assert!(sent.is_whole);
    let sent = written(
        &ANSWER,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(
        sent.heads,
        [fields(&[(":status", "200"), ("content-length", "0")])]
    );
}

#[test]
fn grpc_is_told_that_trailers_may_come() {
    let sent = written(
        &request(),
        "GET /x?y HTTP/1.1\r\ncontent-type: application/grpc\r\n\r\n",
    );
    assert_eq!(
        sent.heads[0].last(),
        Some(&("te".into(), "trailers".into()))
    );
}

#[test]
fn a_token_is_never_indexed() {
    let mut outbound = Outbound::new(request());
    outbound.add_to_head(
        b"GET / HTTP/1.1\r\nAuthorization: Bearer t\r\nx-bearward-key: k\r\nx: y\r\n\r\n",
    );
    let mut block = Buffer::new();
    outbound.take_head(&mut block).unwrap();
    let at = |part: &[u8]| {
        block
            .filled()
            .windows(part.len())
            .position(|window| window == part)
            .unwrap()
    };
    // Its name has an index, that of the key none, and both are literals that nobody may index (RFC 7541 §6.2.3).
    assert_eq!(block.filled()[at(b"\x08Bearer t") - 2] & 0xF0, 0x10);
    assert_eq!(block.filled()[at(b"\x0ex-bearward-key") - 1], 0x10);
    assert_eq!(block.filled()[at(b"\x01x\x01y") - 1], 0x00);
}

#[test]
fn content_is_what_its_head_frames() {
    let sent = written(
        &request(),
        "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello",
    );
    assert_eq!(
        (sent.content.as_slice(), sent.is_whole),
        (&b"hello"[..], true)
    );
    assert!(sent.heads[0].contains(&("content-length".into(), "5".into())));
    let sent = written(
        &request(),
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    );
    assert_eq!(
        (sent.content.as_slice(), sent.is_whole),
        (&b"hello"[..], true)
    );
    let sent = written(&ANSWER, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell");
    assert_eq!(
        (sent.content.as_slice(), sent.is_whole),
        (&b"hell"[..], false)
    );
    let sent = written(
        &ANSWER,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    );
    assert_eq!(
        (sent.content.as_slice(), sent.is_whole),
        (&b"hello"[..], false)
    );
}

#[test]
fn trailers_are_packed_behind_the_content() {
    let sent = written(
        &ANSWER,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nGrpc-Status: 0\r\n\r\n",
    );
    assert_eq!(
        (sent.trailers, sent.is_whole),
        (fields(&[("grpc-status", "0")]), true)
    );
}

#[test]
fn answers_without_content_are_over_with_their_head() {
    for head in [
        "204 No Content\r\n",
        "304 Not Modified\r\ncontent-length: 5\r\n",
        "200 OK\r\ncontent-length: 0\r\n",
    ] {
        let sent = written(&ANSWER, &format!("HTTP/1.1 {head}\r\n"));
        assert!(sent.is_whole, "{head}");
    }
    let sent = written(
        &Role::Answer { to_head: true },
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
    );
    assert!(sent.is_whole);
    assert_eq!(
        sent.heads,
        [fields(&[(":status", "200"), ("content-length", "5")])]
    );
}

#[test]
fn interim_answers_are_heads_of_their_own() {
    let sent = written(
        &ANSWER,
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    );
    let interim = [
        fields(&[(":status", "100")]),
        fields(&[(":status", "103"), ("link", "x")]),
    ];
    assert_eq!(sent.heads[..2], interim);
    assert_eq!(
        sent.heads[2],
        fields(&[(":status", "200"), ("content-length", "2")])
    );
    assert_eq!((sent.content.as_slice(), sent.is_whole), (&b"hi"[..], true));
}

#[test]
fn an_answer_whose_end_nobody_could_see_is_refused() {
    assert!(write(ANSWER, b"HTTP/1.1 200 OK\r\n\r\n", 1000).is_err());
}

#[test]
fn what_is_no_message_is_refused() {
    for garbage in [
        "\0",
        "GET\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        assert!(
            write(request(), garbage.as_bytes(), 1000).is_err(),
            "{garbage:?}"
        );
    }
    for garbage in [
        "x",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        assert!(
            write(ANSWER, garbage.as_bytes(), 1000).is_err(),
            "{garbage:?}"
        );
    }
    let both = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";
    assert!(write(ANSWER, both.as_bytes(), 1000).is_err());
}

#[test]
fn content_that_is_not_framed_as_its_head_says_is_refused_and_nothing_of_it_is_sent() {
    let mut outbound = Outbound::new(ANSWER);
    outbound.add_to_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(
        outbound.take_head(&mut Buffer::new()).unwrap(),
        Next::Content
    );
    let mut content = Buffer::new();
    outbound.take_content(b"2\r\nhi\r\n", &mut content).unwrap();
    assert!(
        outbound
            .take_content(b"5\r\nhello, world", &mut content)
            .is_err()
    );
    assert_eq!(content.filled(), b"hi");
}

#[test]
fn nothing_is_written_behind_the_end() {
    let mut outbound = Outbound::new(ANSWER);
    assert!(
        outbound.take_content(b"x", &mut Buffer::new()).is_err(),
        "nor before the head"
    );
    outbound.add_to_head(b"HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(
        outbound.take_head(&mut Buffer::new()).unwrap(),
        Next::Nothing
    );
    assert!(outbound.take_content(b"x", &mut Buffer::new()).is_err());
    assert!(outbound.take_head(&mut Buffer::new()).is_err());
}

#[test]
fn trailers_that_are_none_are_refused() {
    let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n";
    assert!(write(ANSWER, answer, 1000).is_err());
}

proptest! {
    #[test]
    fn chunks_of_any_size_in_pieces_of_any_size_are_the_same_content(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..6),
        size in 1_usize..100,
    ) {
        let mut message = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for chunk in &chunks {
            message.extend(format!("{:x}\r\n", chunk.len()).bytes());
            message.extend(chunk);
            message.extend(b"\r\n");
        }
        message.extend(b"0\r\nx: y\r\n\r\n");
        let sent = write(ANSWER, &message, size).unwrap();
        prop_assert_eq!(sent.content, chunks.concat());
        prop_assert_eq!(sent.trailers, fields(&[("x", "y")]));
        prop_assert!(sent.is_whole);
    }
}
