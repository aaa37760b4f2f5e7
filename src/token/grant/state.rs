//! The record of one provider's grant, and its bindings to the configuration.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use url::Url;

use super::{
    binding::{belongs_to, settings_digest},
    blocking::run_blocking,
    life::{login_due, login_end, refresh_token_left},
};
use crate::{
    clock::Clock,
    oauth::{
        api_context::ApiContext,
        provider::{ApiBase, Lifetime, Provider},
        response::Issued,
    },
    secret::Secret,
    telemetry::metrics::ProviderMetrics,
    token::{
        access_token::AccessToken,
        jitter::random,
        schedule::{RenewalPolicy, TokenDeadlines},
        store::{Lock, Record, Store, StoreError, StoredAccessToken},
    },
};

/// The shortest time that a lock is waited for.
const MIN_LOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// The time that the disk may take beside a token request and its repetition.
const DISK_ALLOWANCE: Duration = Duration::from_secs(10);

/// The spent refresh tokens that are remembered.
const MAX_SPENT: usize = 256;

/// The record of a grant in memory and in the store.
#[derive(Default)]
pub(super) struct GrantState {
    /// The record in use.
    pub(super) record: Option<Record>,
    /// The record in the store, as last read or written. It differs from `record` after a failed write.
    pub(super) stored: Option<Record>,
    /// The store's lock. It outlives a [`super::LockedGrant`] only while the two records differ.
    pub(super) lock: Option<Box<dyn Lock>>,
    /// The refresh tokens that were in use before.
    pub(super) spent: SpentTokens,
}

impl GrantState {
    /// Returns whether the record in use is not in the store.
    pub(super) fn is_unsaved(&self) -> bool {
        self.record != self.stored
    }

    /// Returns whether a stored record is an earlier one than ours, as after a backup was restored.
    pub(super) fn was_put_back(&self, theirs: &Record) -> bool {
        let Some(ours) = &self.record else {
            return false;
        };
        let is_same_login = ours.login.is_some() && ours.login == theirs.login;
        // Earlier versions write no generation.
        let is_earlier = (1..ours.generation).contains(&theirs.generation);
        let token = theirs.refresh_token.as_ref();
        let is_spent = token.is_some_and(|token| self.spent.contains(token));
        (is_same_login && is_earlier) || (is_spent && theirs.generation <= ours.generation)
    }
}

/// The digests of the refresh tokens that were in use in this process before.
///
/// Many authorization servers end the login when such a token is sent again (RFC 9700 §4.14.2).
#[derive(Default)]
pub(super) struct SpentTokens(VecDeque<String>);

impl SpentTokens {
    /// Remembers `before`, if `after` is another token, or none.
    pub(super) fn record(&mut self, before: Option<&Secret>, after: Option<&Secret>) {
        let Some(before) = before.filter(|before| after != Some(*before)) else {
            return;
        };
        if self.0.len() == MAX_SPENT {
            self.0.pop_front();
        }
        self.0.push_back(before.digest());
    }

    /// Returns whether a token was in use before.
    pub(super) fn contains(&self, token: &Secret) -> bool {
        !self.0.is_empty() && self.0.contains(&token.digest())
    }
}

