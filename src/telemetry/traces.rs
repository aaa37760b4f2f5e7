//! OpenTelemetry traces: the spans of requests and token requests, sent to a collector over OTLP/HTTP.
//!
//! They are off unless `[telemetry]` names a collector. Then a thread of its own exports them from a bounded queue.
//! Spans that do not fit into the queue are dropped, and no request waits for the collector.

mod exporter;
mod parent;
mod request_trace;
mod token_request_trace;

use std::{sync::OnceLock, time::Duration};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{
    Resource,
    trace::{BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider},
};
use rustls::ClientConfig;
use thiserror::Error;
use tokio::time::Instant;
use url::Url;

use self::exporter::Exporter;
pub use self::{request_trace::RequestTrace, token_request_trace::TokenRequestTrace};

/// The time for the last spans, at the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(4);

/// The process's tracer; unset while traces are off.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// `[telemetry]`, when it names a collector.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// `otlp_endpoint`: the base URL of the collector, to which `/v1/traces` is appended.
    pub collector: Url,
    /// The share of requests without an incoming `traceparent` that are traced, from 0 to 1.
    pub sample_ratio: f64,
}

impl TraceSettings {
    /// The ratio without `sample_ratio`: all requests.
    pub const DEFAULT_SAMPLE_RATIO: f64 = 1.0;

    /// The URL that spans are posted to.
    fn url(&self) -> String {
        let base = self.collector.as_str().trim_end_matches('/');
        format!("{base}/v1/traces")
    }
}

/// The traces of the process, from their start to their last export.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts the traces of the process. `tls` is for a collector that is reached by HTTPS.
    ///
    /// Not to be called on a runtime.
    ///
    /// # Errors
    /// See [`TraceError`].
    pub fn start(settings: &TraceSettings, tls: ClientConfig) -> Result<Self, TraceError> {
        let exporter = Exporter::new(&settings.url(), tls)?;
        let root = Sampler::TraceIdRatioBased(settings.sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_sampler(Sampler::ParentBased(Box::new(root)))
            .with_span_processor(BatchSpanProcessor::builder(exporter).build())
            .build();
        TRACER
            .set(provider.tracer("bearward"))
            .map_err(|_| TraceError::Twice)?;
        Ok(Self(provider))
    }

    /// Exports what has not been exported yet, for at most a few seconds. Blocks the thread.
    pub fn end(self) {
        let began = Instant::now();
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH_TIMEOUT) {
            let waited_s = began.elapsed().as_secs();
            tracing::warn!(%error, waited_s, "traces.unsent: the last spans did not reach the collector");
        }
    }
}

/// An error that keeps traces from starting.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The HTTP client cannot be built.
    #[error("the HTTP client for `otlp_endpoint` cannot be built: {0}")]
    Client(#[from] reqwest::Error),
    /// The exporter refuses its settings, which may come from `OTEL_…` variables.
    #[error("traces cannot be exported: {0}; check `[telemetry]` and the variables OTEL_…")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The process has traces already.
    #[error("traces are already set up")]
    Twice,
}

/// The process as traces name it: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, else `bearward`.
fn resource() -> Resource {
    let detected = Resource::builder().build();
    let name = detected.get(&"service.name".into());
    let is_named = name.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let mut resource = Resource::builder();
    if !is_named {
        resource = resource.with_service_name("bearward");
    }
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    resource.with_attribute(version).build()
}
