//! The side that a request came from, whichever HTTP it speaks.

use std::{
    io,
    task::{Context, Poll},
};

use crate::http1::{
    body::{Body, BodyError, CHUNK_GAP, Sink},
    buffer::{Buffer, SMALL},
};

/// The side that the request came from.
pub trait Caller {
    /// Whether the whole body was read.
    fn is_body_done(&self) -> bool;

    /// Bytes of the body's content, as far as is known: what has come, and what was announced.
    fn known_length(&self) -> u64;

    /// Adds some more of the body, framed for the upstream, to `wire`: behind what it holds, or in place of it.
    fn poll_body(&mut self, cx: &mut Context<'_>, wire: &mut Buffer, place: Place) -> Poll<Result<(), CallerFault>>;

    /// Ready once the caller has gone away for good, as far as that can be told while its request is waited for.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Passes an interim answer on, where the protocol has them.
    fn poll_interim(&mut self, cx: &mut Context<'_>, wire: &mut Buffer) -> Poll<Result<(), CallerFault>>;
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

/// Reads more of a body from `read` and adds it, framed, to `wire`. What is read behind its end goes to `spill`.
pub fn poll_upload(
    body: &mut Body,
    wire: &mut Buffer,
    place: Place,
    sink: Sink,
    injected: Option<&[u8]>,
    spill: &mut Vec<u8>,
    mut read: impl FnMut(&mut [u8]) -> Poll<io::Result<usize>>,
) -> Poll<Result<(), CallerFault>> {
    let mut part = Buffer::new();
    let target = match place {
        Place::Over => &mut *wire,
        Place::Behind => &mut part,
    };
    target.grow(SMALL);
    target.reset(CHUNK_GAP);
    let room = (target.spare().len() - 2).min(body.appetite());
    let count = match read(&mut target.spare()[..room]) {
        Poll::Pending => return Poll::Pending,
        Poll::Ready(Ok(count)) => count,
        Poll::Ready(Err(_)) => return Poll::Ready(Err(CallerFault::Gone)),
    };
    if count == 0 {
        return Poll::Ready(body.end().map_err(CallerFault::from));
    }
    target.advance(count);
    let decoded = body.decode(target.filled_mut())?;
    spill.extend_from_slice(&target.filled()[decoded.consumed..]);
    target.truncate(decoded.content);
    body.frame(target, sink, injected)?;
    if place == Place::Behind {
        wire.extend(part.filled());
    }
    Poll::Ready(Ok(()))
}
