//! Bodies on their way through, read and framed afresh.

use super::*;
use crate::http1::head::HeadLimits;

fn begin(framing: Framing, rest: &[u8], sink: Sink) -> (String, usize, bool) {
    let mut body = Body::new(framing, None, 1024);
    let mut wire = Buffer::new();
    let consumed = body
        .begin(rest, &mut wire, sink, Some(b"x-api-key"))
        .unwrap();
    (
        String::from_utf8(wire.filled().to_vec()).unwrap(),
        consumed,
        body.is_done(),
    )
}

#[test]
fn a_known_length_passes_and_what_is_behind_it_does_not() {
    assert_eq!(
        begin(Framing::Length(5), b"helloGET", Sink::Plain),
        ("hello".into(), 5, true)
    );
    assert_eq!(
        begin(Framing::Length(9), b"hello", Sink::Plain),
        ("hello".into(), 5, false)
    );
}

#[test]
fn chunks_are_made_afresh() {
    let body = b"1\r\na\r\n2;x\r\nbc\r\n0\r\n\r\nGET";
    assert_eq!(
        begin(Framing::Chunked, body, Sink::Chunked),
        ("3\r\nabc\r\n0\r\n\r\n".into(), 20, true)
    );
    assert_eq!(
        begin(Framing::Chunked, body, Sink::Plain),
        ("abc".into(), 20, true)
    );
}

#[test]
fn trailers_pass_but_for_framing_routing_and_credentials() {
    let body = b"0\r\nX-Sum: 1\r\nContent-Length: 5\r\nAuthorization: a\r\nX_Api_Key: b\r\nHost: c\r\n\r\n";
    let (wire, _, done) = begin(Framing::Chunked, body, Sink::Chunked);
    assert_eq!(wire, "0\r\nX-Sum: 1\r\n\r\n");
    assert!(done);
}

#[test]
fn fields_that_route_never_trail_in_any_spelling() {
    for name in [
        "Forwarded",
        "X-Forwarded-For",
        "x_forwarded_host",
        "Content_Length",
        "Transfer_Encoding",
        "HOST",
    ] {
        assert!(!may_trail(name.as_bytes()), "{name}");
    }
    for name in ["x-forwarded", "x-sum", "grpc-status", "server-timing"] {
        assert!(may_trail(name.as_bytes()), "{name}");
    }
}

#[test]
fn what_was_announced_of_a_body_is_known_from_the_start() {
    let mut body = Body::new(Framing::Length(10), None, 0);
    assert_eq!(body.known_length(), 10);
    body.decode(&mut [b'x'; 4]).unwrap();
    assert_eq!((body.known_length(), body.content()), (10, 4));
    let mut body = Body::new(Framing::Chunked, None, 0);
    body.decode(&mut b"3\r\nabc\r\n".to_vec()).unwrap();
    assert_eq!(body.known_length(), 3);
}

#[test]
fn an_empty_body_of_known_length_writes_nothing() {
    assert_eq!(
        begin(Framing::Empty, b"GET", Sink::Plain),
        (String::new(), 0, true)
    );
}

#[test]
fn content_in_place_becomes_one_chunk() {
    let mut body = Body::new(Framing::Length(20), None, 0);
    let mut wire = Buffer::with_size(64);
    wire.reset(CHUNK_GAP);
    wire.extend(&[b'x'; 20]);
    body.decode(wire.filled_mut()).unwrap();
    body.frame(&mut wire, Sink::Chunked, None).unwrap();
    assert_eq!(
        wire.filled(),
        [&b"14\r\n"[..], &[b'x'; 20], b"\r\n0\r\n\r\n"].concat()
    );
}

#[test]
fn a_body_over_its_limit_is_refused_where_it_passes_it() {
    let mut body = Body::new(Framing::Chunked, Some(4), 0);
    assert_eq!(
        body.decode(&mut b"4\r\nabcd\r\n".to_vec())
            .map(|decoded| decoded.content),
        Ok(4)
    );
    assert_eq!(
        body.decode(&mut b"1\r\ne".to_vec()),
        Err(BodyError::TooLarge)
    );
}

#[test]
fn a_cut_body_is_no_clean_end() {
    assert_eq!(
        Body::new(Framing::Length(1), None, 0).end(),
        Err(BodyError::Cut)
    );
    assert_eq!(
        Body::new(Framing::Chunked, None, 0).end(),
        Err(BodyError::Cut)
    );
    assert_eq!(Body::new(Framing::UntilClose, None, 0).end(), Ok(()));
}

#[test]
fn a_trailer_that_connection_names_stays_here() {
    let mut head = Head::default();
    head.buffer
        .extend(b"POST / HTTP/1.1\r\nConnection: close, X-Hop\r\nconnection: x-other\r\n\r\n");
    assert_eq!(
        head.parse_request(HeadLimits {
            bytes: 1024,
            fields: 10
        }),
        Ok(true)
    );
    let mut body = Body::new(Framing::Chunked, None, 1024);
    body.withhold_named_by(&head);
    let mut wire = Buffer::new();
    let trailers = b"0\r\nX-HOP: 1\r\nx-sum: 2\r\nX-Other: 3\r\n\r\n";
    body.begin(trailers, &mut wire, Sink::Chunked, None)
        .unwrap();
    assert_eq!(wire.filled(), b"0\r\nx-sum: 2\r\n\r\n");
}

#[test]
fn a_trailer_section_has_one_end_to_all_readers() {
    for body in [
        &b"0\r\n\nGET / HTTP/1.1\r\n\r\n"[..],
        b"0\r\nA: b\n\nGET / HTTP/1.1\r\n\r\n",
        b"0\r\nA: b\nC: d\r\n\r\n",
    ] {
        for sink in [Sink::Plain, Sink::Chunked] {
            let begun =
                Body::new(Framing::Chunked, None, 1024).begin(body, &mut Buffer::new(), sink, None);
            assert_eq!(
                begun,
                Err(BodyError::Malformed),
                "{sink:?} {:?}",
                String::from_utf8_lossy(body)
            );
        }
    }
}
