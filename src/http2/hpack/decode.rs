//! Field blocks, read with all that RFC 7541 lets a peer's compression do.

use std::ops::Range;

use super::{huffman, integer, table::Table};

#[cfg(test)]
mod tests;

/// The bound of the table that a peer's compression starts with, whatever is announced to it (RFC 9113 §6.5.2).
const FIRST_BOUND: usize = 4096;

/// What is kept of the memory for a field that was Huffman coded, when a block had an unusually large one.
const KEPT: usize = 16 * 1024;

/// Why a field block cannot be read: the connection is lost then (COMPRESSION_ERROR, RFC 9113 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What is remembered of a peer's field blocks, from the first one of the connection on.
#[derive(Debug)]
pub struct Decoder {
    capacity: usize,
    table: Table,
    /// The name and the value of one field, where they were Huffman coded.
    plain: Vec<u8>,
}

impl Decoder {
    /// `capacity`: the dynamic table's bound that we announce (SETTINGS_HEADER_TABLE_SIZE), 4096 normally. A peer uses
    /// 4096 until it has read the announcement, so with less its first blocks may be lost.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            table: Table::new(capacity.min(FIRST_BOUND)),
            plain: Vec::new(),
        }
    }

    /// Reads a whole field block and gives each field, in order. The slices live for the call alone.
    ///
    /// A byte of a block can stand for a field as large as the table: whoever keeps the fields has to count them.
    pub fn decode(
        &mut self,
        block: &[u8],
        mut each: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Malformed> {
        let mut rest = self.resize(block)?;
        while let Some((first, behind)) = rest.split_first() {
            rest = behind;
            match *first {
                0x80.. => {
                    let (name, value) = self.table.field(integer::read(*first, 7, &mut rest)?)?;
                    each(name, value);
                }
                0x40.. => {
                    self.remembered(integer::read(*first, 6, &mut rest)?, &mut rest, &mut each)?
                }
                // A size update behind a field (RFC 7541 §4.2).
                0x20.. => return Err(Malformed),
                // Whether a literal is never to be indexed matters to those alone who would.
                _ => {
                    let index = integer::read(*first, 4, &mut rest)?;
                    let (name, value) = self.literal(index, &mut rest)?;
                    let (name, value) = (self.name(index, &name)?, value.of(&self.plain));
                    each(name, value);
                }
            }
        }
        self.plain.clear();
        self.plain.shrink_to(KEPT);
        Ok(())
    }

    /// Takes in the size updates at the start of a block, and gives what is behind them. RFC 7541 §4.2 has no use for more
    /// than two, yet there are peers that send each that they think of.
    fn resize<'a>(&mut self, block: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let mut rest = block;
        while let Some((first @ 0x20..=0x3F, behind)) = rest.split_first() {
            rest = behind;
            let bound = integer::read(*first, 5, &mut rest)?;
            if bound > self.capacity {
                return Err(Malformed);
            }
            self.table.resize(bound);
        }
        Ok(rest)
    }

    /// A literal that goes into the table.
    fn remembered(
        &mut self,
        index: usize,
        rest: &mut &[u8],
        each: &mut impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Malformed> {
        let (new_name, text) = self.literal(index, rest)?;
        let value = text.of(&self.plain);
        each(self.name(index, &new_name)?, value);
        if index == 0 {
            self.table.insert(new_name.of(&self.plain), value);
            return Ok(());
        }
        self.table.insert_named(index, value)
    }

    /// The texts of a literal: its name, which is empty where an index stands for it, and its value.
    #[inline]
    fn literal<'a>(
        &mut self,
        index: usize,
        rest: &mut &'a [u8],
    ) -> Result<(Text<'a>, Text<'a>), Malformed> {
        self.plain.clear();
        let name = if index == 0 {
            text(rest, &mut self.plain)?
        } else {
            Text::Plain(&[])
        };
        Ok((name, text(rest, &mut self.plain)?))
    }

    #[inline]
    fn name<'a>(&'a self, index: usize, new_name: &Text<'a>) -> Result<&'a [u8], Malformed> {
        if index == 0 {
            Ok(new_name.of(&self.plain))
        } else {
            Ok(self.table.field(index)?.0)
        }
    }
}

/// A string of a block.
enum Text<'a> {
    /// As it is.
    Plain(&'a [u8]),
    /// Where it was decoded to.
    Decoded(Range<usize>),
}

impl<'a> Text<'a> {
    #[inline]
    fn of(&self, plain: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Decoded(range) => &plain[range.clone()],
        }
    }
}

/// Takes a string off the front of `rest` (RFC 7541 §5.2).
#[inline]
fn text<'a>(rest: &mut &'a [u8], plain: &mut Vec<u8>) -> Result<Text<'a>, Malformed> {
    let (first, behind) = rest.split_first().ok_or(Malformed)?;
    *rest = behind;
    let length = integer::read(*first, 7, rest)?;
    let (bytes, behind) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = behind;
    if *first < 0x80 {
        return Ok(Text::Plain(bytes));
    }
    let start = plain.len();
    huffman::decode(bytes, plain)?;
    Ok(Text::Decoded(start..plain.len()))
}
