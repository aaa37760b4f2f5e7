//! Counts the token requests of one provider in status, metrics and traces.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    clock::Clock,
    oauth::error::TokenRequestError,
    telemetry::{metrics::ProviderMetrics, traces::TokenRequestTrace},
};

/// The counter of one provider's token requests. Clones count together.
#[derive(Clone)]
pub(super) struct RequestCounter {
    provider: Arc<str>,
    clock: Arc<dyn Clock>,
    metrics: Arc<ProviderMetrics>,
    requests: Arc<AtomicU64>,
}

impl RequestCounter {
    pub(super) fn new(
        provider: Arc<str>,
        clock: Arc<dyn Clock>,
        metrics: Arc<ProviderMetrics>,
    ) -> Self {
        Self {
            provider,
            clock,
            metrics,
            requests: Arc::default(),
        }
    }

    /// Returns the number of requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Makes a token request under `grant_type`, and counts it with its outcome and duration.
    pub(super) async fn count<T>(
        &self,
        grant_type: &str,
        request: impl Future<Output = Result<T, TokenRequestError>>,
    ) -> Result<T, TokenRequestError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let trace = TokenRequestTrace::start(&self.provider, grant_type);
        let requested_at = self.clock.now();
        let response = request.await;
        let outcome = response
            .as_ref()
            .map_or_else(|error| error.kind(), |_| "ok");
        trace.end(outcome);
        let elapsed = self.clock.now().since(requested_at);
        self.metrics.record_request(grant_type, outcome, elapsed);
        response
    }
}
