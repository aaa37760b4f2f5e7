//! The traces of the process, as `[telemetry]` wants them.

use super::Failure;
use crate::{
    config::Config,
    telemetry::traces::Traces,
    tls::{self, Trust},
};

/// Starts the traces; `None` without a collector. Not to be called on a runtime.
///
/// # Errors
/// The HTTP client for the collector cannot be built.
pub fn start(config: &Config) -> Result<Option<Traces>, Failure> {
    let Some(settings) = &config.traces else {
        return Ok(None);
    };
    let tls = match settings.collector.scheme() {
        "https" => tls::client_config(&Trust::default(), &[b"http/1.1"], None)
            .unwrap_or_else(|_| unreachable!("there is no client certificate")),
        _ => tls::client_config_without_roots(),
    };
    let traces = Traces::start(settings, tls).map_err(Failure::Traces)?;
    tracing::info!(collector = %settings.collector, "traces.started");
    Ok(Some(traces))
}
