//! A scripted token endpoint.

use std::{
    net::TcpStream,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    patience::{lock, until},
    server::Server,
    wire::{Request, Wire, answer},
};

/// A token endpoint that records what it is asked and answers what a script says.
pub struct TokenEndpoint {
    server: Server,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl TokenEndpoint {
    /// Answers with the bytes that `script` makes of each request and its number, counted from 0. The script may block.
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
                    let answer = script(&request, number);
                    if answer.is_empty() || wire.send(answer).is_err() {
                        return;
                    }
                }
            }
        });
        Self { server, seen }
    }

    /// Always the same token, with a lifetime of an hour.
    pub fn issuing(token: &str) -> Self {
        let token = token.to_owned();
        Self::start(move |_, _| token_answer(&token, 3600))
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/token", self.server.address())
    }

    /// How many requests there were so far.
    pub fn count(&self) -> usize {
        lock(&self.seen).len()
    }

    /// Waits until there were `count` requests.
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

/// The answer of RFC 6749 §5.1.
pub fn token_answer(token: &str, lifetime: u64) -> Vec<u8> {
    json_answer(
        "200 OK",
        &format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{lifetime}}}"#),
    )
}

/// The answer of RFC 6749 §5.2.
pub fn error_answer(status: &str, error: &str) -> Vec<u8> {
    json_answer(
        status,
        &format!(r#"{{"error":"{error}","error_description":"described-by-the-server"}}"#),
    )
}

/// A JSON answer.
pub fn json_answer(status: &str, body: &str) -> Vec<u8> {
    answer(
        status,
        "content-type: application/json\r\ncache-control: no-store\r\n",
        body,
    )
}

/// Tokens that were issued, each with its end; knows which may still be used.
#[derive(Default)]
pub struct Issuer {
    tokens: Mutex<Vec<(String, Instant, Instant)>>,
}

impl Issuer {
    /// Issues a token that lives for `seconds`.
    pub fn issue(&self, seconds: u64) -> Vec<u8> {
        let now = Instant::now();
        let mut tokens = lock(&self.tokens);
        let token = format!("token-{}", tokens.len());
        tokens.push((token.clone(), now, now + Duration::from_secs(seconds)));
        token_answer(&token, seconds)
    }

    /// Whether `token` was issued and has not expired.
    pub fn knows(&self, token: &str) -> bool {
        lock(&self.tokens)
            .iter()
            .any(|(known, _, end)| known == token && Instant::now() < *end)
    }

    /// When the newest token was issued.
    #[track_caller]
    pub fn last_issued(&self) -> Instant {
        lock(&self.tokens).last().expect("no token was issued").1
    }
}
