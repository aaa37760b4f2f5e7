//! A response's body on its way to the client.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use thiserror::Error;
use tokio::time::Instant;

use super::{BodyError, Peeked, RequestBody, TrailerFilter};
use crate::{
    proxy::{exchange::Exchange, upstream::Checkout},
    server::timer::Timer,
};

/// Bytes of a body that are given to an HTTP/2 stream at a time, as many as a frame has.
///
/// hyper asks for the next part when this one has gone out, so this bounds what waits for a window, and tells that the
/// client goes on reading.
const MAX_PART: usize = 16 * 1024;

/// The body of any response of the proxy. When it ends, the request is recorded.
#[derive(Debug)]
pub struct ResponseBody {
    content: Content,
    /// The rest of a part that is too large for one frame of HTTP/2.
    rest: Bytes,
    /// Absent for a tunnel, which is recorded at its own end.
    exchange: Option<Exchange>,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are the upstream's")]
enum Content {
    /// A response of bearward's own.
    Own(Full<Bytes>),
    /// The upstream's response.
    Upstream(Download),
}

/// An upstream's body, and the connection that it comes by.
#[derive(Debug)]
pub struct Download {
    /// What was read of `incoming` before.
    peeked: Peeked,
    incoming: Incoming,
    checkout: Option<Checkout>,
    request_body: RequestBody,
    trailer_filter: TrailerFilter,
    /// `timeouts.idle`.
    idle: Duration,
    waiting_since: Option<Instant>,
    broken: Option<BodyError>,
}

/// No byte of a body moved for `timeouts.idle`.
#[derive(Clone, Copy, Debug, Error)]
#[error("no byte of the body moved for `timeouts.idle`")]
struct IdleError;

/// The upstream reset the stream before the end of the body.
#[derive(Clone, Copy, Debug, Error)]
#[error("the upstream reset the stream")]
struct CutError;

impl Download {
    /// Makes the body of a response whose head has come by `checkout`, and of whose body `peeked` was read.
    pub fn new(
        (peeked, incoming): (Peeked, Incoming),
        checkout: Checkout,
        request_body: RequestBody,
        trailer_filter: TrailerFilter,
        idle: Duration,
    ) -> Self {
        let mut download = Self {
            peeked,
            incoming,
            checkout: Some(checkout),
            request_body,
            trailer_filter,
            idle,
            waiting_since: None,
            broken: None,
        };
        if download.incoming.is_end_stream() {
            download.release();
        }
        download
    }

    /// Gives the connection back, when both sides are done with it.
    fn release(&mut self) {
        if let Some(checkout) = self.checkout.take() {
            checkout.release();
        }
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        exchange: Option<&mut Exchange>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(frame) = self.peeked.next_frame() {
            return Poll::Ready(Some(Ok(self.filter(frame))));
        }
        if let Some(error) = self.peeked.take_error() {
            return self.fail(cx, error);
        }
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match self.poll_incoming(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting_since = None;
                if self.incoming.is_end_stream() {
                    self.release();
                }
                Poll::Ready(Some(Ok(self.filter(frame))))
            }
            Poll::Ready(None) if self.is_cut() => self.fail(cx, CutError.into()),
            Poll::Ready(None) => {
                self.release();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => self.fail(cx, error.into()),
            Poll::Pending => {
                if let Some(exchange) = exchange {
                    ready!(self.poll_idle(cx, exchange.timer()));
                }
                self.fail(cx, IdleError.into())
            }
        }
    }

    /// Whether the body has ended before its end. hyper takes a reset stream for an ended one where the reason is
    /// `NO_ERROR`.
    fn is_cut(&self) -> bool {
        let is_http2 = |checkout: &Checkout| checkout.version() == Version::HTTP_2;
        self.checkout.as_ref().is_some_and(is_http2) && !self.incoming.is_end_stream()
    }

