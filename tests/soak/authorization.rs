//! The authorization servers, each behind a front that produces faults and keeps the books of its tokens.

mod fault;

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use testkit::authorization_server::{AuthorizationServer, Options, Rotation};
use tokio::net::TcpListener;
use url::form_urlencoded;

pub(crate) use self::fault::TokenFault;
use crate::{home::Home, places::Provider, timeline::Event, world::World};

/// The time in which the forgiving server takes a spent refresh token.
const GRACE: Duration = Duration::from_secs(60);

/// An authorization server of one provider, and its front.
pub(crate) struct Authorization {
    provider: Provider,
    server: AuthorizationServer,
    front: SocketAddr,
    world: Arc<World>,
    fault: Mutex<Option<(TokenFault, Instant)>>,
    counts: Counts,
}

/// The token requests of one provider.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) issued: AtomicU64,
    /// Failures that the front produced.
    pub(crate) failed: AtomicU64,
    /// Refusals of the server.
    pub(crate) refused: AtomicU64,
    /// Tokens that were issued, and whose response was lost on purpose.
    pub(crate) lost: AtomicU64,
    /// Codes of a login that were exchanged.
    pub(crate) exchanges: AtomicU64,
    /// Spent refresh tokens that were sent again, although their successor was known.
    pub(crate) spent_again: AtomicU64,
    /// Spent refresh tokens that were sent again, since the response was lost on the way or the process was killed.
    pub(crate) repeated: AtomicU64,
    /// Logins that ended.
    pub(crate) ended: AtomicU64,
    /// Faults, and their lengths together in milliseconds.
    pub(crate) faults: AtomicU64,
    pub(crate) fault_millis: AtomicU64,
}

