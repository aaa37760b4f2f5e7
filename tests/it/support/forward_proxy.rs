//! A proxy between a sidecar and the servers that it calls.

use std::{
    fmt::Display,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use super::{
    patience::lock,
    server::Server,
    wire::{Head, Wire},
};

/// The response to missing or wrong credentials (RFC 9110 §15.5.8).
pub const UNAUTHENTICATED: &str = "HTTP/1.1 407 Proxy Authentication Required\r\n\
    Proxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";

/// The `Proxy-Authorization` of `svc` with the password `pa:ss` (RFC 7617 §2).
pub const CREDENTIALS: &str = "Basic c3ZjOnBhOnNz";

/// The line for a proxy at `address` that is used by `svc` with the password in `$PROXY_PASSWORD`.
pub fn with_credentials(key: &str, address: impl Display) -> String {
    format!(
        "{key} = {{ url = \"http://{address}\", username = \"svc\", password = {{ env = \"PROXY_PASSWORD\" }} }}"
    )
}

/// A proxy that opens tunnels to 127.0.0.1, whatever host is asked for, at the port that is asked for.
pub struct Proxy {
    server: Server,
    seen: Arc<Mutex<Vec<Head>>>,
}

impl Proxy {
    /// Starts a proxy. `refusal` is what it responds instead of opening a tunnel.
    pub fn start(refusal: Option<&'static str>) -> Self {
        Self::with_policy(move |_| refusal)
    }

    /// Starts a proxy that opens tunnels only for requests with [`CREDENTIALS`].
    pub fn demanding_credentials() -> Self {
        Self::with_policy(move |head| {
            let same = head.value("proxy-authorization") == Some(CREDENTIALS);
            (!same).then_some(UNAUTHENTICATED)
        })
    }

    /// `refusal` gives the response to a request that gets no tunnel.
    fn with_policy(
        refusal: impl Fn(&Head) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Self {
        let seen: Arc<Mutex<Vec<Head>>> = Arc::default();
        let heads = seen.clone();
        let server = Server::start(move |client, _| {
            let mut wire = Wire::new(client.try_clone().unwrap());
            let Ok(Some(head)) = wire.head() else { return };
            let port = head.target().rsplit_once(':').map(|(_, port)| port.parse());
            let refusal = refusal(&head);
            lock(&heads).push(head);
            if let Some(refusal) = refusal {
                let _ = wire.send(refusal);
                return;
            }
            let Some(Ok(port)) = port else { return };
            let upstream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
            // In two parts, as a slow proxy sends it.
            let _ = wire.send("HTTP/1.1 2");
            let _ = wire.send("00 Connection established\r\nVia: 1.1 proxy\r\n\r\n");
            let back = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || copy(back.0, back.1));
            copy(client, upstream);
        });
        Self { server, seen }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The heads that came.
    pub fn heads(&self) -> Vec<Head> {
        lock(&self.seen).clone()
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..length]).is_err() {
            return;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}
