//! A provider's stored grant: the refresh token with its record, in memory and in the store.
//!
//! A task that spends or replaces a refresh token holds the store's lock from reading the record to replacing it, so
//! that no two processes spend the same one. A record that could not be written stays in use in memory, and keeps the
//! lock: no other process may spend the refresh token before it.

mod binding;
mod blocking;
mod life;
mod locked;
mod login;
mod next_record;
mod refresh_input;
mod state;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::Mutex;

pub(super) use self::binding::belongs_to;
pub use self::login::{PreparedLogin, RecordedLogin};
use self::state::{GrantContext, GrantState};
pub(super) use self::{locked::LockedGrant, refresh_input::RefreshInput};
use super::{
    access_token::AccessToken,
    store::{Store, StoreError},
};
use crate::{
    clock::Clock, oauth::provider::Provider, secret::Secret, telemetry::metrics::ProviderMetrics,
};

/// The number of tries for the last write before exit.
const MAX_EXIT_WRITES: u32 = 5;
/// The pause between two of those tries.
const EXIT_WRITE_INTERVAL: Duration = Duration::from_millis(500);

/// One provider's grant, in memory and in the store. It needs no refresher: `bearward login` uses it alone.
pub struct StoredGrant {
    context: GrantContext,
    state: Mutex<GrantState>,
}

/// The result of a check of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreCheck {
    /// Nothing new.
    Unchanged,
    /// Something else: another process refreshed, logged in or logged out.
    Changed,
    /// Nothing new, and what could not be written before is written now.
    Saved,
}

