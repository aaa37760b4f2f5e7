//! An authorization server that fails as a test says, and a sidecar with a client's token and a login's token from it.

use std::{
    net::TcpStream,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use socket2::SockRef;
use url::form_urlencoded;

use crate::support::{
    client::get,
    home::Home,
    patience::{Gate, lock, until, until_within},
    problem::assert_problem,
    protected_api::ProtectedApi,
    server::Server,
    sidecar::Sidecar,
    token_endpoint::{Issuer, error_response, json_response},
    upstream::Duplex,
    wire::{Answer, Request, Wire},
};

/// The first refresh token of the provider `login`.
const FIRST_REFRESH_TOKEN: &str = "refresh-0";
/// How long the API accepts a token that has expired: a request may be on its way for a while where processors are few.
const GRACE: Duration = Duration::from_millis(700);
/// The secret of both clients.
pub(crate) const CLIENT_SECRET: &str = "the-secret-of-the-client";
/// Both providers; their routes have the same names.
pub(crate) const PROVIDERS: [&str; 2] = ["api", "login"];

/// What a server does instead of its duty, once a request is there.
#[derive(Clone)]
pub(crate) enum Fault {
    /// Nothing.
    Silent,
    /// Responds with these bytes.
    Sends(Vec<u8>),
    /// Responds with these bytes, and then sends nothing.
    Stalls(&'static str),
    /// Responds with these bytes, and resets the connection.
    Cuts(&'static str),
    /// Responds with these bytes again and again, one at a time.
    Dribbles(&'static str),
    /// Does its duty, later.
    Slow(Duration),
    /// Proves its name with another certificate.
    Certificate(Arc<ServerConfig>),
    /// Refuses connections.
    Refuses,
}

/// A token endpoint with tokens of both kinds: refresh tokens rotate, and one that comes again ends the login.
pub(crate) struct FaultyServer {
    server: Server,
    shared: Arc<Shared>,
    name: &'static str,
    lifetime: u64,
}

struct Shared {
    issuer: Arc<Issuer>,
    lifetime: u64,
    certificate: Option<Arc<ServerConfig>>,
    fault: Mutex<Option<Fault>>,
    /// What a silent connection waits at.
    gate: Mutex<Arc<Gate>>,
    requests: Mutex<Vec<(Instant, Request)>>,
    login: Mutex<Login>,
}

#[derive(Default)]
struct Login {
    rotations: usize,
    reused: Vec<String>,
}

impl FaultyServer {
    /// A server whose tokens live for `lifetime` seconds.
    pub(crate) fn start(lifetime: u64) -> Self {
        Self::new(lifetime, None)
    }

    /// The same over TLS, as `localhost`.
    pub(crate) fn start_over_tls(lifetime: u64, certificate: Arc<ServerConfig>) -> Self {
        Self::new(lifetime, Some(certificate))
    }

    fn new(lifetime: u64, certificate: Option<Arc<ServerConfig>>) -> Self {
        let name = match certificate {
            Some(_) => "https://localhost",
            None => "http://127.0.0.1",
        };
        let shared = Arc::new(Shared {
            issuer: Arc::new(Issuer {
                grace: GRACE,
                ..Issuer::default()
            }),
            lifetime,
            certificate,
            fault: Mutex::default(),
            gate: Mutex::default(),
            requests: Mutex::default(),
            login: Mutex::default(),
        });
        let server = Server::start({
            let shared = shared.clone();
            move |stream, _| shared.serve(stream)
        });
        Self {
            server,
            shared,
            name,
            lifetime,
        }
    }

    /// Begins to fail. Open connections are cut.
    pub(crate) fn fail(&self, fault: Fault) {
        let refuses = matches!(fault, Fault::Refuses);
        *lock(&self.shared.fault) = Some(fault);
        match refuses {
            true => self.server.down(),
            false => self.server.cut(),
        }
    }

    /// Cuts open connections.
    pub(crate) fn cut(&self) {
        self.server.cut();
    }

    /// Does its duty again. Open connections are cut.
    pub(crate) fn heal(&self) {
        *lock(&self.shared.fault) = None;
        std::mem::take(&mut *lock(&self.shared.gate)).open();
        self.server.cut();
        self.server.up();
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        self.url_at(self.name)
    }

    /// Where it is under another name, given with its scheme.
    pub(crate) fn url_at(&self, name: &str) -> String {
        format!("{name}:{}/token", self.server.address().port())
    }

    /// Its tokens.
    pub(crate) fn issuer(&self) -> Arc<Issuer> {
        self.shared.issuer.clone()
    }

    /// The instants of all requests so far, whatever became of them.
    pub(crate) fn requests(&self) -> Vec<Instant> {
        lock(&self.shared.requests)
            .iter()
            .map(|(at, _)| *at)
            .collect()
    }

    /// Connections that were accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.server.connections()
    }

    /// The refresh token that it would accept now.
    pub(crate) fn refresh_token(&self) -> String {
        format!("refresh-{}", lock(&self.shared.login).rotations)
    }

    /// Checks that no refresh token came that was spent or never issued.
    #[track_caller]
    pub(crate) fn assert_no_login_is_lost(&self) {
        let reused = lock(&self.shared.login).reused.clone();
        assert!(reused.is_empty(), "came again: {reused:?}");
    }

    /// A configuration with both providers at this server and their routes to `api`.
    pub(crate) fn home(&self, api: &ProtectedApi, provider: &str) -> Home {
        self.home_with(&self.provider_lines(provider), &api.origin())
    }

    /// The lines of a provider at this server, but for its grant.
    pub(crate) fn provider_lines(&self, more: &str) -> String {
        format!(
            "token_endpoint = \"{}\"\nclient_id = \"legacy-service\"\n\
             client_secret = {{ env = \"CLIENT_SECRET\" }}\n{more}\n",
            self.url()
        )
    }

    /// The same with other lines for the providers, and another upstream.
    pub(crate) fn home_with(&self, lines: &str, upstream: &str) -> Home {
        let login = "grant_type = \"refresh_token\"\nrefresh_token = { env = \"REFRESH_TOKEN\" }\n";
        Home::new()
            .environment("CLIENT_SECRET", CLIENT_SECRET)
            .environment("REFRESH_TOKEN", FIRST_REFRESH_TOKEN)
            .provider(
                "api",
                &format!("grant_type = \"client_credentials\"\n{lines}"),
            )
            .provider("login", &format!("{login}{lines}"))
            .route("api", upstream)
            .route("login", upstream)
    }
}

impl Drop for FaultyServer {
    fn drop(&mut self) {
        lock(&self.shared.gate).open();
    }
}

impl Shared {
    fn serve(&self, tcp: TcpStream) {
        let Ok(stream) = tcp.try_clone() else { return };
        let certificate = match &*lock(&self.fault) {
            Some(Fault::Certificate(other)) => Some(other.clone()),
            _ => self.certificate.clone(),
        };
        let stream: Box<dyn Duplex> = match certificate {
            None => Box::new(stream),
            Some(config) => {
                let session = ServerConnection::new(config).expect("a server configuration");
                Box::new(StreamOwned::new(session, stream))
            }
        };
        let mut wire = Wire::new(stream);
        while let Ok(Some(request)) = wire.request() {
            lock(&self.requests).push((Instant::now(), request.clone()));
            let fault = lock(&self.fault).clone();
            let gate = lock(&self.gate).clone();
            let sent = match fault {
                None | Some(Fault::Certificate(_) | Fault::Refuses) => {
                    wire.send(self.respond(&request))
                }
                Some(Fault::Slow(time)) => {
                    thread::sleep(time);
                    wire.send(self.respond(&request))
                }
                Some(Fault::Sends(bytes)) => wire.send(bytes),
                Some(Fault::Silent) => return gate.pass(),
                Some(Fault::Stalls(bytes)) => {
                    let _ = wire.send(bytes);
                    return gate.pass();
                }
                Some(Fault::Dribbles(bytes)) => {
                    for byte in bytes.bytes().cycle() {
                        if wire.send([byte]).is_err() {
                            return;
                        }
                        thread::sleep(Duration::from_millis(50));
                    }
                    return;
                }
                Some(Fault::Cuts(bytes)) => {
                    let _ = wire.send(bytes);
                    let _ = SockRef::from(&tcp).set_linger(Some(Duration::ZERO));
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }

    fn respond(&self, request: &Request) -> Vec<u8> {
        let spent = form_urlencoded::parse(&request.body)
            .find(|(name, _)| name == "refresh_token")
            .map(|(_, value)| value.into_owned());
        let issued = self.issuer.issue(self.lifetime);
        let Some(spent) = spent else { return issued };
        let mut login = lock(&self.login);
        if spent != format!("refresh-{}", login.rotations) {
            login.reused.push(spent);
            return error_response("400 Bad Request", "invalid_grant");
        }
        login.rotations += 1;
        let text = String::from_utf8_lossy(&issued);
        let (_, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let mut body: Value = serde_json::from_str(body).expect("a token response");
        body["refresh_token"] = json!(format!("refresh-{}", login.rotations));
        json_response("200 OK", &body.to_string())
    }
}

/// The course of one fault.
///
/// The token in use serves to its end; then clients are told, honestly; afterwards all is well, and no login is lost.
#[track_caller]
pub(crate) fn assert_survived(
    server: &FaultyServer,
    api: &ProtectedApi,
    kind: &str,
    run: impl FnOnce() -> Sidecar,
    begin: impl FnOnce(),
    end: impl FnOnce(),
) {
    let sidecar = run();
    for name in PROVIDERS {
        sidecar.wait_for_ok(name);
    }
    begin();
    let before = server.connections().max(server.requests().len());
    for name in PROVIDERS {
        assert_served_and_then_refused(server, &sidecar, name, kind);
    }
    assert_told(&sidecar, kind);
    let after = server.connections().max(server.requests().len());
    // A second, a second, two, four … with jitter, and a login's lost response once more: far fewer than the clients' requests.
    assert!(
        after - before < 40,
        "{} attempts in seconds",
        after - before
    );

    end();
    assert_well(server, &sidecar, api);
}

/// Asks until the token has ended; every answer is the API's or the right problem.
#[track_caller]
fn assert_served_and_then_refused(
    server: &FaultyServer,
    sidecar: &Sidecar,
    name: &str,
    kind: &str,
) {
    let bound = Duration::from_secs(server.lifetime + 15);
    let refused = until_within(bound, "the end of a token", || {
        Some(get(sidecar.route(name), "/")).filter(|answer| answer.status != 200)
    });
    assert_unavailable(&refused, name);
    let text = refused.text();
    assert!(!text.contains("described-by-the-server"), "{kind}: {text}");
}

/// Asserts that `answer` is the problem of a token that cannot be had now; gives `Retry-After`.
#[track_caller]
pub(crate) fn assert_unavailable(answer: &Answer, provider: &str) -> u64 {
    let body = assert_problem(answer, 503, "token-unavailable");
    assert_eq!(body["provider"], provider, "{body}");
    let seconds = answer.head.value("retry-after").expect("Retry-After");
    let seconds = seconds.parse().expect("seconds");
    assert!((1..=300).contains(&seconds), "Retry-After: {seconds}");
    seconds
}

/// Operators are told of a fault of both providers.
#[track_caller]
pub(crate) fn assert_told(sidecar: &Sidecar, kind: &str) {
    let readiness = sidecar.admin("/readyz");
    assert_eq!(readiness.status, 503, "{}", readiness.text());
    assert_eq!(sidecar.admin("/livez").status, 200);
    let metrics = sidecar.metrics();
    for name in PROVIDERS {
        assert!(readiness.text().contains(name), "{}", readiness.text());
        let provider = sidecar.provider(name);
        assert_eq!(provider["state"], "failing", "{provider}");
        assert_eq!(provider["last_error"]["kind"], kind, "{provider}");
        assert_counted(&metrics, name, kind);
    }
    assert!(!sidecar.written().contains(CLIENT_SECRET));
}

/// A token request of the provider `name` is counted with the outcome `kind`.
#[track_caller]
pub(crate) fn assert_counted(metrics: &str, name: &str, kind: &str) {
    let labels = [
        format!("provider=\"{name}\""),
        format!("outcome=\"{kind}\""),
    ];
    let is_counted = |line: &str| {
        line.starts_with("bearward_token_requests_total{")
            && labels.iter().all(|label| line.contains(label))
    };
    assert!(
        metrics.lines().any(is_counted),
        "no {kind} of {name} in\n{metrics}"
    );
}

/// Both providers serve, nothing of the fault is left, and no request reached the API without a good token.
#[track_caller]
pub(crate) fn assert_well(server: &FaultyServer, sidecar: &Sidecar, api: &ProtectedApi) {
    for name in PROVIDERS {
        sidecar.wait_for_ok(name);
        // The connection that was cut a moment ago may be found out by this request.
        until("a renewal", || {
            (sidecar.renew(name).status == 200).then_some(())
        });
        let provider = sidecar.provider(name);
        assert_eq!(provider["state"], "ready", "{provider}");
        assert!(provider["last_error"].is_null(), "{provider}");
    }
    sidecar.wait_until_ready();
    server.assert_no_login_is_lost();
    assert_eq!(
        api.refused(),
        Vec::<String>::new(),
        "requests reached the API without a good token"
    );
}
