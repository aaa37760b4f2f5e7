//! A credential as people and machines are shown it.

use std::{sync::Arc, time::SystemTime};

/// `state` of `/api/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialState {
    /// The first token is being fetched.
    Pending,
    /// There is a usable token.
    Ready,
    /// No usable token, retrying.
    Failing,
    /// A person has to log in.
    LoginRequired,
    /// The authorization server refuses this client.
    Refused,
}

impl CredentialState {
    /// The word in the status answer.
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

/// What went wrong last; gone after a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// A short stable word, such as `connect`, `timeout`, `invalid_client`, `store`.
    pub kind: Arc<str>,
    /// For people; never holds a secret.
    pub message: Arc<str>,
    /// When.
    pub at: SystemTime,
}

/// A credential as the admin endpoints show it.
#[derive(Clone, Debug)]
pub struct CredentialStatus {
    /// See [`CredentialState`].
    pub state: CredentialState,
    /// `grant_type` of the provider.
    pub grant_type: &'static str,
    /// The end of the token in hand, by the time of day.
    pub expires_at: Option<SystemTime>,
    /// When the next request for a token is due: the renewal, jitter included, or the next attempt after a failure.
    pub refresh_at: Option<SystemTime>,
    /// Whether a refresh token is kept.
    pub has_refresh_token: bool,
    /// Requests made to the token endpoint since the start.
    pub token_requests: u64,
    /// See [`LastError`].
    pub last_error: Option<LastError>,
}
