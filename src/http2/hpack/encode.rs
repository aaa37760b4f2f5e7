//! Fields, written with the static table and no memory of what was written before.

use super::{integer, table};
use crate::http1::buffer::Buffer;

#[cfg(test)]
mod tests;

/// The kinds of representations that are written (RFC 7541 §6), by the high bits of their first byte.
const INDEXED: u8 = 0x80;
const LITERAL: u8 = 0x00;
const NEVER_INDEXED: u8 = 0x10;
const SIZE_UPDATE: u8 = 0x20;

/// Says that the peer's decoder needs no table (a size update to 0, RFC 7541 §6.3); goes in front of a connection's first
/// block.
pub fn no_table(out: &mut Buffer) {
    out.extend(&[SIZE_UPDATE]);
}

/// One field: indexed where the static table has name and value, else a literal without indexing, or one that nobody on
/// the way may index when it is `secret`. No Huffman: it would save little where it costs the most, on the token.
///
/// The name may come in any case and is written in lower case.
pub fn field(out: &mut Buffer, name: &[u8], value: &[u8], secret: bool) {
    let kind = if secret { NEVER_INDEXED } else { LITERAL };
    let length = integer::write(0, 7, value.len());
    if let Some(index) = table::static_name(name) {
        if let Some(whole) = table::static_value(index, value) {
            out.extend(&[INDEXED | whole as u8]);
            return;
        }
        out.extend_all([
            integer::write(kind, 4, index).bytes(),
            length.bytes(),
            value,
        ]);
        return;
    }
    out.extend_all([
        &[kind],
        integer::write(0, 7, name.len()).bytes(),
        name,
        length.bytes(),
        value,
    ]);
    let end = out.len() - value.len() - length.bytes().len();
    out.filled_mut()[end - name.len()..end].make_ascii_lowercase();
}

/// `:status`.
pub fn status(out: &mut Buffer, status: u16) {
    debug_assert!((100..=999).contains(&status), "{status} is no status");
    let digits = [status / 100 % 10, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8);
    if let Some(whole) = table::static_value(table::STATUS, &digits) {
        out.extend(&[INDEXED | whole as u8]);
        return;
    }
    out.extend_all([
        &[LITERAL | table::STATUS as u8, digits.len() as u8],
        &digits,
    ]);
}
