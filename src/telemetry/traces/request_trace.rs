//! The spans of one request: the request itself, its waits for a token, and each time that it is sent upstream.
//!
//! Attributes follow OpenTelemetry's conventions for HTTP. None of them has a query or a header, and so no credential.

use std::{net::IpAddr, time::SystemTime};

use http::{
    HeaderValue, Method, Request, Version,
    header::HOST,
    request::Parts,
    uri::{Authority, Scheme},
};
use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanKind, Status, TraceContextExt, TraceFlags, Tracer},
};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use super::{
    TRACER,
    parent::{RANDOM_TRACE_ID, TRACEPARENT, TRACESTATE, remote_parent},
};

/// The part of a path that an attribute holds, in bytes.
const MAX_PATH_BYTES: usize = 1024;

/// The error of a request whose client disconnected.
const CLIENT_DISCONNECTED: &str = "client_disconnected";

/// The spans of one request; nothing while traces are off.
#[derive(Debug)]
pub struct RequestTrace(Option<Box<OpenTrace>>);

impl RequestTrace {
    /// Starts the span of a request, as a child of the client's.
    pub fn start(request: &Parts) -> Self {
        let tracer = TRACER.get();
        Self(tracer.map(|tracer| Box::new(OpenTrace::start(tracer, request))))
    }

    /// Forgets method, address and path, which are not the client's.
    pub fn forget_head(&mut self) {
        if let Some(trace) = &mut self.0 {
            trace.request.update_name(NAME_WITHOUT_METHOD);
            trace.head.clear();
        }
    }

    /// Sets the route and its provider.
    pub fn set_route(&mut self, route: &str, provider: Option<&str>) {
        if let Some(trace) = &mut self.0 {
            trace.set("bearward.route", route.to_owned());
            if let Some(provider) = provider {
                trace.set("bearward.provider", provider.to_owned());
            }
        }
    }

    /// Begins what may become a wait for a token.
    pub fn start_token_wait(&mut self) {
        if let Some(trace) = &mut self.0 {
            trace.waits_since = Some(SystemTime::now());
        }
    }

    /// Ends it. It has a span if the request did wait.
    pub fn end_token_wait(&mut self, has_waited: bool) {
        if let Some(trace) = &mut self.0 {
            let since = trace.waits_since.take();
            if let Some(since) = since.filter(|_| has_waited) {
                trace.record_token_wait(since, None);
            }
        }
    }

    /// Starts the span of one attempt to send the request upstream.
    pub fn start_send(&mut self) {
        if let Some(trace) = &mut self.0 {
            trace.start_send();
        }
    }

    /// Puts the identifiers of the attempt into the request that goes upstream.
    pub fn write_context<B>(
        &mut self,
        request: &mut Request<B>,
        scheme: &Scheme,
        authority: &Authority,
    ) {
        if let Some(trace) = &mut self.0 {
            trace.describe_send(request, scheme, authority);
            trace.write_context(request);
        }
    }

    /// Ends the attempt with the status of its response.
    pub fn end_send(&mut self, status: u16) {
        if let Some(trace) = &mut self.0 {
            trace.end_send(status);
        }
    }

    /// Ends the attempt with an error, as RFC 9209 names it.
    pub fn fail_send(&mut self, error: &'static str) {
        if let Some(sending) = self.0.as_mut().and_then(|trace| trace.sending.take()) {
            fail(sending, error);
        }
    }

    /// Sets the problem type of bearward's own response.
    pub fn set_problem(&mut self, problem: &'static str) {
        if let Some(trace) = &mut self.0 {
            trace.problem = Some(problem);
        }
    }

    /// Ends the spans with the status of the response; `None` when the client disconnected before it.
    pub fn end(&mut self, status: Option<u16>) {
        if let Some(trace) = self.0.take() {
            trace.end(status);
        }
    }
}

/// The name of a span whose method is not known.
const NAME_WITHOUT_METHOD: &str = "HTTP";

/// The spans of a request that are still open.
#[derive(Debug)]
struct OpenTrace {
    tracer: &'static SdkTracer,
    method: Method,
    request: Span,
    /// The attributes of the client's head.
    head: Vec<KeyValue>,
    /// The parent of the other spans.
    context: Context,
    /// Flags of the client's `traceparent` that go on; `None` when this is a new trace.
    parent_flags: Option<u8>,
    waits_since: Option<SystemTime>,
    sending: Option<Span>,
    sends: i64,
    problem: Option<&'static str>,
}

impl OpenTrace {
    fn start(tracer: &'static SdkTracer, request: &Parts) -> Self {
        let parent = remote_parent(&request.headers);
        let parent_flags = parent.as_ref().map(|parent| parent.trace_flags().to_u8());
        let context = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let builder = tracer.span_builder(name(&request.method));
        let span = tracer.build_with_context(builder.with_kind(SpanKind::Server), &context);
        let head = match span.is_recording() {
            true => head_attributes(request),
            false => Vec::new(),
        };
        Self {
            tracer,
            method: request.method.clone(),
            context: Context::new().with_remote_span_context(span.span_context().clone()),
            request: span,
            head,
            parent_flags,
            waits_since: None,
            sending: None,
            sends: 0,
            problem: None,
        }
    }

    fn set(&mut self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        if self.request.is_recording() {
            self.request.set_attribute(KeyValue::new(key, value));
        }
    }

