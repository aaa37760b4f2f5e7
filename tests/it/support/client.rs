//! Callers over raw sockets.

use std::{
    io::{self, ErrorKind},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use super::{
    patience::PATIENCE,
    wire::{Answer, Head, Wire},
};

/// A caller with one keep-alive connection.
pub struct Client {
    wire: Wire<TcpStream>,
}

impl Client {
    /// Connects; every read is bounded.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// As [`Client::connect`], where it may be refused.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        // Longer than the ten seconds after which a wait for a token ends, so that its answer is seen.
        stream.set_read_timeout(Some(PATIENCE * 2))?;
        stream.set_write_timeout(Some(PATIENCE * 2))?;
        Ok(Self {
            wire: Wire::new(stream),
        })
    }

    /// The bytes of the connection.
    pub fn wire(&mut self) -> &mut Wire<TcpStream> {
        &mut self.wire
    }

    /// The socket, for a second thread or to shut it down.
    pub fn socket(&self) -> TcpStream {
        self.wire
            .stream()
            .try_clone()
            .expect("a second handle of a socket")
    }

    /// Sends `bytes` as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire
            .send(bytes)
            .expect("the sidecar takes what is sent");
    }

    /// The next answer, to a request with any method but HEAD.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.wire
            .answer("GET")
            .unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The next head.
    #[track_caller]
    pub fn head(&mut self) -> Head {
        self.wire
            .head()
            .unwrap_or_else(|error| panic!("no head: {error}"))
            .expect("a head, not a closed connection")
    }

    /// One GET.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.answer()
    }

    /// Whether the sidecar closes the connection, without another byte, within the bound of a read.
    pub fn is_closed(&mut self) -> bool {
        match self.wire.rest() {
            Ok(rest) => rest.is_empty(),
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// Sends no more; the answer may still come.
    pub fn finish_sending(&self) {
        let _ = self.wire.stream().shutdown(Shutdown::Write);
    }
}

/// One GET over a connection of its own.
#[track_caller]
pub fn get(address: SocketAddr, target: &str) -> Answer {
    Client::connect(address).get(target)
}

/// Sends `bytes` over a connection of its own and gives the answer to them.
#[track_caller]
pub fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Answer {
    let mut client = Client::connect(address);
    client.send(bytes);
    client.answer()
}

/// Sends `bytes` and gives everything that comes until the sidecar closes the connection.
///
/// # Errors
/// It does not close in time.
pub fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> io::Result<Vec<u8>> {
    let mut client = Client::try_connect(address)?;
    // It may answer, and close, before it has read everything.
    let _ = client.wire.send(bytes);
    let mut all = Vec::new();
    let read = client
        .wire
        .stream_body(super::wire::Framing::UntilClose, &mut |bytes| {
            all.extend_from_slice(bytes);
        });
    match read {
        Ok(_) => Ok(all),
        Err(error) if error.kind() == ErrorKind::ConnectionReset && !all.is_empty() => Ok(all),
        Err(error) => Err(error),
    }
}

/// How long a test stays where nothing may happen, to see that it does not.
pub const A_WHILE: Duration = Duration::from_millis(300);
