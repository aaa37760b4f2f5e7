//! A login at a device authorization endpoint (RFC 8628): polls until the person has decided.

use std::sync::Arc;

use thiserror::Error;

use super::exchange::{ExchangeError, TokenReceiver};
use crate::{
    clock::Clock,
    oauth::{
        device::{DeviceAuthorization, PollError},
        endpoint::TokenEndpoint,
        error::ErrorDescription,
    },
};

/// Why a device authorization brought no login that lasts.
#[derive(Debug, Error)]
pub enum DeviceLoginError {
    /// The person declined, or was too late.
    #[error(transparent)]
    Ended(PollError),
    /// The request failed, or the login cannot be stored.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

impl DeviceLoginError {
    /// Returns the authorization server's description of its error.
    pub fn description(&self) -> Option<&ErrorDescription> {
        match self {
            Self::Exchange(error) => error.description(),
            Self::Ended(error) => error.description(),
        }
    }
}

/// Waits until the person has confirmed `device`, and gives the tokens to `receiver`.
///
/// The store is locked for each poll alone: a sidecar beside this process refreshes its tokens in between.
///
/// # Errors
/// See [`DeviceLoginError`].
pub async fn confirm(
    receiver: TokenReceiver<'_>,
    endpoint: &TokenEndpoint,
    clock: Arc<dyn Clock>,
    mut device: DeviceAuthorization,
) -> Result<(), DeviceLoginError> {
    let expires_at = clock.now() + device.lifetime;
    while clock.now() < expires_at {
        clock.sleep_until(clock.now() + device.interval).await;
        // The code is spent by the poll that succeeds.
        let prepared = receiver.prepare().await?;
        match device.poll(endpoint).await {
            Ok(issued) => return Ok(receiver.complete(prepared, issued).await?),
            Err(PollError::Pending) => {}
            Err(PollError::Request(error)) => return Err(ExchangeError::Request(error).into()),
            Err(error) => return Err(DeviceLoginError::Ended(error)),
        }
    }
    Err(DeviceLoginError::Ended(PollError::Expired))
}

#[cfg(test)]
mod tests;
