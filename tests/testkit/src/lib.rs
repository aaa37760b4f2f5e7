//! Servers and a client for bearward's tests, all on loopback and in memory.
//!
//! - [`authorization_server`]: an OAuth 2.0 authorization server, with vendor dialects and faults on demand.
//! - [`token_server`]: a token endpoint that sends scripted bytes, also over TLS.
//! - [`client`]: sends one HTTP/1.1 request and returns the response.
//!
//! The crate does not depend on `bearward`, so the library's unit tests can use it too.

#![allow(
    clippy::disallowed_methods,
    reason = "a server of a test ends with the test's runtime"
)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

pub mod authorization_server;
pub mod client;
pub mod clock;
mod serve;
pub mod token_server;
