//! The failures to ask a sidecar, each with its address and what to do.

use std::{fmt, time::Duration};

use http::StatusCode;
use serde_json::Value;

use super::KEY_VARIABLE;
use crate::{cli::terminal::printable, server::problem::ProblemKind};

/// Why the admin listener at one address gave no usable response.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) struct AdminError {
    /// Without a key.
    address: String,
    fault: AdminFault,
}

/// The kind of such a failure.
#[derive(Debug)]
pub(in crate::cli) enum AdminFault {
    /// Nothing listens there, or the connection broke.
    Unreachable(String),
    /// No response came in time.
    Timeout(Duration),
    /// The listener asks for its key, which is not known here.
    KeyRequired,
    /// The listener does not accept the key from this source.
    KeyRefused(KeySource),
    /// The listener does not prove the key, which only this sidecar has.
    Unproved,
    /// Other machines can reach the listener, and it has no key.
    Closed,
    /// The listener responds with another error.
    Refused {
        /// The status of the response.
        status: StatusCode,
        /// The `detail` of the problem; may be empty.
        detail: String,
    },
    /// The response is not one of an admin listener.
    NotASidecar,
}

/// The place that a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum KeySource {
    /// `[admin] key` of the configuration.
    Configuration,
    /// The environment.
    Environment,
    /// The address of the listener.
    Address,
}

impl AdminError {
    /// The error of `fault` at `address`, which holds no key.
    pub(super) fn new(address: String, fault: AdminFault) -> Self {
        Self { address, fault }
    }

    /// The kind of the failure.
    pub(in crate::cli) fn fault(&self) -> &AdminFault {
        &self.fault
    }
}

impl AdminFault {
    /// The fault of a response with another status than expected.
    pub(super) fn refused(status: StatusCode, problem: Option<&Value>) -> Self {
        let member = |name: &str| {
            let text = problem.and_then(|problem| problem[name].as_str());
            text.unwrap_or_default()
        };
        let word = member("type").strip_prefix("urn:bearward:");
        if status == StatusCode::FORBIDDEN && word == Some(ProblemKind::NotAllowed.word()) {
            return Self::Closed;
        }
        Self::Refused {
            status,
            detail: printable(member("detail")),
        }
    }
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, fault } = self;
        match fault {
            AdminFault::Unreachable(reason) => {
                write!(f, "no sidecar responds at {address}: {reason}")
            }
            AdminFault::Timeout(time) => {
                write!(f, "no response from {address} within {} s", time.as_secs())
            }
            AdminFault::KeyRequired => write!(
                f,
                "the sidecar at {address} asks for its key: put the value of its [admin] key into ${KEY_VARIABLE}"
            ),
            AdminFault::KeyRefused(KeySource::Environment) => write!(
                f,
                "the key in ${KEY_VARIABLE} is not the sidecar's at {address}: put the value of its [admin] key there"
            ),
            AdminFault::KeyRefused(KeySource::Configuration) => write!(
                f,
                "the [admin] key of the configuration is not the sidecar's at {address}: use the configuration that \
                 it runs with, and restart it if the key has changed"
            ),
            AdminFault::KeyRefused(KeySource::Address) => write!(
                f,
                "the key in the address is not the sidecar's at {address}: write its [admin] key there"
            ),
            AdminFault::Unproved => write!(
                f,
                "the server at {address} does not prove that it knows the key: it is another program, or a sidecar \
                 with another configuration; the key was not sent"
            ),
            AdminFault::Closed => write!(
                f,
                "the sidecar at {address} gives no status and allows no logins, because other machines can reach \
                 [admin] listen and [admin] key is not set: set a key, or listen on 127.0.0.1"
            ),
            AdminFault::Refused { status, detail } => {
                write!(f, "the sidecar at {address} responds {status} {detail}")
            }
            AdminFault::NotASidecar => {
                write!(f, "the server at {address} is not a bearward sidecar")
            }
        }
    }
}