impl Authorization {
    /// Starts the server and its front on the current runtime.
    pub(crate) async fn start(provider: Provider, world: Arc<World>) -> io::Result<Arc<Self>> {
        let options = Options {
            lifetime: provider.lifetime(),
            ..Options::default()
        };
        let server = AuthorizationServer::start(options).await?;
        if provider == Provider::Grace {
            server.set_rotation(Rotation {
                rotate: true,
                grace: GRACE,
            });
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let this = Arc::new(Self {
            provider,
            server,
            front: listener.local_addr()?,
            world,
            fault: Mutex::default(),
            counts: Counts::default(),
        });
        tokio::spawn(serve(this.clone(), listener));
        Ok(this)
    }

    pub(crate) fn provider(&self) -> Provider {
        self.provider
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The lines of the provider's table.
    pub(crate) fn settings(&self) -> String {
        let (id, secret) = self.server.client();
        let grant = match self.provider.has_login() {
            true => format!(
                "grant_type = \"authorization_code\"\nauthorization_endpoint = {:?}\n",
                self.server.authorization_endpoint().unwrap_or_default()
            ),
            false => "grant_type = \"client_credentials\"\n".to_owned(),
        };
        format!(
            "token_endpoint = \"http://{}/oauth2/token\"\nclient_id = {id:?}\nclient_secret = {secret:?}\n\
             token_request.timeout = \"4s\"\n{grant}",
            self.front
        )
    }

    /// Produces a fault for a while, and waits for its end.
    pub(crate) async fn fail(&self, fault: TokenFault, length: Duration) {
        add(&self.counts.faults);
        let millis = length.as_millis() as u64;
        self.counts
            .fault_millis
            .fetch_add(millis, Ordering::Relaxed);
        self.world.timeline.begin(Event::TokenFault(self.provider));
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((fault, Instant::now() + length));
        tokio::time::sleep(length).await;
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.world.timeline.end(Event::TokenFault(self.provider));
    }

    /// Logs in by a command beside the sidecar, as a person would. Whether it went well.
    pub(crate) async fn log_in(self: &Arc<Self>, home: Arc<Home>) -> bool {
        let this = self.clone();
        let runtime = tokio::runtime::Handle::current();
        let logged_in = tokio::task::spawn_blocking(move || {
            home.log_in(this.provider, |address| {
                let url: url::Url = address.parse().ok()?;
                let target = &url[url::Position::BeforePath..];
                let visit = testkit::client::send(this.server.address(), "GET", target, &[], "");
                let page = runtime.block_on(visit)?;
                Some(page.header("location").to_owned())
            })
        });
        matches!(logged_in.await, Ok(Ok(true)))
    }

    fn fault(&self) -> Option<(TokenFault, Instant)> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles a token request. `None` closes the connection without a response.
    async fn respond(&self, request: Request<Incoming>) -> Option<Response<Full<Bytes>>> {
        let asked = Instant::now();
        let (parts, body) = request.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        let fault = self.fault();
        if let Some((fault, end)) = fault {
            let failed = fault.before(end).await;
            if let Some(response) = failed {
                add(&self.counts.failed);
                return response;
            }
        }

        let parameter = |name: &str| {
            let mut all = form_urlencoded::parse(&body);
            all.find_map(|(found, value)| (found == name).then(|| value.into_owned()))
        };
        let grant_type = parameter("grant_type").unwrap_or_default();
        let refresh_token = parameter("refresh_token");
        if let Some(refresh_token) = &refresh_token {
            self.check_spent(refresh_token);
        }
        let field = |name: &str| {
            let value = parts.headers.get(name)?;
            value.to_str().ok()
        };
        let headers: Vec<_> = ["content-type", "authorization"]
            .into_iter()
            .filter_map(|name| Some((name, field(name)?)))
            .collect();
        let body = std::str::from_utf8(&body).ok()?;
        let target = parts.uri.path();
        let sent =
            testkit::client::send(self.server.address(), "POST", target, &headers, body).await?;
        self.record(&sent, &grant_type, refresh_token.as_deref(), asked);

        if let Some((fault, _)) = fault {
            if fault == TokenFault::LostResponse {
                add(&self.counts.lost);
                return None;
            }
            fault.after().await;
        }
        if sent.status == 200 {
            if let Some(refresh_token) = &refresh_token {
                self.world.tokens.respond(refresh_token);
            }
            // The code of a login is exchanged by a process of its own.
            if grant_type != "authorization_code" {
                let usable = self.provider.lifetime() * 9 / 10;
                let event = Event::Usable(self.provider);
                self.world.timeline.mark_until(event, asked + usable);
            }
        }
        let mut response = Response::new(Full::new(Bytes::from(sent.body)));
        *response.status_mut() = StatusCode::from_u16(sent.status).ok()?;
        let json = http::HeaderValue::from_static("application/json");
        response.headers_mut().insert("content-type", json);
        Some(response)
    }

    /// Judges a refresh token that comes again.
    fn check_spent(&self, refresh_token: &str) {
        let Some(spent) = self.world.tokens.spent(refresh_token) else {
            return;
        };
        let timeline = &self.world.timeline;
        let was_killed = |from, to| timeline.touches(Event::Killed, from, to, Duration::ZERO);
        if spent.is_successor_known(was_killed) {
            add(&self.counts.spent_again);
            self.world.ledger.violate(format!(
                "{}: a spent refresh token was sent again; its exchange: {spent:?}",
                self.provider.name()
            ));
        } else {
            add(&self.counts.repeated);
        }
    }

    /// Keeps the books of a response of the server.
    fn record(
        &self,
        sent: &testkit::client::Response,
        grant_type: &str,
        refresh_token: Option<&str>,
        asked: Instant,
    ) {
        let Self { world, counts, .. } = self;
        if sent.status != 200 {
            add(&counts.refused);
            if grant_type == "refresh_token" && sent.body.contains("invalid_grant") {
                add(&counts.ended);
                world.timeline.begin(Event::LoggedOut(self.provider));
            }
            return;
        }
        add(&counts.issued);
        if let Some(access_token) = sent.json()["access_token"].as_str() {
            let lifetime = self.provider.lifetime();
            world.tokens.issue(access_token, self.provider, lifetime);
        }
        if let Some(refresh_token) = refresh_token {
            world.tokens.spend(refresh_token, asked);
        }
        if grant_type == "authorization_code" {
            add(&counts.exchanges);
        }
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// The reason to close a connection without a response.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
struct Closed;

async fn serve(this: Arc<Authorization>, listener: TcpListener) -> Infallible {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let this = this.clone();
        tokio::spawn(async move {
            let respond = |request| async { this.respond(request).await.ok_or(Closed) };
            // An error is a connection that was closed, on purpose or by the process.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(respond))
                .await;
        });
    }
}
