//! For tests: a provider with ordinary settings, and a token endpoint on loopback that does as it is told.

use std::{
    collections::BTreeMap,
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

use super::provider::{
    Authorization, ClientAuth, Encoding, GrantType, Provider, TokenMethod, TokenRequest,
    TokenResponse,
};
use crate::{
    secret::{LiveSecret, Secret},
    tls::Trust,
};

/// The client secret of [`provider`], and the head of every token that [`Reply::Token`] issues.
pub(crate) const CANARY: &str = "canary9f8e7d6c";

/// A client of `token_endpoint` with a secret and the settings of RFC 6749.
pub(crate) fn provider(token_endpoint: &str) -> Provider {
    Provider {
        name: "fake".into(),
        grant_type: GrantType::ClientCredentials,
        token_endpoint: token_endpoint.parse().unwrap(),
        revocation_endpoint: None,
        client_id: "client".into(),
        client_secret: Some(Arc::new(LiveSecret::fixed(Secret::new(CANARY)))),
        client_auth: ClientAuth::SecretBasic,
        scope: None,
        refresh_token: None,
        token_request: TokenRequest {
            method: TokenMethod::Post,
            encoding: Encoding::Form,
            params: BTreeMap::new(),
            headers: Vec::new(),
            omit_on_refresh: Vec::new(),
            omit_on_exchange: Vec::new(),
            timeout: Duration::from_secs(10),
            trust: Trust::default(),
            proxy: None,
        },
        token_response: TokenResponse {
            access_token: "/access_token".into(),
            refresh_token: "/refresh_token".into(),
            expires_in: "/expires_in".into(),
            default_lifetime: None,
        },
        authorization: None,
        sign_in: None,
        refresh_before: None,
    }
}

/// The same client with a consent redirect and PKCE.
pub(crate) fn with_consent(token_endpoint: &str) -> Provider {
    let mut provider = provider(token_endpoint);
    provider.grant_type = GrantType::AuthorizationCode;
    provider.authorization = Some(Authorization {
        endpoint: Some("https://as.example/authorize".parse().unwrap()),
        redirect_uri: Some("http://127.0.0.1:9900/callback".parse().unwrap()),
        pkce: true,
        params: BTreeMap::new(),
        code_parameter: "code".into(),
    });
    provider
}

/// What the endpoint does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Issues a token of its own each time, [`CANARY`] and a number, that lives so many seconds.
    Token(u64),
    /// Writes this, and closes.
    Raw(String),
    /// Writes a success whose body never ends.
    Endless,
    /// Closes without a word.
    Hangup,
    /// Whatever comes of the request, head and body.
    By(Decision),
}

/// A server's mind.
#[derive(Clone)]
pub(crate) struct Decision(Arc<dyn Fn(&str) -> Reply + Send + Sync>);

impl std::fmt::Debug for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decision")
    }
}

impl Reply {
    /// What `decide` makes of each request.
    pub(crate) fn by(decide: impl Fn(&str) -> Self + Send + Sync + 'static) -> Self {
        Self::By(Decision(Arc::new(decide)))
    }

    /// An answer with this status, these further fields (each line ended) and this body.
    pub(crate) fn answer(status: u16, fields: &str, body: &str) -> Self {
        let length = body.len();
        Self::Raw(format!(
            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{fields}\r\n{body}"
        ))
    }
}

/// A token endpoint that counts what it is asked.
pub(crate) struct TokenServer {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    reply: Mutex<Reply>,
    /// Every request seen, head and body.
    requests: watch::Sender<Vec<String>>,
    /// While false, requests wait for their answer.
    open: watch::Sender<bool>,
    /// The most bytes of an endless body that anyone has taken.
    taken: watch::Sender<usize>,
}

impl TokenServer {
    pub(crate) async fn start(reply: Reply) -> Self {
        Self::listen(reply, None).await
    }

    pub(crate) async fn start_tls(reply: Reply, tls: rustls::ServerConfig) -> Self {
        Self::listen(reply, Some(TlsAcceptor::from(Arc::new(tls)))).await
    }

    async fn listen(reply: Reply, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            reply: Mutex::new(reply),
            requests: watch::Sender::default(),
            open: watch::Sender::new(true),
            taken: watch::Sender::default(),
        });
        let serving = shared.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (shared, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => shared.serve(stream).await,
                        // A client that does not trust us goes away.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                shared.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            scheme,
            shared,
            accepting,
        }
    }

    pub(crate) fn url(&self) -> String {
        let host = if self.scheme == "https" {
            "localhost"
        } else {
            "127.0.0.1"
        };
        format!("{}://{host}:{}/token", self.scheme, self.address.port())
    }

    pub(crate) fn reply(&self, reply: Reply) {
        *self.shared.reply.lock().unwrap() = reply;
    }

    /// Makes requests wait for their answers, until they are let go.
    pub(crate) fn hold(&self) {
        self.shared.open.send_replace(false);
    }

    pub(crate) fn let_go(&self) {
        self.shared.open.send_replace(true);
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.borrow().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.shared.requests.borrow().len()
    }

    /// Waits until `count` requests have come.
    pub(crate) async fn asked(&self, count: usize) {
        let mut requests = self.shared.requests.subscribe();
        let all = requests.wait_for(|requests| requests.len() >= count);
        tokio::time::timeout(Duration::from_secs(30), all)
            .await
            .expect("no such request came")
            .unwrap();
    }

    /// Bytes of an endless body that were written before the client had enough; waits for that.
    pub(crate) async fn taken(&self) -> usize {
        let mut taken = self.shared.taken.subscribe();
        let taken = taken.wait_for(|taken| *taken > 0);
        *tokio::time::timeout(Duration::from_secs(30), taken)
            .await
            .expect("the client never had enough")
            .unwrap()
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.accepting.abort();
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
        let _ = self.open.subscribe().wait_for(|open| *open).await;
        let mut reply = self.reply.lock().unwrap().clone();
        while let Reply::By(Decision(decide)) = reply {
            reply = decide(&request);
        }
        let answer = match reply {
            Reply::Token(lifetime) => {
                let body = format!(
                    r#"{{"access_token":"{CANARY}-{number}","token_type":"Bearer","expires_in":{lifetime}}}"#
                );
                Reply::answer(200, "content-type: application/json\r\n", &body)
            }
            other => other,
        };
        match answer {
            Reply::Raw(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
            Reply::Endless => self.pour(&mut stream).await,
            Reply::Hangup | Reply::Token(_) | Reply::By(_) => {}
        }
    }

    async fn pour(&self, stream: &mut (impl AsyncWrite + Unpin)) {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{{\"access_token\":\"",
            1u64 << 30
        );
        let mut poured = 0;
        if stream.write_all(head.as_bytes()).await.is_ok() {
            while let Ok(written) = stream.write(&[b'a'; 8192]).await {
                poured += written;
            }
        }
        self.taken.send_replace(poured.max(1));
    }
}

/// Head and body of one request; `None` when the connection ends before, or does not begin like one.
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
