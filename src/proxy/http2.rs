//! A caller that speaks HTTP/2 with prior knowledge: hyper reads the frames, each request takes the common way.

mod activity;
mod body;
mod caller;
mod pulse;

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::spawn_local;

use self::{
    activity::Activity,
    body::{AnswerBody, Content, Streaming, Told},
    caller::Http2Caller,
};
use super::{
    download::Download,
    error::{Kind, Refusal},
    forward::{self, Answered, Unanswered},
    headers::{self, Nominated, passes_back},
    location::Rewriter,
    respond,
    sending::Sending,
    service::{self, Ingress, Rejected},
    timer::Timer,
    worker::Worker,
};
use crate::{
    http1::{
        body::Sink,
        buffer::{Buffer, SMALL},
        field::Known,
        framing::Framing,
        head::Head,
    },
    server::{drain::Watch, preface::Prefixed, stream::Stream},
    telemetry::access_log::TokenCost,
};

/// Requests on one connection at a time.
const MOST_STREAMS: u32 = 256;
/// Bytes that a caller may send ahead, on a request and on a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How long a caller that has been quiet for too long may take to leave when it is told to.
const GOODBYE: Duration = Duration::from_secs(1);

/// Serves a connection to its end.
pub(super) async fn serve(stream: Prefixed<Stream>, ingress: Arc<Ingress>, worker: Rc<Worker>, mut watch: Watch) {
    let limits = ingress.limits;
    let activity = Rc::new(Activity::new());
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let (ingress, worker, stream) = (ingress.clone(), worker.clone(), activity.begin());
        async move { Ok::<_, Infallible>(respond_to(request, ingress, worker, stream).await) }
    });
    let mut builder = hyper::server::conn::http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.keep_alive)
        .keep_alive_timeout(limits.head_timeout);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Ok(ended),
        () = activity.quiet(limits.head_timeout, limits.keep_alive) => Err(GOODBYE.min(limits.head_timeout)),
        // What was answered last may still be on its way.
        () = watch.draining() => Err(limits.head_timeout),
    };
    let ended = match ended {
        Ok(ended) => ended,
        Err(goodbye) => {
            connection.as_mut().graceful_shutdown();
            activity.stir();
            tokio::select! {
                // First, so that the caller is told (GOAWAY) whatever the bound is.
                biased;
                ended = connection => ended,
                // Requests in hand are finished; a caller that does not go then is left.
                () = activity.quiet(goodbye, goodbye) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP/2 connection broke");
    }
}

/// Runs what hyper has to run beside a connection on the connection's own thread.
#[derive(Clone, Copy, Debug)]
struct LocalExecutor;

/// What hyper runs beside a connection is one future for each request.
impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, request: F) {
        spawn_local(pulse::watched(request));
    }
}

async fn respond_to(
    request: Request<Incoming>,
    ingress: Arc<Ingress>,
    worker: Rc<Worker>,
    stream: activity::Stream,
) -> Response<AnswerBody> {
    let started = Instant::now();
    let (parts, incoming) = request.into_parts();
    let head = compose(&parts);
    let mut told =
        Told { ingress, head, active: None, status: 0, bytes: 0, started, cost: TokenCost::Unneeded, _stream: stream };
    match answer(&parts, incoming, &worker, &mut told).await {
        Ok(streaming) => {
            told.status = streaming.answered.head.status;
            let rewriter = Rewriter::new(&streaming.active.route, &told.head, &streaming.admitted);
            let response = response_head(&streaming.answered, &rewriter);
            let mut response = response.unwrap_or_else(|_| Response::new(()));
            *response.status_mut() = StatusCode::from_u16(told.status).unwrap_or(StatusCode::BAD_GATEWAY);
            // The end has to come with the head where there is no body: behind one that tells a length, as that of a 304
            // may, an empty body would not be what was told.
            let content = match streaming.is_whole() {
                true => {
                    streaming.finish();
                    Content::Finished
                }
                false => Content::Streaming(Box::new(streaming)),
            };
            response.map(|()| AnswerBody { content, told })
        }
        Err(refusal) => {
            let active = told.active.as_deref();
            let route = active.map(|active| &*active.route.name);
            let provider = active.and_then(|active| active.route.provider.as_ref()).map(|bound| &*bound.provider);
            let answer = respond::answer(&refusal, route, provider, respond::is_grpc(&told.head));
            told.status = answer.status.as_u16();
            let mut response = Response::new(());
            *response.status_mut() = answer.sent;
            *response.headers_mut() = answer.fields;
            let body = if parts.method == http::Method::HEAD { Bytes::new() } else { answer.body };
            response.map(|()| AnswerBody { content: Content::Whole(Some(body)), told })
        }
    }
}

