//! The way of spans to the collector, and the log lines about its failures.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use reqwest::{blocking::Client, redirect::Policy};
use rustls::ClientConfig;
use tokio::time::Instant;

use super::TraceError;

/// The time for one export, its retries included.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// The time between two log lines about exports that fail.
const LINE_INTERVAL: Duration = Duration::from_secs(60);

/// The part of an error that is logged, in characters.
const MAX_ERROR_CHARS: usize = 200;

/// Posts spans to a collector, and logs failures once a minute.
pub(super) struct Exporter {
    url: String,
    otlp: OtlpExporter,
    failures: Mutex<Failures>,
}

impl Exporter {
    pub(super) fn new(url: &str, tls: ClientConfig) -> Result<Self, TraceError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .no_proxy()
            .timeout(EXPORT_TIMEOUT)
            .build()?;
        let otlp = OtlpExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(url)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        Ok(Self {
            url: url.to_owned(),
            otlp,
            failures: Mutex::default(),
        })
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.otlp.export(batch).await;
        // No statement leaves the numbers half changed.
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match &result {
            Ok(()) => {
                if failures.record_success() {
                    tracing::info!("traces.exported_again");
                }
            }
            Err(error) => {
                if let Some(lost) = failures.record_failure(spans, Instant::now()) {
                    let error: String = error.to_string().chars().take(MAX_ERROR_CHARS).collect();
                    tracing::warn!(
                        url = self.url,
                        lost,
                        error,
                        "traces.export_failed: check `otlp_endpoint` in [telemetry], and the collector"
                    );
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.otlp.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

/// The exports that failed, since the last one that did not.
#[derive(Debug, Default)]
struct Failures {
    /// The spans that were lost since the last line.
    lost: u64,
    next_line_at: Option<Instant>,
}

impl Failures {
    /// Records a success. Returns whether exports had failed before.
    fn record_success(&mut self) -> bool {
        std::mem::take(self).next_line_at.is_some()
    }

    /// Records lost spans. Returns the number that a line has to name now.
    fn record_failure(&mut self, spans: u64, now: Instant) -> Option<u64> {
        self.lost += spans;
        if self.next_line_at.is_some_and(|at| now < at) {
            return None;
        }
        self.next_line_at = Some(now + LINE_INTERVAL);
        Some(std::mem::take(&mut self.lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_exports_are_logged_once_a_minute_and_lost_spans_are_counted() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        assert!(!failures.record_success());
        let lines: Vec<_> = [0, 1, 59, 60, 61, 300]
            .into_iter()
            .filter_map(|s| failures.record_failure(10, start + Duration::from_secs(s)))
            .collect();
        assert_eq!(lines, [10, 30, 20]);
        assert!(failures.record_success());
        assert!(!failures.record_success());
    }
}
