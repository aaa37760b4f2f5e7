//! The bounds of every listener.

use std::time::Duration;

/// `[limits]`: what every listener allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one listener at a time; further ones wait to be accepted.
    pub connections: usize,
    /// Requests in flight of one listener at a time; further ones wait.
    pub requests: usize,
    /// To the first byte, and from it to the end of the head.
    pub head_timeout: Duration,
    /// Bytes of a head.
    pub head_bytes: usize,
    /// Fields of a head.
    pub head_fields: usize,
    /// Bytes of the path, the query not counted.
    pub path_bytes: usize,
    /// The time that an idle connection is kept.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            requests: 1024,
            head_timeout: Duration::from_secs(10),
            head_bytes: 64 * 1024,
            head_fields: 100,
            path_bytes: 8 * 1024,
            keep_alive: Duration::from_secs(60),
        }
    }
}

/// `[drain]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// The time for requests in flight.
    pub timeout: Duration,
    /// The time for which readiness is off while connections are still accepted.
    pub lame_duck: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            lame_duck: Duration::ZERO,
        }
    }
}
