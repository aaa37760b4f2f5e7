//! HTTP/2 (RFC 9113): frames, packed fields, windows; each stream is written to and read from like a connection that
//! speaks HTTP/1.1, so that whoever forwards requests knows one protocol.
//!
//! A head is unpacked straight into the bytes that say the same in HTTP/1.1, and packed straight from them.

mod compose;
pub mod connection;
mod fields;
pub mod frame;
pub mod hpack;
mod inbound;
mod outbound;
mod reader;
pub mod session;
mod state;
pub mod stream;
mod window;

#[cfg(test)]
mod tests;
