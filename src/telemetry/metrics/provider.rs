//! Metrics of one provider. Token requests are rare, so a mutex is fast enough.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::{
    buckets::{Buckets, Durations},
    lock,
};

/// The counters of one provider.
#[derive(Debug, Default)]
pub struct ProviderMetrics {
    requests: Mutex<BTreeMap<(String, &'static str), u64>>,
    durations: Buckets,
    /// Milliseconds since 1970; 0 without a token.
    expiry: AtomicU64,
    /// Milliseconds since 1970; 0 without a known end.
    login_expiry: AtomicU64,
    login_required: AtomicBool,
}

impl ProviderMetrics {
    /// Counts one request to the token endpoint: its grant (RFC 6749), `ok` or the kind of its failure, and its time.
    pub fn record_request(&self, grant_type: &str, outcome: &'static str, elapsed: Duration) {
        *lock(&self.requests)
            .entry((grant_type.to_owned(), outcome))
            .or_default() += 1;
        self.durations.record(elapsed);
    }

    /// Sets the expiry of the current token; `None` without a token, and for one that never expires.
    pub fn set_expiry(&self, expiry: Option<SystemTime>) {
        self.expiry.store(milliseconds(expiry), Ordering::Relaxed);
    }

    /// Sets the earliest end of the login that is known.
    pub fn set_login_expiry(&self, expiry: Option<SystemTime>) {
        self.login_expiry
            .store(milliseconds(expiry), Ordering::Relaxed);
    }

    /// Sets whether a person has to log in.
    pub fn set_login_required(&self, required: bool) {
        self.login_required.store(required, Ordering::Relaxed);
    }

    pub(super) fn requests(&self) -> BTreeMap<(String, &'static str), u64> {
        lock(&self.requests).clone()
    }

    pub(super) fn durations(&self) -> Durations {
        let mut sum = Durations::default();
        self.durations.add_to(&mut sum);
        sum
    }

    pub(super) fn expiry_seconds(&self) -> f64 {
        Duration::from_millis(self.expiry.load(Ordering::Relaxed)).as_secs_f64()
    }

    pub(super) fn login_expiry_seconds(&self) -> f64 {
        Duration::from_millis(self.login_expiry.load(Ordering::Relaxed)).as_secs_f64()
    }

    pub(super) fn needs_login(&self) -> bool {
        self.login_required.load(Ordering::Relaxed)
    }
}

/// Returns the milliseconds since 1970; 0 without a time.
fn milliseconds(time: Option<SystemTime>) -> u64 {
    let since_1970 = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    since_1970.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
