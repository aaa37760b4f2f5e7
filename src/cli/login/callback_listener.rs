//! The listener for one callback: on the literal address and path of the `redirect_uri`, while the login is under way
//! (RFC 8252 §7.3).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, Uri};
use hyper_util::{rt::TokioExecutor, service::TowerToHyperService};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use url::Host;

use super::start::{BrowserStart, accepted_host, refuse_host};
use crate::{
    login::LoginOutcome,
    oauth::redirect_uri::RedirectUri,
    server::{
        address::ListenAddress,
        limits::Limits,
        listener::Bound,
        listening::Listening,
        origin_guard::OriginGuard,
        problem::{Problem, ProblemFormat, ProblemKind},
        serve::Server,
    },
};

/// Connections of one listener at a time; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 32;

/// The time for the last page to reach the browser.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A browser that returned from the authorization server.
#[derive(Debug)]
pub(super) struct Callback {
    /// The query of the request.
    pub(super) query: String,
    /// The header of the request, for its cookies.
    pub(super) headers: HeaderMap,
    /// Receives the page for the browser.
    pub(super) reply: oneshot::Sender<LoginOutcome>,
}

/// Routes the callback at `path` to `callbacks`, and refuses everything else.
fn router(path: &str, callbacks: mpsc::Sender<Callback>) -> Router {
    let refuse_method = || async {
        let detail = "A login returns by GET.";
        respond(Problem::new(ProblemKind::MethodNotAllowed, detail).with_allow("GET"))
    };
    let refuse_path = || async {
        let detail = "This listener serves the end of a login only.";
        respond(Problem::new(ProblemKind::NotFound, detail))
    };
    Router::new()
        // A path of a redirect_uri is literal, whatever characters it has.
        .without_v07_checks()
        .route(
            path,
            get(receive).head(refuse_method).fallback(refuse_method),
        )
        .fallback(refuse_path)
        .with_state(callbacks)
}

fn respond(problem: Problem<'_>) -> Response {
    problem.to_response(ProblemFormat::Json).into_response()
}

/// Refuses a foreign Host. A page of another site may lead here: the state shows whose callback it is.
async fn admit(State(guard): State<Arc<OriginGuard>>, request: Request, next: Next) -> Response {
    match accepted_host(&guard, request.headers()) {
        Some(_) => next.run(request).await,
        None => refuse_host(),
    }
}

async fn receive(
    State(callbacks): State<mpsc::Sender<Callback>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let (reply, outcome) = oneshot::channel();
    let query = uri.query().unwrap_or_default().to_owned();
    let callback = Callback {
        query,
        headers,
        reply,
    };
    let outcome = match callbacks.send(callback).await {
        Ok(()) => outcome.await.ok(),
        Err(_) => None,
    };
    // Without an outcome the login is over.
    let outcome = outcome.unwrap_or_else(LoginOutcome::unknown);
    outcome.to_response(false).into_response()
}

/// A listener on the address of a `redirect_uri`.
#[derive(Debug)]
pub(super) struct CallbackListener {
    sockets: Vec<Bound>,
    uri: RedirectUri,
}

impl CallbackListener {
    /// Listens on the address in `uri`; the system chooses a port for port 0.
    ///
    /// # Errors
    /// Those of `bind`; the address is in use, above all.
    pub(super) fn bind(uri: &RedirectUri) -> io::Result<Self> {
        let port = uri.url().port_or_known_default().unwrap_or(80);
        let literal = match uri.url().host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        let address = literal.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let first = Bound::bind(&ListenAddress::Tcp((address, port).into()))?;
        let port = first.address().port().unwrap_or(port);
        let mut sockets = vec![first];
        if literal.is_none() {
            // A browser may try either address of `localhost`. A host without IPv6 has only one.
            let second = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
            match Bound::bind(&ListenAddress::Tcp(second)) {
                Ok(second) => sockets.push(second),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
                Err(_) => {}
            }
        }
        let uri = match uri.url().port() {
            Some(0) => uri.with_port(port).ok_or(io::ErrorKind::AddrNotAvailable)?,
            _ => uri.clone(),
        };
        Ok(Self { sockets, uri })
    }

    /// The `redirect_uri`, with the real port.
    pub(super) fn uri(&self) -> &RedirectUri {
        &self.uri
    }

