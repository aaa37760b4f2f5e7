//! The faults that a sidecar has to survive: each is a test of the built binary, which fails, tells and recovers.
//!
//! Of most faults a test shows the whole course. While the token in use is good, clients notice nothing. Then they get the
//! right status, problem type and `Retry-After`; status, readiness and metrics name the fault; its attempts are few. When
//! it is over, everything works again: no login is lost, and the API never saw an expired token.
//!
//! | fault | clients get | operators see | tests |
//! | --- | --- | --- | --- |
//! | **authorization server** refuses connections | 503 `token-unavailable` | `connect` | [`authorization_server`], [`outage`] |
//! | is slow | 200, later: one token request for all | | [`authorization_server`] |
//! | says nothing, stalls within head or body, sends byte by byte | 503 | `timeout` | [`authorization_server`] |
//! | cuts the connection within head or body, speaks no HTTP | 503 | `protocol` | [`authorization_server`] |
//! | responds with 500 | 503 | `server` | [`authorization_server`] |
//! | limits requests (429; 503 with `Retry-After`) | 503 with that `Retry-After`, at most 300 | `limited`, `server` | [`authorization_server`] |
//! | responds with a page, truncated JSON, more than 1 MiB | 503 | `not_a_token` | [`authorization_server`] |
//! | responds with 200 and an `error` | 503 | `rejected` | [`authorization_server`] |
//! | redirects elsewhere | 503; the secret goes nowhere else | `redirect` | [`authorization_server`] |
//! | has a certificate for another name, of an unknown authority, or an expired one | 503; nothing is sent | `tls` | [`authorization_server`] |
//! | is one dead server beside healthy ones | 503 on its routes, 200 on the others | its provider alone | [`authorization_server`] |
//! | loses the response to a refresh, ends a login, refuses the client | | | `tests/it/refresh_tokens.rs`, `logins.rs`, `token_response.rs` |
//! | **upstream** refuses connections, comes back | 502 `upstream-unreachable` | ready | [`upstream`] |
//! | is a black hole | 504 `upstream-timeout` after `timeouts.connect` | ready | [`upstream_network`] |
//! | has a certificate that is not trusted, or speaks no TLS | 502 `upstream-tls` | ready | [`upstream`] |
//! | sends its head byte by byte, or never | 504 `upstream-timeout` | ready | [`upstream_network`], [`upstream`] |
//! | sends its body byte by byte | 200, for as long as it moves; a stall is cut | ready | [`upstream_network`], [`upstream`] |
//! | cuts before or within the head | 502 `upstream-protocol` | ready | [`upstream_network`] |
//! | cuts within the body | a cut, never a clean end | ready | [`upstream_network`] |
//! | talks garbage, smuggles responses | 502 `upstream-protocol` or a cut | ready | [`garbage`], [`upstream`] |
//! | refuses every token (401) | its 401, after one renewal | ready | [`upstream_network`], `tests/it/refused_token.rs` |
//! | breaks HTTP/2 | 502 or RST_STREAM | ready | `tests/it/upstream_http2_failures.rs` |
//! | **name** of the authorization server is not found | 503 `token-unavailable` | `dns` | [`names`] |
//! | of the upstream is not found, is found later | 502 `upstream-unreachable`, 200 | ready | [`names`] |
//! | moves to another address | 200: pooled connections are used while they last | ready | [`names`] |
//! | is asked for at a silent name server | 504 `upstream-timeout`; other routes 200 | ready | [`names`] |
//! | **time of day** jumps by hours, between starts too | 200 | ready | [`clocks`] |
//! | process stopped for longer than a token lives | 200 with a new token, or 503 and soon 200 | ready | [`clocks`], `tests/it/expired_token.rs` |
//! | **store** on a full volume, a read-only one, one without inodes | 503 `token-unavailable` once the token ends; nothing is spent | `store` | [`volume`] |
//! | record corrupt, foreign, a link, readable by others; folder unusable; file too large | 503; the others 200 | `store` | `tests/it/store.rs` |
//! | process killed at any instant, two processes on one store | no login is lost | | `tests/it/killed.rs`, `shared_store.rs` |
//! | **descriptors** used up by connections | connections wait; renewals, probes and the store go on | ready | [`resources`], `tests/it/descriptors.rs` |
//! | **memory** limited by a control group, large bodies | 200 | ready | [`resources`] |
//!
//! Some tests need mounts of their own (root or user namespaces), a control group, port 53 or `faketime`. Where the machine
//! does not permit that, the test passes, and writes `NOT RUN` with the reason to standard error.

#![allow(
    clippy::disallowed_methods,
    reason = "a test aborts its tasks with its runtime, and may measure real time"
)]
#![allow(unreachable_pub, reason = "nothing is outside of a test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "faults/authorization_server.rs"]
mod authorization_server;
#[path = "faults/clocks.rs"]
mod clocks;
#[path = "faults/garbage.rs"]
mod garbage;
#[path = "faults/isolation.rs"]
mod isolation;
#[path = "faults/names.rs"]
mod names;
#[path = "faults/outage.rs"]
mod outage;
#[path = "faults/resources.rs"]
mod resources;
#[path = "faults/upstream.rs"]
mod upstream;
#[path = "faults/upstream_network.rs"]
mod upstream_network;
#[path = "faults/volume.rs"]
mod volume;
#[path = "faults/world.rs"]
mod world;

/// The tools of `tests/it`, in the place where they find each other.
#[path = "it"]
mod it {
    #![allow(
        dead_code,
        unused_imports,
        reason = "these tests use a part of the tools"
    )]
    pub mod support;
}
use it::support;
