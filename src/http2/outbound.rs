//! A message on its way out, written as HTTP/1.1: what was written becomes field blocks and content.

use std::{io, rc::Rc};

use super::hpack::encode;
use crate::http1::{
    body::Body,
    buffer::Buffer,
    field::{Known, is_grpc},
    framing::{self, Framing},
    head::{ADDED_FIELDS, Head, HeadLimits, MOST_FIELDS},
};

/// What was written on this side is within the limits already, but for what was added here.
const LIMITS: HeadLimits = HeadLimits {
    bytes: usize::MAX,
    fields: MOST_FIELDS + ADDED_FIELDS,
};

/// Where requests on a connection go.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) scheme: &'static str,
    pub(super) authority: String,
}

/// What a message is.
#[derive(Clone, Debug)]
pub(super) enum Role {
    Request(Rc<Origin>),
    /// The answer to a request whose method was HEAD or not.
    Answer {
        to_head: bool,
    },
}

/// A message on its way out.
#[derive(Debug)]
pub(super) struct Outbound {
    role: Role,
    stage: Stage,
    /// Content that was written together with the head.
    early: Buffer,
    is_head_request: bool,
}

#[derive(Debug)]
enum Stage {
    Head(Head),
    Content(Body),
    Over,
}

/// What a head that was written is followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More of the head has to come first.
    More,
    /// Another head: this one is an interim one.
    Head,
    Content,
    Nothing,
}

impl Outbound {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            stage: Stage::Head(Head::default()),
            early: Buffer::new(),
            is_head_request: false,
        }
    }

    /// Whether the head is still to come.
    pub(super) fn wants_head(&self) -> bool {
        matches!(self.stage, Stage::Head(_))
    }

    /// Whether all was written.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Whether the request that was written is a HEAD.
    pub(super) fn is_head_request(&self) -> bool {
        self.is_head_request
    }

    /// Adds bytes to the head, with what may have been written behind it.
    pub(super) fn add_to_head(&mut self, bytes: &[u8]) {
        if let Stage::Head(head) = &mut self.stage {
            head.buffer.extend(bytes);
        }
    }

    /// Packs the head into `block`.
    ///
    /// # Errors
    /// What was written is no head.
    pub(super) fn take_head(&mut self, block: &mut Buffer) -> io::Result<Next> {
        let Stage::Head(head) = &mut self.stage else {
            return Err(invalid());
        };
        let framing = match &self.role {
            Role::Request(origin) => {
                if !head.parse_request(LIMITS).map_err(|_| invalid())? {
                    return Ok(Next::More);
                }
                self.is_head_request = head.method() == b"HEAD";
                put_request(block, head, origin);
                framing::of_request(head)
            }
            Role::Answer { to_head } => {
                if !head.parse_response(LIMITS).map_err(|_| invalid())? {
                    return Ok(Next::More);
                }
                put_answer(block, head);
                if matches!(head.status, 100..=199) {
                    head.next(0);
                    return Ok(Next::Head);
                }
                framing::of_response(head, *to_head)
            }
        };
        let mut body = match framing.map_err(|_| invalid())? {
            Framing::UntilClose => return Err(invalid()),
            framing => Body::new(framing, None, LIMITS.bytes),
        };
        if !head.rest().is_empty() {
            decode(&mut body, head.rest(), &mut self.early)?;
        }
        let next = if matches!(framing, Ok(Framing::Empty)) {
            Next::Nothing
        } else {
            Next::Content
        };
        self.stage = if next == Next::Nothing {
            Stage::Over
        } else {
            Stage::Content(body)
        };
        Ok(next)
    }

    /// Moves the content that was written together with the head to `content`.
    pub(super) fn take_early(&mut self, content: &mut Buffer) {
        if !self.early.is_empty() {
            *content = std::mem::take(&mut self.early);
        }
    }

    /// Adds content to `content`.
    ///
    /// # Errors
    /// What was written is not framed as its head says.
    pub(super) fn take_content(&mut self, bytes: &[u8], content: &mut Buffer) -> io::Result<()> {
        match &mut self.stage {
            Stage::Content(body) => decode(body, bytes, content),
            Stage::Head(_) | Stage::Over => Err(invalid()),
        }
    }

    /// Whether the content is whole now. Then its trailers, if it has any, were packed into `block`.
    ///
    /// # Errors
    /// The trailers are malformed.
    pub(super) fn finish(&mut self, block: &mut Buffer) -> io::Result<bool> {
        let Stage::Content(body) = &self.stage else {
            return Ok(self.is_over());
        };
        if !body.is_done() {
            return Ok(false);
        }
        body.trailers(None, |name, value| encode::field(block, name, value, false))
            .map_err(|_| invalid())?;
        self.stage = Stage::Over;
        Ok(true)
    }
}

fn decode(body: &mut Body, bytes: &[u8], content: &mut Buffer) -> io::Result<()> {
    let start = content.len();
    content.push(bytes);
    let decoded = body.decode(&mut content.filled_mut()[start..]);
    // What cannot be decoded is no content, and must not be sent as such.
    content.truncate(start + decoded.map_or(0, |decoded| decoded.content));
    decoded.map(|_| ()).map_err(|_| invalid())
}

fn put_request(block: &mut Buffer, head: &Head, origin: &Origin) {
    encode::field(block, b":method", head.method(), false);
    encode::field(block, b":scheme", origin.scheme.as_bytes(), false);
    encode::field(block, b":authority", origin.authority.as_bytes(), false);
    encode::field(block, b":path", head.target(), false);
    put_fields(block, head);
    if head.values(Known::ContentType).any(is_grpc) {
        // Hop by hop, and so removed on the way here; gRPC servers insist on it.
        encode::field(block, b"te", b"trailers", false);
    }
}

fn put_answer(block: &mut Buffer, head: &Head) {
    encode::status(block, head.status);
    put_fields(block, head);
}

fn put_fields(block: &mut Buffer, head: &Head) {
    for field in head.fields() {
        match field.known {
            // They say of a connection what HTTP/2 says in its own way (RFC 9113 §8.2.2).
            Known::Host
            | Known::Connection
            | Known::TransferEncoding
            | Known::Upgrade
            | Known::HopByHop => {}
            known => {
                let (name, value) = (head.bytes(field.name), head.bytes(field.value));
                // A token is not to be remembered by anybody's compression (RFC 7541 §7.1.3).
                let is_secret =
                    known == Known::BearwardKey || name.eq_ignore_ascii_case(b"authorization");
                encode::field(block, name, value, is_secret);
            }
        }
    }
}

fn invalid() -> io::Error {
    io::ErrorKind::InvalidInput.into()
}

#[cfg(test)]
mod tests;