    /// Serves until the returned handle is finished or dropped; callbacks come out of the receiver. A login that starts
    /// in the browser that this command opens has `start`.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(super) fn serve(
        self,
        start: Option<Arc<BrowserStart>>,
    ) -> io::Result<(mpsc::Receiver<Callback>, CallbackServer)> {
        let (sender, callbacks) = mpsc::channel(MAX_CONNECTIONS);
        let router = router(self.uri.url().path(), sender);
        let limits = Limits {
            connections: MAX_CONNECTIONS,
            ..Limits::default()
        };
        let server = Server::new(TokioExecutor::new(), limits)
            .http1_only()
            .with_date();
        let listening = self.sockets.into_iter().map(|socket| {
            let router = match start.clone() {
                Some(start) => router.clone().merge(start.router(socket.address())),
                None => router.clone(),
            };
            let guard = Arc::new(OriginGuard::for_address(socket.address()));
            let router = router.layer(from_fn_with_state(guard, admit));
            let service = TowerToHyperService::new(router);
            Listening::start(socket, server.clone(), service)
        });
        let listening = listening.collect::<io::Result<_>>()?;
        Ok((callbacks, CallbackServer { listening }))
    }
}

/// A callback listener in service. Dropping it cuts its connections.
#[derive(Debug)]
pub(super) struct CallbackServer {
    listening: Vec<Listening>,
}

impl CallbackServer {
    /// Closes the listener, and gives the last page [`DRAIN_TIMEOUT`] to reach the browser.
    pub(super) async fn finish(self) {
        let drains = self.listening.into_iter();
        // A connection that takes longer is cut: the login itself is over.
        let drains: JoinSet<()> = drains.map(|at| at.drain(DRAIN_TIMEOUT)).collect();
        drains.join_all().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;
    use url::Url;

    use super::*;
    use testkit::client::{Response, send};

    async fn served(uri: &str) -> (Url, mpsc::Receiver<Callback>, CallbackServer) {
        let listener = CallbackListener::bind(&uri.parse().unwrap()).unwrap();
        let uri = listener.uri().url().clone();
        let (callbacks, listening) = listener.serve(None).unwrap();
        (uri, callbacks, listening)
    }

    async fn get(uri: &Url, target: &str) -> Response {
        let address = (uri.host_str().unwrap(), uri.port().unwrap());
        send(address, "GET", target, &[], "")
            .await
            .expect("a response")
    }

    #[tokio::test]
    async fn a_browser_gets_its_page_before_the_listener_closes() {
        let (uri, mut callbacks, listening) = served("http://127.0.0.1:0/back/here").await;
        assert_ne!(uri.port(), Some(0));
        let idle = TcpStream::connect(("127.0.0.1", uri.port().unwrap()))
            .await
            .unwrap();
        let (theirs, asked) = (uri.clone(), "/back/here?code=c&state=s");
        let browser = tokio::spawn(async move { get(&theirs, asked).await });
        let callback = callbacks.recv().await.unwrap();
        assert_eq!(callback.query, "code=c&state=s");
        callback.reply.send(LoginOutcome::logged_in("x")).unwrap();
        listening.finish().await;
        let response = browser.await.unwrap();
        assert_eq!(
            (response.status, response.header("referrer-policy")),
            (200, "no-referrer")
        );
        assert_eq!(response.header("cache-control"), "no-store");
        assert!(response.body.contains("Logged in"));
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
        let (uri, mut callbacks, _listening) = served("http://127.0.0.1:0/callback").await;
        for target in ["/", "/callback/", "/favicon.ico", "/callback2?code=c"] {
            assert_eq!(get(&uri, target).await.status, 404, "{target}");
        }
        let address = ("127.0.0.1", uri.port().unwrap());
        for method in ["HEAD", "POST"] {
            let response = send(address, method, "/callback?code=c", &[], "")
                .await
                .unwrap();
            assert_eq!(
                (response.status, response.header("allow")),
                (405, "GET"),
                "{method}"
            );
        }
        for host in ["evil.example", "localhost:x", "[::1]evil", ""] {
            let fields = [("host", host)];
            let response = send(address, "GET", "/callback?code=c", &fields, "").await;
            assert_eq!(response.unwrap().status, 421, "{host}");
        }
        assert!(callbacks.try_recv().is_err());
    }

    #[tokio::test]
    async fn an_address_in_use_is_an_error() {
        let (uri, _callbacks, _listening) = served("http://127.0.0.1:0/callback").await;
        let error = CallbackListener::bind(&uri.as_str().parse().unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn a_path_is_literal_whatever_characters_it_has() {
        for path in ["/:x/*y", "/%7Bz%7D", "/"] {
            let (uri, mut callbacks, _listening) =
                served(&format!("http://127.0.0.1:0{path}")).await;
            assert_eq!(get(&uri, "/other").await.status, 404, "{path}");
            let (theirs, target) = (uri.clone(), format!("{}?code=c", uri.path()));
            let browser = tokio::spawn(async move { get(&theirs, &target).await });
            assert_eq!(callbacks.recv().await.unwrap().query, "code=c", "{path}");
            // The reply was dropped: the login is over.
            assert_eq!(browser.await.unwrap().status, 400, "{path}");
        }
    }

    #[tokio::test]
    async fn localhost_is_served_at_its_addresses() {
        let (uri, _callbacks, _listening) = served("http://localhost:0/callback").await;
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
