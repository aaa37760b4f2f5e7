//! After a switch of protocols: bytes both ways, until both sides have ended or nothing moves any more.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
    time::Duration,
};

use crate::{
    http1::buffer::{Buffer, SMALL},
    proxy::{downstream::Downstream, timer::Timer, upstream::Connection},
};

/// What is on its way in each direction.
#[derive(Debug)]
pub(super) struct Tunnel {
    up: Pipe,
    down: Pipe,
    bytes: u64,
}

/// One direction.
#[derive(Debug)]
struct Pipe {
    wire: Buffer,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The sender has ended, and the receiver is to learn of it.
    Ending,
    Ended,
}

impl Tunnel {
    /// A tunnel through which `up` and `down`, which were read already, go first.
    pub(super) fn new(up: Buffer, down: Buffer) -> Self {
        let pipe = |wire| Pipe {
            wire,
            state: State::Open,
        };
        Self {
            up: pipe(up),
            down: pipe(down),
            bytes: 0,
        }
    }

    /// Runs to the end; gives the bytes that went down, those of the answer's head included.
    pub(super) async fn run(
        mut self,
        caller: &mut Downstream,
        mut upstream: Connection,
        idle: Duration,
        timer: &mut Timer,
    ) -> u64 {
        timer.set(idle);
        poll_fn(|cx| {
            loop {
                let mut moved = false;
                let up = self.poll_up(cx, caller, &mut upstream, &mut moved);
                let down = self.poll_down(cx, caller, &mut upstream, &mut moved);
                match (up, down) {
                    (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(()),
                    (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(()),
                    _ if moved => timer.set(idle),
                    _ => return timer.poll_passed(cx),
                }
            }
        })
        .await;
        self.bytes
    }

    fn poll_up(
        &mut self,
        cx: &mut Context<'_>,
        caller: &mut Downstream,
        upstream: &mut Connection,
        moved: &mut bool,
    ) -> Poll<io::Result<()>> {
        let pipe = &mut self.up;
        loop {
            if !pipe.wire.is_empty() {
                let count = ready!(upstream.poll_write(cx, pipe.wire.filled()))?;
                pipe.wrote(count)?;
            } else {
                ready!(upstream.poll_flush(cx))?;
                match pipe.state {
                    State::Open => ready!(pipe.poll_fill(|bytes| caller.poll_read(cx, bytes)))?,
                    State::Ending => {
                        ready!(upstream.poll_shutdown(cx))?;
                        pipe.state = State::Ended;
                    }
                    State::Ended => return Poll::Ready(Ok(())),
                }
            }
            *moved = true;
        }
    }

    fn poll_down(
        &mut self,
        cx: &mut Context<'_>,
        caller: &mut Downstream,
        upstream: &mut Connection,
        moved: &mut bool,
    ) -> Poll<io::Result<()>> {
        let pipe = &mut self.down;
        loop {
            if !pipe.wire.is_empty() {
                let before = pipe.wire.len();
                ready!(caller.poll_write(cx, &mut pipe.wire))?;
                self.bytes += (before - pipe.wire.len()) as u64;
            } else {
                match pipe.state {
                    State::Open => ready!(pipe.poll_fill(|bytes| upstream.poll_read(cx, bytes)))?,
                    State::Ending => {
                        ready!(caller.poll_shutdown(cx))?;
                        pipe.state = State::Ended;
                    }
                    State::Ended => return Poll::Ready(Ok(())),
                }
            }
            *moved = true;
        }
    }
}

impl Pipe {
    fn wrote(&mut self, count: usize) -> io::Result<()> {
        self.wire.consume(count);
        if count == 0 {
            Err(io::ErrorKind::WriteZero.into())
        } else {
            Ok(())
        }
    }

    /// Reads more; a tunnel in which nothing moves holds no buffer.
    fn poll_fill(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        self.wire.grow(SMALL);
        self.wire.reset(0);
        let read = read(self.wire.spare());
        if let Poll::Ready(Ok(count)) = read {
            self.wire.advance(count);
        }
        if self.wire.is_empty() {
            self.wire.release();
        }
        if ready!(read)? == 0 {
            self.state = State::Ending;
        }
        Poll::Ready(Ok(()))
    }
}
