//! A credential as the status shows it to people and machines.

use std::{sync::Arc, time::SystemTime};

use super::attempt_failure::OTHER_KINDS;
use crate::oauth::error::FaultKind;

/// A credential as the admin endpoints show it.
#[derive(Clone, Debug)]
pub struct CredentialStatus {
    /// The state.
    pub state: CredentialState,
    /// The provider's `grant_type`.
    pub grant_type: String,
    /// When the current token was requested.
    pub renewed_at: Option<SystemTime>,
    /// When the current token expires according to the authorization server; `None` if never.
    pub expires_at: Option<SystemTime>,
    /// When the next token request is due, jitter included: the refresh, or the next attempt after a failure.
    pub refresh_at: Option<SystemTime>,
    /// Whether a token request is in flight.
    pub is_refreshing: bool,
    /// Whether a refresh can bring another token without a login.
    pub can_refresh: bool,
    /// Whether there is a refresh token.
    pub has_refresh_token: bool,
    /// The earliest end of the login that is known.
    pub login_expires_at: Option<SystemTime>,
    /// Whether a person has to log in, even while the current token is still good.
    pub login_required: bool,
    /// The number of requests to the token endpoint since the start.
    pub token_requests: u64,
    /// The last error, until a success.
    pub last_error: Option<LastError>,
}

/// The member `state` of `/api/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialState {
    /// The first token is being requested.
    Pending,
    /// There is a usable token.
    Ready,
    /// There is no usable token, and attempts go on.
    Failing,
    /// A person has to log in.
    LoginRequired,
    /// The authorization server refuses this client.
    Refused,
}

impl CredentialState {
    /// Returns the word in the status response.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Failing => "failing",
            Self::LoginRequired => "login_required",
            Self::Refused => "refused",
        }
    }
}

/// The login as an operator has to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginCondition {
    /// Nothing is to be done.
    Good,
    /// It ends soon, and no refresh extends it.
    Due,
    /// A person has to log in.
    Required,
}

/// The member `last_error` of `/api/status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// A short stable word, such as `connect`, `timeout`, `invalid_client` or `store`.
    pub kind: Arc<str>,
    /// The message for people. It holds no secret.
    pub message: Arc<str>,
    /// The authorization server's description of the error, for operators. It holds no secret of ours.
    pub description: Option<Arc<str>>,
    /// Where the documentation explains it.
    pub help: String,
    /// When it happened, as time of day.
    pub at: SystemTime,
}

impl LastError {
    /// Lists every word that may be a kind.
    pub fn kinds() -> impl Iterator<Item = &'static str> {
        FaultKind::all().map(FaultKind::as_str).chain(OTHER_KINDS)
    }
}
