//! Frames that are fine, and every way in which they are not.

use proptest::prelude::*;

use super::*;
use crate::http2::frame;

fn framed(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[track_caller]
fn reads(kind: u8, flags: u8, stream: u32, payload: &[u8], expected: &Frame<'_>) {
    assert_eq!(
        Reader::new(1000)
            .read(&framed(kind, flags, stream, payload))
            .as_ref(),
        Ok(expected)
    );
}

#[track_caller]
fn breaks(kind: u8, flags: u8, stream: u32, payload: &[u8], reason: Reason) {
    let read = Reader::new(1000)
        .read(&framed(kind, flags, stream, payload))
        .map(|_| ())
        .map_err(|broken| broken.reason);
    assert_eq!(read, Err(reason));
}

#[test]
fn the_length_of_a_frame_is_known_from_its_head() {
    assert_eq!(Reader::length(&[0; 8]), Ok(None));
    assert_eq!(
        Reader::length(&framed(kind::PING, 0, 0, &[0; 8])[..9]),
        Ok(Some(17))
    );
    let largest = framed(kind::DATA, 0, 1, &vec![0; LARGEST]);
    assert_eq!(Reader::length(&largest), Ok(Some(HEAD + LARGEST)));
    let larger = framed(kind::DATA, 0, 1, &vec![0; LARGEST + 1]);
    assert_eq!(
        Reader::length(&larger).map_err(|broken| broken.reason),
        Err(Reason::FRAME_SIZE_ERROR)
    );
}

#[test]
fn padding_counts_for_the_windows_and_is_no_content() {
    let data = |content, flow, is_end| Frame::Data {
        stream: 1,
        content,
        flow,
        is_end,
    };
    reads(kind::DATA, 0, 1, b"abc", &data(b"abc", 3, false));
    reads(
        kind::DATA,
        flag::PADDED | flag::END_STREAM,
        1,
        b"\x02abc\0\0",
        &data(b"abc", 6, true),
    );
    reads(kind::DATA, flag::PADDED, 1, b"\x00", &data(b"", 1, false));
    reads(
        kind::DATA,
        flag::PADDED,
        1,
        b"\x03\0\0\0",
        &data(b"", 4, false),
    );
    breaks(
        kind::DATA,
        flag::PADDED,
        1,
        b"\x04\0\0\0",
        Reason::PROTOCOL_ERROR,
    );
    breaks(kind::DATA, flag::PADDED, 1, b"", Reason::FRAME_SIZE_ERROR);
}

#[test]
fn the_reserved_bit_of_a_stream_is_ignored() {
    let expected = Frame::Data {
        stream: 1,
        content: b"a",
        flow: 1,
        is_end: false,
    };
    reads(kind::DATA, 0, 1 | 1 << 31, b"a", &expected);
    reads(
        kind::WINDOW_UPDATE,
        0,
        1 << 31,
        &[0x80, 0, 0, 5],
        &Frame::WindowUpdate {
            stream: 0,
            increment: 5,
        },
    );
}

#[test]
fn a_field_block_is_what_padding_and_priority_leave() {
    let fields = |block, is_end| Frame::Fields {
        stream: 1,
        block,
        is_end,
    };
    let whole = flag::END_HEADERS;
    reads(
        kind::HEADERS,
        whole | flag::END_STREAM,
        1,
        b"abc",
        &fields(b"abc", true),
    );
    reads(
        kind::HEADERS,
        whole | flag::PADDED,
        1,
        b"\x01abc\0",
        &fields(b"abc", false),
    );
    reads(
        kind::HEADERS,
        whole | flag::PRIORITY,
        1,
        b"12345abc",
        &fields(b"abc", false),
    );
    reads(
        kind::HEADERS,
        whole | flag::PRIORITY | flag::PADDED,
        1,
        b"\x0212345abc\0\0",
        &fields(b"abc", false),
    );
    reads(
        kind::HEADERS,
        whole | flag::PRIORITY | flag::PADDED,
        1,
        b"\x0012345",
        &fields(b"", false),
    );
    breaks(
        kind::HEADERS,
        whole | flag::PADDED,
        1,
        b"\x01",
        Reason::PROTOCOL_ERROR,
    );
    breaks(
        kind::HEADERS,
        whole | flag::PADDED,
        1,
        b"",
        Reason::FRAME_SIZE_ERROR,
    );
    breaks(
        kind::HEADERS,
        whole | flag::PRIORITY,
        1,
        b"1234",
        Reason::FRAME_SIZE_ERROR,
    );
    breaks(
        kind::HEADERS,
        whole | flag::PRIORITY | flag::PADDED,
        1,
        b"\x0112345",
        Reason::FRAME_SIZE_ERROR,
    );
}

#[test]
fn a_field_block_comes_in_pieces() {
    let mut reader = Reader::new(1000);
    let first = framed(
        kind::HEADERS,
        flag::PADDED | flag::END_STREAM,
        3,
        b"\x01ab\0",
    );
    assert_eq!(reader.read(&first), Ok(Frame::Nothing));
    assert_eq!(
        reader.read(&framed(kind::CONTINUATION, 0, 3, b"cd")),
        Ok(Frame::Nothing)
    );
    let last = framed(kind::CONTINUATION, flag::END_HEADERS, 3, b"e");
    assert_eq!(
        reader.read(&last),
        Ok(Frame::Fields {
            stream: 3,
            block: b"abcde",
            is_end: true
        })
    );
    // What is behind it is no piece of it.
    assert_eq!(
        reader.read(&framed(kind::PRIORITY, 0, 3, b"12345")),
        Ok(Frame::Nothing)
    );
    let next = framed(kind::HEADERS, flag::END_HEADERS, 5, b"x");
    assert_eq!(
        reader.read(&next),
        Ok(Frame::Fields {
            stream: 5,
            block: b"x",
            is_end: false
        })
    );
}

#[test]
fn nothing_may_come_between_the_pieces_of_a_field_block() {
    let others = [
        framed(kind::DATA, 0, 1, b"a"),
        framed(kind::HEADERS, flag::END_HEADERS, 1, b"a"),
        framed(kind::PRIORITY, 0, 1, b"12345"),
        framed(kind::PING, 0, 0, &[0; 8]),
        framed(kind::SETTINGS, 0, 0, b""),
        framed(99, 0, 0, b""),
        framed(kind::CONTINUATION, flag::END_HEADERS, 3, b"a"),
        framed(kind::CONTINUATION, flag::END_HEADERS, 0, b"a"),
    ];
    for other in others {
        let mut reader = Reader::new(1000);
        reader.read(&framed(kind::HEADERS, 0, 1, b"a")).unwrap();
        assert_eq!(
            reader.read(&other).map_err(|broken| broken.reason),
            Err(Reason::PROTOCOL_ERROR),
            "{other:?}"
        );
    }
    breaks(
        kind::CONTINUATION,
        flag::END_HEADERS,
        1,
        b"a",
        Reason::PROTOCOL_ERROR,
    );
}

#[test]
fn a_field_block_has_an_end() {
    let mut reader = Reader::new(1000);
    reader
        .read(&framed(kind::HEADERS, 0, 1, &[b'a'; 600]))
        .unwrap();
    reader
        .read(&framed(kind::CONTINUATION, 0, 1, &[b'a'; 400]))
        .unwrap();
    let more = framed(kind::CONTINUATION, flag::END_HEADERS, 1, b"a");
    assert_eq!(
        reader.read(&more).map_err(|broken| broken.reason),
        Err(Reason::ENHANCE_YOUR_CALM)
    );

    let mut reader = Reader::new(1000);
    reader.read(&framed(kind::HEADERS, 0, 1, b"")).unwrap();
    let nothing = framed(kind::CONTINUATION, 0, 1, b"");
    let taken = (0..1000)
        .take_while(|_| reader.read(&nothing).is_ok())
        .count();
    assert_eq!(taken, MOST_PIECES - 1);
}

#[test]
fn frames_stand_where_they_belong() {
    for (kind, payload) in [
        (kind::DATA, &b"a"[..]),
        (kind::HEADERS, b"a"),
        (kind::PRIORITY, b"12345"),
        (kind::RST_STREAM, &[0; 4]),
    ] {
        breaks(kind, flag::END_HEADERS, 0, payload, Reason::PROTOCOL_ERROR);
    }
    for (kind, payload) in [
        (kind::SETTINGS, &[0; 6][..]),
        (kind::PING, &[0; 8]),
        (kind::GOAWAY, &[0; 8]),
    ] {
        breaks(kind, 0, 1, payload, Reason::PROTOCOL_ERROR);
    }
    breaks(
        kind::PUSH_PROMISE,
        flag::END_HEADERS,
        1,
        &[0; 9],
        Reason::PROTOCOL_ERROR,
    );
}

#[test]
fn frames_of_a_fixed_size_have_it() {
    for (kind, right) in [
        (kind::PRIORITY, 5),
        (kind::RST_STREAM, 4),
        (kind::WINDOW_UPDATE, 4),
        (kind::PING, 8),
        (kind::GOAWAY, 8),
    ] {
        let stream = u32::from(matches!(
            kind,
            kind::PRIORITY | kind::RST_STREAM | kind::WINDOW_UPDATE
        ));
        for length in 0..16 {
            let is_fine = length == right || (kind == kind::GOAWAY && length > right);
            if is_fine {
                assert!(
                    Reader::new(1000)
                        .read(&framed(kind, 0, stream, &vec![0; length]))
                        .is_ok()
                );
            } else {
                breaks(kind, 0, stream, &vec![0; length], Reason::FRAME_SIZE_ERROR);
            }
        }
    }
    for length in [1, 5, 7, 11] {
        breaks(
            kind::SETTINGS,
            0,
            0,
            &vec![0; length],
            Reason::FRAME_SIZE_ERROR,
        );
    }
    breaks(
        kind::SETTINGS,
        flag::ACK,
        0,
        &[0; 6],
        Reason::FRAME_SIZE_ERROR,
    );
}

#[test]
fn what_a_frame_says_is_read() {
    reads(
        kind::RST_STREAM,
        0,
        1,
        &[0, 0, 0, 8],
        &Frame::Reset {
            stream: 1,
            reason: Reason::CANCEL,
        },
    );
    reads(
        kind::SETTINGS,
        0,
        0,
        &[0, 4, 0, 0, 0, 9],
        &Frame::Settings(&[0, 4, 0, 0, 0, 9]),
    );
    reads(kind::SETTINGS, flag::ACK, 0, b"", &Frame::SettingsAck);
    reads(
        kind::PING,
        0,
        0,
        b"12345678",
        &Frame::Ping {
            is_ack: false,
            payload: *b"12345678",
        },
    );
    reads(
        kind::PING,
        flag::ACK,
        0,
        b"12345678",
        &Frame::Ping {
            is_ack: true,
            payload: *b"12345678",
        },
    );
    let goaway = Frame::Goaway {
        last: 7,
        reason: Reason::NO_ERROR,
    };
    reads(
        kind::GOAWAY,
        0,
        0,
        &[0x80, 0, 0, 7, 0, 0, 0, 0, b'w', b'h', b'y'],
        &goaway,
    );
    reads(
        kind::WINDOW_UPDATE,
        0,
        3,
        &[0x7f, 0xff, 0xff, 0xff],
        &Frame::WindowUpdate {
            stream: 3,
            increment: MOST,
        },
    );
    reads(200, 0xff, 3, b"whatever", &Frame::Nothing);
}

#[test]
fn a_field_block_of_any_size_is_written_to_be_read() {
    for length in [
        0,
        1,
        LARGEST - 1,
        LARGEST,
        LARGEST + 1,
        2 * LARGEST,
        3 * LARGEST + 7,
    ] {
        let block: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let mut wire = Buffer::new();
        frame::put_fields(&mut wire, 9, &block, true);
        let (mut reader, mut rest, mut read) = (Reader::new(100_000), wire.filled(), None);
        while let Some(length) = Reader::length(rest).unwrap() {
            assert!(read.is_none(), "a frame behind the block");
            let (bytes, behind) = rest.split_at(length);
            if let Frame::Fields {
                stream: 9,
                block,
                is_end: true,
            } = reader.read(bytes).unwrap()
            {
                read = Some(block.to_vec());
            }
            rest = behind;
        }
        assert_eq!(read, Some(block));
    }
}

proptest! {
    #[test]
    fn any_frame_is_read_or_broken(frames in prop::collection::vec((0_u8..12, any::<u8>(), 0_u32..4, prop::collection::vec(any::<u8>(), 0..20)), 0..6)) {
        let mut reader = Reader::new(40);
        for (kind, flags, stream, payload) in frames {
            let bytes = framed(kind, flags, stream, &payload);
            prop_assert_eq!(Reader::length(&bytes), Ok(Some(bytes.len())));
            if reader.read(&bytes).is_err() {
                break;
            }
        }
    }
}
