//! The exchange of a login's code for tokens, and their storage (RFC 6749 §4.1.3).

use std::sync::Arc;

use crate::{
    clock::Clock,
    oauth::{
        self,
        authorization::{self, Attempt, Authorized},
        endpoint::TokenEndpoint,
        error::{ErrorDescription, TokenRefusal, TokenRequestError},
        provider::{GrantType, Provider},
        response::Issued,
    },
    token::{
        credential::Credential,
        grant::{PreparedLogin, RecordedLogin, StoredGrant},
        store::StoreError,
    },
};

/// Warns of a login without a refresh token, and says what to do.
const WITHOUT_REFRESH_TOKEN: &str = "the login brought no refresh token, so that it ends with its access token and \
     cannot be kept alive, and any earlier one is not kept either; ask the authorization server for one (scope offline_access, \
     or authorization.params access_type = \"offline\" and prompt = \"consent\") and log in again";

/// The recipient of a login's tokens.
#[derive(Clone, Copy, Debug)]
pub enum TokenReceiver<'a> {
    /// A credential in use, which publishes the access token at once.
    Credential(&'a Credential),
    /// The store alone, for a process that ends after the login.
    Store(&'a StoredGrant),
}

/// Why a code brought no login that lasts.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The store cannot be used; the code was not spent.
    #[error(transparent)]
    Store(StoreError),
    /// The authorization server does not accept the code.
    #[error(
        "the authorization server does not accept this code (invalid_grant): it is wrong, was used before, is too old, \
         or was issued for another redirect_uri; log in again"
    )]
    Code(#[source] TokenRequestError),
    /// The authorization server gave no token.
    #[error("{}", .0.for_operators())]
    Request(TokenRequestError),
    /// The login is in use, but in memory only.
    #[error("the login is in use, but cannot be stored: {0}")]
    NotStored(StoreError),
    /// The login was issued, but could not be stored before the process ends.
    #[error("the login was issued, but could not be stored, and is lost: {0}")]
    Lost(StoreError),
    /// The login is stored, but ends with its access token.
    #[error("{WITHOUT_REFRESH_TOKEN}")]
    WithoutRefreshToken,
}

impl ExchangeError {
    /// Returns the authorization server's description of its error. It is for operators, and never for clients.
    pub fn description(&self) -> Option<&ErrorDescription> {
        match self {
            Self::Code(error) | Self::Request(error) => error.description(),
            _ => None,
        }
    }
}

/// Exchanges the code that `attempt` brought, and gives the tokens to `receiver`.
///
/// Cancellation between the request and its response loses the login; clients run this in a task of its own.
///
/// # Errors
/// See [`ExchangeError`]; with `NotStored` and `WithoutRefreshToken` there is a login all the same.
pub async fn exchange_code(
    receiver: TokenReceiver<'_>,
    provider: &Arc<Provider>,
    clock: Arc<dyn Clock>,
    attempt: &Attempt,
    authorized: &Authorized,
) -> Result<(), ExchangeError> {
    // The store is locked and proven writable before the code is spent, which is valid once.
    let prepared = receiver.prepare().await?;
    let endpoint = TokenEndpoint::new(provider.clone(), clock);
    // Boxed: its future is large.
    let exchange = Box::pin(authorization::exchange(&endpoint, attempt, authorized));
    let issued = match receiver {
        TokenReceiver::Credential(credential) => {
            let grant_type = GrantType::AuthorizationCode.as_str();
            credential.count_request(grant_type, exchange).await
        }
        // A process that ends after the login has no metrics.
        TokenReceiver::Store(_) => exchange.await,
    };
    let issued = issued.map_err(|error| match error.refusal() {
        Some(TokenRefusal::InvalidGrant) => ExchangeError::Code(error),
        _ => ExchangeError::Request(error),
    })?;
    receiver.complete(prepared, issued).await
}

/// Signs in with the configured account, and gives the tokens to `receiver`.
///
/// # Errors
/// As [`exchange_code`].
pub async fn sign_in(
    receiver: TokenReceiver<'_>,
    provider: &Arc<Provider>,
    clock: Arc<dyn Clock>,
) -> Result<(), ExchangeError> {
    let prepared = receiver.prepare().await?;
    let endpoint = TokenEndpoint::new(provider.clone(), clock);
    let issued = oauth::sign_in::sign_in(&endpoint).await;
    let issued = issued.map_err(ExchangeError::Request)?;
    receiver.complete(prepared, issued).await
}

impl<'a> TokenReceiver<'a> {
    pub(super) async fn prepare(self) -> Result<PreparedLogin<'a>, ExchangeError> {
        let prepared = match self {
            Self::Credential(credential) => credential.prepare_login().await,
            Self::Store(login) => login.prepare_login().await,
        };
        prepared.map_err(ExchangeError::Store)
    }

    /// Records a login.
    pub(super) async fn complete(
        self,
        mut prepared: PreparedLogin<'a>,
        issued: Issued,
    ) -> Result<(), ExchangeError> {
        let stored = match self {
            Self::Credential(credential) => credential.complete_login(prepared, issued).await,
            Self::Store(login) => {
                let stored = prepared.record(issued).await;
                drop(prepared);
                if stored.unsaved.is_some() {
                    let saved = login.save_before_exit().await;
                    saved.map_err(ExchangeError::Lost)?;
                }
                RecordedLogin {
                    unsaved: None,
                    ..stored
                }
            }
        };
        match stored {
            RecordedLogin {
                unsaved: Some(error),
                ..
            } => Err(ExchangeError::NotStored(error)),
            RecordedLogin { is_short: true, .. } => Err(ExchangeError::WithoutRefreshToken),
            RecordedLogin { .. } => Ok(()),
        }
    }
}
