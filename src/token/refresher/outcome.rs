//! The outcome of one attempt to acquire a token.

use crate::{
    clock::BootInstant,
    oauth::error::TokenRequestError,
    token::{access_token::AccessToken, store::StoreError},
};

/// The outcome of a successful attempt.
pub(super) enum AttemptOutcome {
    /// The token endpoint issued a token.
    Issued {
        token: AccessToken,
        /// Why its refresh token is only in memory.
        unsaved: Option<StoreError>,
    },
    /// The store holds a usable token: of an earlier run, or of another process.
    Stored(AccessToken),
    /// The current token stays.
    Unchanged,
    /// A person has to log in.
    LoginRequired {
        reason: LoginReason,
        /// A usable token of the login that ended.
        last: Option<AccessToken>,
        /// When the refresh token is tried again, unless it was refused for good.
        retry_at: Option<BootInstant>,
    },
    /// The current token is good and stays; it cannot be renewed without a login.
    NotRenewable,
}

/// Why a person has to log in.
pub(super) enum LoginReason {
    /// There was no login, or it brought no refresh token.
    Missing,
    /// The login was ended by a logout.
    LoggedOut,
    /// The authorization server refused the refresh token: for good, or so often that it seems so.
    Refused(TokenRequestError),
    /// The refresh token belongs to another client or server.
    OtherClient,
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    /// The token request failed.
    #[error("{}", .0.for_operators())]
    Request(TokenRequestError),
    /// The sign-in, or the exchange of its code, failed.
    #[error("{}", .0.for_operators())]
    SignIn(TokenRequestError),
    /// The store cannot be used.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The refresher was asked to end before anything was requested.
    #[error("the refresher was asked to end")]
    Stopped,
}

impl AttemptError {
    /// Returns the authorization server's description of the error, for operators.
    pub(super) fn description(&self) -> Option<&str> {
        match self {
            Self::Request(error) | Self::SignIn(error) => error.description_text(),
            Self::Store(_) | Self::Stopped => None,
        }
    }
}
