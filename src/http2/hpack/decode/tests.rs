//! The examples of RFC 7541 appendix C, what is malformed, and any block at all against a plain reading of it.

use proptest::prelude::*;

use super::*;
use crate::http2::hpack::reference::{self, Fields, huffman};

mod examples;

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, Malformed> {
    let mut fields = Fields::new();
    decoder.decode(block, |name, value| fields.push((name.to_vec(), value.to_vec())))?;
    Ok(fields)
}

/// The dynamic table as one sees it who asks for one index after the other.
fn table(decoder: &mut Decoder) -> Fields {
    let mut get = |index| decode(decoder, integer::write(0x80, 7, index).bytes()).ok();
    (62..).map_while(get).flatten().collect()
}

fn fields(expected: &[(&str, &str)]) -> Fields {
    expected.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

#[track_caller]
fn malformed(block: &[u8]) {
    assert_eq!(decode(&mut Decoder::new(4096), block), Err(Malformed), "{block:02x?}");
}

#[test]
fn an_empty_block_has_no_fields() {
    assert_eq!(decode(&mut Decoder::new(4096), b""), Ok(Fields::new()));
}

#[test]
fn an_index_that_stands_for_nothing_is_malformed() {
    malformed(&[0x80]);
    malformed(&[0x80 | 62]);
    malformed(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]);
    malformed(b"\x7F\x00\x01v");
    malformed(b"\x0F\x30\x01v");
    // An entry stands for itself from the next field on, not while it is added.
    malformed(b"\x7E\x01v");
    assert!(decode(&mut Decoder::new(4096), b"\x40\x01n\x01v\xBE").is_ok());
    malformed(b"\x40\x01n\x01v\xBF");
}

#[test]
fn an_integer_that_is_too_long_is_malformed() {
    malformed(&[0xFF, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]);
    malformed(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]);
    malformed(b"\x00\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01");
    malformed(b"\x00\x01n\x7F\xFF\xFF\xFF\xFF\x7F");
}

#[test]
fn a_block_that_is_cut_anywhere_in_a_field_is_malformed() {
    let whole = [&b"\x40"[..], &coded(b"name"), &coded(&[b'v'; 300]), b"\x00\x01n\x01v\x1F\x08\x03abc"].concat();
    // Behind which byte a field ends.
    let ends = [0, whole.len() - 11, whole.len() - 6, whole.len()];
    for end in 0..=whole.len() {
        let read = decode(&mut Decoder::new(4096), &whole[..end]);
        assert_eq!(read.is_ok(), ends.contains(&end), "cut at {end}");
    }
}

#[test]
fn a_flaw_in_the_huffman_code_is_malformed() {
    // Padding that is not ones, padding of a byte, EOS, and a code that is cut; as a name and as a value.
    for text in [&b"\x81\x1E"[..], b"\x82\x1F\xFF", b"\x81\xFF", b"\x84\xFF\xFF\xFF\xFF", b"\x81\xFE"] {
        malformed(&[b"\x00", text, b"\x01v"].concat());
        malformed(&[b"\x40", text, b"\x01v"].concat());
        malformed(&[b"\x00\x01n", text].concat());
        malformed(&[b"\x41", text].concat());
    }
    assert!(decode(&mut Decoder::new(4096), b"\x00\x81\x1F\x80").is_ok());
}

#[test]
fn a_size_update_stands_at_the_start() {
    malformed(b"\x82\x20");
    malformed(b"\x20\x82\x20");
    assert_eq!(decode(&mut Decoder::new(4096), b"\x20\x3F\xE1\x1F\x82"), Ok(fields(&[(":method", "GET")])));
    assert_eq!(decode(&mut Decoder::new(4096), b"\x20"), Ok(Fields::new()));
    malformed(b"\x20\x20\x20");
}

#[test]
fn a_size_update_keeps_within_what_was_announced() {
    // 4096 and 4097.
    assert!(decode(&mut Decoder::new(4096), b"\x3F\xE1\x1F").is_ok());
    malformed(b"\x3F\xE2\x1F");
    malformed(b"\x3F");
    assert!(decode(&mut Decoder::new(0), b"\x20").is_ok());
    assert_eq!(decode(&mut Decoder::new(0), b"\x21"), Err(Malformed));
}

#[test]
fn a_larger_table_has_to_be_asked_for() {
    let add = |length: usize| [&b"\x40\x01n"[..], integer::write(0, 7, length).bytes(), &vec![b'v'; length]].concat();
    let mut decoder = Decoder::new(8192);
    decode(&mut decoder, &add(5000)).unwrap();
    assert_eq!(table(&mut decoder), Fields::new());
    decode(&mut decoder, &[b"\x3F\xE1\x3F", &add(5000)[..]].concat()).unwrap();
    assert_eq!(table(&mut decoder).len(), 1);
}

