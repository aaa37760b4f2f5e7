//! Integers that begin in the low bits of a byte (RFC 7541 §5.1).

use super::decode::Malformed;

/// The most bytes behind the first one. Five hold any length that a frame can have, and much more.
const MOST_MORE: u32 = 5;

/// Reads an integer from the low `bits` of `first` and, where they do not hold it, from the front of `rest`.
#[inline]
pub(super) fn read(first: u8, bits: u32, rest: &mut &[u8]) -> Result<usize, Malformed> {
    let full = (1 << bits) - 1;
    let low = usize::from(first) & full;
    if low < full {
        return Ok(low);
    }
    read_more(full as u64, rest)
}

fn read_more(mut value: u64, rest: &mut &[u8]) -> Result<usize, Malformed> {
    for number in 0..MOST_MORE {
        let (byte, behind) = rest.split_first().ok_or(Malformed)?;
        *rest = behind;
        value += u64::from(byte & 0x7F) << (7 * number);
        if *byte < 0x80 {
            return usize::try_from(value).map_err(|_| Malformed);
        }
    }
    Err(Malformed)
}

/// An integer as it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// One byte for the prefix, and seven bits of a `usize` in each of the others.
    bytes: [u8; 11],
    len: usize,
}

impl Written {
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Writes `value` into the low `bits` of a byte whose other bits are those of `kind`, and into as many behind as it
/// needs.
#[inline]
pub(super) fn write(kind: u8, bits: u32, value: usize) -> Written {
    let full = (1 << bits) - 1;
    let mut written = Written {
        bytes: [0; 11],
        len: 1,
    };
    if value < full {
        written.bytes[0] = kind | value as u8;
        return written;
    }
    written.bytes[0] = kind | full as u8;
    let mut left = value - full;
    while left >= 0x80 {
        written.bytes[written.len] = left as u8 | 0x80;
        written.len += 1;
        left >>= 7;
    }
    written.bytes[written.len] = left as u8;
    written.len += 1;
    written
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(bytes: &[u8], bits: u32) -> Result<(usize, usize), Malformed> {
        let (first, mut rest) = bytes.split_first().unwrap();
        let value = read(*first, bits, &mut rest)?;
        Ok((value, rest.len()))
    }

    #[test]
    fn the_examples_of_the_rfc_are_read_and_written() {
        for (bits, value, bytes) in [
            (5, 10, &[0x0A][..]),
            (5, 1337, &[0x1F, 0x9A, 0x0A]),
            (8, 42, &[0x2A]),
        ] {
            assert_eq!(read_all(bytes, bits), Ok((value, 0)));
            assert_eq!(write(0, bits, value).bytes(), bytes);
        }
    }

    #[test]
    fn the_bits_above_the_prefix_are_no_part_of_it() {
        assert_eq!(read_all(&[0xEA, 7], 5), Ok((10, 1)));
        assert_eq!(write(0xE0, 5, 10).bytes(), [0xEA]);
    }

    #[test]
    fn what_is_cut_or_too_long_is_malformed() {
        assert_eq!(read_all(&[0x7F], 7), Err(Malformed));
        assert_eq!(read_all(&[0x7F, 0xFF], 7), Err(Malformed));
        assert_eq!(
            read_all(&[0x7F, 0x80, 0x80, 0x80, 0x80, 0x00], 7),
            Ok((127, 0))
        );
        assert_eq!(
            read_all(&[0x7F, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 7),
            Err(Malformed)
        );
        assert_eq!(
            read_all(
                &[
                    0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01
                ],
                7
            ),
            Err(Malformed)
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bits in 4_u32..=7, value in 0_usize..1 << 35, behind: u8) {
            let mut bytes = write(0, bits, value).bytes().to_vec();
            bytes.push(behind);
            prop_assert_eq!(read_all(&bytes, bits), Ok((value, 1)));
        }

        #[test]
        fn any_length_can_be_written(value: usize) {
            let written = write(0, 7, value);
            prop_assert!(written.bytes().len() <= 11);
        }
    }
}
