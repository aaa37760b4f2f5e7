//! Exclusive access to a provider's stored grant, from reading it to replacing it.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::MutexGuard;

use super::{
    binding::{client_digest, new_login_id},
    blocking::run_blocking,
    next_record::{next_generation, next_record, taken_with},
    refresh_input::RefreshInput,
    state::{GrantContext, GrantState},
};
use crate::{
    oauth::{api_context::ApiContext, response::Issued},
    secret::Secret,
    token::{
        access_token::AccessToken,
        schedule::RenewalPolicy,
        store::{Lock, Record, StoreError, millis_since_1970},
    },
};

/// The pause between two tries for a lock that another holder has.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Exclusive access to a provider's stored grant. Holds the store's lock from read to write.
///
/// No other task changes the grant meanwhile, and by the lock no other process does.
pub(in crate::token) struct LockedGrant<'a> {
    context: &'a GrantContext,
    state: MutexGuard<'a, GrantState>,
    is_same_login: bool,
}

impl<'a> LockedGrant<'a> {
    /// Wraps the grant's state. The store's lock is still to be acquired.
    pub(super) fn new(context: &'a GrantContext, state: MutexGuard<'a, GrantState>) -> Self {
        Self {
            context,
            state,
            is_same_login: false,
        }
    }

    /// Acquires the store's lock, unless it is held already. Waits up to [`GrantContext::lock_timeout`].
    pub(super) async fn acquire_lock(&mut self) -> Result<(), StoreError> {
        let tries = self.context.lock_timeout().as_millis() / LOCK_RETRY_INTERVAL.as_millis();
        for attempt in 0..tries {
            if attempt > 0 {
                tokio::time::sleep(LOCK_RETRY_INTERVAL).await;
            }
            if self.try_acquire_lock().await? {
                return Ok(());
            }
        }
        Err(StoreError::Locked)
    }

    /// Acquires the store's lock without waiting and returns whether it is held.
    pub(super) async fn try_acquire_lock(&mut self) -> Result<bool, StoreError> {
        if self.state.lock.is_none() {
            let (store, provider) = (self.context.store.clone(), self.context.provider.clone());
            self.state.lock = run_blocking(move || store.try_lock(&provider.name)).await??;
        }
        Ok(self.state.lock.is_some())
    }

    /// Returns whether the store holds what it held when it was last read.
    pub(super) async fn is_up_to_date(&mut self) -> Result<bool, StoreError> {
        Ok(self.context.load_record().await? == self.state.stored)
    }

    /// Reads the record again, and decides which record is in use.
    ///
    /// Under the lock the record cannot change. The one in use is what another process wrote, what could not be written before, or a new configured refresh token.
    ///
    /// # Errors
    /// The record cannot be read, or the one in use cannot be written: then no refresh token may be spent.
    pub(in crate::token) async fn reload(&mut self) -> Result<(), StoreError> {
        let stored = self.context.load_record().await?;
        let before = login_id(self.state.record.as_ref());
        // A missing record was lost, not ended: a logout leaves one behind. Ours replaces it.
        if stored != self.state.stored
            && let Some(theirs) = &stored
        {
            if self.state.was_put_back(theirs) {
                tracing::error!(
                    provider = %self.context.provider.name,
                    "store.put_back: the stored record is an earlier one, whose refresh token is spent; the newer one is written again"
                );
            } else {
                self.remember_spent(theirs);
                self.state.record.clone_from(&stored);
            }
        }
        self.state.stored = stored;

        let reconfigured = match &self.state.record {
            Some(record) => self.context.is_reconfigured(record),
            None => true,
        };
        if reconfigured
            && let Some((refresh_token, digest)) = self.context.configured_refresh_token()
        {
            self.state.record = Some(Record {
                refresh_token: Some(refresh_token),
                taken: taken_with(self.state.record.as_ref(), Some(&digest)),
                configured: Some(digest),
                client: Some(client_digest(&self.context.provider)),
                login: Some(new_login_id()),
                generation: next_generation(self.state.record.as_ref()),
                ..Record::default()
            });
        }

        self.is_same_login = before.is_some() && login_id(self.state.record.as_ref()) == before;
        self.context.show_login(&self.state);
        if self.state.is_unsaved() {
            self.save().await
        } else {
            Ok(())
        }
    }

