//! HTTP/2 as bytes (RFC 9113): the fields of a head are given one by one, and kept by whoever reads them.
//!
//! Pure: nothing here waits, and nothing here knows what a token or a route is.

pub mod hpack;
