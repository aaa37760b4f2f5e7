//! The examples of RFC 7541 appendix C, what is malformed, and any blocks at all against a plain reading of them.

use proptest::prelude::*;

use super::*;
use crate::http2::hpack::reference::{self, Fields, huffman};

mod examples;

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, Malformed> {
    let mut fields = Fields::new();
    decoder.decode(block, |name, value| {
        fields.push((name.to_vec(), value.to_vec()))
    })?;
    Ok(fields)
}

/// The dynamic table as one sees it who asks for one index after the other.
fn table(decoder: &mut Decoder) -> Fields {
    let get = |index| decode(decoder, integer::write(0x80, 7, index).bytes()).ok();
    (62..).map_while(get).flatten().collect()
}

fn fields(expected: &[(&str, &str)]) -> Fields {
    expected
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

#[track_caller]
fn malformed(block: &[u8]) {
    assert_eq!(
        decode(&mut Decoder::new(4096), block),
        Err(Malformed),
        "{block:02x?}"
    );
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
    malformed(&[
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F,
    ]);
    malformed(b"\x00\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01");
    malformed(b"\x00\x01n\x7F\xFF\xFF\xFF\xFF\x7F");
}

#[test]
fn a_block_that_is_cut_anywhere_in_a_field_is_malformed() {
    let whole = [
        &b"\x40"[..],
        &coded(b"name"),
        &coded(&[b'v'; 300]),
        b"\x00\x01n\x01v\x1F\x08\x03abc",
    ]
    .concat();
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
    for text in [
        &b"\x81\x1E"[..],
        b"\x82\x1F\xFF",
        b"\x81\xFF",
        b"\x84\xFF\xFF\xFF\xFF",
        b"\x81\xFE",
    ] {
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
    assert_eq!(
        decode(&mut Decoder::new(4096), b"\x20\x3F\xE1\x1F\x82"),
        Ok(fields(&[(":method", "GET")]))
    );
    assert_eq!(decode(&mut Decoder::new(4096), b"\x20"), Ok(Fields::new()));
    assert_eq!(
        decode(&mut Decoder::new(4096), b"\x20\x21\x22\x82"),
        Ok(fields(&[(":method", "GET")]))
    );
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
    let add = |length: usize| {
        [
            &b"\x40\x01n"[..],
            integer::write(0, 7, length).bytes(),
            &vec![b'v'; length],
        ]
        .concat()
    };
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
    assert_eq!(
        decode(&mut decoder, b"\x40\x01n\x01v"),
        Ok(fields(&[("n", "v")]))
    );
    assert_eq!(table(&mut decoder), Fields::new());
}

#[test]
fn a_literal_may_have_the_name_of_the_entry_that_goes_for_it() {
    let mut decoder = Decoder::new(40);
    decode(&mut decoder, b"\x40\x04name\x041234").unwrap();
    // Just as large, then larger than the table.
    assert_eq!(
        decode(&mut decoder, b"\x7E\x045678"),
        Ok(fields(&[("name", "5678")]))
    );
    assert_eq!(table(&mut decoder), fields(&[("name", "5678")]));
    assert_eq!(
        decode(&mut decoder, b"\x7E\x0512345"),
        Ok(fields(&[("name", "12345")]))
    );
    assert_eq!(table(&mut decoder), Fields::new());
}

#[test]
fn memory_for_one_large_field_is_given_back() {
    let mut decoder = Decoder::new(4096);
    decode(
        &mut decoder,
        &[b"\x00\x01n", &coded(&vec![b'a'; 100_000])[..]].concat(),
    )
    .unwrap();
    assert!(decoder.plain.capacity() <= KEPT);
}

/// A string in the Huffman code.
fn coded(text: &[u8]) -> Vec<u8> {
    let bytes = huffman(text);
    [integer::write(0x80, 7, bytes.len()).bytes(), &bytes].concat()
}

/// A string with some bytes or other, coded or not. Which they are does not matter much here, and to draw each is slow.
fn string() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![8 => 0_u8..30, 1 => 120_u8..140];
    (any::<u8>(), any::<u8>(), length, 0..4).prop_map(|(first, step, length, kind)| {
        let bytes = (0..length).map(|number| first.wrapping_add(number.wrapping_mul(step)));
        let text: Vec<u8> = if kind == 0 {
            bytes.collect()
        } else {
            bytes.map(|byte| b'-' + byte % 78).collect()
        };
        if kind < 2 {
            coded(&text)
        } else {
            [integer::write(0, 7, text.len()).bytes(), &text].concat()
        }
    })
}

/// One representation, whose index is chosen once it is known how many entries there are.
#[derive(Clone, Debug)]
struct Step {
    /// The high bits of its first byte, and how many bits are left for the index.
    kind: (u8, u32),
    /// Empty where an index stands for it.
    new_name: Vec<u8>,
    value: Vec<u8>,
    of_static_table: bool,
    at: prop::sample::Index,
}

impl Step {
    fn bytes(&self, entries: usize) -> Vec<u8> {
        let (kind, bits) = self.kind;
        let index = if !self.new_name.is_empty() {
            0
        } else if self.of_static_table || entries == 0 {
            1 + self.at.index(61)
        } else {
            62 + self.at.index(entries)
        };
        let index = integer::write(kind, bits, index);
        let value = if kind == 0x80 { &[] } else { &self.value[..] };
        [index.bytes(), &self.new_name, value].concat()
    }
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop::sample::select(
        &[
            (0x80, 7),
            (0x40, 6),
            (0x40, 6),
            (0x40, 6),
            (0x00, 4),
            (0x10, 4),
        ][..],
    );
    (
        kind,
        any::<bool>(),
        string(),
        string(),
        any::<bool>(),
        any::<prop::sample::Index>(),
    )
        .prop_map(
            |(kind, is_named, mut new_name, value, of_static_table, at)| {
                if is_named || kind.0 == 0x80 {
                    new_name.clear();
                }
                Step {
                    kind,
                    new_name,
                    value,
                    of_static_table,
                    at,
                }
            },
        )
}

/// A few bounds that the table gets in front of a block, and its fields.
fn block() -> impl Strategy<Value = (Vec<usize>, Vec<Step>)> {
    let bound = prop_oneof![0_usize..200, 100_usize..600, Just(4096)];
    let updates = prop_oneof![8 => Just(Vec::new()), 1 => proptest::collection::vec(bound, 1..3)];
    (updates, proptest::collection::vec(step(), 0..8))
}

/// The bytes of the blocks, and what is in the table behind each and what are its fields as a plain reader sees it.
fn written(capacity: usize, blocks: &[(Vec<usize>, Vec<Step>)]) -> Vec<(Vec<u8>, Fields, Fields)> {
    let mut plain = reference::Decoder::new(capacity);
    let mut write = |(bounds, steps): &(Vec<usize>, Vec<Step>)| {
        let (mut bytes, mut fields) = (Vec::new(), Fields::new());
        for bound in bounds {
            let update = integer::write(0x20, 5, (*bound).min(capacity));
            assert_eq!(plain.decode(update.bytes()), (Fields::new(), true));
            bytes.extend_from_slice(update.bytes());
        }
        for step in steps {
            let step = step.bytes(plain.table.len());
            let (field, is_good) = plain.decode(&step);
            assert!(is_good && field.len() == 1);
            bytes.extend(step);
            fields.extend(field);
        }
        (bytes, fields, plain.table.clone())
    };
    blocks.iter().map(&mut write).collect()
}

/// Gives the blocks to both decoders up to the first that is malformed.
fn agree(blocks: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let (mut decoder, mut plain) = (Decoder::new(4096), reference::Decoder::new(4096));
    for block in blocks {
        let mut read = Fields::new();
        let is_good = decoder
            .decode(block, |name, value| {
                read.push((name.to_vec(), value.to_vec()))
            })
            .is_ok();
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
    fn good_blocks_are_read_as_plainly(
        capacity in prop_oneof![0_usize..100, 100_usize..600, Just(4096)],
        blocks in proptest::collection::vec(block(), 1..9),
    ) {
        let mut decoder = Decoder::new(capacity);
        for (bytes, fields, left) in written(capacity, &blocks) {
            prop_assert_eq!(decode(&mut decoder, &bytes), Ok(fields));
            prop_assert_eq!(table(&mut decoder), left);
        }
    }

    #[test]
    fn a_block_with_a_flaw_is_read_as_plainly(
        blocks in proptest::collection::vec(block(), 1..4), at: prop::sample::Index, flip in 1_u8..,
    ) {
        let mut blocks: Vec<_> = written(4096, &blocks).into_iter().map(|(bytes, ..)| bytes).collect();
        if let Some(block) = blocks.last_mut().filter(|block| !block.is_empty()) {
            let at = at.index(block.len());
            block[at] ^= flip;
        }
        agree(&blocks)?;
    }

    #[test]
    fn random_bytes_are_read_as_plainly(
        blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..5),
    ) {
        agree(&blocks)?;
    }
}
