//! The record of one provider's grant, and its bindings to the configuration.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    binding::{client_digest, settings_digest},
    blocking::run_blocking,
};
use crate::{
    clock::{BootInstant, Clock},
    oauth::provider::Provider,
    secret::Secret,
    token::{
        access_token::AccessToken,
        jitter::random,
        schedule::TokenDeadlines,
        store::{Lock, Record, Store, StoreError, StoredAccessToken},
    },
};

/// The shortest time that a lock is waited for.
const MIN_LOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// The time that the disk may take beside a token request and its repetition.
const DISK_ALLOWANCE: Duration = Duration::from_secs(10);

/// The record of a grant in memory and in the store.
#[derive(Default)]
pub(super) struct GrantState {
    /// The record in use.
    pub(super) record: Option<Record>,
    /// The record in the store, as last read or written. It differs from `record` after a failed write.
    pub(super) stored: Option<Record>,
    /// The store's lock. It outlives a [`super::LockedGrant`] only while the two records differ.
    pub(super) lock: Option<Box<dyn Lock>>,
}

impl GrantState {
    /// Returns whether the record in use is not in the store.
    pub(super) fn is_unsaved(&self) -> bool {
        self.record != self.stored
    }
}

/// The provider of a grant, and what reading and judging its record takes.
pub(super) struct GrantContext {
    pub(super) provider: Arc<Provider>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    has_refresh_token: AtomicBool,
}

impl GrantContext {
    pub(super) fn new(
        provider: Arc<Provider>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            provider,
            store,
            clock,
            has_refresh_token: AtomicBool::new(false),
        }
    }

    /// Reads the record in the store.
    pub(super) async fn load_record(&self) -> Result<Option<Record>, StoreError> {
        let (store, provider) = (self.store.clone(), self.provider.clone());
        run_blocking(move || store.load(&provider.name)).await?
    }

    /// Returns whether the record last read has a refresh token that was not refused.
    pub(super) fn has_refresh_token(&self) -> bool {
        self.has_refresh_token.load(Ordering::Relaxed)
    }

    /// Updates [`GrantContext::has_refresh_token`] from the record in use.
    pub(super) fn update_has_refresh_token(&self, state: &GrantState) {
        let has = state
            .record
            .as_ref()
            .is_some_and(|record| record.usable_refresh_token().is_some());
        self.has_refresh_token.store(has, Ordering::Relaxed);
    }

    /// Returns how long a lock is waited for: a token request, its repetition, and the disk.
    pub(super) fn lock_timeout(&self) -> Duration {
        (self.provider.token_request.timeout * 2 + DISK_ALLOWANCE).max(MIN_LOCK_TIMEOUT)
    }

    /// Returns the configured first refresh token and its digest.
    pub(super) fn configured_refresh_token(&self) -> Option<(Secret, String)> {
        let secret = Secret::clone(&*self.provider.refresh_token.as_ref()?.current());
        let digest = secret.digest();
        Some((secret, digest))
    }

    /// Returns whether the configured refresh token replaces `record`.
    ///
    /// It does when it was never used, since an operator who changes it wants it used, and when the record is another
    /// client's that obtained nothing with this same token.
    pub(super) fn is_reconfigured(&self, record: &Record) -> bool {
        self.configured_refresh_token()
            .is_some_and(|(token, digest)| {
                let unspent = || record.refused || record.refresh_token.as_ref() == Some(&token);
                !record.has_taken(&digest) || (self.belongs_to_other_client(record) && unspent())
            })
    }

    /// Returns whether another client, or another server, issued the refresh token in `record`.
    ///
    /// Such a token must not be sent to this provider's token endpoint.
    pub(super) fn belongs_to_other_client(&self, record: &Record) -> bool {
        record
            .client
            .as_ref()
            .is_some_and(|theirs| *theirs != client_digest(&self.provider))
    }

    /// Returns whether a refresh token is only in memory, and at risk of loss.
    pub(super) fn is_refresh_token_unsaved(&self, state: &GrantState) -> bool {
        let token = |record: &Option<Record>| {
            record
                .as_ref()
                .and_then(|record| record.refresh_token.clone())
        };
        let ours = token(&state.record);
        let is_configured = || self.configured_refresh_token().map(|(token, _)| token) == ours;
        ours.is_some() && ours != token(&state.stored) && !is_configured()
    }

    /// Returns the access token in `record` with its deadlines, if it may be used now.
    pub(super) fn usable_access_token(&self, record: &Record) -> Option<AccessToken> {
        let access = record
            .access
            .as_ref()
            .filter(|access| access.settings == settings_digest(&self.provider))?;
        let now = self.clock.now();
        let requested_at = access.requested_at(now, self.clock.wall())?;
        let deadlines = TokenDeadlines::new(
            requested_at,
            access.lifetime(),
            self.provider.refresh.before,
            random(),
        );
        let token = AccessToken::new(access.token.clone(), deadlines, &*self.clock);
        token.is_usable(now).then_some(token)
    }

    /// Creates the stored form of an access token that was requested at `requested_at`.
    pub(super) fn stored_access_token(
        &self,
        token: Secret,
        lifetime: Duration,
        requested_at: BootInstant,
    ) -> StoredAccessToken {
        StoredAccessToken::new(
            token,
            settings_digest(&self.provider),
            requested_at,
            lifetime,
            self.clock.now(),
            self.clock.wall(),
        )
    }
}