/// Takes a request to its upstream, up to the head of the answer.
async fn answer(
    parts: &http::request::Parts,
    incoming: Incoming,
    worker: &Rc<Worker>,
    told: &mut Told,
) -> Result<Streaming, Refusal> {
    check(parts, told)?;
    let mut prepared = match service::prepare(&told.ingress, &told.head).await {
        Ok(prepared) => prepared,
        Err(Rejected { refusal, active }) => {
            told.active = active;
            return Err(refusal);
        }
    };
    let active = prepared.active.clone();
    told.active = Some(active.clone());
    prepared.admitted.framing = framing(&incoming, prepared.admitted.framing);
    let limit = active.route.guard.max_body;
    let sink = if prepared.admitted.framing == Framing::Chunked { Sink::Chunked } else { Sink::Plain };
    let mut caller = Http2Caller { incoming, sink, read: 0, limit, done: false, active: active.clone() };
    caller.done = caller.incoming.is_end_stream();
    let mut wire = Buffer::with_size(SMALL);
    headers::write_request(&mut wire, &told.head, &prepared.admitted, &active.route, prepared.token.as_deref());
    let head_length = wire.len();
    let mut timer = Timer::new(active.route.timeouts.idle);
    let sending = Sending::new(wire, head_length);
    let answered =
        forward::forward(&told.ingress, &worker.pool, &told.head, &mut prepared, &mut caller, sending, &mut timer)
            .await;
    told.cost = prepared.cost;
    let answered = answered.map_err(|unanswered| match unanswered {
        Unanswered::Refused(refusal) => refusal,
        // hyper drops this when the caller resets the request, so only a broken body gets here.
        Unanswered::CallerGone => Refusal::bad_request("the body was broken off"),
    })?;
    let mut wire = Buffer::with_size(SMALL);
    let download = Download::begin(&answered, told.ingress.limits.head_bytes, &mut wire, Sink::Plain)
        .map_err(|_| Refusal::new(Kind::UpstreamProtocol, "the upstream sent a malformed body"))?;
    timer.set(active.route.timeouts.idle);
    pulse::begin(active.route.timeouts.idle);
    Ok(Streaming {
        answered,
        download,
        wire,
        caller,
        timer,
        active,
        admitted: prepared.admitted,
        worker: worker.clone(),
        trailers: false,
    })
}

/// What HTTP/2 allows beyond what is asked of HTTP/1.1 (RFC 9113 §8.3.1).
fn check(parts: &http::request::Parts, told: &Told) -> Result<(), Refusal> {
    if told.head.fields().len() > told.ingress.head_limits().fields {
        return Err(Refusal::new(Kind::HeadersTooLarge, "the head has more fields than this listener takes"));
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    if let (Some(authority), Some(host)) = (parts.uri.authority(), hosts.next())
        && !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
    {
        return Err(Refusal::bad_request("a Host that is not the :authority"));
    }
    if told.head.values(Known::TransferEncoding).next().is_some() {
        return Err(Refusal::bad_request("a transfer coding in HTTP/2"));
    }
    Ok(())
}

/// The request as a head like any other: `:authority` as `Host`.
fn compose(parts: &http::request::Parts) -> Head {
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let target = if parts.method == http::Method::CONNECT { "/" } else { target };
    let authority = parts.uri.authority().map(|authority| (&b"host"[..], authority.as_str().as_bytes()));
    // Cookies come in crumbs, which are put together for HTTP/1.1 (RFC 9113 §8.2.3).
    let crumbs: Vec<_> = parts.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let cookies = crumbs.join(&b"; "[..]);
    let cookie = (!crumbs.is_empty()).then_some((&b"cookie"[..], &cookies[..]));
    let ends_here = |name: &HeaderName| *name == header::COOKIE || (*name == header::HOST && authority.is_some());
    let own = parts.headers.iter().filter(|(name, _)| !ends_here(name));
    let own = own.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let fields = authority.into_iter().chain(own).chain(cookie);
    Head::compose(parts.method.as_str().as_bytes(), target.as_bytes(), fields)
}

fn framing(incoming: &Incoming, declared: Framing) -> Framing {
    match declared {
        Framing::Length(_) => declared,
        _ if incoming.is_end_stream() => Framing::Empty,
        _ => Framing::Chunked,
    }
}

fn response_head(answered: &Answered, rewriter: &Rewriter<'_>) -> http::Result<Response<()>> {
    let head = &answered.head;
    let nominated = Nominated::of(head);
    let mut fields = HeaderMap::with_capacity(head.fields().len());
    for field in head.fields() {
        let name = head.bytes(field.name);
        let is_length = field.known == Known::ContentLength && !matches!(answered.framing, Framing::Chunked);
        if (passes_back(field) || is_length) && !nominated.contains(name) {
            let value = head.bytes(field.value);
            let value = match headers::rewritten(field, value, Some(rewriter)) {
                Some(value) => HeaderValue::from_bytes(&value)?,
                None => HeaderValue::from_bytes(value)?,
            };
            fields.append(HeaderName::from_bytes(name)?, value);
        }
    }
    if matches!(head.status, 100..=199 | 204) {
        fields.remove(header::CONTENT_LENGTH);
    }
    let mut response = Response::new(());
    *response.headers_mut() = fields;
    Ok(response)
}
