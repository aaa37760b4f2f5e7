//! An accepted connection, TCP or Unix, and how it ends.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::{Instant, Sleep, sleep_until},
};

use super::hang_up::HangUp;

/// Time for a client to stop sending after its last response (RFC 9112 §9.6).
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of a client that are discarded after its last response.
const MAX_LINGER_BYTES: usize = 1024 * 1024;

/// A connection from a client.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    linger: Option<Linger>,
}

/// The socket of a connection.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The end of a connection: the write side is closed, and the client's last bytes are discarded.
///
/// Closing a socket that has unread bytes makes the kernel send RST, and the client may lose the response.
#[derive(Debug)]
struct Linger {
    timeout: Pin<Box<Sleep>>,
    bytes: usize,
}

impl Stream {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            linger: None,
        }
    }

    pub(super) fn into_socket(self) -> Socket {
        self.socket
    }

    /// Makes the end of the connection an abort (RST). A Unix socket has no such end.
    pub fn reset_on_close(&self) {
        if let Socket::Tcp(stream) = &self.socket {
            // If the system refuses, the connection ends with FIN, which is the next best.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Watches for the end of what the client sends.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(super) fn hang_up(&self) -> io::Result<HangUp> {
        match &self.socket {
            Socket::Tcp(stream) => HangUp::of_tcp(stream),
            Socket::Unix(stream) => HangUp::of_unix(stream),
        }
    }

    /// Closes the write side alone: the client may go on sending.
    pub fn poll_close_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, linger } = self;
        let linger = linger.get_or_insert_with(|| Linger {
            timeout: Box::pin(sleep_until(Instant::now() + LINGER_TIMEOUT)),
            bytes: 0,
        });
        let mut discarded = [MaybeUninit::uninit(); 4096];
        while linger.bytes <= MAX_LINGER_BYTES {
            let mut buffer = ReadBuf::uninit(&mut discarded);
            match socket.poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    linger.bytes += buffer.filled().len();
                }
                Poll::Ready(_) => break,
                Poll::Pending => {
                    ready!(linger.timeout.as_mut().poll(cx));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().socket.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Closes the write side, then reads until the client closes too, for 2 s and 1 MiB at most.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(this.poll_close_write(cx))?;
        }
        this.poll_linger(cx)
    }
}
