//! The listener that a browser comes back to: up while one login is under way, on the literal address and path of the
//! `redirect_uri` (RFC 8252 §7.3).

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::timeout,
};
use url::Host;

use crate::{admin::login::Outcome, oauth::redirect_uri::RedirectUri};

/// Connections at a time; further ones wait to be accepted.
const CONNECTIONS: usize = 32;

/// To the end of a head: a browser opens connections that it may never use.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The buffer of a connection, which bounds a head.
const HEAD_BYTES: usize = 64 * 1024;

/// For the last page to reach the browser.
const GRACE: Duration = Duration::from_secs(2);

/// Between two attempts to accept when the system has no more descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener on what a `redirect_uri` names.
#[derive(Debug)]
pub(super) struct Loopback {
    listeners: Vec<TcpListener>,
    uri: RedirectUri,
}

impl Loopback {
    /// Listens on the address in `uri`; of port 0 the system chooses one.
    ///
    /// # Errors
    /// Those of binding; the address is in use, above all.
    pub(super) async fn bind(uri: &RedirectUri) -> io::Result<Self> {
        let port = uri.url().port_or_known_default().unwrap_or(80);
        let literal = match uri.url().host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        let first =
            TcpListener::bind((literal.unwrap_or(Ipv4Addr::LOCALHOST.into()), port)).await?;
        let port = first.local_addr()?.port();
        let mut listeners = vec![first];
        if literal.is_none() {
            // A browser may try either address of `localhost`; where there is no IPv6 it has one.
            match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
                Ok(second) => listeners.push(second),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
                Err(_) => {}
            }
        }
        let uri = match uri.url().port() {
            Some(0) => uri.with_port(port).ok_or(io::ErrorKind::AddrNotAvailable)?,
            _ => uri.clone(),
        };
        Ok(Self { listeners, uri })
    }

    /// The `redirect_uri`, with the real port.
    pub(super) fn uri(&self) -> &RedirectUri {
        &self.uri
    }

    /// Serves until the task is aborted or the listener told to stop. Callbacks come out of the receiver.
    pub(super) fn serve(self) -> (mpsc::Receiver<Arrival>, Serving) {
        let (arrivals, arrived) = mpsc::channel(CONNECTIONS);
        let (stop, stopped) = watch::channel(());
        let shared = Arc::new(Shared {
            path: self.uri.url().path().to_owned(),
            arrivals,
            stopped,
        });
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            tasks.spawn(accept(listener, shared.clone()));
        }
        (arrived, Serving { stop, tasks })
    }
}

/// A browser that came back.
#[derive(Debug)]
pub(super) struct Arrival {
    /// The query of its request.
    pub(super) query: String,
    /// What it is shown.
    pub(super) reply: oneshot::Sender<Outcome>,
}

/// The listener at work; dropping it cuts what is under way.
#[derive(Debug)]
pub(super) struct Serving {
    stop: watch::Sender<()>,
    tasks: JoinSet<()>,
}

impl Serving {
    /// Closes the listener, and gives the last page 2 s to reach the browser.
    pub(super) async fn finish(mut self) {
        drop(self.stop);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        // What takes longer is cut: the login itself is over.
        let _ = timeout(GRACE, ended).await;
    }
}

struct Shared {
    path: String,
    arrivals: mpsc::Sender<Arrival>,
    stopped: watch::Receiver<()>,
}