/// The provider of a grant, and what reading and judging its record takes.
pub(super) struct GrantContext {
    pub(super) provider: Arc<Provider>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    metrics: Option<Arc<ProviderMetrics>>,
    has_refresh_token: AtomicBool,
    /// The known end of the login in milliseconds since 1970; 0 without one.
    login_end: AtomicU64,
    /// When a person should log in again, in milliseconds since 1970; 0 if that is not known.
    login_due: AtomicU64,
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
            metrics: None,
            has_refresh_token: AtomicBool::new(false),
            login_end: AtomicU64::new(0),
            login_due: AtomicU64::new(0),
        }
    }

    /// Shows the end of the login in `metrics`.
    pub(super) fn set_metrics(&mut self, metrics: Arc<ProviderMetrics>) {
        self.metrics = Some(metrics);
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

    /// Returns the earliest known end of the login in the record last read.
    pub(super) fn login_expires_at(&self) -> Option<SystemTime> {
        since_1970(&self.login_end)
    }

    /// Returns when a person should log in again, by the record last read.
    pub(super) fn login_due_at(&self) -> Option<SystemTime> {
        since_1970(&self.login_due)
    }

    /// Updates what status and metrics show of the record in use.
    pub(super) fn show_login(&self, state: &GrantState) {
        let record = state.record.as_ref();
        let has = record.is_some_and(|record| record.usable_refresh_token().is_some());
        self.has_refresh_token.store(has, Ordering::Relaxed);
        let ours = record.filter(|record| !self.belongs_to_other_client(record));
        let end = ours.and_then(|record| login_end(record, &self.provider));
        self.login_end
            .store(end.unwrap_or_default(), Ordering::Relaxed);
        let due = ours.and_then(|record| login_due(record, &self.provider));
        self.login_due
            .store(due.unwrap_or_default(), Ordering::Relaxed);
        if let Some(metrics) = &self.metrics {
            metrics.set_login_expiry(self.login_expires_at());
        }
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
        !belongs_to(record, &self.provider)
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
        if !self.is_base_allowed(access.api_base.as_ref()) {
            return None;
        }
        let now = self.clock.now();
        let deadlines = TokenDeadlines::new(
            now,
            access.lifetime(),
            self.renewal_policy(record),
            random(),
        )
        .earlier_by(self.age(record, access)?);
        let context = ApiContext {
            base: access.api_base.clone(),
            captured: record.captured.clone(),
        };
        let token = AccessToken::new(access.token.clone(), deadlines, &*self.clock);
        token.is_usable(now).then(|| token.with_context(context))
    }

    /// Returns how the access token in `record` is renewed.
    pub(super) fn renewal_policy(&self, record: &Record) -> RenewalPolicy {
        let can_renew = record.usable_refresh_token().is_some() || self.provider.can_renew_alone();
        let login_left = refresh_token_left(record, &self.provider);
        RenewalPolicy::new(&self.provider, can_renew, login_left)
    }

    /// Returns the time since the access token in `record` was requested, unless it is uncertain.
    ///
    /// The access token of a login without a refresh token is the login. A person should not have to log in because
    /// the machine was restarted, so that the time of day is enough for it.
    fn age(&self, record: &Record, access: &StoredAccessToken) -> Option<Duration> {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let is_login = record.refresh_token.is_none() && !self.provider.can_renew_alone();
        if !is_login {
            return access.age(now, wall);
        }
        let is_endless = access.lifetime() == Lifetime::Never
            && self.provider.token_response.max_lifetime.is_none();
        access
            .longest_age(now, wall)
            .or(is_endless.then_some(Duration::ZERO))
    }

    /// Returns whether requests may go to the stored base under today's settings.
    fn is_base_allowed(&self, base: Option<&Url>) -> bool {
        match &self.provider.api_base {
            Some(ApiBase::Response { allow, .. }) => base.is_some_and(|base| allow.allows(base)),
            Some(ApiBase::Url(_)) | None => true,
        }
    }

    /// Creates the stored form of an issued access token.
    pub(super) fn stored_access_token(&self, issued: &Issued) -> StoredAccessToken {
        StoredAccessToken::new(
            issued.access_token.clone(),
            settings_digest(&self.provider),
            issued.requested_at,
            issued.lifetime,
            self.clock.now(),
            self.clock.wall(),
        )
    }
}

/// Reads a time in milliseconds since 1970; `None` for 0.
fn since_1970(millis: &AtomicU64) -> Option<SystemTime> {
    let time = Duration::from_millis(millis.load(Ordering::Relaxed));
    SystemTime::UNIX_EPOCH
        .checked_add(time)
        .filter(|_| !time.is_zero())
}