    /// Returns whether the record belongs to the login that was in use before [`LockedGrant::reload`].
    pub(in crate::token) fn is_same_login(&self) -> bool {
        self.is_same_login
    }

    /// Returns the access token in the record, if it may be used now.
    pub(in crate::token) fn access_token(&self) -> Option<AccessToken> {
        self.context
            .usable_access_token(self.state.record.as_ref()?)
    }

    /// Returns how the access token in the record is renewed.
    pub(in crate::token) fn renewal_policy(&self) -> RenewalPolicy {
        self.context
            .renewal_policy(self.state.record.as_ref().unwrap_or(&Record::default()))
    }

    /// Returns the parts of a request to the API that the record holds.
    pub(in crate::token) fn api_context(&self) -> ApiContext {
        let record = self.state.record.as_ref();
        ApiContext {
            base: record.and_then(|record| record.access.as_ref()?.api_base.clone()),
            captured: record.map_or_else(BTreeMap::new, |record| record.captured.clone()),
        }
    }

    /// Returns the input for the next token request.
    pub(in crate::token) fn refresh_input(&self) -> RefreshInput {
        match &self.state.record {
            Some(record)
                if !record.is_logged_out() && self.context.belongs_to_other_client(record) =>
            {
                RefreshInput::OtherClient
            }
            Some(record) if record.refused => RefreshInput::Refused,
            Some(record) if record.is_logged_out() => RefreshInput::LoggedOut,
            Some(Record {
                refresh_token: Some(refresh_token),
                ..
            }) => RefreshInput::RefreshToken(refresh_token.clone()),
            _ => RefreshInput::Missing,
        }
    }

    /// Proves that the store can take a record, and reserves the room for it.
    ///
    /// # Errors
    /// The store cannot take one: then no refresh token or code may be spent.
    pub(in crate::token) async fn reserve(&mut self) -> Result<(), StoreError> {
        let reserved = self.with_lock(|lock| match lock.is_current()? {
            true => lock.reserve(),
            false => Err(StoreError::Replaced),
        });
        let reserved = reserved.await;
        if matches!(reserved, Err(StoreError::Replaced)) {
            // The next attempt locks and reads the record that is there now.
            self.state.lock = None;
        }
        reserved
    }

    /// Writes what a token response brought: to a refresh if `refreshed`, else to a login.
    ///
    /// The new record is in use from here on, whether it can be written or not.
    ///
    /// # Errors
    /// It cannot be written now.
    pub(in crate::token) async fn record_issued(
        &mut self,
        issued: &Issued,
        refreshed: bool,
    ) -> Result<(), StoreError> {
        self.put_in_use(next_record(
            self.context,
            self.state.record.as_ref(),
            issued,
            refreshed,
        ));
        self.save().await
    }

    /// Writes the refresh token of a response whose access token cannot be used.
    ///
    /// # Errors
    /// It cannot be written now; it is in use all the same.
    pub(in crate::token) async fn record_rotation(
        &mut self,
        refresh_token: &Secret,
    ) -> Result<(), StoreError> {
        if let Some(mut record) = self.state.record.clone() {
            record.refresh_token = Some(refresh_token.clone());
            record.generation += 1;
            record.times.refreshed_at = Some(millis_since_1970(self.context.clock.wall()));
            record.times.refresh_expires_at = None;
            self.put_in_use(record);
        }
        self.save().await
    }

    /// Puts a record with a new refresh token in use. The one before it is spent.
    fn put_in_use(&mut self, next: Record) {
        self.remember_spent(&next);
        self.state.record = Some(next);
        self.context.show_login(&self.state);
    }

    /// Remembers the refresh token in use, if that of `next` is another one.
    fn remember_spent(&mut self, next: &Record) {
        let state = &mut *self.state;
        let before = state.record.as_ref();
        let before = before.and_then(|record| record.refresh_token.as_ref());
        state.spent.record(before, next.refresh_token.as_ref());
    }

    /// Writes that the authorization server refused the refresh token for good.
    ///
    /// # Errors
    /// That cannot be written now.
    pub(in crate::token) async fn record_refusal(&mut self) -> Result<(), StoreError> {
        if let Some(record) = &mut self.state.record {
            record.refused = true;
        }
        self.context.show_login(&self.state);
        self.save().await
    }

