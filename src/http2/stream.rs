//! One stream, written to and read from like a connection that speaks HTTP/1.1.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{
    outbound::{Next, Origin, Outbound, Role},
    state::{Seat, State},
};
use crate::http1::buffer::Buffer;

/// One request and its answer.
#[derive(Debug)]
pub struct Stream {
    state: Rc<RefCell<State>>,
    id: Option<u32>,
    message: Outbound,
    /// A request that is ready to go and waits for its turn.
    ready: Option<Ready>,
    was_refused: bool,
    /// What was written is no message.
    is_invalid: bool,
    /// Whether the next request is wanted when this one is over.
    goes_on: bool,
    /// Where whoever serves requests waits for the next.
    seat: Option<Rc<Seat>>,
}

#[derive(Debug)]
struct Ready {
    block: Buffer,
    next: Next,
}

impl Stream {
    /// A stream for a request.
    pub(super) fn for_request(state: Rc<RefCell<State>>, origin: Rc<Origin>) -> Self {
        Self::new(state, None, Role::Request(origin), None)
    }

    /// The stream of a request that has come.
    pub(super) fn arrived(state: Rc<RefCell<State>>, id: u32) -> Self {
        let to_head = state.borrow_mut().is_head_request(id);
        Self::new(
            state,
            Some(id),
            Role::Answer { to_head },
            Some(Rc::default()),
        )
    }

    fn new(state: Rc<RefCell<State>>, id: Option<u32>, role: Role, seat: Option<Rc<Seat>>) -> Self {
        state.borrow_mut().hold();
        Self {
            state,
            id,
            message: Outbound::new(role),
            ready: None,
            was_refused: false,
            is_invalid: false,
            goes_on: false,
            seat,
        }
    }

    /// Takes bytes of a message; as many as there is room for.
    ///
    /// # Errors
    /// The stream is broken, or the bytes are no message.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.message.wants_head() {
            self.message.add_to_head(bytes);
            let put = self.put_heads(cx);
            self.is_invalid |= put.is_err() && !self.was_refused;
            return Poll::Ready(put.map(|()| bytes.len()));
        }
        ready!(self.poll_begun(cx))?;
        let Some(id) = self.id else {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        };
        self.state
            .borrow_mut()
            .poll_write(id, &mut self.message, cx, bytes)
    }

    /// From here on what is read is the next request that comes on the same connection, once the answer to this one has left.
    pub fn go_on(&mut self) {
        self.goes_on = self.seat.is_some();
    }

    /// Whether it waits for a request, of which nothing has come.
    pub fn is_waiting(&self) -> bool {
        self.goes_on || self.id.is_none()
    }

    /// Reads bytes of the other side's message; 0 behind its end.
    ///
    /// # Errors
    /// The stream is broken.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.is_invalid {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        }
        ready!(self.poll_begun(cx))?;
        loop {
            let mut state = self.state.borrow_mut();
            let Some(id) = self.id else {
                // Before a request there is nothing to be read.
                let Some(seat) = &self.seat else {
                    return Poll::Pending;
                };
                let Some(id) = ready!(state.poll_seat(seat, cx)) else {
                    return Poll::Ready(Ok(0));
                };
                self.goes_on = false;
                self.message = Outbound::new(Role::Answer {
                    to_head: state.is_head_request(id),
                });
                self.id = Some(id);
                continue;
            };
            match ready!(state.poll_read(id, cx, bytes)) {
                Ok(0) if self.goes_on && state.is_over(id) => {
                    state.leave(id);
                    state.let_go();
                    self.id = None;
                }
                read => return Poll::Ready(read),
            }
        }
    }

    /// Sees that what was written is on its way.
    ///
    /// # Errors
    /// The stream is broken.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_begun(cx)
    }

    /// Reads no more than has to be read before the end.
    pub fn close(&self) {
        if let Some(id) = self.id {
            self.state.borrow_mut().close(id);
        }
    }

    /// Ready once the other side has reset the stream.
    pub fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.id {
            Some(id) => self.state.borrow_mut().poll_broken(id, cx),
            None => Poll::Pending,
        }
    }

    /// Whether the other side said that it has done nothing with the request (RFC 9113 §8.7), or it never left.
    pub fn was_refused(&self) -> bool {
        self.was_refused
            || self
                .id
                .is_some_and(|id| self.state.borrow_mut().was_refused(id))
    }

    /// Whether the request or its answer went wrong while the connection goes on.
    pub fn was_reset(&self) -> bool {
        self.is_invalid
            || self
                .id
                .is_some_and(|id| self.state.borrow_mut().was_reset(id))
    }

    fn put_heads(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let mut block = Buffer::new();
            let next = self.message.take_head(&mut block)?;
            match (next, self.id) {
                (Next::More, _) => return Ok(()),
                (next, None) => {
                    self.ready = Some(Ready { block, next });
                    return match self.poll_begun(cx) {
                        Poll::Ready(begun) => begun,
                        Poll::Pending => Ok(()),
                    };
                }
                (next, Some(id)) => {
                    let mut state = self.state.borrow_mut();
                    state.put_head(id, &block, next);
                    match next {
                        Next::Head | Next::More => {}
                        Next::Nothing => return Ok(()),
                        Next::Content => return state.go_on(id, &mut self.message),
                    }
                }
            }
        }
    }

    /// Opens the stream of a request that is ready to go.
    fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(Ready { block, next }) = &self.ready else {
            return Poll::Ready(Ok(()));
        };
        let mut state = self.state.borrow_mut();
        let id = match ready!(state.poll_open(cx, self.message.is_head_request())) {
            Ok(id) => id,
            Err(error) => {
                self.was_refused = true;
                return Poll::Ready(Err(error));
            }
        };
        self.id = Some(id);
        state.put_head(id, block, *next);
        let begun = if *next == Next::Content {
            state.go_on(id, &mut self.message)
        } else {
            Ok(())
        };
        self.ready = None;
        Poll::Ready(begun)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.state.borrow_mut();
        match (self.id, &self.seat) {
            (Some(id), _) => {
                state.leave(id);
                state.let_go();
            }
            (None, Some(seat)) => state.leave_seat(seat),
            (None, None) => state.let_go(),
        }
    }
}
