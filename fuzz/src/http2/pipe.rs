//! What a connection reads from and writes to.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Calls that move nothing, and how many bytes others should move on average.
const MOST_IDLE: usize = 16;
const WORTH_A_CALL: usize = 512;

pub(super) struct Pipe {
    pub(super) input: Vec<u8>,
    pub(super) is_ended: bool,
    pub(super) output: Vec<u8>,
    /// How much may be written.
    pub(super) room: usize,
    calls: usize,
    moved: usize,
}

impl Pipe {
    pub(super) fn new() -> Self {
        Self {
            input: Vec::new(),
            is_ended: false,
            output: Vec::new(),
            room: usize::MAX,
            calls: 0,
            moved: 0,
        }
    }

    /// How often it was called, and what that has moved.
    pub(super) fn meter(&self) -> (usize, usize) {
        (self.calls, self.moved)
    }

    /// Nobody calls on and on.
    pub(super) fn check_pace(&self, (calls, moved): (usize, usize)) {
        let (calls, moved) = (self.calls - calls, self.moved - moved);
        assert!(
            calls <= MOST_IDLE + moved / WORTH_A_CALL,
            "{calls} calls to move {moved} bytes"
        );
    }
}

/// The connection's end of a pipe.
pub(super) struct End(pub(super) Rc<RefCell<Pipe>>);

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut pipe = self.0.borrow_mut();
        pipe.calls += 1;
        let count = pipe.input.len().min(buffer.remaining());
        buffer.put_slice(&pipe.input[..count]);
        pipe.input.drain(..count);
        pipe.moved += count;
        if count > 0 || pipe.is_ended {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = self.0.borrow_mut();
        assert!(!bytes.is_empty(), "nothing is written");
        pipe.calls += 1;
        let count = pipe.room.min(bytes.len());
        if count == 0 {
            return Poll::Pending;
        }
        pipe.room -= count;
        pipe.moved += count;
        pipe.output.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
