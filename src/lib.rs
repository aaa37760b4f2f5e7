//! bearward: an authenticating reverse-proxy sidecar.
//!
//! The modules in their layers, lowest first. A module uses those of earlier rows only, which `tests/layers.rs` checks.
//!
//! | module | owns |
//! | --- | --- |
//! | [`help`] | the place of an error in the documentation |
//! | [`regular_file`] | files that are read without waiting for a pipe's writer |
//! | [`secret`] | secrets: redacted in `Debug`, compared in constant time, reloaded from files |
//! | [`clock`] | time, which tests control |
//! | [`telemetry`] | log, access log, metrics and traces |
//! | [`tls`] | trust anchors, client certificates and the TLS client |
//! | [`forward_proxy`] | the HTTP proxy that outgoing connections go through |
//! | [`server`] | listeners, connections, the one HTTP server, own error responses, Host and origin checks |
//! | [`oauth`] | the OAuth protocol: requests to and responses from authorization servers, with their deviations |
//! | [`token`] | the life of a token: schedule, refresh, cache, store |
//! | [`login`] | the life of a login: attempt, redirect, device code, exchange, outcome |
//! | [`notify`] | notifications of lost logins, by a command or a URL |
//! | [`proxy`] | the request path: admission, route, guard, token, forwarding |
//! | [`admin`] | the admin listener: health, metrics, status, login |
//! | [`config`] | the configuration file, presets and variables, from keys to the settings of all modules above |
//! | [`app`] | the wiring of a configuration to a running sidecar |
//! | [`doctor`] | the diagnosis of a provider by its real token request |
//! | [`demo`] | an authorization server and an API to try things |
//! | [`cli`] | the command line |
//!
//! Where to find
//!
//! | question | place |
//! | --- | --- |
//! | Where does the process start and end? | `cli::run` (the story), `app` (the wiring) |
//! | Where does a configuration take effect, at the start and at a reload? | `app::running` |
//! | Where is a connection accepted and served? | `server::accept`, `server::serve`, for all four listeners |
//! | Where do the sockets of systemd come from? | `server::inherited` |
//! | Where are Host and origin checked? | `server::origin_guard` |
//! | Where is `[admin] key` checked, and proved? | `admin::admission`, `server::key_proof` |
//! | Where is `Authorization` set? | `proxy::request` |
//! | Where is a 401 of the API handled? | `proxy::reauthorize` |
//! | Where is the time of a refresh decided? | `token::schedule` |
//! | Where is a token request built? | `oauth::grant` (its parameters), `oauth::client_auth`, `oauth::request` (all of it) |
//! | Where is a token response parsed? | `oauth::response` |
//! | Where is a JWT signed? | `oauth::assertion` |
//! | Where is a variable in braces replaced? | `config::variables` (those of `vars`), `oauth::variables` (those of run time) |
//! | Where is it decided which hosts may get a token? | `oauth::provider::EndpointUrl`, `oauth::provider::HostList` |
//! | Where does the API's address come from? | `oauth::response::api_base`, `proxy::upstream::route_upstream` |
//! | Where are `[api]` headers and parameters added? | `proxy::api` |
//! | Where is an HTTP proxy used? | `oauth::endpoint::http_client`, `proxy::upstream::dial` |
//! | Where is a vendor described? | `config/presets/NAME.toml`; no code knows one |
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

pub mod help;
pub mod regular_file;

pub mod clock;
pub mod secret;

pub mod forward_proxy;
pub mod telemetry;
pub mod tls;

pub mod oauth;
pub mod server;

pub mod token;

pub mod login;

pub mod notify;

pub mod proxy;

pub mod admin;

pub mod config;

pub mod app;

pub mod doctor;

pub mod cli;
pub mod demo;
