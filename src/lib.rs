//! bearward: an authenticating reverse-proxy sidecar.
//!
//! The modules in their layers, lowest first. A module uses those of earlier rows only, which `tests/layers.rs` checks.
//!
//! | module | owns |
//! | --- | --- |
//! | [`secret`] | secrets: redacted in `Debug`, compared in constant time, reloaded from files |
//! | [`clock`] | time, which tests control |
//! | [`telemetry`] | log, access log and metrics |
//! | [`tls`] | trust anchors, client certificates and the TLS client |
//! | [`forward_proxy`] | the HTTP proxy that outgoing connections go through |
//! | [`server`] | listeners, connections, the one HTTP server, own error responses, Host and origin checks |
//! | [`oauth`] | the OAuth protocol: requests to and responses from authorization servers |
//! | [`token`] | the life of a token: schedule, refresh, cache, store |
//! | [`login`] | the life of a login in a browser: attempt, redirect, exchange, outcome |
//! | [`proxy`] | the request path: admission, route, guard, token, forwarding |
//! | [`admin`] | the admin listener: health, metrics, status, login |
//! | [`config`] | the configuration file, from its keys to the settings of all modules above |
//! | [`app`] | the wiring of a configuration to a running sidecar |
//! | [`demo`] | an authorization server and an API to try things |
//! | [`cli`] | the command line |
//!
//! Where to find
//!
//! | question | place |
//! | --- | --- |
//! | Where does the process start and end? | `cli::run` (the story), `app` (the wiring) |
//! | Where is a connection accepted and served? | `server::accept`, `server::serve`, for all four listeners |
//! | Where are Host and origin checked? | `server::origin_guard` |
//! | Where is `Authorization` set? | `proxy::request` |
//! | Where is a 401 of the API handled? | `proxy::reauthorize` |
//! | Where is the time of a refresh decided? | `token::schedule` |
//! | Where is a token response parsed? | `oauth::response` |
//! | Where is the text of a 503 written? | `server::problem::kind` (type, title, status), `proxy::error` (detail) |
//! | Where is a configuration key added? | `config/keys.rs`; the header of `config.rs` lists every step |

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "a test aborts its tasks with its runtime, and may measure real time"
    )
)]

#[cfg(test)]
extern crate self as bearward;

pub mod clock;
pub mod secret;

pub mod forward_proxy;
pub mod telemetry;
pub mod tls;

pub mod oauth;
pub mod server;

pub mod token;

pub mod login;

pub mod proxy;

pub mod admin;

pub mod config;

pub mod app;

pub mod cli;
pub mod demo;
