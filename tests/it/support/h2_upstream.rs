//! A scripted upstream that speaks HTTP/2: by prior knowledge, or over TLS to those that ask for it.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    server::{Builder, SendResponse},
};
use http::{HeaderMap, Response, StatusCode, request::Parts};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Notify,
};
use tokio_rustls::TlsAcceptor;

use super::{
    patience::{lock, until},
    ports,
};

/// What became of a script; that its caller went away is no failure of a test.
pub type Done = Result<(), h2::Error>;
type Script = dyn Fn(Call) -> Pin<Box<dyn Future<Output = Done> + Send>> + Send + Sync;

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct H2Request {
    /// Its head.
    pub head: Parts,
    /// Its body, where the script collected it.
    pub body: Vec<u8>,
    /// Its trailers, where the script collected them.
    pub trailers: HeaderMap,
}

impl H2Request {
    /// The only value of a field, as text.
    #[track_caller]
    pub fn value(&self, name: &str) -> Option<&str> {
        let values: Vec<_> = self.head.headers.get_all(name).iter().collect();
        assert!(
            values.len() <= 1,
            "{name} came {} times: {:?}",
            values.len(),
            self.head.headers
        );
        values
            .first()
            .map(|value| value.to_str().expect("a value of text"))
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        target(&self.head)
    }
}

/// A request to be answered by a script.
pub struct Call {
    /// Its head.
    pub head: Parts,
    /// Its body.
    pub body: RecvStream,
    /// Where its answer goes.
    pub respond: SendResponse<Bytes>,
    /// The connection that it came on.
    pub connection: Arc<Control>,
    number: usize,
    seen: Arc<Seen>,
}

impl Call {
    /// Path and query.
    pub fn target(&self) -> &str {
        target(&self.head)
    }

    /// Its number among all requests of this upstream, counted from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Takes the body in, to its end; recorded.
    pub async fn collect(&mut self) -> Result<Vec<u8>, h2::Error> {
        let mut body = Vec::new();
        while let Some(piece) = self.body.data().await {
            let piece = piece?;
            self.body.flow_control().release_capacity(piece.len())?;
            body.extend_from_slice(&piece);
        }
        let trailers = self.body.trailers().await?.unwrap_or_default();
        let mut requests = lock(&self.seen.requests);
        requests[self.number].body.clone_from(&body);
        requests[self.number].trailers = trailers;
        Ok(body)
    }

    /// Sends the head of a 200; the body is to follow.
    pub fn begin(&mut self) -> Result<SendStream<Bytes>, h2::Error> {
        self.begin_with(&[])
    }

    /// Sends the head of a 200 with fields; the body is to follow.
    pub fn begin_with(
        &mut self,
        fields: &[(&'static str, &'static str)],
    ) -> Result<SendStream<Bytes>, h2::Error> {
        let mut response = Response::new(());
        for (name, value) in fields {
            let value = http::HeaderValue::from_static(value);
            response.headers_mut().append(*name, value);
        }
        self.respond.send_response(response, false)
    }

    /// Sends a whole answer with fields.
    pub fn answer(
        &mut self,
        status: u16,
        fields: &[(&'static str, &str)],
        body: impl Into<Bytes>,
    ) -> Done {
        let mut response =
            Response::builder().status(StatusCode::from_u16(status).expect("a status"));
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let (response, body) = (response.body(()).expect("a response"), body.into());
        let mut stream = self.respond.send_response(response, body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(body, true)?;
        }
        Ok(())
    }

    /// Waits until the request is reset by whoever sent it.
    pub async fn reset_by_caller(&mut self) -> Result<Reason, h2::Error> {
        poll_fn(|cx| self.respond.poll_reset(cx)).await
    }
}

fn target(head: &Parts) -> &str {
    head.uri
        .path_and_query()
        .map_or("", |target| target.as_str())
}

/// Sends `bytes` as fast as the windows of the other side allow.
pub async fn send_in_step(stream: &mut SendStream<Bytes>, mut bytes: Bytes) -> Done {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let Some(capacity) = poll_fn(|cx| stream.poll_capacity(cx)).await else {
            return Err(Reason::CANCEL.into());
        };
        let piece = bytes.split_to(capacity?.min(bytes.len()));
        stream.send_data(piece, false)?;
    }
    Ok(())
}

/// One connection, to be ended by a script.
#[derive(Default)]
pub struct Control {
    number: usize,
    goodbye: Notify,
    cut: Notify,
}

impl Control {
    /// Its number, counted from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Announces the end (GOAWAY): requests in hand are finished, others are not taken.
    pub fn say_goodbye(&self) {
        self.goodbye.notify_one();
    }

