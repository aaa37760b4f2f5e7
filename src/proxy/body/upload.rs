//! A request's body on its way to the upstream: bounded, counted, and kept while it is small enough to be replayed.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Version, request::Parts};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use super::TrailerFilter;
use crate::proxy::route::Route;

/// Bytes of a body that are kept for a replay.
const MAX_REPLAY_BYTES: u64 = 64 * 1024;

/// Time for the end of a body of unknown length, once its token was refused.
const STREAM_END_TIMEOUT: Duration = Duration::from_secs(5);

/// A request's body, as the upstream's connection reads it.
///
/// Clones share the client's body; each reads from its beginning what is kept of it, so that a clone is a replay.
#[derive(Clone, Debug, Default)]
pub struct RequestBody {
    upload: Option<Rc<Upload>>,
    /// The bytes that were read so far.
    position: usize,
    has_read_trailers: bool,
}

/// The client's body, and what is known of it.
#[derive(Debug)]
struct Upload {
    incoming: RefCell<Incoming>,
    is_http2: bool,
    trailer_filter: TrailerFilter,
    /// `guard.max_body`.
    limit: Option<u64>,
    /// The length as the client announced it.
    announced: Option<u64>,
    received: Cell<u64>,
    kept: RefCell<Kept>,
    is_ended: Cell<bool>,
    is_waiting: Cell<bool>,
    moved_at: Cell<Instant>,
    /// The tasks that wait for the next part: the one that sends it, and one that decides on a replay.
    readers: RefCell<Vec<Waker>>,
    /// The task that waits for the response, where another one sends the body.
    watcher: RefCell<Option<Waker>>,
    fault: Cell<Option<UploadFault>>,
}

/// A body from its beginning, while it may be sent again.
///
/// A copy: the parts that arrive may be small, and each would hold a whole buffer of the connection.
#[derive(Debug, Default)]
struct Kept {
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    is_dropped: bool,
}

/// A client's fault while its body was on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadFault {
    /// It disconnected.
    Disconnected,
    /// The body is not framed as HTTP asks.
    Malformed,
    /// The body is above `guard.max_body`.
    TooLarge,
    /// No byte of it came for `timeouts.idle`.
    Stalled,
}

/// A request's body broke off.
#[derive(Clone, Copy, Debug, Error)]
#[error("the request's body broke off")]
pub struct UploadError;

impl RequestBody {
    /// Makes the body of a request to `route`.
    pub fn new(incoming: Incoming, parts: &Parts, route: &Route) -> Self {
        if incoming.is_end_stream() {
            return Self::default();
        }
        let upload = Upload {
            is_http2: parts.version == Version::HTTP_2,
            trailer_filter: TrailerFilter::of_request(&parts.headers, route),
            limit: route.guard.max_body,
            announced: incoming.size_hint().exact(),
            incoming: RefCell::new(incoming),
            received: Cell::new(0),
            kept: RefCell::default(),
            is_ended: Cell::new(false),
            is_waiting: Cell::new(false),
            moved_at: Cell::new(Instant::now()),
            readers: RefCell::default(),
            watcher: RefCell::default(),
            fault: Cell::new(None),
        };
        Self {
            upload: Some(Rc::new(upload)),
            position: 0,
            has_read_trailers: false,
        }
    }

    /// Whether the request has no body.
    pub fn is_empty(&self) -> bool {
        self.upload.is_none()
    }

    /// Whether all of the body was received.
    pub fn is_received(&self) -> bool {
        self.upload
            .as_ref()
            .is_none_or(|upload| upload.is_ended.get())
    }

    /// Whether the client is waited for, rather than the upstream.
    pub fn is_waiting_for_client(&self) -> bool {
        let is_waiting = |upload: &Rc<Upload>| !upload.is_ended.get() && upload.is_waiting.get();
        self.upload.as_ref().is_some_and(is_waiting)
    }

    /// When the body last moved; `None` without a body.
    pub fn moved_at(&self) -> Option<Instant> {
        self.upload.as_ref().map(|upload| upload.moved_at.get())
    }

    /// Wakes the task of `cx` when the client's part of the body is over, since other deadlines count from then.
    pub fn watch_end(&self, cx: &Context<'_>) {
        if let Some(upload) = &self.upload
            && !upload.is_ended.get()
        {
            upload.watcher.replace(Some(cx.waker().clone()));
        }
    }

    /// The client's fault, if there was one.
    pub fn fault(&self) -> Option<UploadFault> {
        self.upload.as_ref().and_then(|upload| upload.fault.get())
    }

    /// Whether the body can be sent again from its beginning.
    pub fn can_be_replayed(&self) -> bool {
        let is_kept = |upload: &Rc<Upload>| !upload.kept.borrow().is_dropped;
        self.upload.as_ref().is_none_or(is_kept)
    }

    /// Receives the rest of the body, while it is small enough for a replay; tells whether it is.
    ///
    /// Waits for each part of a body of known length no longer than `idle`. One without may be a stream, whose client
    /// waits for the response: that one has 5 s in all.
    pub async fn receive_for_replay(&self, idle: Duration) -> bool {
        let Some(upload) = &self.upload else {
            return true;
        };
        let announced_too_much = upload
            .announced
            .is_some_and(|length| length > MAX_REPLAY_BYTES);
        let stream_end = upload
            .announced
            .is_none()
            .then(|| Instant::now() + STREAM_END_TIMEOUT);
        while !announced_too_much && self.can_be_replayed() && !upload.is_ended.get() {
            // The frame is kept.
            let limit = stream_end.unwrap_or_else(|| Instant::now() + idle);
            match timeout_at(limit, poll_fn(|cx| upload.poll_receive(cx))).await {
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(_))) => return false,
                Ok(None) => break,
                // The refusal goes to the client as it is.
                Err(_) if stream_end.is_some() => return false,
                Err(_) => {
                    upload.fault.set(Some(UploadFault::Stalled));
                    return false;
                }
            }
        }
        self.can_be_replayed() && upload.is_ended.get()
    }
}

