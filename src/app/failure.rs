//! The failures of a sidecar as a whole, as the command line prints them.

use std::{io, sync::Arc};

use thiserror::Error;

use crate::{
    config::{Config, Problem, ProblemCode, Severity},
    server::address::ListenAddress,
    telemetry::traces::TraceError,
    token::store::StoreError,
};

/// The failure of a sidecar to start, or to end without a loss.
#[derive(Debug, Error)]
pub enum Failure {
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {error}; {owner}, or stop the program that listens there")]
    Listen {
        /// The address as configured.
        address: ListenAddress,
        /// The part of the configuration that needs it.
        owner: SocketOwner,
        /// The error of `bind`.
        #[source]
        error: io::Error,
    },
    /// The upstream of this route is one of the listeners, whose address showed when it was bound.
    #[error(
        "the `upstream` of route `{0}` is bearward itself: set it to the protected API, or let \
         systemd listen on another address"
    )]
    Loop(Arc<str>),
    /// The store cannot be used.
    #[error(transparent)]
    Store(StoreError),
    /// Logins of these providers could not be stored before the end.
    #[error("the login could not be stored before the end, and is lost: {}", .0.join(", "))]
    Lost(Vec<Arc<str>>),
    /// Traces cannot be exported.
    #[error(transparent)]
    Traces(TraceError),
    /// The system gives no thread, runtime or descriptor.
    #[error("cannot start a worker: {0}")]
    Worker(#[source] io::Error),
}

/// The part of the configuration that needs a socket. Its text names the key to change.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SocketOwner {
    /// A route.
    #[error("it is the address of route `{0}`: set `[routes.{0}] listen` to another one")]
    Route(Arc<str>),
    /// The admin listener, by its default address.
    #[error("it is the default address of the admin listener: set `[admin] listen` to another one")]
    DefaultAdmin,
    /// The admin listener.
    #[error("it is the address of the admin listener: set `[admin] listen` to another one")]
    Admin,
}

impl Failure {
    /// Turns the failure of a reload into a problem of the configuration that caused it.
    pub(super) fn into_problem(self, config: &Config) -> Problem {
        let (code, key, hint) = match &self {
            Self::Listen { address, .. } => {
                let mut routes = config.routes.iter();
                let route = routes.find(|route| route.listen == *address);
                (
                    ProblemCode::CannotListen,
                    route.map(|route| format!("routes.{}.listen", route.name)),
                    "use an address of this machine that is free; one that overlaps with a listener \
                     in service is free only after a reload without that listener",
                )
            }
            Self::Loop(route) => (
                ProblemCode::UpstreamLoop,
                Some(format!("routes.{route}.listen")),
                "set `upstream` to the protected API",
            ),
            Self::Store(_) => (
                ProblemCode::StoreUnusable,
                Some("store".to_owned()),
                "make the store usable, or name another one in [store]",
            ),
            Self::Lost(_) | Self::Worker(_) | Self::Traces(_) => (
                ProblemCode::ResourcesExhausted,
                None,
                "raise the descriptor limit of the process",
            ),
        };
        config.problem(
            (Severity::Error, code),
            key.as_deref(),
            self.to_string(),
            hint,
        )
    }
}
