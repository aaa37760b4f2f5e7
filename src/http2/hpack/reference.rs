//! A second reading of RFC 7541, written for plainness alone, which the real one is held against.

use std::{collections::HashMap, sync::LazyLock};

use super::table::STATIC;

/// The code of each byte and its length in bits, as RFC 7541 appendix B lists them; EOS is last.
#[rustfmt::skip]
pub(super) const CODES: [(u32, u32); 257] = [
    (0x1ff8, 13), (0x7fffd8, 23), (0xfffffe2, 28), (0xfffffe3, 28), (0xfffffe4, 28), (0xfffffe5, 28),
    (0xfffffe6, 28), (0xfffffe7, 28), (0xfffffe8, 28), (0xffffea, 24), (0x3ffffffc, 30), (0xfffffe9, 28),
    (0xfffffea, 28), (0x3ffffffd, 30), (0xfffffeb, 28), (0xfffffec, 28), (0xfffffed, 28), (0xfffffee, 28),
    (0xfffffef, 28), (0xffffff0, 28), (0xffffff1, 28), (0xffffff2, 28), (0x3ffffffe, 30), (0xffffff3, 28),
    (0xffffff4, 28), (0xffffff5, 28), (0xffffff6, 28), (0xffffff7, 28), (0xffffff8, 28), (0xffffff9, 28),
    (0xffffffa, 28), (0xffffffb, 28), (0x14, 6), (0x3f8, 10), (0x3f9, 10), (0xffa, 12), (0x1ff9, 13),
    (0x15, 6), (0xf8, 8), (0x7fa, 11), (0x3fa, 10), (0x3fb, 10), (0xf9, 8), (0x7fb, 11), (0xfa, 8), (0x16, 6),
    (0x17, 6), (0x18, 6), (0x0, 5), (0x1, 5), (0x2, 5), (0x19, 6), (0x1a, 6), (0x1b, 6), (0x1c, 6), (0x1d, 6),
    (0x1e, 6), (0x1f, 6), (0x5c, 7), (0xfb, 8), (0x7ffc, 15), (0x20, 6), (0xffb, 12), (0x3fc, 10),
    (0x1ffa, 13), (0x21, 6), (0x5d, 7), (0x5e, 7), (0x5f, 7), (0x60, 7), (0x61, 7), (0x62, 7), (0x63, 7),
    (0x64, 7), (0x65, 7), (0x66, 7), (0x67, 7), (0x68, 7), (0x69, 7), (0x6a, 7), (0x6b, 7), (0x6c, 7),
    (0x6d, 7), (0x6e, 7), (0x6f, 7), (0x70, 7), (0x71, 7), (0x72, 7), (0xfc, 8), (0x73, 7), (0xfd, 8),
    (0x1ffb, 13), (0x7fff0, 19), (0x1ffc, 13), (0x3ffc, 14), (0x22, 6), (0x7ffd, 15), (0x3, 5), (0x23, 6),
    (0x4, 5), (0x24, 6), (0x5, 5), (0x25, 6), (0x26, 6), (0x27, 6), (0x6, 5), (0x74, 7), (0x75, 7), (0x28, 6),
    (0x29, 6), (0x2a, 6), (0x7, 5), (0x2b, 6), (0x76, 7), (0x2c, 6), (0x8, 5), (0x9, 5), (0x2d, 6), (0x77, 7),
    (0x78, 7), (0x79, 7), (0x7a, 7), (0x7b, 7), (0x7ffe, 15), (0x7fc, 11), (0x3ffd, 14), (0x1ffd, 13),
    (0xffffffc, 28), (0xfffe6, 20), (0x3fffd2, 22), (0xfffe7, 20), (0xfffe8, 20), (0x3fffd3, 22),
    (0x3fffd4, 22), (0x3fffd5, 22), (0x7fffd9, 23), (0x3fffd6, 22), (0x7fffda, 23), (0x7fffdb, 23),
    (0x7fffdc, 23), (0x7fffdd, 23), (0x7fffde, 23), (0xffffeb, 24), (0x7fffdf, 23), (0xffffec, 24),
    (0xffffed, 24), (0x3fffd7, 22), (0x7fffe0, 23), (0xffffee, 24), (0x7fffe1, 23), (0x7fffe2, 23),
    (0x7fffe3, 23), (0x7fffe4, 23), (0x1fffdc, 21), (0x3fffd8, 22), (0x7fffe5, 23), (0x3fffd9, 22),
    (0x7fffe6, 23), (0x7fffe7, 23), (0xffffef, 24), (0x3fffda, 22), (0x1fffdd, 21), (0xfffe9, 20),
    (0x3fffdb, 22), (0x3fffdc, 22), (0x7fffe8, 23), (0x7fffe9, 23), (0x1fffde, 21), (0x7fffea, 23),
    (0x3fffdd, 22), (0x3fffde, 22), (0xfffff0, 24), (0x1fffdf, 21), (0x3fffdf, 22), (0x7fffeb, 23),
    (0x7fffec, 23), (0x1fffe0, 21), (0x1fffe1, 21), (0x3fffe0, 22), (0x1fffe2, 21), (0x7fffed, 23),
    (0x3fffe1, 22), (0x7fffee, 23), (0x7fffef, 23), (0xfffea, 20), (0x3fffe2, 22), (0x3fffe3, 22),
    (0x3fffe4, 22), (0x7ffff0, 23), (0x3fffe5, 22), (0x3fffe6, 22), (0x7ffff1, 23), (0x3ffffe0, 26),
    (0x3ffffe1, 26), (0xfffeb, 20), (0x7fff1, 19), (0x3fffe7, 22), (0x7ffff2, 23), (0x3fffe8, 22),
    (0x1ffffec, 25), (0x3ffffe2, 26), (0x3ffffe3, 26), (0x3ffffe4, 26), (0x7ffffde, 27), (0x7ffffdf, 27),
    (0x3ffffe5, 26), (0xfffff1, 24), (0x1ffffed, 25), (0x7fff2, 19), (0x1fffe3, 21), (0x3ffffe6, 26),
    (0x7ffffe0, 27), (0x7ffffe1, 27), (0x3ffffe7, 26), (0x7ffffe2, 27), (0xfffff2, 24), (0x1fffe4, 21),
    (0x1fffe5, 21), (0x3ffffe8, 26), (0x3ffffe9, 26), (0xffffffd, 28), (0x7ffffe3, 27), (0x7ffffe4, 27),
    (0x7ffffe5, 27), (0xfffec, 20), (0xfffff3, 24), (0xfffed, 20), (0x1fffe6, 21), (0x3fffe9, 22),
    (0x1fffe7, 21), (0x1fffe8, 21), (0x7ffff3, 23), (0x3fffea, 22), (0x3fffeb, 22), (0x1ffffee, 25),
    (0x1ffffef, 25), (0xfffff4, 24), (0xfffff5, 24), (0x3ffffea, 26), (0x7ffff4, 23), (0x3ffffeb, 26),
    (0x7ffffe6, 27), (0x3ffffec, 26), (0x3ffffed, 26), (0x7ffffe7, 27), (0x7ffffe8, 27), (0x7ffffe9, 27),
    (0x7ffffea, 27), (0x7ffffeb, 27), (0xffffffe, 28), (0x7ffffec, 27), (0x7ffffed, 27), (0x7ffffee, 27),
    (0x7ffffef, 27), (0x7fffff0, 27), (0x3ffffee, 26), (0x3fffffff, 30),
];

