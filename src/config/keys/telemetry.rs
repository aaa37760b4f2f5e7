//! The keys of traces and notifications.

use serde_json::json;

use super::{Format, KeySpec, Kind, key};
use crate::telemetry::traces::TraceSettings;

/// `[telemetry]`.
pub(super) const TELEMETRY: &[KeySpec] = &[
    key(
        "otlp_endpoint",
        Kind::NonEmptyString,
        "The base URL of an OpenTelemetry collector that takes traces over OTLP/HTTP. Without it, \
         there are no traces.",
    )
    .with_format(Format::Upstream),
    key(
        "sample_ratio",
        Kind::Ratio,
        "The share of requests without an incoming traceparent that are traced, from 0 to 1.",
    )
    .with_default(|| json!(TraceSettings::DEFAULT_SAMPLE_RATIO)),
];

/// `[notify]`.
pub(super) const NOTIFY: &[KeySpec] = &[
    key(
        "command",
        Kind::Strings,
        "A program and its arguments, run without a shell. It gets JSON on its standard input.",
    )
    .with_format(Format::NonEmpty),
    key(
        "url",
        Kind::NonEmptyString,
        "A URL that the JSON is posted to.",
    )
    .with_format(Format::Webhook),
];