    fn record_token_wait(&self, since: SystemTime, error: Option<&'static str>) {
        let builder = self.tracer.span_builder("token wait");
        let builder = builder.with_kind(SpanKind::Internal).with_start_time(since);
        let wait = self.tracer.build_with_context(builder, &self.context);
        if let Some(error) = error {
            fail(wait, error);
        }
    }

    fn start_send(&mut self) {
        let builder = self.tracer.span_builder(name(&self.method));
        let builder = builder.with_kind(SpanKind::Client);
        let mut span = self.tracer.build_with_context(builder, &self.context);
        if self.sends > 0 {
            span.set_attribute(KeyValue::new("http.request.resend_count", self.sends));
        }
        self.sends += 1;
        self.sending = Some(span);
    }

    fn describe_send<B>(&mut self, request: &Request<B>, scheme: &Scheme, authority: &Authority) {
        let Some(span) = self.sending.as_mut().filter(|span| span.is_recording()) else {
            return;
        };
        let path = bounded(request.uri().path());
        let default_port = if *scheme == Scheme::HTTPS { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default_port);
        span.set_attributes(method_attributes(&self.method));
        span.set_attributes([
            KeyValue::new("url.full", format!("{scheme}://{authority}{path}")),
            KeyValue::new("server.address", authority.host().to_owned()),
            KeyValue::new("server.port", i64::from(port)),
        ]);
    }

    /// Replaces `traceparent`. `tracestate` goes on with the trace that it belongs to.
    fn write_context<B>(&self, request: &mut Request<B>) {
        let Some(context) = self.sending.as_ref().map(|span| span.span_context()) else {
            return;
        };
        if !context.is_valid() {
            return;
        }
        let sampled = context.trace_flags().to_u8() & TraceFlags::SAMPLED.to_u8();
        let flags = sampled | (self.parent_flags.unwrap_or_default() & RANDOM_TRACE_ID);
        let text = format!(
            "00-{}-{}-{flags:02x}",
            context.trace_id(),
            context.span_id()
        );
        let headers = request.headers_mut();
        if self.parent_flags.is_none() {
            headers.remove(TRACESTATE);
        }
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(TRACEPARENT, value);
        }
    }

    fn end_send(&mut self, status: u16) {
        let Some(mut sending) = self.sending.take() else {
            return;
        };
        sending.set_attribute(status_attribute(status));
        if status >= 400 {
            fail(sending, status.to_string());
        }
    }

    fn end(mut self: Box<Self>, status: Option<u16>) {
        let error = match status {
            Some(_) => self.problem,
            None => Some(CLIENT_DISCONNECTED),
        };
        let ended = error.unwrap_or(CLIENT_DISCONNECTED);
        if let Some(since) = self.waits_since {
            self.record_token_wait(since, Some(ended));
        }
        if let Some(sending) = self.sending.take() {
            fail(sending, ended);
        }
        let Self {
            mut request, head, ..
        } = *self;
        request.set_attributes(head);
        request.set_attributes(status.map(status_attribute));
        let is_server_error = status.is_some_and(|status| status >= 500);
        let number = status
            .filter(|_| is_server_error)
            .map(|status| status.to_string());
        if let Some(error) = error.map(str::to_owned).or(number) {
            request.set_attribute(KeyValue::new("error.type", error));
        }
        if is_server_error {
            request.set_status(Status::error(""));
        }
    }
}

/// Ends a span with an error.
fn fail(mut span: Span, error: impl Into<opentelemetry::Value>) {
    span.set_attribute(KeyValue::new("error.type", error));
    span.set_status(Status::error(""));
}

/// The method of a span's name, if it is a known one: other names come from clients, without a bound.
fn known(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 10] = [
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "QUERY", "CONNECT", "TRACE",
    ];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}

fn name(method: &Method) -> &'static str {
    known(method).unwrap_or(NAME_WITHOUT_METHOD)
}

fn method_attributes(method: &Method) -> Vec<KeyValue> {
    const METHOD: &str = "http.request.method";
    match known(method) {
        Some(known) => vec![KeyValue::new(METHOD, known)],
        None => vec![
            KeyValue::new(METHOD, "_OTHER"),
            KeyValue::new(
                "http.request.method_original",
                bounded(method.as_str()).to_owned(),
            ),
        ],
    }
}

fn head_attributes(request: &Parts) -> Vec<KeyValue> {
    let mut attributes = method_attributes(&request.method);
    attributes.push(KeyValue::new("url.scheme", "http"));
    attributes.push(KeyValue::new(
        "url.path",
        bounded(request.uri.path()).to_owned(),
    ));
    let version = match request.version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    };
    attributes.push(KeyValue::new("network.protocol.version", version));
    let host = request.headers.get(HOST).map(HeaderValue::as_bytes);
    let host = host.and_then(|host| Authority::try_from(host).ok());
    let authority = request.uri.authority().cloned().or(host);
    if let Some(authority) = authority.filter(is_plain) {
        attributes.push(KeyValue::new("server.address", authority.host().to_owned()));
        let port = authority.port_u16();
        attributes.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
    }
    attributes
}

/// Whether a client's authority is a host and a port, without user information.
fn is_plain(authority: &Authority) -> bool {
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    !authority.as_str().contains('@') && (bare.parse::<IpAddr>().is_ok() || host.len() <= 253)
}

fn status_attribute(status: u16) -> KeyValue {
    KeyValue::new("http.response.status_code", i64::from(status))
}

/// The beginning of a text of the client.
fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_PATH_BYTES)]
}