/// The byte, or EOS, of each code and its length.
static SYMBOLS: LazyLock<HashMap<(u32, u32), usize>> = LazyLock::new(|| {
    CODES
        .iter()
        .enumerate()
        .map(|(symbol, code)| (*code, symbol))
        .collect()
});

pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The bits of a string in the Huffman code, padding included, each a byte that is 0 or 1.
pub(super) fn huffman_bits(plain: &[u8]) -> Vec<u8> {
    let mut bits = Vec::new();
    for byte in plain {
        let (code, length) = CODES[usize::from(*byte)];
        bits.extend((0..length).rev().map(|bit| (code >> bit & 1) as u8));
    }
    while bits.len() % 8 != 0 {
        bits.push(1);
    }
    bits
}

pub(super) fn to_bytes(bits: &[u8]) -> Vec<u8> {
    assert_eq!(bits.len() % 8, 0);
    bits.chunks(8)
        .map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | bit))
        .collect()
}

pub(super) fn huffman(plain: &[u8]) -> Vec<u8> {
    to_bytes(&huffman_bits(plain))
}

/// What a string in the Huffman code stands for, read bit by bit.
pub(super) fn plain(coded: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let (mut code, mut length) = (0_u32, 0);
    for bit in coded
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
    {
        code = code << 1 | u32::from(bit);
        length += 1;
        if let Some(symbol) = SYMBOLS.get(&(code, length)) {
            plain.push(u8::try_from(*symbol).ok()?);
            (code, length) = (0, 0);
        }
    }
    (length < 8 && code == (1 << length) - 1).then_some(plain)
}

