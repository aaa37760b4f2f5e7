//! Faults: each one test against the built binary.

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
