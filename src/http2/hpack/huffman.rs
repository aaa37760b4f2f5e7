//! Strings in the Huffman code of RFC 7541 appendix B, read by table.

use super::decode::Malformed;

#[cfg(test)]
mod tests;

/// How many bits the code of each byte has, and last that of EOS. The codes themselves follow: they count up from the
/// shortest to the longest, and among those of one length from the lowest byte to the highest.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const SHORTEST: usize = 5;
const LONGEST: u32 = 30;
const EOS: usize = 256;

/// Codes of up to so many bits, those of nearly all that stands in fields, are found with one look.
const SHORT: u32 = 10;

/// For the next [`SHORT`] bits the byte that they begin with and, above it, the length of its code; 0 where the code is
/// longer.
static SHORT_CODES: [u16; 1 << SHORT] = short_codes();

/// The codes of each length above [`SHORT`].
static LONG_CODES: [Codes; (LONGEST - SHORT) as usize] = long_codes();

/// The bytes and EOS in the order of their codes.
static BY_CODE: [u16; 257] = by_code();

/// The codes of one length, of which there may be none.
#[derive(Clone, Copy)]
struct Codes {
    length: u32,
    /// The first of them and what follows the last, each filled up with zeros to [`LONGEST`] bits.
    first: u32,
    end: u32,
    /// Where in [`BY_CODE`] the first of them is.
    at: usize,
}

/// Adds to `plain` what `coded` stands for.
pub(super) fn decode(coded: &[u8], plain: &mut Vec<u8>) -> Result<(), Malformed> {
    plain.reserve(coded.len() * 8 / SHORTEST);
    // The next bits, from the highest down, and how many of them there are.
    let (mut bits, mut count) = (0_u64, 0_u32);
    let mut rest = coded;
    loop {
        if let Some((word, _)) = rest.split_first_chunk() {
            bits |= u64::from_be_bytes(*word) >> count;
            // As many bytes as fit whole. What is there of the next one is put in the same place once more later.
            rest = &rest[(63 - count as usize) / 8..];
            count |= 56;
        } else {
            while let Some((byte, behind)) = rest.split_first().filter(|_| count <= 56) {
                bits |= u64::from(*byte) << (56 - count);
                count += 8;
                rest = behind;
            }
        }
        while count >= LONGEST {
            let (symbol, length) = first_code(bits);
            plain.push(u8::try_from(symbol).map_err(|_| Malformed)?);
            bits <<= length;
            count -= length;
        }
        if rest.is_empty() {
            break;
        }
    }

    // Zeros lie behind the end. They can only be part of a code that is longer than what is left.
    loop {
        let (symbol, length) = first_code(bits);
        if length > count {
            break;
        }
        plain.push(u8::try_from(symbol).map_err(|_| Malformed)?);
        bits <<= length;
        count -= length;
    }
    // RFC 7541 §5.2: the padding is shorter than a byte, and all ones.
    if count < 8 && bits.leading_ones() >= count {
        Ok(())
    } else {
        Err(Malformed)
    }
}

/// What the code at the front of `bits` stands for, and how long it is.
#[inline]
fn first_code(bits: u64) -> (u16, u32) {
    let short = SHORT_CODES[(bits >> (64 - SHORT)) as usize];
    if short != 0 {
        (short & 0xFF, u32::from(short >> 8))
    } else {
        first_long_code(bits)
    }
}

#[cold]
fn first_long_code(bits: u64) -> (u16, u32) {
    let next = (bits >> (64 - LONGEST)) as u32;
    let codes = LONG_CODES
        .iter()
        .find(|codes| next < codes.end)
        .expect("the code is complete: EOS is all ones");
    let number = (next - codes.first) >> (LONGEST - codes.length);
    (BY_CODE[codes.at + number as usize], codes.length)
}

const fn short_codes() -> [u16; 1 << SHORT] {
    let mut table = [0; 1 << SHORT];
    let (mut at, mut number) = (0, 0);
    while at < table.len() {
        let symbol = by_code()[number];
        let length = LENGTHS[symbol as usize];
        if length as u32 > SHORT {
            break;
        }
        // All that begin with this code lie side by side.
        let end = at + (1 << (SHORT - length as u32));
        while at < end {
            table[at] = (length as u16) << 8 | symbol;
            at += 1;
        }
        number += 1;
    }
    table
}

const fn long_codes() -> [Codes; (LONGEST - SHORT) as usize] {
    let mut table = [Codes {
        length: 0,
        first: 0,
        end: 0,
        at: 0,
    }; (LONGEST - SHORT) as usize];
    let order = by_code();
    let (mut code, mut number) = (0, 0);
    let mut length = 1;
    while length <= LONGEST {
        let (first, at) = (code, number);
        while number < order.len() && LENGTHS[order[number] as usize] as u32 == length {
            code += 1 << (LONGEST - length);
            number += 1;
        }
        if length > SHORT {
            table[(length - SHORT - 1) as usize] = Codes {
                length,
                first,
                end: code,
                at,
            };
        }
        length += 1;
    }
    assert!(
        code == 1 << LONGEST && order[order.len() - 1] == EOS as u16,
        "the lengths are not those of a complete code"
    );
    table
}

const fn by_code() -> [u16; 257] {
    let mut order = [0; 257];
    let mut number = 0;
    let mut length = 1;
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as u32 == length {
                order[number] = symbol as u16;
                number += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    order
}
