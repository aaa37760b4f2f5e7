//! A failed attempt, as it is remembered and reported.

use std::{sync::Arc, time::SystemTime};

use super::{status::LastError, store::StoreError};
use crate::{
    help,
    oauth::error::{ErrorDescription, TokenRefusal, TokenRequestError},
};

/// The kind of every store failure.
const STORE: &str = "store";
/// The kind of a login that ends with its access token.
const NO_REFRESH_TOKEN: &str = "no_refresh_token";
/// The kind of a login that belongs to another client.
const OTHER_CLIENT: &str = "other_client";

/// The kinds of failures beside those of [`FaultKind`].
///
/// [`FaultKind`]: crate::oauth::error::FaultKind
pub(super) const OTHER_KINDS: [&str; 3] = [STORE, NO_REFRESH_TOKEN, OTHER_CLIENT];

/// Why an attempt failed.
#[derive(Clone, Debug)]
pub(super) struct AttemptFailure {
    refusal: Option<TokenRefusal>,
    needs_operator: bool,
    kind: &'static str,
    message: Arc<str>,
    /// The message without what clients must not see.
    public_message: Arc<str>,
    description: Option<ErrorDescription>,
    at: SystemTime,
}

impl AttemptFailure {
    /// Creates the failure of a token request.
    pub(super) fn of_request(error: &TokenRequestError, at: SystemTime) -> Self {
        Self {
            refusal: error.refusal(),
            needs_operator: error.refusal().is_some() || error.needs_change(),
            kind: error.kind(),
            message: error.for_operators().to_string().into(),
            public_message: error.to_string().into(),
            description: error.description().cloned(),
            at,
        }
    }

    /// Creates the failure of a store operation.
    pub(super) fn of_store(error: &StoreError, at: SystemTime) -> Self {
        Self {
            refusal: None,
            needs_operator: false,
            kind: STORE,
            message: error.to_string().into(),
            public_message: "the store of refresh tokens cannot be used".into(),
            description: None,
            at,
        }
    }

    /// Creates the failure to renew the token of a login that brought no refresh token.
    pub(super) fn no_refresh_token(provider: &str, at: SystemTime) -> Self {
        let message = format!(
            "the login brought no refresh token, so that its token cannot be renewed; run `bearward login {provider}` \
             for another"
        );
        Self {
            refusal: None,
            needs_operator: false,
            kind: NO_REFRESH_TOKEN,
            public_message: message.as_str().into(),
            message: message.into(),
            description: None,
            at,
        }
    }

    /// Creates the failure of a provider whose stored login belongs to another client.
    pub(super) fn other_client(provider: &str, at: SystemTime) -> Self {
        let message = format!(
            "the stored login belongs to a different token_endpoint or client_id; restore those, or run \
             `bearward login {provider}`"
        );
        Self {
            refusal: None,
            needs_operator: false,
            kind: OTHER_CLIENT,
            public_message: message.as_str().into(),
            message: message.into(),
            description: None,
            at,
        }
    }

    /// Returns the error with which the authorization server refused the client.
    pub(super) fn refusal(&self) -> Option<TokenRefusal> {
        self.refusal
    }

    /// Returns whether only an operator can resolve it: by a change to the client, its secret or its account.
    pub(super) fn needs_operator(&self) -> bool {
        self.needs_operator
    }

    /// Returns the stable word for the kind of failure, such as `connect` or `store`.
    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    /// Returns whether the store failed.
    pub(super) fn is_of_store(&self) -> bool {
        self.kind == STORE
    }

    /// Returns the message for clients, which holds no path of this machine.
    pub(super) fn public_message(&self) -> Arc<str> {
        self.public_message.clone()
    }

    /// Returns the failure as the status shows it to operators.
    pub(super) fn to_last_error(&self) -> LastError {
        LastError {
            kind: self.kind.into(),
            message: self.message.clone(),
            description: self
                .description
                .as_ref()
                .map(|description| description.as_str().into()),
            help: help::place(self.kind),
            at: self.at,
        }
    }
}
