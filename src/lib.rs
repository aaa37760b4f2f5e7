//! bearward: an authenticating reverse-proxy sidecar.

pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod oauth;
pub mod proxy;
pub mod secret;
pub mod server;
pub mod telemetry;
pub mod tls;
pub mod token;

// What fuzz targets check is written against the public crate, and some unit tests check it too.
#[cfg(test)]
extern crate self as bearward;
