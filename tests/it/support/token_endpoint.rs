//! A scripted token endpoint.

use std::{
    io::Write,
    net::TcpStream,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};

use super::{
    patience::{lock, until},
    server::Server,
    wire::{Request, Wire, answer},
};

/// A token endpoint that records its requests and sends scripted responses.
pub struct TokenEndpoint {
    server: Server,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl TokenEndpoint {
    /// Starts an endpoint that sends the bytes `script` returns for a request and its number, counted from 0.
    ///
    /// The script may block. Empty bytes close the connection.
    pub fn start(script: impl Fn(&Request, usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let server = Server::start({
            let seen = seen.clone();
            move |stream: TcpStream, _| {
                let mut wire = Wire::new(stream);
                while let Ok(Some(request)) = wire.request() {
                    let number = {
                        let mut seen = lock(&seen);
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    let response = script(&request, number);
                    if response.is_empty() || wire.send(response).is_err() {
                        return;
                    }
                }
            }
        });
        Self { server, seen }
    }

    /// Starts an endpoint that always issues `token`, with a lifetime of an hour.
    pub fn issuing(token: &str) -> Self {
        let token = token.to_owned();
        Self::start(move |_, _| token_response(&token, 3600))
    }

    /// The URL of the endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/token", self.server.address())
    }

    /// The number of requests so far.
    pub fn count(&self) -> usize {
        lock(&self.seen).len()
    }

    /// Waits until `count` requests have arrived.
    #[track_caller]
    pub fn wait_for(&self, count: usize) {
        until(&format!("token request number {count}"), || {
            (self.count() >= count).then_some(())
        });
    }

    /// The first request.
    #[track_caller]
    pub fn first(&self) -> Request {
        self.wait_for(1);
        lock(&self.seen)[0].clone()
    }

    /// Refuses connections.
    pub fn down(&self) {
        self.server.down();
    }

    /// Accepts connections again, at the same address.
    pub fn up(&self) {
        self.server.up();
    }
}

/// A successful response (RFC 6749 §5.1).
pub fn token_response(token: &str, lifetime: u64) -> Vec<u8> {
    json_response(
        "200 OK",
        &format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{lifetime}}}"#),
    )
}

/// An error response (RFC 6749 §5.2).
pub fn error_response(status: &str, error: &str) -> Vec<u8> {
    json_response(
        status,
        &format!(r#"{{"error":"{error}","error_description":"described-by-the-server"}}"#),
    )
}

/// A JSON response.
pub fn json_response(status: &str, body: &str) -> Vec<u8> {
    answer(
        status,
        "content-type: application/json\r\ncache-control: no-store\r\n",
        body,
    )
}

/// Gives `response` a body in gzip.
pub fn gzipped(response: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(response);
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let (status, fields) = head.split_once("\r\n").expect("fields");
    let kept = fields
        .split("\r\n")
        .filter(|line| !line.starts_with("content-length"));
    let fields: String = kept.map(|line| format!("{line}\r\n")).collect();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).expect("memory");
    let status = status.trim_start_matches("HTTP/1.1 ");
    answer(
        status,
        &format!("{fields}content-encoding: gzip\r\n"),
        encoder.finish().expect("memory"),
    )
}

/// Issues tokens, and tells which are still valid.
#[derive(Default)]
pub struct Issuer {
    /// All tokens, each with its end.
    pub tokens: Mutex<Vec<(String, Instant)>>,
    /// How long a token is accepted beyond its lifetime: for the time that a request is on its way.
    pub grace: Duration,
}

impl Issuer {
    /// Issues a token that lives for `seconds`.
    pub fn issue(&self, seconds: u64) -> Vec<u8> {
        let mut tokens = lock(&self.tokens);
        let token = format!("token-{}", tokens.len());
        let end = Instant::now() + Duration::from_secs(seconds) + self.grace;
        tokens.push((token.clone(), end));
        token_response(&token, seconds)
    }

    /// Whether `token` was issued and has not expired.
    pub fn is_valid(&self, token: &str) -> bool {
        lock(&self.tokens)
            .iter()
            .any(|(known, end)| known == token && Instant::now() < *end)
    }
}
