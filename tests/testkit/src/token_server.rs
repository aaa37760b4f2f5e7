//! A token endpoint on loopback that sends scripted responses, over plain TCP or TLS.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// A recognizable secret, with which every token that [`Reply::Token`] issues begins.
pub const CANARY: &str = "canary9f8e7d6c";

/// Time in which a test's expected request must arrive.
const EXPECTATION_TIMEOUT: Duration = Duration::from_secs(30);

/// The server's reaction to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Issues a new token, [`CANARY`] and a number, with this lifetime in seconds.
    Token(u64),
    /// Writes this text and closes.
    Raw(String),
    /// Writes these bytes and closes.
    Bytes(Vec<u8>),
    /// Writes a 200 whose body never ends.
    Endless,
    /// Closes without a response.
    Hangup,
    /// Computes the reaction from the request, head and body.
    By(Decision),
}

/// The function of [`Reply::By`].
#[derive(Clone)]
pub struct Decision(Arc<dyn Fn(&str) -> Reply + Send + Sync>);

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decision")
    }
}

impl Reply {
    /// Computes each reaction with `decide`.
    pub fn by(decide: impl Fn(&str) -> Self + Send + Sync + 'static) -> Self {
        Self::By(Decision(Arc::new(decide)))
    }

    /// A response with this status, these further header lines (each with its CRLF) and this body.
    pub fn response(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Raw(format!(
            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ))
    }
}

/// A running token endpoint, which records its requests. Dropping it closes the listener.
pub struct TokenServer {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    reply: Mutex<Reply>,
    /// Every request, head and body.
    requests: watch::Sender<Vec<String>>,
    /// While true, responses wait.
    held: watch::Sender<bool>,
    /// The bytes of an endless body that were written before the client closed.
    endless_bytes: watch::Sender<usize>,
}

impl TokenServer {
    /// Starts a server on plain TCP.
    pub async fn start(reply: Reply) -> Self {
        Self::listen(reply, None).await
    }

    /// Starts a server on TLS; its URL names `localhost`.
    pub async fn start_tls(reply: Reply, tls: rustls::ServerConfig) -> Self {
        Self::listen(reply, Some(TlsAcceptor::from(Arc::new(tls)))).await
    }

    async fn listen(reply: Reply, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            reply: Mutex::new(reply),
            requests: watch::Sender::default(),
            held: watch::Sender::default(),
            endless_bytes: watch::Sender::default(),
        });
        let accepting = tokio::spawn(accept(listener, tls, shared.clone()));
        Self {
            address,
            scheme,
            shared,
            accepting,
        }
    }

    /// The URL of the token endpoint.
    pub fn url(&self) -> String {
        let host = if self.scheme == "https" {
            "localhost"
        } else {
            "127.0.0.1"
        };
        format!("{}://{host}:{}/token", self.scheme, self.address.port())
    }

    /// Sets the reaction to requests from now on.
    pub fn reply(&self, reply: Reply) {
        *self.shared.reply.lock().unwrap() = reply;
    }

    /// Makes responses wait until [`TokenServer::release_responses`].
    pub fn hold_responses(&self) {
        self.shared.held.send_replace(true);
    }

    /// Sends the responses that wait.
    pub fn release_responses(&self) {
        self.shared.held.send_replace(false);
    }

    /// Every request so far, head and body.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.borrow().clone()
    }

    /// The number of requests so far.
    pub fn count(&self) -> usize {
        self.shared.requests.borrow().len()
    }

    /// Waits until `count` requests have arrived.
    pub async fn wait_for_requests(&self, count: usize) {
        let mut requests = self.shared.requests.subscribe();
        let all = requests.wait_for(|requests| requests.len() >= count);
        tokio::time::timeout(EXPECTATION_TIMEOUT, all)
            .await
            .expect("the expected request did not arrive")
            .unwrap();
    }

    /// Waits until the client closes an endless body, and returns the bytes written to it.
    pub async fn endless_bytes(&self) -> usize {
        let mut written = self.shared.endless_bytes.subscribe();
        let closed = written.wait_for(|written| *written > 0);
        *tokio::time::timeout(EXPECTATION_TIMEOUT, closed)
            .await
            .expect("the client did not close the endless body")
            .unwrap()
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (shared, tls) = (shared.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => shared.serve(stream).await,
                // A client that does not trust the certificate closes the connection.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        shared.serve(stream).await;
                    }
                }
            }
        });
    }
}

impl Shared {
    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Some(request) = read_request(&mut stream).await else {
            let _ = stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                .await;
            return;
        };
        let mut number = 0;
        self.requests.send_modify(|requests| {
            requests.push(request.clone());
            number = requests.len();
        });
        let _ = self.held.subscribe().wait_for(|held| !*held).await;

        let mut reply = self.reply.lock().unwrap().clone();
        while let Reply::By(Decision(decide)) = reply {
            reply = decide(&request);
        }
        if let Reply::Token(lifetime) = reply {
            let body = format!(
                r#"{{"access_token":"{CANARY}-{number}","token_type":"Bearer","expires_in":{lifetime}}}"#
            );
            reply = Reply::response(200, "content-type: application/json\r\n", &body);
        }
        match reply {
            Reply::Raw(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
            Reply::Bytes(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
            Reply::Endless => self.write_endless_body(&mut stream).await,
            Reply::Hangup | Reply::Token(_) | Reply::By(_) => {}
        }
    }

    async fn write_endless_body(&self, stream: &mut (impl AsyncWrite + Unpin)) {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{{\"access_token\":\"",
            1u64 << 30
        );
        let mut written = 0;
        if stream.write_all(head.as_bytes()).await.is_ok() {
            while let Ok(more) = stream.write(&[b'a'; 8192]).await {
                written += more;
            }
        }
        self.endless_bytes.send_replace(written.max(1));
    }
}

/// Head and body of one request; `None` if the connection ends early or the bytes are not HTTP.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 || !bytes[0].is_ascii_alphabetic() {
            return None;
        }
    }
}
