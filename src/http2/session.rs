//! What the two sides of the proxy hold of a connection.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};

pub use super::state::Limits;
use super::{
    connection::{Connection, Liveness},
    outbound::Origin,
    state::{Side, State},
    stream::Stream,
};

/// A connection to a server, on which requests are made.
#[derive(Debug)]
pub struct Client(Rc<RefCell<State>>, Rc<Origin>);

/// A connection from a client, on which requests come.
#[derive(Debug)]
pub struct Server(Rc<RefCell<State>>);

impl Client {
    /// Speaks HTTP/2 on `io` to `authority`, by `scheme`. The connection has to be polled; it ends when this is dropped and
    /// the last request is over.
    pub fn begin<T: AsyncRead + AsyncWrite + Unpin>(
        io: T,
        scheme: &'static str,
        authority: String,
        limits: Limits,
        liveness: Liveness,
    ) -> (Self, Connection<T>) {
        let origin = Rc::new(Origin { scheme, authority });
        let state = Rc::new(RefCell::new(State::new(Side::Client, limits)));
        (
            Self(state.clone(), origin),
            Connection::new(io, state, liveness, limits.head_bytes),
        )
    }

    /// A stream for one request.
    pub fn stream(&self) -> Stream {
        Stream::for_request(self.0.clone(), self.1.clone())
    }

    /// Whether it takes another request.
    pub fn has_room(&self) -> bool {
        self.0.borrow().has_room()
    }

    /// Whether it can be given up without a request noticing.
    pub fn is_idle(&self) -> bool {
        self.0.borrow().is_idle()
    }

    /// Whether it takes no request any more.
    pub fn is_closed(&self) -> bool {
        !self.0.borrow().is_open()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut state = self.0.borrow_mut();
        state.is_unwanted = true;
        state.wake_driver();
    }
}

impl Server {
    /// Speaks HTTP/2 on `io`, preface included.
    pub fn begin<T: AsyncRead + AsyncWrite + Unpin>(
        io: T,
        limits: Limits,
        liveness: Liveness,
    ) -> (Self, Connection<T>) {
        let state = Rc::new(RefCell::new(State::new(Side::Server, limits)));
        (
            Self(state.clone()),
            Connection::new(io, state, liveness, limits.head_bytes),
        )
    }

    /// Tells the client that the connection is going to end: what is asked before it knows is served.
    pub fn announce_end(&self) {
        let mut state = self.0.borrow_mut();
        state.announce_end();
        state.stir();
    }

    /// Waits until there has been no request for `first`, or, once there has been one, for `later`.
    pub async fn quiet(&self, first: Duration, later: Duration) {
        loop {
            let (since, has_begun) = self.0.borrow().idle_since();
            let bound = if has_begun { later } else { first };
            let now = Instant::now();
            let until = since.unwrap_or(now) + bound;
            if until <= now {
                return;
            }
            // Which of the two bounds holds may change while this sleeps.
            sleep_until(until.min(now + first.min(later))).await;
        }
    }
}
