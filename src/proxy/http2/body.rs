//! The body of an answer on its way back to a caller that speaks HTTP/2.

use std::{
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body as HttpBody, Frame};

use super::{activity, caller::Http2Caller, pulse};
use crate::{
    http1::{
        body::{BodyError, Sink},
        buffer::{Buffer, LARGE, SMALL},
        framing::Framing,
        head::Head,
    },
    proxy::{
        admission::Admitted,
        download::Download,
        forward::Answered,
        service::{self, Ingress},
        table::ActiveRoute,
        timer::Timer,
        worker::Worker,
    },
    telemetry::access_log::TokenCost,
};

/// Bytes handed to hyper at once, which does not ask for more before all of them have left. A caller that takes so many
/// within `timeouts.idle` is not taken for one that has stopped reading.
const MOST_AT_ONCE: usize = 16 * 1024;

/// The body of an answer.
pub(super) struct AnswerBody {
    pub(super) content: Content,
    pub(super) told: Told,
}

pub(super) enum Content {
    Whole(Option<Bytes>),
    Streaming(Box<Streaming>),
    Finished,
}

/// An answer on its way from the upstream, while the request may still be under way.
pub(super) struct Streaming {
    pub(super) answered: Answered,
    pub(super) download: Download,
    pub(super) wire: Buffer,
    pub(super) caller: Http2Caller,
    pub(super) timer: Timer,
    pub(super) active: Arc<ActiveRoute>,
    pub(super) admitted: Admitted,
    pub(super) worker: Rc<Worker>,
    pub(super) trailers: bool,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = match &mut this.content {
            Content::Finished => None,
            Content::Whole(body) => body.take().filter(|body| !body.is_empty()).map(|body| Ok(Frame::data(body))),
            Content::Streaming(streaming) => ready!(streaming.poll_frame(cx)),
        };
        match &frame {
            Some(Ok(frame)) => this.told.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            // An error is passed on as a reset, and the connection to the upstream ends here.
            Some(Err(_)) => this.content = Content::Finished,
            None => {
                if let Content::Streaming(streaming) = std::mem::replace(&mut this.content, Content::Finished) {
                    streaming.finish();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Finished => true,
            Content::Whole(body) => body.as_ref().is_none_or(Bytes::is_empty),
            Content::Streaming(_) => false,
        }
    }
}

impl Streaming {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let idle = self.active.route.timeouts.idle;
        loop {
            let mut moved = false;
            if !self.answered.sending.is_done() {
                let sent = self.answered.sending.poll(cx, &mut self.answered.connection, &mut self.caller, &mut moved);
                if let Poll::Ready(Err(_)) = sent {
                    return Poll::Ready(Some(Err(BodyError::Cut)));
                }
            }
            if moved {
                self.timer.set(idle);
                pulse::beat();
            }
            if !self.wire.is_empty() {
                let piece = self.wire.len().min(MOST_AT_ONCE);
                let data = Bytes::copy_from_slice(&self.wire.filled()[..piece]);
                self.wire.consume(piece);
                self.timer.set(idle);
                pulse::beat();
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if self.download.body.is_done() {
                return Poll::Ready(self.trailers().transpose());
            }
            if self.wire.size() < LARGE && self.download.body.content() > SMALL as u64 / 2 {
                self.wire = Buffer::with_size(LARGE);
            }
            match self.download.poll_more(cx, &mut self.answered.connection, &mut self.wire, Sink::Plain) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Pending => return self.timer.poll_passed(cx).map(|()| Some(Err(BodyError::Cut))),
            }
        }
    }

    fn trailers(&mut self) -> Result<Option<Frame<Bytes>>, BodyError> {
        if self.trailers {
            return Ok(None);
        }
        self.trailers = true;
        let mut fields = HeaderMap::new();
        self.download.body.trailers(None, |name, value| {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                fields.append(name, value);
            }
        })?;
        Ok((!fields.is_empty()).then(|| Frame::trailers(fields)))
    }

    /// Whether there is no body, and nothing left to send.
    pub(super) fn is_whole(&self) -> bool {
        self.answered.framing == Framing::Empty && self.answered.sending.is_over()
    }

    pub(super) fn finish(self) {
        self.download.finish(self.answered, &self.worker.pool, &self.active.target);
    }
}

/// What is told of a request when it is over, however it ends.
pub(super) struct Told {
    pub(super) ingress: Arc<Ingress>,
    pub(super) head: Head,
    pub(super) active: Option<Arc<ActiveRoute>>,
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) started: Instant,
    pub(super) cost: TokenCost,
    pub(super) _stream: activity::Stream,
}

impl Drop for Told {
    fn drop(&mut self) {
        /// A caller that went away before there was an answer.
        const CALLER_GONE: u16 = 499;
        let status = if self.status == 0 { CALLER_GONE } else { self.status };
        let active = self.active.as_deref();
        service::tell(&self.ingress, &self.head, active, status, self.bytes, self.started.elapsed(), self.cost);
    }
}
