//! Listening, accepting and serving HTTP by hyper, for any service.
//!
//! All listeners share one code path. [`accept`] accepts, and [`serve`] serves each connection through
//! [`deadlines`] and [`framing_gate`]. [`listening`] does both for a service that lives on one runtime: admin, login
//! callback and demo. The proxy does it on each of its worker threads.

pub mod accept;
pub mod address;
pub mod adjustable_limit;
pub mod connection;
pub mod connection_limit;
pub mod deadlines;
pub mod framing_gate;
mod hang_up;
pub mod html;
pub mod inherited;
pub mod key_proof;
pub mod limits;
pub mod listener;
pub mod listening;
pub mod origin_guard;
pub mod problem;
mod referer;
pub mod requested_host;
pub mod serve;
pub mod share;
pub mod shutdown;
pub mod stream;
pub mod stream_watch;
pub mod timer;
pub mod tracked_service;
