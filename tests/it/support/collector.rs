//! An OpenTelemetry collector: it decodes the spans that are posted to it.

use std::collections::HashMap;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;

use super::{
    patience::until,
    setup::Setup,
    upstream::Upstream,
    wire::{Request, answer},
};

/// A collector of spans.
pub struct Collector(Upstream);

impl Collector {
    /// Starts a collector.
    pub fn start() -> Self {
        Self(Upstream::answering(|_| {
            answer("200 OK", "Content-Type: application/x-protobuf\r\n", "")
        }))
    }

    /// Its base URL, as `otlp_endpoint` has it.
    pub fn endpoint(&self) -> String {
        self.0.origin()
    }

    /// Adds traces to a configuration: to this collector, exported soon.
    pub fn traced(&self, setup: Setup, lines: &str) -> Setup {
        let endpoint = self.endpoint();
        setup
            .tables(&format!(
                "[telemetry]\notlp_endpoint = \"{endpoint}\"\n{lines}\n"
            ))
            .environment("OTEL_BSP_SCHEDULE_DELAY", "50")
    }

    /// The requests that came.
    pub fn requests(&self) -> Vec<Request> {
        self.0.requests()
    }

    /// The spans that came so far.
    pub fn spans(&self) -> Vec<Collected> {
        let requests = self.requests();
        requests.iter().flat_map(spans_of).collect()
    }

    /// Waits for the span of this kind that `wanted` picks.
    #[track_caller]
    pub fn span(&self, what: &str, wanted: impl Fn(&Collected) -> bool) -> Collected {
        until(what, || self.spans().into_iter().find(|span| wanted(span)))
    }

    /// Waits for the first span of a request that a client sent.
    #[track_caller]
    pub fn server_span(&self) -> Collected {
        self.span("the span of a request", |span| span.is(SpanKind::Server))
    }
}

fn spans_of(request: &Request) -> Vec<Collected> {
    let export = ExportTraceServiceRequest::decode(&request.body[..]).expect("an OTLP request");
    let mut spans = Vec::new();
    for resource in export.resource_spans {
        let attributes = resource.resource.unwrap_or_default().attributes;
        for span in resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
        {
            spans.push(Collected {
                attributes: texts(span.attributes.clone()),
                resource: texts(attributes.clone()),
                span,
            });
        }
    }
    spans
}

/// A span, with its attributes as texts.
#[derive(Clone, Debug)]
pub struct Collected {
    /// As it came.
    pub span: Span,
    /// Its attributes.
    pub attributes: HashMap<String, String>,
    /// Those of the process.
    pub resource: HashMap<String, String>,
}

impl Collected {
    /// Whether it has this kind.
    pub fn is(&self, kind: SpanKind) -> bool {
        self.span.kind() == kind
    }

    /// Whether it is a child of `parent`.
    pub fn is_child_of(&self, parent: &Self) -> bool {
        self.span.trace_id == parent.span.trace_id
            && self.span.parent_span_id == parent.span.span_id
    }

    /// Whether it ended in an error.
    pub fn is_error(&self) -> bool {
        let status = self.span.status.as_ref();
        status.is_some_and(|status| status.code() == StatusCode::Error)
    }

    /// The trace, in hex.
    pub fn trace_id(&self) -> String {
        hex(&self.span.trace_id)
    }

    /// The span, in hex.
    pub fn span_id(&self) -> String {
        hex(&self.span.span_id)
    }

    /// Its parent, in hex; empty without one.
    pub fn parent_id(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    /// An attribute; empty without it.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: Vec<KeyValue>) -> HashMap<String, String> {
    let pairs = attributes.into_iter();
    pairs
        .map(|pair| (pair.key.clone(), text(pair.value)))
        .collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}
