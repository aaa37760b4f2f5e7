//! bearward: an authenticating reverse-proxy sidecar.

pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod http1;
pub mod http2;
pub mod login;
pub mod oauth;
pub mod proxy;
pub mod secret;
pub mod server;
pub mod telemetry;
pub mod tls;
pub mod token;
