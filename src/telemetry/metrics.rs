//! The metrics of the program, handed out as handles.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Every metric.
#[derive(Debug, Default)]
pub struct Metrics {}

impl Metrics {
    /// Metrics that have counted nothing yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What is counted of the provider `name`.
    pub fn provider(&self, _name: &str) -> Arc<ProviderMetrics> {
        Arc::default()
    }
}

/// What is counted of one provider.
#[derive(Debug, Default)]
pub struct ProviderMetrics {}

impl ProviderMetrics {
    /// One request to the token endpoint; `outcome` is `ok` or the kind of the error.
    pub fn request(&self, _grant_type: &'static str, _outcome: &'static str, _elapsed: Duration) {}

    /// When the token in hand ends.
    pub fn expiry(&self, _at: Option<SystemTime>) {}

    /// Whether a person has to log in.
    pub fn login_required(&self, _required: bool) {}
}
