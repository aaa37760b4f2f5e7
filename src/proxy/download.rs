//! The body of an answer on its way back.

use std::task::{Context, Poll};

use super::{
    admission,
    forward::Answered,
    upstream::{Connection, Pool, Target},
};
use crate::http1::{
    body::{Body, BodyError, CHUNK_GAP, Sink},
    buffer::Buffer,
    framing::Framing,
};

/// The body of an answer on its way back.
#[derive(Debug)]
pub struct Download {
    /// What is still to come.
    pub body: Body,
    /// Whether the upstream sent more than the answer.
    extra: bool,
}

impl Download {
    /// Begins with what was read together with the head: adds it, framed, to `wire`.
    ///
    /// # Errors
    /// The body is malformed from the start.
    pub fn begin(
        answered: &Answered,
        most_trailer_bytes: usize,
        wire: &mut Buffer,
        sink: Sink,
    ) -> Result<Self, BodyError> {
        let mut body = Body::new(answered.framing, None, most_trailer_bytes);
        body.withhold_named_by(&answered.head);
        let rest = answered.head.rest();
        let consumed = body.begin(rest, wire, sink, None)?;
        Ok(Self {
            body,
            extra: consumed < rest.len(),
        })
    }

    /// Reads on into `wire`, whose content is lost, and frames what came.
    pub fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
        wire: &mut Buffer,
        sink: Sink,
    ) -> Poll<Result<(), BodyError>> {
        wire.reset(CHUNK_GAP);
        // Two bytes stay free for the end of a chunk.
        let room = wire.spare().len() - 2;
        let count = match connection.poll_read(cx, &mut wire.spare()[..room]) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(_)) => return Poll::Ready(Err(BodyError::Cut)),
        };
        if count == 0 {
            self.body.end()?;
        } else {
            wire.advance(count);
            let decoded = self.body.decode(wire.filled_mut())?;
            self.extra |= decoded.consumed < count;
            wire.truncate(decoded.content);
        }
        Poll::Ready(self.body.frame(wire, sink, None))
    }

    /// Gives the connection back to the pool, where both sides have said all and the upstream keeps it open.
    pub fn finish(self, answered: Answered, pool: &Pool, target: &Target) {
        let ended_by_length = answered.framing != Framing::UntilClose;
        if self.body.is_done()
            && !self.extra
            && ended_by_length
            && answered.sending.is_done()
            && admission::keeps_alive(&answered.head)
        {
            pool.put(target, answered.connection);
        }
    }
}
