//! The failures of `bearward login`, with what to do about each.

use std::io;

use crate::{
    cli::admin_client::AdminError,
    login::{ExchangeError, LOGIN_TIMEOUT, StoreIdentity, device::DeviceLoginError},
    oauth::{
        authorization::CallbackError,
        error::{ErrorDescription, TokenRequestError},
        redirect_uri::RedirectUri,
    },
    token::store::StoreError,
};

/// The failure of a login.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    /// The provider has no login in a browser.
    #[error("no login is possible: {0}")]
    NotSupported(String),
    /// The store is this process's memory.
    #[error(
        "the configuration keeps logins in memory ([store] kind), where no other process finds this one; \
         open /login/ on the admin listener of the sidecar instead"
    )]
    StoreInMemory,
    /// The store is this process's memory, and no sidecar can take such a login.
    #[error(
        "the configuration keeps logins in memory ([store] kind), so that this one would end with the command; \
         configure a store on disk"
    )]
    NotKept,
    /// The sidecar keeps its login in memory and had one before.
    #[error(
        "the sidecar has a login already and keeps it in memory, so whether another one comes cannot be seen from \
         here; the browser shows it"
    )]
    NotObservable,
    /// A sidecar has the address of the callback, and gives no status.
    #[error("{0}. Or log in with --paste, which asks no sidecar for the login")]
    Sidecar(#[source] AdminError),
    /// That sidecar runs with another configuration.
    #[error(
        "the sidecar that has the address of redirect_uri runs with another configuration than this one: it {0}; \
         restart it with this one, or log in with --paste"
    )]
    OtherConfiguration(&'static str),
    /// A running sidecar keeps its logins elsewhere, where it would not find this one.
    #[error(
        "the sidecar at {sidecar} keeps its logins in {theirs}, this configuration in {ours}, so it would not find \
         this one: log in with the sidecar's configuration, user and environment (of a systemd unit, STATE_DIRECTORY), \
         or make `path` in [store] the same and restart it"
    )]
    OtherStore {
        /// The address of its admin listener.
        sidecar: String,
        theirs: Box<StoreIdentity>,
        ours: Box<StoreIdentity>,
    },
    /// That sidecar has ended.
    #[error(
        "the sidecar that was to receive the login has ended, and the login with it if it was under way; \
         run the command again"
    )]
    SidecarEnded,
    #[error(
        "cannot listen on the address of redirect_uri {}: {error}; with --paste nothing has to listen there",
        uri.as_str()
    )]
    Listen {
        uri: RedirectUri,
        #[source]
        error: io::Error,
    },
    #[error(
        "no login came within {} minutes: if the browser showed an error, that says why; run the command again",
        LOGIN_TIMEOUT.as_secs() / 60
    )]
    Timeout,
    /// The person ended the wait.
    #[error("interrupted: nothing was changed")]
    Interrupted,
    /// The address with which the login begins was pasted.
    #[error(
        "this is the address that you opened: log in there, and paste the one that it led to in the end"
    )]
    OpenedAddress,
    /// The address of another login was pasted.
    #[error(
        "this is not the response to the login just started: paste the address that the browser ended up at, of this \
         attempt"
    )]
    OtherAttempt,
    #[error("standard input: {0}")]
    StandardInput(#[source] io::Error),
    #[error(transparent)]
    Callback(CallbackError),
    #[error(transparent)]
    Exchange(ExchangeError),
    #[error(transparent)]
    Device(DeviceLoginError),
    #[error("{}", .0.for_operators())]
    Request(TokenRequestError),
    #[error(transparent)]
    Store(StoreError),
    #[error(transparent)]
    System(io::Error),
}

impl LoginError {
    /// Whether a person who pasted something else may paste again.
    pub(super) fn is_misplaced_paste(&self) -> bool {
        match self {
            Self::OpenedAddress | Self::OtherAttempt | Self::StandardInput(_) => true,
            Self::Callback(error) => {
                !matches!(error, CallbackError::Denied { .. } | CallbackError::Issuer)
            }
            _ => false,
        }
    }

    /// Returns the authorization server's description of its error.
    pub(super) fn description(&self) -> Option<&ErrorDescription> {
        match self {
            Self::Callback(error) => error.description(),
            Self::Exchange(error) => error.description(),
            Self::Device(error) => error.description(),
            Self::Request(error) => error.description(),
            _ => None,
        }
    }
}
