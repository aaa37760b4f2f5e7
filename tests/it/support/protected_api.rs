//! A well-behaved protected API: wants a token that is good now, and streams as much as it is asked to.
//!
//! `GET /bytes/N` answers N bytes, `GET /chunks/N` the same in chunks, `POST /sink` counts what it gets, and everything else
//! is answered with a JSON object that names the request.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{
    patience::lock,
    server::Server,
    token_endpoint::Issuer,
    wire::{Head, Wire, answer, chunked, ok},
};

const PIECE: usize = 256 * 1024;

/// The API.
pub struct ProtectedApi {
    server: Server,
    seen: Arc<Seen>,
}

/// What it has seen.
#[derive(Default)]
struct Seen {
    accepted: AtomicUsize,
    refused: Mutex<Vec<String>>,
    sent: AtomicU64,
    received: AtomicU64,
}

impl ProtectedApi {
    /// Accepts the tokens that `issuer` knows as good.
    pub fn start(issuer: Arc<Issuer>) -> Self {
        Self::accepting(move |token| issuer.is_valid(token))
    }

    /// Accepts what `good` says is a good token.
    pub fn accepting(good: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        let seen: Arc<Seen> = Arc::default();
        let server = Server::start({
            let seen = seen.clone();
            move |stream: TcpStream, _| {
                let mut wire = Wire::new(stream);
                // A caller or the sidecar may go away at any time; the tests look at what was counted.
                while let Ok(true) = serve(&mut wire, &seen, &good) {}
            }
        });
        Self { server, seen }
    }

    /// Its origin.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.server.open_connections()
    }

    /// Requests with a good token.
    pub fn accepted(&self) -> usize {
        self.seen.accepted.load(Ordering::SeqCst)
    }

    /// What stood in `Authorization` of those that it refused.
    pub fn refused(&self) -> Vec<String> {
        lock(&self.seen.refused).clone()
    }

    /// Bytes of bodies sent so far, on all connections.
    pub fn sent(&self) -> u64 {
        self.seen.sent.load(Ordering::SeqCst)
    }

    /// Bytes of bodies received so far, on all connections.
    pub fn received(&self) -> u64 {
        self.seen.received.load(Ordering::SeqCst)
    }
}

fn serve(wire: &mut Wire<TcpStream>, seen: &Seen, good: &dyn Fn(&str) -> bool) -> io::Result<bool> {
    let Some(head) = wire.head()? else {
        return Ok(false);
    };
    let authorization = head.values("authorization").join(", ");
    if !authorization.strip_prefix("Bearer ").is_some_and(good) {
        lock(&seen.refused).push(authorization);
        wire.body(head.request_framing())?;
        wire.send(answer(
            "401 Unauthorized",
            "www-authenticate: Bearer error=\"invalid_token\"\r\n",
            "refused",
        ))?;
        return Ok(true);
    }
    seen.accepted.fetch_add(1, Ordering::SeqCst);
    let path = head.target().split('?').next().unwrap_or_default();
    if let Some(length) = path.strip_prefix("/bytes/").and_then(|n| n.parse().ok()) {
        wire.body(head.request_framing())?;
        wire.send(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"
        ))?;
        pieces(length, |piece| {
            wire.send(piece)?;
            seen.sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
            Ok(())
        })?;
    } else if let Some(length) = path.strip_prefix("/chunks/").and_then(|n| n.parse().ok()) {
        wire.body(head.request_framing())?;
        wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        pieces(length, |piece| {
            let framed = chunked(piece, PIECE, "");
            wire.send(&framed[..framed.len() - 5])?;
            seen.sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
            Ok(())
        })?;
        wire.send("0\r\n\r\n")?;
    } else if path == "/sink" {
        let mut length = 0_u64;
        wire.stream_body(head.request_framing(), &mut |piece| {
            length += piece.len() as u64;
            seen.received
                .fetch_add(piece.len() as u64, Ordering::SeqCst);
        })?;
        wire.send(ok(format!(r#"{{"received":{length}}}"#)))?;
    } else {
        let (body, _) = wire.body(head.request_framing())?;
        wire.send(answer(
            "200 OK",
            "content-type: application/json\r\n",
            echo(&head, &body).to_string(),
        ))?;
    }
    Ok(true)
}

fn pieces(mut left: u64, mut send: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let piece = vec![b'x'; PIECE];
    while left > 0 {
        let length = left.min(PIECE as u64);
        send(&piece[..length as usize])?;
        left -= length;
    }
    Ok(())
}

fn echo(head: &Head, body: &[u8]) -> serde_json::Value {
    serde_json::json!({ "method": head.method(), "target": head.target(), "body": String::from_utf8_lossy(body) })
}
