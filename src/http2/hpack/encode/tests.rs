//! What is written is what any decoder reads, and it remembers nothing.

use proptest::prelude::*;

use super::*;
use crate::http2::hpack::{decode::Decoder, reference};

fn written(name: &str, value: &str, secret: bool) -> Vec<u8> {
    let mut out = Buffer::new();
    field(&mut out, name.as_bytes(), value.as_bytes(), secret);
    out.filled().to_vec()
}

#[test]
fn a_field_of_the_static_table_is_one_byte() {
    assert_eq!(written(":method", "GET", false), [0x82]);
    assert_eq!(written(":method", "POST", false), [0x83]);
    assert_eq!(written(":path", "/", false), [0x84]);
    assert_eq!(written(":scheme", "https", false), [0x87]);
    assert_eq!(written("Accept-Encoding", "gzip, deflate", false), [0x90]);
}

#[test]
fn a_literal_has_its_name_by_index_where_it_can() {
    assert_eq!(
        written(":path", "/sample/path", false),
        b"\x04\x0C/sample/path"
    );
    assert_eq!(written("Host", "a", false), b"\x0F\x17\x01a");
    assert_eq!(written("X-Id", "Ab", false), b"\x00\x04x-id\x02Ab");
}

#[test]
fn a_secret_is_never_indexed() {
    assert_eq!(
        written("authorization", "Bearer x", true),
        b"\x1F\x08\x08Bearer x"
    );
    assert_eq!(
        written("password", "secret", true),
        b"\x10\x08password\x06secret"
    );
}

#[test]
fn a_long_value_has_its_length_in_several_bytes() {
    let token = "t".repeat(640);
    let bytes = written("Authorization", &token, true);
    assert_eq!(bytes[..5], [0x1F, 0x08, 0x7F, 0x81, 0x04]);
    assert_eq!(&bytes[5..], token.as_bytes());
}

#[test]
fn a_status_is_indexed_where_it_can_be() {
    let written = |code| {
        let mut out = Buffer::new();
        status(&mut out, code);
        out.filled().to_vec()
    };
    for (index, code) in [
        (8, 200),
        (9, 204),
        (10, 206),
        (11, 304),
        (12, 400),
        (13, 404),
        (14, 500),
    ] {
        assert_eq!(written(code), [0x80 | index]);
    }
    assert_eq!(written(302), b"\x08\x03302");
    assert_eq!(written(100), b"\x08\x03100");
    assert_eq!(written(999), b"\x08\x03999");
}

#[test]
fn no_table_is_a_size_update_to_nothing() {
    let mut out = Buffer::new();
    no_table(&mut out);
    status(&mut out, 200);
    assert_eq!(out.filled(), [0x20, 0x88]);
    let mut decoder = reference::Decoder::new(4096);
    assert_eq!(
        decoder.decode(out.filled()),
        (vec![(b":status".to_vec(), b"200".to_vec())], true)
    );
    assert_eq!(decoder.bound, 0);
}

/// Names of the static table among others, in any case.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(
            &[
                ":path",
                "Accept",
                "authorization",
                "Content-Type",
                "SET-COOKIE",
                "via",
                ":Status"
            ][..]
        )
        .prop_map(str::to_owned),
        "[!-~]{0,40}",
        "[a-zA-Z-]{120,150}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,40}", "[ -~]{120,700}", "|200|gzip, deflate"]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        fields in proptest::collection::vec((name(), value(), any::<bool>()), 0..12),
    ) {
        let mut out = Buffer::new();
        out.extend(b"before");
        no_table(&mut out);
        for (name, value, secret) in &fields {
            field(&mut out, name.as_bytes(), value.as_bytes(), *secret);
        }
        let expected: reference::Fields =
            fields.iter().map(|(name, value, _)| (name.to_ascii_lowercase().into(), value.clone().into())).collect();
        let block = &out.filled()[6..];
        let (mut decoder, mut read) = (Decoder::new(4096), reference::Fields::new());
        decoder.decode(block, |name, value| read.push((name.to_vec(), value.to_vec()))).unwrap();
        prop_assert_eq!(&read, &expected);

        let mut plain = reference::Decoder::new(4096);
        prop_assert_eq!(plain.decode(block), (expected, true));
        prop_assert!(plain.table.is_empty(), "something is remembered");
    }
}