#[test]
fn a_table_of_no_size_remembers_nothing() {
    let mut decoder = Decoder::new(4096);
    decode(&mut decoder, b"\x40\x01n\x01v").unwrap();
    assert_eq!(table(&mut decoder), fields(&[("n", "v")]));
    decode(&mut decoder, b"\x20").unwrap();
    assert_eq!(table(&mut decoder), Fields::new());
    assert_eq!(decode(&mut decoder, b"\x40\x01n\x01v"), Ok(fields(&[("n", "v")])));
    assert_eq!(table(&mut decoder), Fields::new());
}

#[test]
fn a_literal_may_have_the_name_of_the_entry_that_goes_for_it() {
    let mut decoder = Decoder::new(40);
    decode(&mut decoder, b"\x40\x04name\x041234").unwrap();
    // Just as large, then larger than the table.
    assert_eq!(decode(&mut decoder, b"\x7E\x045678"), Ok(fields(&[("name", "5678")])));
    assert_eq!(table(&mut decoder), fields(&[("name", "5678")]));
    assert_eq!(decode(&mut decoder, b"\x7E\x0512345"), Ok(fields(&[("name", "12345")])));
    assert_eq!(table(&mut decoder), Fields::new());
}

#[test]
fn memory_for_one_large_field_is_given_back() {
    let mut decoder = Decoder::new(4096);
    decode(&mut decoder, &[b"\x00\x01n", &coded(&vec![b'a'; 100_000])[..]].concat()).unwrap();
    assert!(decoder.plain.capacity() <= KEPT);
}

/// A string in the Huffman code.
fn coded(text: &[u8]) -> Vec<u8> {
    let bytes = huffman(text);
    [integer::write(0x80, 7, bytes.len()).bytes(), &bytes].concat()
}

fn string() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        4 => "[ -~]{0,30}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..90),
        1 => "[a-z]{200,300}".prop_map(String::into_bytes),
    ];
    (text, any::<bool>()).prop_map(|(text, is_coded)| {
        if is_coded { coded(&text) } else { [integer::write(0, 7, text.len()).bytes(), &text].concat() }
    })
}

/// One representation; the dynamic table is mostly small, and so many an index stands for nothing.
fn representation() -> impl Strategy<Value = Vec<u8>> {
    let index = || prop_oneof![1 => 1_usize..=61, 2 => 62_usize..66, 1 => 62_usize..80];
    prop_oneof![
        index().prop_map(|index| integer::write(0x80, 7, index).bytes().to_vec()),
        (prop::sample::select(&[(0x40, 6), (0x40, 6), (0x00, 4), (0x10, 4)][..]), index(), string())
            .prop_map(|((kind, bits), index, value)| [integer::write(kind, bits, index).bytes(), &value].concat()),
        (prop::sample::select(&[0x40, 0x40, 0x00, 0x10][..]), string(), string()).prop_map(|(kind, name, value)| [
            &[kind],
            &name[..],
            &value
        ]
        .concat()),
    ]
}

fn block() -> impl Strategy<Value = Vec<u8>> {
    let bound = prop_oneof![0_usize..200, 0_usize..=4096];
    let updates = prop_oneof![4 => Just(Vec::new()), 1 => proptest::collection::vec(bound, 0..3)].prop_map(|bounds| {
        bounds.into_iter().flat_map(|bound| integer::write(0x20, 5, bound).bytes().to_vec()).collect()
    });
    (updates, proptest::collection::vec(representation(), 0..8))
        .prop_map(|(updates, fields): (Vec<u8>, _)| [updates, fields.concat()].concat())
}

/// Gives the blocks to both decoders up to the first that is malformed.
fn agree(capacity: usize, blocks: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let (mut decoder, mut plain) = (Decoder::new(capacity), reference::Decoder::new(capacity));
    for block in blocks {
        let mut read = Fields::new();
        let is_good = decoder.decode(block, |name, value| read.push((name.to_vec(), value.to_vec()))).is_ok();
        prop_assert_eq!((read, is_good), plain.decode(block));
        if !is_good {
            break;
        }
        prop_assert_eq!(&table(&mut decoder), &plain.table);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_block_is_read_as_plainly(
        capacity in prop_oneof![0_usize..300, Just(4096)],
        blocks in proptest::collection::vec(block(), 1..8),
    ) {
        agree(capacity, &blocks)?;
    }

    #[test]
    fn a_block_with_a_flaw_is_read_as_plainly(
        mut blocks in proptest::collection::vec(block(), 1..4), at: prop::sample::Index, flip in 1_u8..,
    ) {
        for block in &mut blocks {
            if !block.is_empty() {
                let at = at.index(block.len());
                block[at] ^= flip;
            }
        }
        agree(4096, &blocks)?;
    }

    #[test]
    fn random_bytes_are_read_as_plainly(
        blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..5),
    ) {
        agree(4096, &blocks)?;
    }
}
