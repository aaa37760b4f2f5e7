//! The side that a request came from, whichever HTTP it speaks.

use std::task::{Context, Poll};

use super::downstream::Downstream;
use crate::http1::{
    body::{Body, BodyError, CHUNK_GAP, Sink},
    buffer::{Buffer, SMALL},
};

/// The side that the request came from: what is still to come of its body, and what it comes by.
#[derive(Debug)]
pub struct Caller<'a> {
    pub(super) stream: &'a mut Downstream,
    pub(super) body: Body,
    /// How the body is framed for the upstream.
    pub(super) sink: Sink,
    /// The field that the caller may not bring, in trailers neither.
    pub(super) injected: Option<&'a [u8]>,
    /// What was read behind the body.
    pub(super) spill: Vec<u8>,
    /// Whether it knows interim answers.
    pub(super) interim: bool,
}

/// Where more of a body is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind what was sent already, which is kept.
    Behind,
    /// Into the memory of what was sent already, which is lost.
    Over,
}

/// What the caller did wrong while its request was on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerFault {
    /// It went away.
    Gone,
    /// Its body is malformed.
    Malformed,
    /// Its body is longer than the route takes.
    TooLarge,
}

impl From<BodyError> for CallerFault {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Malformed => Self::Malformed,
            BodyError::TooLarge => Self::TooLarge,
            BodyError::Cut => Self::Gone,
        }
    }
}

impl Caller<'_> {
    /// Whether the whole body was read.
    pub fn is_body_done(&self) -> bool {
        self.body.is_done()
    }

    /// Bytes of the body's content, as far as is known: what has come, and what was announced.
    pub fn known_length(&self) -> u64 {
        self.body.known_length()
    }

    /// Adds some more of the body, framed for the upstream, to `wire`: behind what it holds, or in place of it.
    pub fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut Buffer,
        place: Place,
    ) -> Poll<Result<(), CallerFault>> {
        let mut part = Buffer::new();
        let target = match place {
            Place::Over => &mut *wire,
            Place::Behind => &mut part,
        };
        target.grow(SMALL);
        target.reset(CHUNK_GAP);
        let room = (target.spare().len() - 2).min(self.body.appetite());
        let count = match self.stream.poll_read(cx, &mut target.spare()[..room]) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(_)) => return Poll::Ready(Err(CallerFault::Gone)),
        };
        if count == 0 {
            return Poll::Ready(self.body.end().map_err(CallerFault::from));
        }
        target.advance(count);
        let decoded = self.body.decode(target.filled_mut())?;
        self.spill
            .extend_from_slice(&target.filled()[decoded.consumed..]);
        target.truncate(decoded.content);
        self.body.frame(target, self.sink, self.injected)?;
        if place == Place::Behind {
            wire.extend(part.filled());
        }
        Poll::Ready(Ok(()))
    }

    /// Ready once the caller has gone away for good, as far as that can be told while its request is waited for.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.body.is_done() || self.stream.tells_resets() {
            self.stream.poll_reset(cx)
        } else {
            Poll::Pending
        }
    }

    /// Passes an interim answer on, where the caller knows them.
    pub fn poll_interim(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut Buffer,
    ) -> Poll<Result<(), CallerFault>> {
        if !self.interim {
            return Poll::Ready(Ok(()));
        }
        self.stream
            .poll_write_all(cx, wire)
            .map_err(|_| CallerFault::Gone)
    }
}
