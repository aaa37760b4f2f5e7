//! The end of a client whose last bytes nothing reads yet.

use std::{
    future::Future,
    io,
    os::fd::AsFd,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::net::{TcpStream, UnixStream};

/// Waits for a client to close its side of a connection, whatever has come before and is unread.
///
/// hyper reads nothing while a request waits behind the one that is served, and would see the end after both.
pub(super) struct HangUp {
    waiting: Pin<Box<dyn Future<Output = ()> + Send>>,
    has_ended: bool,
}

impl HangUp {
    /// Watches a TCP socket, by a descriptor of its own.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(super) fn of_tcp(socket: &TcpStream) -> io::Result<Self> {
        let socket = std::net::TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        let socket = TcpStream::from_std(socket)?;
        Ok(Self::new(async move {
            #[cfg(target_os = "linux")]
            let _ = socket.ready(END).await;
            #[cfg(not(target_os = "linux"))]
            never(socket).await;
        }))
    }

    /// Watches a Unix socket, by a descriptor of its own.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(super) fn of_unix(socket: &UnixStream) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixStream::from(socket.as_fd().try_clone_to_owned()?);
        let socket = UnixStream::from_std(socket)?;
        Ok(Self::new(async move {
            #[cfg(target_os = "linux")]
            let _ = socket.ready(END).await;
            #[cfg(not(target_os = "linux"))]
            never(socket).await;
        }))
    }

    fn new(waiting: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            waiting: Box::pin(waiting),
            has_ended: false,
        }
    }

    /// Completes when the client has closed its side.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.has_ended = self.has_ended || self.waiting.as_mut().poll(cx).is_ready();
        match self.has_ended {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

/// Unread bytes are no event for this interest, but the end of them is one.
#[cfg(target_os = "linux")]
const END: tokio::io::Interest = tokio::io::Interest::PRIORITY;

/// Other systems have no such interest: the end is seen behind the next response.
#[cfg(not(target_os = "linux"))]
async fn never<S>(_: S) {
    std::future::pending().await
}

impl std::fmt::Debug for HangUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("HangUp");
        text.field("has_ended", &self.has_ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::{io::AsyncWriteExt, net::TcpListener, time::timeout};

    use super::*;

    async fn assert_sees_the_end(mut hang_up: HangUp, mut client: impl AsyncWriteExt + Unpin) {
        for _ in 0..2 {
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let watching = timeout(Duration::from_millis(20), poll_fn(|cx| hang_up.poll(cx)));
            assert!(watching.await.is_err(), "the client is still there");
        }
        client.shutdown().await.unwrap();
        for _ in 0..2 {
            poll_fn(|cx| hang_up.poll(cx)).await;
        }
    }

    #[tokio::test]
    async fn unread_bytes_are_no_end_and_hide_none() {
        let (server, client) = UnixStream::pair().unwrap();
        assert_sees_the_end(HangUp::of_unix(&server).unwrap(), client).await;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        assert_sees_the_end(HangUp::of_tcp(&server).unwrap(), client).await;
    }
}