impl Upload {
    fn poll_receive(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if self.is_ended.get() {
            return Poll::Ready(None);
        }
        let mut incoming = self.incoming.borrow_mut();
        let received = Pin::new(&mut *incoming).poll_frame(cx);
        self.is_waiting.set(received.is_pending());
        if received.is_pending() {
            self.add_reader(cx.waker());
        } else {
            self.wake_other_readers(cx.waker());
        }
        let Some(frame) = ready!(received) else {
            if self.is_http2 && !incoming.is_end_stream() {
                // hyper takes a reset stream for an ended one where the reason is `NO_ERROR`.
                self.fault.set(Some(UploadFault::Disconnected));
                return Poll::Ready(Some(Err(UploadError)));
            }
            self.end();
            return Poll::Ready(None);
        };
        self.moved_at.set(Instant::now());
        let accepted = frame
            .map_err(|error| classify(&error))
            .and_then(|frame| self.accept(frame));
        match accepted {
            Ok(frame) => {
                if incoming.is_end_stream() {
                    self.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Err(fault) => {
                self.fault.set(Some(fault));
                Poll::Ready(Some(Err(UploadError)))
            }
        }
    }

    /// Remembers a task that waits: hyper's body wakes the last one alone.
    fn add_reader(&self, waker: &Waker) {
        let mut readers = self.readers.borrow_mut();
        if !readers.iter().any(|reader| reader.will_wake(waker)) {
            readers.push(waker.clone());
        }
    }

    fn wake_other_readers(&self, own: &Waker) {
        for reader in self.readers.take() {
            if !reader.will_wake(own) {
                reader.wake();
            }
        }
    }

    fn end(&self) {
        self.is_ended.set(true);
        if let Some(watcher) = self.watcher.take() {
            watcher.wake();
        }
    }

    fn accept(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, UploadFault> {
        match frame.into_data() {
            Ok(data) => {
                let received = self.received.get() + data.len() as u64;
                self.received.set(received);
                if self.limit.is_some_and(|limit| received > limit) {
                    return Err(UploadFault::TooLarge);
                }
                self.kept.borrow_mut().push(&data, self.announced);
                Ok(Frame::data(data))
            }
            Err(frame) => {
                let mut trailers = frame.into_trailers().unwrap_or_default();
                self.trailer_filter.apply(&mut trailers);
                self.kept.borrow_mut().trailers = Some(trailers.clone());
                Ok(Frame::trailers(trailers))
            }
        }
    }
}

impl Kept {
    /// Keeps more of a body with this announced length.
    ///
    /// That includes the part that makes it too large for a replay: the attempt that reads the body may be behind.
    fn push(&mut self, data: &[u8], announced: Option<u64>) {
        if self.is_dropped {
            return;
        }
        let is_announced = announced.is_some_and(|length| length > MAX_REPLAY_BYTES);
        if !is_announced {
            self.data.extend_from_slice(data);
        }
        self.is_dropped = is_announced || self.data.len() as u64 > MAX_REPLAY_BYTES;
    }

    /// Frees what every attempt has read, where no other attempt can follow.
    fn free(&mut self) {
        if self.is_dropped {
            self.data = Vec::new();
        }
    }

    fn has_unread(&self, body: &RequestBody) -> bool {
        body.position < self.data.len() || (self.trailers.is_some() && !body.has_read_trailers)
    }

    /// The kept part that `body` has not read yet.
    fn unread(&self, body: &RequestBody) -> Option<Frame<Bytes>> {
        match self.data.get(body.position..) {
            Some(data) if !data.is_empty() => Some(Frame::data(Bytes::copy_from_slice(data))),
            _ if body.has_read_trailers => None,
            _ => self.trailers.clone().map(Frame::trailers),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Some(upload) = self.upload.clone() else {
            return Poll::Ready(None);
        };
        let kept = upload.kept.borrow().unread(&self);
        let frame = match kept {
            Some(frame) => Some(Ok(frame)),
            None => {
                let received = ready!(upload.poll_receive(cx));
                upload.kept.borrow_mut().free();
                received
            }
        };
        if let Some(Ok(frame)) = &frame {
            self.position += frame.data_ref().map_or(0, Bytes::len);
            self.has_read_trailers |= frame.is_trailers();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.upload
            .as_ref()
            .is_none_or(|upload| upload.is_ended.get() && !upload.kept.borrow().has_unread(self))
    }

    fn size_hint(&self) -> SizeHint {
        match self.upload.as_ref().map(|upload| upload.announced) {
            None => SizeHint::with_exact(0),
            Some(Some(length)) => SizeHint::with_exact(length),
            Some(None) => SizeHint::default(),
        }
    }
}

/// hyper reports an invalid chunk as an I/O error of kind `InvalidInput` or `InvalidData`.
fn classify(error: &hyper::Error) -> UploadFault {
    let source = std::error::Error::source(error);
    let kind = source
        .and_then(|source| source.downcast_ref::<io::Error>())
        .map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => UploadFault::Malformed,
        _ => UploadFault::Disconnected,
    }
}