    /// Closes the connection, whatever it carries.
    pub fn cut(&self) {
        self.cut.notify_one();
    }
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<H2Request>>,
    connections: Mutex<Vec<Arc<Control>>>,
    open: AtomicUsize,
    panicked: AtomicBool,
}

/// A scripted HTTP/2 upstream. Dropping it takes it down; a panic in its script then fails the test.
pub struct H2Upstream {
    address: SocketAddr,
    tls: bool,
    seen: Arc<Seen>,
    stop: Arc<Notify>,
    thread: Option<thread::JoinHandle<()>>,
}

impl H2Upstream {
    /// By prior knowledge.
    pub fn start<F>(script: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Done> + Send + 'static,
    {
        Self::with(Builder::new(), script)
    }

    /// By prior knowledge, with settings.
    pub fn with<F>(settings: Builder, script: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Done> + Send + 'static,
    {
        Self::serve(settings, None, Arc::new(move |call| Box::pin(script(call))))
    }

    /// Over TLS. A caller that did not choose HTTP/2 is hung up on.
    pub fn over_tls<F>(
        certificate: &ServerConfig,
        script: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Done> + Send + 'static,
    {
        let mut certificate = certificate.clone();
        certificate.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self::serve(
            Builder::new(),
            Some(Arc::new(certificate)),
            Arc::new(move |call| Box::pin(script(call))),
        )
    }

    fn serve(settings: Builder, tls: Option<Arc<ServerConfig>>, script: Arc<Script>) -> Self {
        let (seen, stop): (Arc<Seen>, Arc<Notify>) = Default::default();
        let over_tls = tls.is_some();
        let address = ports::unused();
        let listener = std::net::TcpListener::bind(address).expect("a port that was unused");
        listener
            .set_nonblocking(true)
            .expect("an option of a socket");
        let thread = thread::spawn({
            let (seen, stop) = (seen.clone(), stop.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime.block_on(async move {
                    let listener = TcpListener::from_std(listener).expect("a listener");
                    tokio::select! {
                        () = accept(listener, settings, tls, script, seen) => {}
                        () = stop.notified() => {}
                    }
                });
            }
        });
        Self {
            address,
            tls: over_tls,
            seen,
            stop,
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its host and port, as its origin names them.
    pub fn authority(&self) -> String {
        if self.tls {
            format!("localhost:{}", self.address.port())
        } else {
            self.address.to_string()
        }
    }

    /// Its origin; over TLS it is `localhost`, which its certificate names.
    pub fn origin(&self) -> String {
        format!(
            "{}://{}",
            if self.tls { "https" } else { "http" },
            self.authority()
        )
    }

    /// All requests that arrived so far.
    pub fn requests(&self) -> Vec<H2Request> {
        lock(&self.seen.requests).clone()
    }

    /// How many there were so far.
    pub fn count(&self) -> usize {
        lock(&self.seen.requests).len()
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
    pub fn last(&self) -> H2Request {
        lock(&self.seen.requests)
            .last()
            .expect("no request reached the upstream")
            .clone()
    }

    /// Connections so far, those that are over too.
    pub fn connections(&self) -> Vec<Arc<Control>> {
        lock(&self.seen.connections).clone()
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.seen.open.load(Ordering::SeqCst)
    }

    /// Takes it down: connections are cut and refused.
    pub fn down(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for H2Upstream {
    fn drop(&mut self) {
        self.down();
        if self.seen.panicked.load(Ordering::SeqCst) && !thread::panicking() {
            panic!("the script of a test upstream panicked");
        }
    }
}

async fn accept(
    listener: TcpListener,
    settings: Builder,
    tls: Option<Arc<ServerConfig>>,
    script: Arc<Script>,
    seen: Arc<Seen>,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let number = lock(&seen.connections).len();
        let control = Arc::new(Control {
            number,
            ..Control::default()
        });
        lock(&seen.connections).push(control.clone());
        let (settings, tls, script, seen) =
            (settings.clone(), tls.clone(), script.clone(), seen.clone());
        tokio::spawn(async move {
            seen.open.fetch_add(1, Ordering::SeqCst);
            match tls {
                None => connection(stream, &settings, control, script, &seen).await,
                Some(config) => {
                    if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await
                        && stream.get_ref().1.alpn_protocol() == Some(b"h2")
                    {
                        connection(stream, &settings, control, script, &seen).await;
                    }
                }
            }
            seen.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    settings: &Builder,
    control: Arc<Control>,
    script: Arc<Script>,
    seen: &Arc<Seen>,
) {
    let Ok(mut connection) = settings.handshake::<_, Bytes>(stream).await else {
        return;
    };
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                let (head, body) = request.into_parts();
                let number = {
                    let mut requests = lock(&seen.requests);
                    let request = H2Request { head: head.clone(), body: Vec::new(), trailers: HeaderMap::new() };
                    requests.push(request);
                    requests.len() - 1
                };
                let call = Call { head, body, respond, connection: control.clone(), number, seen: seen.clone() };
                let (running, seen) = (tokio::spawn(script(call)), seen.clone());
                tokio::spawn(async move {
                    if running.await.is_err_and(|error| error.is_panic()) {
                        seen.panicked.store(true, Ordering::SeqCst);
                    }
                });
            }
            () = control.goodbye.notified() => connection.graceful_shutdown(),
            () = control.cut.notified() => return,
        }
    }
}