impl StoredGrant {
    /// Creates the grant of `provider` that `store` keeps. Nothing is read yet.
    pub fn new(provider: Arc<Provider>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            context: GrantContext::new(provider, store, clock),
            state: Mutex::default(),
        }
    }

    /// Shows the end of the login in `metrics`.
    pub(super) fn with_metrics(mut self, metrics: Arc<ProviderMetrics>) -> Self {
        self.context.set_metrics(metrics);
        self
    }

    /// Locks the grant and reserves room for a login, before its code is spent.
    ///
    /// No other task or process can change the grant until the result is dropped.
    ///
    /// # Errors
    /// The store cannot be used: then the code must not be spent.
    pub async fn prepare_login(&self) -> Result<PreparedLogin<'_>, StoreError> {
        let mut grant = self.lock().await?;
        grant.reload().await?;
        grant.reserve().await?;
        Ok(PreparedLogin::new(&self.context, grant))
    }

    /// Prepares and records a login, as a command does that ends then.
    #[cfg(test)]
    pub(super) async fn log_in(
        &self,
        issued: crate::oauth::response::Issued,
    ) -> Result<Option<AccessToken>, StoreError> {
        let issued = crate::oauth::response::Issued {
            requested_at: self.context.clock.now(),
            ..issued
        };
        let login = self.prepare_login().await?.record(issued).await;
        login.unsaved.map_or(Ok(login.token), Err)
    }

    /// Ends the login, here and in the store.
    ///
    /// Returns its refresh token, so that it can be revoked (RFC 7009).
    ///
    /// # Errors
    /// The store cannot be used; then nothing has changed.
    pub async fn log_out(&self) -> Result<Option<Secret>, StoreError> {
        let mut grant = self.lock().await?;
        grant.reload().await?;
        grant.clear().await
    }

    /// Writes a refresh token that is only in memory. Tries five times within two seconds, beside the disk's time.
    ///
    /// # Errors
    /// It cannot be written: the login is lost with the process.
    pub async fn save_before_exit(&self) -> Result<(), StoreError> {
        let mut tries = 0;
        loop {
            let Err(error) = self.save_refresh_token().await else {
                return Ok(());
            };
            tries += 1;
            if tries == MAX_EXIT_WRITES {
                return Err(error);
            }
            let clock = &self.context.clock;
            clock.sleep_until(clock.now() + EXIT_WRITE_INTERVAL).await;
        }
    }

    /// Returns whether the record last read has a refresh token that was not refused.
    pub fn has_refresh_token(&self) -> bool {
        self.context.has_refresh_token()
    }

    /// Returns the earliest known end of the login in the record last read.
    pub fn login_expires_at(&self) -> Option<SystemTime> {
        self.context.login_expires_at()
    }

    /// Returns when a person should log in again, since the login ends and no refresh extends it.
    pub fn login_due_at(&self) -> Option<SystemTime> {
        self.context.login_due_at()
    }

    /// Locks the grant for this task and process.
    ///
    /// Waits for another task, then for another process, as long as a token request of theirs may take in each case.
    ///
    /// # Errors
    /// The lock was not released in time, or the store cannot be used.
    pub(super) async fn lock(&self) -> Result<LockedGrant<'_>, StoreError> {
        let state = tokio::time::timeout(self.context.lock_timeout(), self.state.lock())
            .await
            .map_err(|_| StoreError::Locked)?;
        let mut grant = LockedGrant::new(&self.context, state);
        grant.acquire_lock().await?;
        Ok(grant)
    }

    /// Loads the access token from the store, if it may be used as it is. Takes no lock.
    ///
    /// # Errors
    /// The record cannot be read.
    pub(super) async fn load_access_token(&self) -> Result<Option<AccessToken>, StoreError> {
        let mut state = self.state.lock().await;
        let stored = self.context.load_record().await?;
        state.stored.clone_from(&stored);
        state.record = stored;
        self.context.show_login(&state);

        let record = state
            .record
            .as_ref()
            .filter(|record| !record.refused && !self.context.is_reconfigured(record));
        Ok(record.and_then(|record| self.context.usable_access_token(record)))
    }

    /// Removes the access token `refused` from the record, so that no start restores it. Waits for no store lock.
    ///
    /// A record that another process has changed since is left alone: the next check of the store finds the change, and
    /// the attempt that follows removes the token too.
    ///
    /// # Errors
    /// It cannot be written, or another process holds the lock. The refresh token stays.
    pub(super) async fn withdraw_access_token(&self, refused: &Secret) -> Result<(), StoreError> {
        let state = self.state.lock().await;
        if !state
            .record
            .as_ref()
            .is_some_and(|record| record.has_access(refused))
        {
            return Ok(());
        }
        let mut grant = LockedGrant::new(&self.context, state);
        if grant.is_unsaved() {
            return grant.withdraw_access_token(refused).await;
        }
        if !grant.try_acquire_lock().await? {
            return Err(StoreError::Locked);
        }
        if grant.is_up_to_date().await? {
            grant.withdraw_access_token(refused).await
        } else {
            Ok(())
        }
    }

    /// Checks whether the store holds something new, and writes what could not be written before.
    ///
    /// # Errors
    /// The record cannot be read or written; the one in use stays in use.
    pub(super) async fn check_store(&self) -> Result<StoreCheck, StoreError> {
        let mut state = self.state.lock().await;
        if state.is_unsaved() {
            if state.lock.is_none() {
                // The lock was lost to a disk that hangs. Locking the grant acquires it again and reads first.
                return Ok(StoreCheck::Changed);
            }
            LockedGrant::new(&self.context, state).save().await?;
            return Ok(StoreCheck::Saved);
        }

        let stored = self.context.load_record().await?;
        if stored == state.stored {
            return Ok(StoreCheck::Unchanged);
        }
        match (&stored, &state.stored) {
            // The upstream of another process refused the access token: there is nothing to adopt or to request.
            (Some(now), Some(before)) if now.only_lost_access(before) => {
                state.record.clone_from(&stored);
                state.stored = stored;
                self.context.show_login(&state);
                Ok(StoreCheck::Unchanged)
            }
            _ => Ok(StoreCheck::Changed),
        }
    }

    async fn save_refresh_token(&self) -> Result<(), StoreError> {
        let state = self.state.lock().await;
        if !self.context.is_refresh_token_unsaved(&state) {
            return Ok(());
        }
        let mut grant = LockedGrant::new(&self.context, state);
        if grant.has_lock() {
            return grant.save().await;
        }
        grant.acquire_lock().await?;
        grant.reload().await
    }
}

impl fmt::Debug for StoredGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredGrant")
            .field("provider", &self.context.provider.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
