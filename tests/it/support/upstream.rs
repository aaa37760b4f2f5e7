//! A raw scripted upstream: shows exactly the bytes that arrived and answers exactly the bytes it is told to.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

use super::{
    client::exchange,
    patience::{lock, until},
    server::Server,
    wire::{Head, Request, Wire},
};

/// What an upstream speaks over: plain TCP or TLS.
pub trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// One connection of a scripted upstream.
pub struct Connection {
    /// Its bytes.
    pub wire: Wire<Box<dyn Duplex>>,
    /// Its number, counted from 0.
    pub number: usize,
    tcp: TcpStream,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Connection {
    /// The next request, whole; recorded.
    pub fn request(&mut self) -> io::Result<Option<Request>> {
        let request = self.wire.request()?;
        lock(&self.seen).extend(request.clone());
        Ok(request)
    }

    /// The next head, its body left unread; recorded.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        let head = self.wire.head()?;
        lock(&self.seen).extend(head.clone().map(|head| Request {
            head,
            body: Vec::new(),
            trailers: Vec::new(),
        }));
        Ok(head)
    }

    /// Sends no more; more may still come.
    pub fn finish_sending(&self) {
        let _ = self.tcp.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let _ = SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO));
        let _ = self.tcp.shutdown(Shutdown::Both);
    }
}

/// A scripted upstream.
pub struct Upstream {
    server: Server,
    tls: bool,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Upstream {
    /// Runs `script` on each connection; at its end the connection is closed.
    pub fn scripted(script: impl Fn(Connection) + Send + Sync + 'static) -> Self {
        Self::start(None, script)
    }

    /// As [`Upstream::scripted`], over TLS; the handshake happens with the first byte that the script reads.
    pub fn scripted_over_tls(
        config: Arc<ServerConfig>,
        script: impl Fn(Connection) + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(config), script)
    }

    /// Answers each request of each connection with the bytes that `script` makes of it.
    pub fn answering(script: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(None, answering(script))
    }

    /// As [`Upstream::answering`], over TLS.
    pub fn answering_over_tls(
        config: Arc<ServerConfig>,
        script: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(config), answering(script))
    }

    fn start(
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(Connection) + Send + Sync + 'static,
    ) -> Self {
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let over_tls = tls.is_some();
        let server = Server::start({
            let seen = seen.clone();
            move |tcp: TcpStream, number| {
                let Ok(stream) = tcp.try_clone() else { return };
                let stream: Box<dyn Duplex> = match &tls {
                    None => Box::new(stream),
                    Some(config) => {
                        let session =
                            ServerConnection::new(config.clone()).expect("a server configuration");
                        Box::new(StreamOwned::new(session, stream))
                    }
                };
                script(Connection {
                    wire: Wire::new(stream),
                    number,
                    tcp,
                    seen: seen.clone(),
                });
            }
        });
        Self {
            server,
            tls: over_tls,
            seen,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its origin; over TLS it is `localhost`, which its certificate names.
    pub fn origin(&self) -> String {
        if self.tls {
            format!("https://localhost:{}", self.address().port())
        } else {
            format!("http://{}", self.address())
        }
    }

    /// All requests that arrived so far (of those that a script reads by head, the heads).
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.seen).clone()
    }

    /// How many there were so far.
    pub fn count(&self) -> usize {
        lock(&self.seen).len()
    }

    /// Waits until there were `count` requests.
    #[track_caller]
    pub fn wait_for(&self, count: usize) {
        until(&format!("request number {count} at the upstream"), || {
            (self.count() >= count).then_some(())
        });
    }

    /// The newest request.
    #[track_caller]
    pub fn last(&self) -> Request {
        lock(&self.seen)
            .last()
            .expect("no request reached the upstream")
            .clone()
    }

    /// The head that arrives when a client sends `fields` to the sidecar at `address`, which answers 200.
    #[track_caller]
    pub fn head_through(&self, address: SocketAddr, target: &str, fields: &str) -> Head {
        let answer = exchange(
            address,
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"),
        );
        assert_eq!(answer.status, 200, "{fields}: {answer:?}");
        self.last().head
    }

    /// Connections that were accepted so far.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// The server under it.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

fn answering(
    script: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
) -> impl Fn(Connection) + Send + Sync {
    move |mut connection| {
        while let Ok(Some(request)) = connection.request() {
            if connection.wire.send(script(&request)).is_err() {
                return;
            }
        }
    }
}
