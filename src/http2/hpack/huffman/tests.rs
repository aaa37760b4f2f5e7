//! What is read by table is what is read bit by bit.

use proptest::prelude::*;

use super::*;
use crate::http2::hpack::reference::{CODES, huffman, huffman_bits, plain, to_bytes};

fn decoded(coded: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut plain = b"before".to_vec();
    decode(coded, &mut plain).map(|()| plain.split_off(6))
}

#[test]
fn the_lengths_make_the_codes_of_the_rfc() {
    for (symbol, (code, length)) in CODES.iter().enumerate() {
        assert_eq!(u32::from(LENGTHS[symbol]), *length);
        let bits = u64::from(*code) << (64 - length);
        assert_eq!(first_code(bits), (symbol as u16, *length));
        assert_eq!(
            first_code(bits | u64::MAX >> length),
            (symbol as u16, *length)
        );
    }
}

#[test]
fn every_byte_is_decoded_wherever_it_lies() {
    for byte in 0..=255 {
        for before in 0..20 {
            let text = [&[b'a'; 20][..before], &[byte]].concat();
            assert_eq!(decoded(&huffman(&text)).as_ref(), Ok(&text));
        }
    }
}

#[test]
fn an_empty_string_is_empty() {
    assert_eq!(decoded(b""), Ok(Vec::new()));
}

#[test]
fn padding_is_shorter_than_a_byte_and_all_ones() {
    // `a` is 00011.
    assert_eq!(decoded(&[0b0001_1111]), Ok(b"a".to_vec()));
    assert_eq!(decoded(&[0b0001_1110]), Err(Malformed));
    assert_eq!(decoded(&[0b0001_1011]), Err(Malformed));
    assert_eq!(decoded(&[0b0001_1111, 0xFF]), Err(Malformed));
    assert_eq!(decoded(&[0xFF]), Err(Malformed));
    // Eight codes of five bits leave nothing to pad.
    let full = huffman(b"aaaaaaaa");
    assert_eq!(full.len(), 5);
    assert_eq!(decoded(&full), Ok(b"aaaaaaaa".to_vec()));
    assert_eq!(decoded(&[&full[..], &[0xFF]].concat()), Err(Malformed));
    // `?` is ten bits, the most that can be cut in a byte.
    assert_eq!(decoded(&huffman(b"?")[..1]), Err(Malformed));
}

#[test]
fn eos_is_no_part_of_a_string() {
    assert_eq!(decoded(&[0xFF; 4]), Err(Malformed));
    assert_eq!(decoded(&[0xFF; 40]), Err(Malformed));
    for before in 0..20 {
        let mut bits = huffman_bits(&vec![b'a'; 8 * before]);
        bits.extend([1; 30]);
        bits.extend(huffman_bits(b"rest").iter().take(18));
        assert_eq!(decoded(&to_bytes(&bits)), Err(Malformed));
    }
}

proptest! {
    #[test]
    fn what_is_coded_is_decoded(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(decoded(&huffman(&text)), Ok(text));
    }

    #[test]
    fn what_fields_hold_is_decoded(text in "[ -~]{0,200}") {
        prop_assert_eq!(decoded(&huffman(text.as_bytes())), Ok(text.into_bytes()));
    }

    #[test]
    fn any_bytes_are_read_as_bit_by_bit(coded in proptest::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(decoded(&coded).ok(), plain(&coded));
    }

    #[test]
    fn a_string_with_a_flaw_is_read_as_bit_by_bit(
        text in "[ -~]{0,60}", at: prop::sample::Index, flip in 1_u8.., cut in 0_usize..3,
    ) {
        let mut coded = huffman(text.as_bytes());
        coded.truncate(coded.len().saturating_sub(cut));
        if !coded.is_empty() {
            let at = at.index(coded.len());
            coded[at] ^= flip;
        }
        prop_assert_eq!(decoded(&coded).ok(), plain(&coded));
    }
}
