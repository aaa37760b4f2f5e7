//! The span of one token request, a trace of its own: it serves many requests, or none.

use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanKind, Status, Tracer},
};
use opentelemetry_sdk::trace::Span;

use super::TRACER;

/// The span of a token request; nothing while traces are off.
#[derive(Debug)]
pub struct TokenRequestTrace(Option<Span>);

impl TokenRequestTrace {
    /// Starts the span of a request for `provider` under `grant_type`.
    pub fn start(provider: &str, grant_type: &str) -> Self {
        Self(TRACER.get().map(|tracer| {
            let attributes = [
                KeyValue::new("bearward.provider", provider.to_owned()),
                KeyValue::new("bearward.grant_type", grant_type.to_owned()),
            ];
            let builder = tracer.span_builder("token request");
            let builder = builder
                .with_kind(SpanKind::Client)
                .with_attributes(attributes);
            tracer.build_with_context(builder, &Context::new())
        }))
    }

    /// Ends the span with `ok`, or with the kind of the failure.
    pub fn end(mut self, outcome: &'static str) {
        if let Some(span) = &mut self.0
            && outcome != "ok"
        {
            span.set_attribute(KeyValue::new("error.type", outcome));
            span.set_status(Status::error(""));
        }
    }
}