impl Shared {
    /// Ends when the listener is told to stop, or dropped.
    async fn stopped(&self) {
        let mut stopped = self.stopped.clone();
        // The sender never sends: its end is the message.
        while stopped.changed().await.is_ok() {}
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut stopped = pin!(shared.stopped());
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => break,
            // A panic ends its own connection alone; the panic's hook has told of it.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, shared.clone()))),
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let theirs = shared.clone();
    let service = service_fn(move |request| {
        let shared = theirs.clone();
        async move { Ok::<_, Infallible>(answer(&request, &shared).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // A connection that breaks is the browser's affair.
        _ = &mut connection => {}
        () = shared.stopped() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn answer<B>(request: &Request<B>, shared: &Shared) -> Response<Full<Bytes>> {
    if request.uri().path() != shared.path {
        return plain(
            StatusCode::NOT_FOUND,
            "There is nothing here but the end of a login.\n",
        );
    }
    if request.method() != Method::GET {
        let mut answer = plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "A login comes back by GET.\n",
        );
        answer
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("GET"));
        return answer;
    }
    let (reply, replied) = oneshot::channel();
    let arrival = Arrival {
        query: request.uri().query().unwrap_or_default().to_owned(),
        reply,
    };
    let over = || Outcome::unknown().answer(false);
    if shared.arrivals.send(arrival).await.is_err() {
        return over();
    }
    replied
        .await
        .map_or_else(|_| over(), |outcome| outcome.answer(false))
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::server::exchange::{Answer, ask};

    async fn served(uri: &str) -> (Url, mpsc::Receiver<Arrival>, Serving) {
        let loopback = Loopback::bind(&uri.parse().unwrap()).await.unwrap();
        let uri = loopback.uri().url().clone();
        let (arrivals, serving) = loopback.serve();
        (uri, arrivals, serving)
    }

    async fn get(uri: &Url, target: &str) -> Answer {
        let address = (uri.host_str().unwrap(), uri.port().unwrap());
        ask(address, "GET", target, &[], "")
            .await
            .expect("an answer")
    }

    #[tokio::test]
    async fn a_browser_that_comes_back_is_shown_how_it_ended_before_the_listener_closes() {
        let (uri, mut arrivals, serving) = served("http://127.0.0.1:0/back/here").await;
        assert_ne!(uri.port(), Some(0));
        let idle = TcpStream::connect(("127.0.0.1", uri.port().unwrap()))
            .await
            .unwrap();
        let (theirs, asked) = (uri.clone(), "/back/here?code=c&state=s");
        let browser = tokio::spawn(async move { get(&theirs, asked).await });
        let arrival = arrivals.recv().await.unwrap();
        assert_eq!(arrival.query, "code=c&state=s");
        arrival.reply.send(Outcome::logged_in("x")).unwrap();
        serving.finish().await;
        let answer = browser.await.unwrap();
        assert_eq!(
            (answer.status, answer.header("referrer-policy")),
            (200, "no-referrer")
        );
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.body.contains("Logged in"));
        drop(idle);
        assert!(
            TcpStream::connect(("127.0.0.1", uri.port().unwrap()))
                .await
                .is_err(),
            "the listener is closed"
        );
    }

    #[tokio::test]
    async fn nothing_else_is_served() {
        let (uri, mut arrivals, _serving) = served("http://127.0.0.1:0/callback").await;
        for target in ["/", "/callback/", "/favicon.ico", "/callback2?code=c"] {
            assert_eq!(get(&uri, target).await.status, 404, "{target}");
        }
        let address = ("127.0.0.1", uri.port().unwrap());
        for method in ["HEAD", "POST"] {
            let answer = ask(address, method, "/callback?code=c", &[], "")
                .await
                .unwrap();
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, "GET"),
                "{method}"
            );
        }
        assert!(arrivals.try_recv().is_err());
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_told() {
        let (uri, _arrivals, _serving) = served("http://127.0.0.1:0/callback").await;
        let error = Loopback::bind(&uri.as_str().parse().unwrap())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn localhost_is_served_at_its_addresses() {
        let (uri, _arrivals, _serving) = served("http://localhost:0/callback").await;
        assert_eq!(uri.host_str(), Some("localhost"));
        assert_eq!(
            get(
                &format!("http://127.0.0.1:{}/", uri.port().unwrap())
                    .parse()
                    .unwrap(),
                "/"
            )
            .await
            .status,
            404
        );
    }
}