    fn poll_incoming(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.checkout {
            Some(checkout) => checkout.poll_body(cx, &mut self.incoming),
            None => Pin::new(&mut self.incoming).poll_frame(cx),
        }
    }

    /// Breaks the body off with the next poll: what came before is flushed to the client first.
    fn fail(
        &mut self,
        cx: &Context<'_>,
        error: BodyError,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        tracing::debug!(%error, "the upstream's response broke off");
        self.checkout = None;
        self.broken = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Completes when neither body has moved for `timeouts.idle`.
    fn poll_idle(&mut self, cx: &mut Context<'_>, timer: &mut Option<Timer>) -> Poll<()> {
        loop {
            let since = *self.waiting_since.get_or_insert_with(Instant::now);
            let moved_at = self
                .request_body
                .moved_at()
                .map_or(since, |at| at.max(since));
            let deadline = moved_at + self.idle;
            let timer = timer.get_or_insert_with(|| Timer::new(deadline));
            timer.set(deadline);
            ready!(timer.poll_elapsed(cx));
            if self.request_body.moved_at().is_none_or(|at| at <= moved_at) {
                return Poll::Ready(());
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, peeked) = (self.incoming.size_hint(), self.peeked.length());
        if peeked > 0 {
            let upper = hint.upper().map(|upper| upper + peeked);
            let lower = hint.lower() + peeked;
            hint = SizeHint::new();
            hint.set_lower(lower);
            upper.into_iter().for_each(|upper| hint.set_upper(upper));
        }
        hint
    }

    fn filter(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_trailers() {
            Ok(mut trailers) => {
                self.trailer_filter.apply(&mut trailers);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        }
    }
}

impl ResponseBody {
    /// Makes the body of a response of bearward's own.
    pub fn own(content: Full<Bytes>, exchange: Exchange) -> Self {
        Self {
            content: Content::Own(content),
            rest: Bytes::new(),
            exchange: Some(exchange),
        }
    }

    /// Makes the body of an upstream's response.
    pub fn upstream(download: Download, exchange: Exchange) -> Self {
        Self {
            content: Content::Upstream(download),
            rest: Bytes::new(),
            exchange: Some(exchange),
        }
    }

    /// Makes the body of a 101.
    pub fn empty() -> Self {
        Self {
            content: Content::Own(Full::default()),
            rest: Bytes::new(),
            exchange: None,
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(exchange) = &this.exchange {
            exchange.wait_for_upstream();
        }
        let frame = match &mut this.content {
            _ if !this.rest.is_empty() => Some(Ok(Frame::data(mem::take(&mut this.rest)))),
            Content::Own(content) => ready!(Pin::new(content).poll_frame(cx))
                .map(|frame| frame.map_err(|never| match never {})),
            Content::Upstream(download) => ready!(download.poll_frame(cx, this.exchange.as_mut())),
        };
        let is_watched = |exchange: &Exchange| exchange.is_watched();
        let frame = match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(mut data)))
                if data.len() > MAX_PART && this.exchange.as_ref().is_some_and(is_watched) =>
            {
                this.rest = data.split_off(MAX_PART);
                Some(Ok(Frame::data(data)))
            }
            frame => {
                frame.map(|frame| frame.map(|frame| frame.map_or_else(|other| other, Frame::data)))
            }
        };
        if let Some(exchange) = &mut this.exchange {
            match &frame {
                Some(Ok(frame)) => {
                    exchange.count_bytes(frame.data_ref().map_or(0, Bytes::len));
                    exchange.wait_for_client();
                }
                Some(Err(_)) => exchange.break_off(),
                None => {}
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            _ if !self.rest.is_empty() => false,
            Content::Own(content) => content.is_end_stream(),
            Content::Upstream(download) => {
                download.peeked.is_empty()
                    && download.incoming.is_end_stream()
                    && download.broken.is_none()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(content) => content.size_hint(),
            Content::Upstream(download) => download.size_hint(),
        }
    }
}