/// A decoder whose table is a list of fields, newest first.
pub(super) struct Decoder {
    pub(super) capacity: usize,
    pub(super) bound: usize,
    pub(super) table: Fields,
}

impl Decoder {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            bound: capacity.min(4096),
            table: Vec::new(),
        }
    }

    /// The fields of a block up to its end or to where it is malformed, and which of both it was.
    pub(super) fn decode(&mut self, block: &[u8]) -> (Fields, bool) {
        let mut fields = Fields::new();
        let is_good = self.read(block, &mut fields).is_some();
        (fields, is_good)
    }

    fn read(&mut self, mut rest: &[u8], fields: &mut Fields) -> Option<()> {
        while let Some(first) = rest.first() {
            if first & 0x80 != 0 {
                let index = integer(&mut rest, 7)?;
                fields.push(self.entry(index)?);
                continue;
            }
            if first & 0xE0 == 0x20 {
                self.bound = integer(&mut rest, 5)?;
                if !fields.is_empty() || self.bound > self.capacity {
                    return None;
                }
                self.evict();
                continue;
            }
            let is_remembered = first & 0x40 != 0;
            let index = integer(&mut rest, if is_remembered { 6 } else { 4 })?;
            let new_name = if index == 0 {
                Some(string(&mut rest)?)
            } else {
                None
            };
            let value = string(&mut rest)?;
            let name = match new_name {
                Some(name) => name,
                None => self.entry(index)?.0,
            };
            fields.push((name.clone(), value.clone()));
            if is_remembered {
                self.table.insert(0, (name, value));
                self.evict();
            }
        }
        Some(())
    }

    fn entry(&self, index: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let index = index.checked_sub(1)?;
        let fixed = STATIC
            .get(index)
            .map(|(name, value)| (name.to_vec(), value.to_vec()));
        fixed.or_else(|| self.table.get(index - STATIC.len()).cloned())
    }

    fn evict(&mut self) {
        while self
            .table
            .iter()
            .map(|(name, value)| name.len() + value.len() + 32)
            .sum::<usize>()
            > self.bound
        {
            self.table.pop();
        }
    }
}

fn integer(rest: &mut &[u8], bits: u32) -> Option<usize> {
    let most = 2_u128.pow(bits) - 1;
    let mut value = u128::from(take(rest)?) & most;
    let mut factor = 1;
    let mut goes_on = value == most;
    while goes_on {
        let byte = u128::from(take(rest)?);
        value += byte % 128 * factor;
        goes_on = byte >= 128;
        factor *= 128;
        if goes_on && factor == 128_u128.pow(5) {
            return None;
        }
    }
    usize::try_from(value).ok()
}

fn string(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let is_coded = rest.first()? & 0x80 != 0;
    let length = integer(rest, 7)?;
    let (bytes, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    if is_coded {
        plain(bytes)
    } else {
        Some(bytes.to_vec())
    }
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (byte, behind) = rest.split_first()?;
    *rest = behind;
    Some(*byte)
}
