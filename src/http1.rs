//! HTTP/1.1 as bytes (RFC 9112): heads kept where they were read, framing read strictly and written afresh.
//!
//! Pure: nothing here waits, and nothing here knows what a token or a route is.

pub mod body;
pub mod buffer;
pub mod chunked;
pub mod field;
pub mod framing;
pub mod head;
