//! A failed attempt, as it is remembered and reported.

use std::{sync::Arc, time::SystemTime};

use super::{status::LastError, store::StoreError};
use crate::oauth::error::{ErrorDescription, TokenRefusal, TokenRequestError};

/// The kind of every store failure.
const STORE: &str = "store";

/// Why an attempt failed.
#[derive(Clone, Debug)]
pub(super) struct AttemptFailure {
    refusal: Option<TokenRefusal>,
    needs_operator: bool,
    kind: &'static str,
    message: Arc<str>,
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
            message: error.to_string().into(),
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
            kind: "no_refresh_token",
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
            kind: "other_client",
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
        if self.is_of_store() {
            "the store of refresh tokens cannot be used".into()
        } else {
            self.message.clone()
        }
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
            at: self.at,
        }
    }
}
