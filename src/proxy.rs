//! The request path: admit → route → guard → token → forward → respond.
//!
//! [`connection`] tells HTTP/1.1 from HTTP/2 and serves a connection; [`service`] takes each of its requests through
//! everything that comes before forwarding; [`forward`] sends it and waits for the answer.

pub mod admission;
pub mod allow;
pub mod caller;
pub mod connection;
pub mod download;
mod downstream;
pub mod echo;
pub mod error;
pub mod forward;
pub mod guard;
pub mod headers;
mod http1;
mod http2;
pub mod location;
pub mod path;
pub mod respond;
pub mod route;
pub mod sending;
pub mod service;
pub mod table;
pub mod timer;
pub mod upstream;
pub mod worker;
