//! The compression of field sections (RFC 7541).
//!
//! What a peer sends may use all of it. What is sent to a peer uses the static table alone: nothing is remembered of it,
//! so no length ever tells whether a guess at a secret was right (RFC 7541 §7.1).

pub mod decode;
pub mod encode;
mod huffman;
mod integer;
#[cfg(test)]
mod reference;
mod table;

pub use decode::{Decoder, Malformed};
