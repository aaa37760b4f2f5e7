//! What is read of a stream: messages of HTTP/1.1 whose length and host nobody can doubt.

use bearward::{
    http1::{
        body::Body,
        framing::{self, Framing},
        head::{Head, HeadLimits},
    },
    proxy::admission::admit,
    server::limits::Limits,
};

use super::super::admission::one_reading;

/// Smaller than what a connection keeps of a head, so that one that is too large is found to be.
const LIMITS: HeadLimits = HeadLimits {
    bytes: 8 * 1024,
    fields: 100,
};
const MOST_TRAILER_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Requests,
    Answer { to_head: bool },
}

/// Messages that come one after another, or one answer.
pub(super) struct Reading {
    role: Role,
    head: Head,
    body: Option<Body>,
    /// It was refused, and is not read on.
    is_lost: bool,
    /// The answer was read to its end.
    is_over: bool,
}

impl Reading {
    pub(super) fn request() -> Self {
        Self::new(Role::Requests)
    }

    pub(super) fn answer(to_head: bool) -> Self {
        Self::new(Role::Answer { to_head })
    }

    fn new(role: Role) -> Self {
        Self {
            role,
            head: Head::default(),
            body: None,
            is_lost: false,
            is_over: false,
        }
    }

    /// Whether nothing is missing.
    pub(super) fn may_end(&self) -> bool {
        let is_between = self.body.is_none() && self.head.buffer.is_empty();
        self.is_lost || (is_between && (self.is_over || self.role == Role::Requests))
    }

    /// Takes what was read; gives how many messages begin in it.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let (mut rest, mut begun) = (bytes.to_vec(), 0);
        while !self.is_lost {
            if let Some(body) = &mut self.body {
                let decoded = body
                    .decode(&mut rest)
                    .expect("a body that is framed as its head says");
                rest.drain(..decoded.consumed);
                if !body.is_done() {
                    break;
                }
                self.body = None;
                self.is_over = true;
            }
            if rest.is_empty() {
                break;
            }
            assert!(
                self.role == Role::Requests || !self.is_over,
                "something behind an answer"
            );
            self.head.buffer.extend(&std::mem::take(&mut rest));
            match self.framing() {
                None => break,
                Some(Ok(framing)) => {
                    begun += 1;
                    self.body = Some(Body::new(framing, None, MOST_TRAILER_BYTES));
                    rest = self.head.rest().to_vec();
                    self.head = Head::default();
                }
                Some(Err(())) => self.is_lost = true,
            }
        }
        begun
    }

    /// The framing of the head once it is there; an error where it is refused.
    fn framing(&mut self) -> Option<Result<Framing, ()>> {
        let Role::Answer { to_head } = self.role else {
            return match self.head.parse_request(LIMITS) {
                Ok(false) => None,
                Ok(true) => Some(self.admitted()),
                Err(_) => Some(Err(())),
            };
        };
        loop {
            match self.head.parse_response(LIMITS) {
                Ok(false) => return None,
                Ok(true) if self.head.status < 200 => self.head.next(0),
                Ok(true) => {
                    let framing = framing::of_response(&self.head, to_head);
                    assert_ne!(
                        framing,
                        Ok(Framing::UntilClose),
                        "an answer whose end nobody sees"
                    );
                    return Some(framing.map_err(|_| ()));
                }
                Err(_) => return Some(Err(())),
            }
        }
    }

    fn admitted(&self) -> Result<Framing, ()> {
        let admitted = admit(&self.head, &Limits::default()).map_err(|_| ())?;
        one_reading(
            &self.head.buffer.all()[..self.head.len()],
            &self.head,
            &admitted,
        );
        Ok(admitted.framing)
    }
}