    /// Removes the access token `refused` from the record, if it is there. The refresh token stays.
    ///
    /// # Errors
    /// That cannot be written; then the record stays in use as it was written.
    pub(in crate::token) async fn withdraw_access_token(
        &mut self,
        refused: &Secret,
    ) -> Result<(), StoreError> {
        let Some(record) = self
            .state
            .record
            .clone()
            .filter(|record| record.has_access(refused))
        else {
            return Ok(());
        };
        let without = without_access(record);
        if self.state.is_unsaved() {
            // The write that is still to come writes this record.
            self.state.record = Some(without);
            return Ok(());
        }
        self.write(without).await
    }

    /// Ends the login and returns its refresh token, so that it can be revoked.
    ///
    /// The record that stays tells that the login was ended, not lost.
    ///
    /// # Errors
    /// That cannot be written; then the login stays.
    pub(super) async fn clear(&mut self) -> Result<Option<Secret>, StoreError> {
        let Some(record) = self.state.record.clone() else {
            return Ok(None);
        };
        let configured = self
            .context
            .configured_refresh_token()
            .map(|(_, digest)| digest);
        let taken = record.taken_with(configured.as_deref());
        self.write(Record {
            configured,
            taken,
            generation: next_generation(Some(&record)),
            ..Record::default()
        })
        .await?;
        let token = record.refresh_token.as_ref();
        self.state.spent.record(token, None);
        // Another server must not see the refresh token, not even to revoke it.
        let is_ours = !self.context.belongs_to_other_client(&record);
        Ok(record.refresh_token.filter(|_| is_ours))
    }

    /// Writes the record in use.
    pub(super) async fn save(&mut self) -> Result<(), StoreError> {
        let Some(record) = self.state.record.clone() else {
            return Ok(());
        };
        self.write(record).await
    }

    /// Returns whether the store's lock is held.
    pub(super) fn has_lock(&self) -> bool {
        self.state.lock.is_some()
    }

    /// Returns whether the record in use is not in the store.
    pub(super) fn is_unsaved(&self) -> bool {
        self.state.is_unsaved()
    }

    /// Writes `record`, and puts it in use once it is written.
    async fn write(&mut self, record: Record) -> Result<(), StoreError> {
        let written = record.clone();
        self.change(move |lock| lock.save(&written)).await?;
        self.state.stored = Some(record.clone());
        self.state.record = Some(record);
        self.context.show_login(&self.state);
        Ok(())
    }

    /// Writes under the lock, which is acquired anew if its folder is no longer the store's.
    ///
    /// The check is a part of the work: after a token response, nothing may come before the record is written.
    async fn change(
        &mut self,
        work: impl Fn(&mut dyn Lock) -> Result<(), StoreError> + Clone + Send + 'static,
    ) -> Result<(), StoreError> {
        let checked = work.clone();
        let done = self.with_lock(move |lock| match lock.is_current()? {
            true => checked(lock).map(|()| true),
            false => Ok(false),
        });
        if done.await? {
            return Ok(());
        }
        tracing::warn!(
            provider = %self.context.provider.name,
            "store.replaced: the folder was removed, or another one is mounted over it; the login is written there"
        );
        self.state.lock = None;
        self.acquire_lock().await?;
        self.with_lock(work).await
    }

    async fn with_lock<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut dyn Lock) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut lock = self.state.lock.take().ok_or(StoreError::Interrupted)?;
        let (lock, done) = run_blocking(move || {
            let done = work(&mut *lock);
            (lock, done)
        })
        .await?;
        self.state.lock = Some(lock);
        done
    }
}

impl Drop for LockedGrant<'_> {
    fn drop(&mut self) {
        // A refresh token that only we know keeps the lock: no other process may spend the one before it.
        if !self.state.is_unsaved() {
            self.state.lock = None;
        }
    }
}

/// Returns the record without its access token.
///
/// It gets a name if it has none, since a nameless record without tokens means a logout.
fn without_access(record: Record) -> Record {
    let login = record.login.clone().or_else(|| Some(new_login_id()));
    Record {
        login,
        access: None,
        ..record
    }
}

/// Returns the name of the login in a record, if there is a record.
fn login_id(record: Option<&Record>) -> Option<Option<String>> {
    record.map(|record| record.login.clone())
}
