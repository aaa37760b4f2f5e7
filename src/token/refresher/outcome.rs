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
        requested_at: BootInstant,
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
    },
}

/// Why a person has to log in.
pub(super) enum LoginReason {
    /// There was no login, or it brought no refresh token.
    Missing,
    /// The login was ended by a logout.
    LoggedOut,
    /// The authorization server refused the refresh token.
    Refused(TokenRequestError),
    /// The refresh token belongs to another client or server.
    OtherClient,
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    /// The token request failed.
    #[error("{0}")]
    Request(TokenRequestError),
    /// The sign-in, or the exchange of its code, failed.
    #[error("{0}")]
    SignIn(TokenRequestError),
    /// The store cannot be used.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The refresher was asked to end before anything was requested.
    #[error("the refresher was asked to end")]
    Stopped,
}
