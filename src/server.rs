//! Listening, accepting and serving HTTP by hyper, for any service.

pub mod accept;
pub mod address;
pub mod connection;
pub mod deadlines;
#[cfg(test)]
pub(crate) mod exchange;
pub mod framing_gate;
pub mod html;
pub mod limits;
pub mod listener;
pub mod origin_guard;
pub mod problem;
pub mod serve;
pub mod share;
pub mod stream;
pub mod stream_watch;
pub mod timer;
