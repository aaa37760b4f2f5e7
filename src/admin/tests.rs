//! The admin listener, asked over real sockets.

mod login;
mod token_endpoint;

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::task::TaskTracker;

use self::token_endpoint::{TokenEndpoint, TokenResponse};
use super::*;
use testkit::client::{Response, send, send_bytes};

use crate::{
    clock::{Clock, ManualClock, SystemClock},
    oauth::{
        fake,
        provider::{Authorization, ClientAuth, GrantType, Provider},
        redirect_uri::RedirectUri,
    },
    secret::Secret,
    server::{
        key_proof::{ProofFields, ProvedRequest},
        listener::Bound,
    },
    telemetry::metrics::Metrics,
    token::{
        Tokens,
        store::{self, StoreLocation},
    },
};

/// An admin listener in front of one provider, `hapn`, which a route uses.
struct World {
    endpoint: TokenEndpoint,
    provider: Arc<Provider>,
    /// The time of logins under way; the tokens have the system's.
    clock: ManualClock,
    state: Arc<AdminState>,
    /// The logins for which shutdown waits.
    drain: TaskTracker,
    address: SocketAddr,
    listening: AdminServer,
}

#[derive(Default)]
struct Setup {
    token_response: TokenResponse,
    key: Option<&'static str>,
    /// Says that the listener is one that others can reach.
    public: bool,
    /// A person logs in, instead of the client alone.
    login: bool,
    redirect_uri: Option<RedirectUri>,
}

impl World {
    async fn start(setup: Setup) -> Self {
        let endpoint = TokenEndpoint::start(setup.token_response).await;
        let mut provider = provider(&endpoint);
        if setup.login {
            provider.grant_type = GrantType::AuthorizationCode;
            provider.issuer = Some("https://as.example".to_owned());
            provider.authorization = Some(Authorization {
                endpoint: Some(
                    format!("http://{}/authorize", endpoint.address)
                        .parse()
                        .unwrap(),
                ),
                redirect_uri: setup.redirect_uri,
                ..Authorization::default()
            });
        }
        let provider = Arc::new(provider);
        let metrics = Metrics::new();
        let manual = ManualClock::new();
        let clock: Arc<dyn Clock> = if setup.login {
            Arc::new(manual.clone())
        } else {
            Arc::new(SystemClock)
        };
        let tokens = tokens(std::slice::from_ref(&provider), clock.clone(), &metrics);
        let key = setup
            .key
            .map(|key| Arc::new(LiveSecret::fixed(Secret::new(key))));
        let view = View {
            tokens,
            routes: vec![route("devices", Some("hapn"))],
            key,
            store: StoreLocation::Memory,
            files: Vec::new(),
        };

        let bound = Bound::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let ListenAddress::Tcp(address) = *bound.address() else {
            panic!("bound to something else")
        };
        let shown = if setup.public {
            SocketAddr::from(([0, 0, 0, 0], address.port()))
        } else {
            address
        };
        let drain = TaskTracker::new();
        let state = Arc::new(AdminState::new(
            ListenAddress::Tcp(shown),
            metrics,
            clock,
            view,
            drain.clone(),
        ));
        let listening = AdminServer::start(bound, state.clone()).unwrap();
        Self {
            endpoint,
            provider,
            clock: manual,
            state,
            drain,
            address,
            listening,
        }
    }

    /// A view in which `provider` replaces the present one.
    fn view_of(&self, provider: Arc<Provider>) -> View {
        View {
            tokens: tokens(&[provider], self.state.shared_clock(), self.state.metrics()),
            ..(*self.state.view()).clone()
        }
    }

    async fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Response {
        send(self.address, method, target, fields, "")
            .await
            .expect("a response")
    }

    async fn get(&self, target: &str) -> Response {
        self.ask("GET", target, &[]).await
    }

    /// Waits until `/readyz` responds with `status`.
    async fn until_readyz(&self, status: u16) -> Response {
        let wait = async {
            loop {
                let response = self.get("/readyz").await;
                if response.status == status {
                    return response;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .expect("readiness within 10 s")
    }

    /// Waits until the provider is in `state`.
    async fn until_provider(&self, state: &str) -> Value {
        let wait = async {
            loop {
                let provider = self.get("/api/status").await.json()["providers"]["hapn"].clone();
                if provider["state"] == state {
                    return provider;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .expect("the state within 10 s")
    }
}

fn tokens(providers: &[Arc<Provider>], clock: Arc<dyn Clock>, metrics: &Metrics) -> Arc<Tokens> {
    Arc::new(Tokens::start(
        providers,
        store::open(&StoreLocation::Memory).unwrap(),
        clock,
        metrics,
    ))
}

fn provider(endpoint: &TokenEndpoint) -> Provider {
    Provider {
        name: "hapn".into(),
        client_secret: Some(Arc::new(LiveSecret::fixed(Secret::new("canary-secret")))),
        client_auth: ClientAuth::SecretPost,
        ..fake::provider(&format!("http://{}/oauth2/token", endpoint.address))
    }
}

fn route(name: &str, provider: Option<&str>) -> RouteView {
    RouteView {
        name: name.into(),
        listen: "127.0.0.1:8080".into(),
        upstream: "https://api.iotgps.io".into(),
        provider: provider.map(Into::into),
    }
}

type Fields<'a> = &'a [(&'a str, &'a str)];

/// Proves `key` for one request, and returns the fields of that request.
async fn proved(world: &World, method: &str, target: &str, key: &str) -> ProofParts {
    let challenge = world
        .ask(method, target, &[("authorization", "Bearward")])
        .await;
    assert_eq!(challenge.status, 401, "{challenge:?}");
    let fields = challenge.headers.get_all("www-authenticate").iter();
    let nonce = fields
        .filter_map(|field| ProofFields::parse(field.to_str().unwrap())?.nonce)
        .next()
        .expect("a nonce")
        .to_owned();
    let request = ProvedRequest {
        nonce: &nonce,
        client_nonce: "theirs",
        method,
        target,
    };
    let proof = request.client_proof(&Secret::new(key));
    let credentials = format!("Bearward nonce=\"{nonce}\", cnonce=\"theirs\", proof=\"{proof}\"");
    ProofParts { nonce, credentials }
}

struct ProofParts {
    nonce: String,
    credentials: String,
}

#[tokio::test]
async fn a_key_is_proved_to_both_sides_for_one_request_and_not_sent() {
    let key = "canary-key-of-16";
    let world = World::start(Setup {
        key: Some(key),
        ..Setup::default()
    })
    .await;
    let target = "/api/status";
    let proof = proved(&world, "GET", target, key).await;
    let fields = [("authorization", &*proof.credentials)];
    let elsewhere = world.ask("GET", "/", &fields).await;
    assert_eq!(elsewhere.status, 401, "another target");
    let other_method = world.ask("HEAD", target, &fields).await;
    assert_eq!(other_method.status, 401, "another method");

    let response = world.ask("GET", target, &fields).await;
    assert_eq!(response.status, 200, "{response:?}");
    let request = ProvedRequest {
        nonce: &proof.nonce,
        client_nonce: "theirs",
        method: "GET",
        target,
    };
    let theirs = ProofFields::parse_parameters(response.header("authentication-info"));
    let (key, status) = (Secret::new(key), http::StatusCode::OK);
    assert!(request.is_listener_proof(&key, status, theirs.proof.unwrap()));
    let again = world.ask("GET", target, &fields).await;
    assert_eq!(again.status, 401, "used twice");

    let wrong = proved(&world, "GET", target, "another-key-of-16").await;
    let fields = [("authorization", &*wrong.credentials)];
    let response = world.ask("GET", target, &fields).await;
    assert_eq!(response.status, 401);
    assert_eq!(response.headers.get("authentication-info"), None);
}

#[tokio::test]
async fn refused_keys_are_counted_and_a_challenge_is_not() {
    let world = World::start(Setup {
        key: Some("canary-key-of-16"),
        ..Setup::default()
    })
    .await;
    let count = async || {
        let metrics = world.get("/metrics").await.body;
        let name = format!(
            "bearward_keys_refused_total{{listener=\"{}\"}} ",
            world.address
        );
        let count = metrics.lines().find_map(|line| line.strip_prefix(&name));
        count.unwrap_or_else(|| panic!("{metrics}")).to_owned()
    };
    assert_eq!(count().await, "0");
    for credentials in [
        "Bearer wrong",
        "Bearward proof=\"x\"",
        "Basic d3Jvbmc6d3Jvbmc=",
    ] {
        world
            .ask("GET", "/api/status", &[("authorization", credentials)])
            .await;
    }
    world.get("/api/status").await;
    assert_eq!(count().await, "4");
    world
        .ask("GET", "/api/status", &[("authorization", "Bearward")])
        .await;
    world
        .ask(
            "GET",
            "/api/status",
            &[("authorization", "Bearer canary-key-of-16")],
        )
        .await;
    assert_eq!(count().await, "4");
}

#[tokio::test]
async fn a_host_that_is_not_one_name_with_a_port_is_refused() {
    let world = World::start(Setup::default()).await;
    for host in [
        "localhost:x",
        "localhost:99999",
        "[::1]evil",
        "[evil]",
        "localhost:+1",
    ] {
        for target in ["/livez", "/", "/api/status", "/callback", "/login/hapn"] {
            let response = world.ask("GET", target, &[("host", host)]).await;
            assert_eq!(
                (response.status, kind(&response).as_str()),
                (400, "bad-request"),
                "{host} {target}"
            );
        }
    }
}

/// An error response of the documented shape, and its type.
fn kind(response: &Response) -> String {
    assert_eq!(
        response.header("content-type"),
        "application/problem+json",
        "{response:?}"
    );
    let problem = response.json();
    assert_eq!(problem["status"], response.status);
    assert!(problem["title"].is_string() && problem["detail"].is_string());
    assert!(
        response
            .header("proxy-status")
            .starts_with("bearward; error=")
    );
    problem["type"]
        .as_str()
        .unwrap()
        .strip_prefix("urn:bearward:")
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn health_follows_the_tokens_that_routes_need() {
    let world = World::start(Setup {
        token_response: TokenResponse::Unavailable,
        ..Setup::default()
    })
    .await;
    let live = world.get("/livez").await;
    assert_eq!((live.status, live.body.as_str()), (200, "ok\n"));
    world.until_provider("failing").await;
    let response = world.get("/readyz").await;
    assert_eq!(
        (response.status, response.json()["ready"].clone()),
        (503, json!(false))
    );
    assert_eq!(response.json()["not_ready"], json!({ "hapn": "failing" }));

    world.endpoint.respond_with(TokenResponse::Token);
    assert_eq!(
        world
            .ask("POST", "/api/providers/hapn/refresh", &[])
            .await
            .status,
        200
    );
    let response = world.until_readyz(200).await;
    assert_eq!(
        response.json(),
        json!({ "ready": true, "draining": false, "not_ready": {} })
    );

    world.state.start_draining();
    assert_eq!(world.get("/readyz").await.json()["draining"], true);
    assert_eq!(world.get("/readyz").await.status, 503);
    assert_eq!(world.get("/livez").await.status, 200);
}

#[tokio::test]
async fn a_provider_that_no_route_uses_does_not_count() {
    let world = World::start(Setup {
        token_response: TokenResponse::Unavailable,
        ..Setup::default()
    })
    .await;
    let view = View {
        routes: vec![route("open", None)],
        ..(*world.state.view()).clone()
    };
    world.state.replace(view);
    assert_eq!(world.get("/readyz").await.status, 200);
    assert_eq!(
        world.get("/api/status").await.json()["routes"]["open"]["provider"],
        Value::Null
    );
}

#[tokio::test]
async fn the_status_shows_providers_and_routes_with_real_addresses() {
    let world = World::start(Setup::default()).await;
    world.until_readyz(200).await;
    let response = world.get("/api/status").await;
    assert_eq!(
        (response.status, response.header("content-type")),
        (200, "application/json")
    );
    assert!(!response.body.contains("canary"));
    let status = response.json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["admin"], world.address.to_string());
    let route = &status["routes"]["devices"];
    for (member, value) in [
        ("listen", "127.0.0.1:8080"),
        ("upstream", "https://api.iotgps.io"),
        ("provider", "hapn"),
    ] {
        assert_eq!(route[member], value, "{member}");
    }
    assert_eq!(route["traffic"]["requests"], 0, "{route}");
    let provider = &status["providers"]["hapn"];
    assert_eq!(provider["grant_type"], "client_credentials");
    assert_eq!(provider["state"], "ready");
    assert_eq!(provider["has_refresh_token"], false);
    assert_eq!(provider["last_error"], Value::Null);
    assert!(provider["token_requests"].as_u64().unwrap() >= 1);
    for member in ["expires_at", "refresh_at"] {
        let stamp = provider[member].as_str().unwrap();
        assert!(
            humantime::parse_rfc3339(stamp).unwrap() > std::time::SystemTime::now(),
            "{member}: {stamp}"
        );
    }
}

#[tokio::test]
async fn an_operator_refreshes_now_and_sees_the_status() {
    let world = World::start(Setup::default()).await;
    world.until_readyz(200).await;
    let before = world.endpoint.requests();
    let response = world.ask("POST", "/api/providers/hapn/refresh", &[]).await;
    assert_eq!(
        (response.status, response.json()["state"].clone()),
        (200, json!("ready"))
    );
    assert_eq!(world.endpoint.requests(), before + 1);
}

#[tokio::test]
async fn a_refresh_that_fails_is_a_502_that_says_why_without_a_secret() {
    let world = World::start(Setup {
        token_response: TokenResponse::InvalidClient,
        ..Setup::default()
    })
    .await;
    let response = world.ask("POST", "/api/providers/hapn/refresh", &[]).await;
    assert_eq!(
        (response.status, kind(&response).as_str()),
        (502, "token-refused")
    );
    assert_eq!(
        (&response.json()["provider"], &response.json()["error"]),
        (&json!("hapn"), &json!("invalid_client"))
    );
    let provider = world.until_provider("refused").await;
    assert_eq!(provider["last_error"]["kind"], "invalid_client");

    world.endpoint.respond_with(TokenResponse::Unavailable);
    let response = world.ask("POST", "/api/providers/hapn/refresh", &[]).await;
    assert_eq!(
        (response.status, kind(&response).as_str()),
        (502, "token-unavailable")
    );
    for target in ["/", "/metrics", "/api/status", "/readyz"] {
        assert!(!world.get(target).await.body.contains("canary"), "{target}");
    }
}

#[tokio::test]
async fn metrics_and_page_are_served_as_what_they_are() {
    let world = World::start(Setup::default()).await;
    world
        .state
        .metrics()
        .route("devices")
        .record(200, Duration::from_millis(1));
    let metrics = world.get("/metrics").await;
    assert_eq!(
        metrics.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(
        metrics
            .body
            .contains("bearward_requests_total{route=\"devices\",code=\"200\"} 1\n")
    );
    assert!(metrics.body.contains("bearward_build_info{version="));
    let page = world.get("/").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(
        page.header("content-security-policy")
            .contains("script-src 'sha256-")
    );
    assert!(page.body.contains("hapn") && page.body.contains("Renew"));
}

#[tokio::test]
async fn every_response_is_kept_from_caches_frames_and_guessing() {
    let world = World::start(Setup::default()).await;
    for (method, target) in [
        ("GET", "/livez"),
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/none"),
        ("POST", "/livez"),
        ("GET", "/api/status"),
    ] {
        let response = world.ask(method, target, &[]).await;
        assert_eq!(response.header("cache-control"), "no-store", "{target}");
        assert_eq!(
            response.header("x-content-type-options"),
            "nosniff",
            "{target}"
        );
        assert_eq!(
            response.header("referrer-policy"),
            "no-referrer",
            "{target}"
        );
        assert!(
            response
                .header("content-security-policy")
                .starts_with("default-src 'none'"),
            "{target}"
        );
    }
}

#[tokio::test]
async fn a_wrong_method_and_an_unknown_path_say_so() {
    let world = World::start(Setup::default()).await;
    for target in ["/livez", "/readyz", "/metrics", "/", "/api/status"] {
        let response = world.ask("POST", target, &[]).await;
        assert_eq!(
            (response.status, response.header("allow")),
            (405, "GET, HEAD"),
            "{target}"
        );
        assert_eq!(kind(&response), "method-not-allowed");
        let head = world.ask("HEAD", target, &[]).await;
        assert_ne!(head.status, 405, "{target}");
        assert_eq!(head.body, "", "{target}");
    }
    let response = world.get("/api/providers/hapn/refresh").await;
    assert_eq!((response.status, response.header("allow")), (405, "POST"));
    for (method, target) in [("GET", "/none"), ("POST", "/api/providers/hapn")] {
        let response = world.ask(method, target, &[]).await;
        assert_eq!(
            (response.status, kind(&response).as_str()),
            (404, "not-found"),
            "{target}"
        );
    }
    let response = world
        .ask("POST", "/api/providers/no%20ne/refresh", &[])
        .await;
    assert_eq!(
        (response.status, kind(&response).as_str()),
        (404, "unknown-provider")
    );
    assert_eq!(response.json()["provider"], "no ne");
}

#[tokio::test]
async fn a_provider_is_named_by_one_segment() {
    let world = World::start(Setup::default()).await;
    for target in [
        "/login",
        "/login/",
        "/login/a/b",
        "/login/%ff",
        "/callback/",
        "/callback/a/b",
        "/api/providers/refresh",
        "//",
    ] {
        assert_eq!(kind(&world.get(target).await), "not-found", "{target}");
    }
    for target in ["/api/providers/a/b/refresh", "/api/providers/%ff/refresh"] {
        let response = world.ask("POST", target, &[]).await;
        assert_eq!(kind(&response), "not-found", "{target}");
    }
    let response = world
        .ask("POST", "/api/providers/a%2Fb%20c/refresh", &[])
        .await;
    assert_eq!(kind(&response), "unknown-provider");
    assert_eq!(response.json()["provider"], "a/b c");
    assert_eq!(kind(&world.get("/login/none").await), "unknown-provider");
    for method in ["HEAD", "POST"] {
        for target in ["/login/hapn", "/callback"] {
            let response = world.ask(method, target, &[]).await;
            assert_eq!(
                (response.status, response.header("allow")),
                (405, "GET"),
                "{method} {target}"
            );
        }
    }
}

#[tokio::test]
async fn browsers_of_other_sites_and_rebound_names_are_refused_before_anything_happens() {
    let world = World::start(Setup::default()).await;
    world.until_readyz(200).await;
    let before = world.endpoint.requests();
    let cases: [(Fields<'_>, u16, &str); 5] = [
        (&[("host", "evil.example")], 421, "host-not-allowed"),
        (
            &[("host", "localhost"), ("host", "localhost")],
            400,
            "bad-request",
        ),
        (&[("sec-fetch-site", "cross-site")], 403, "cross-site"),
        (&[("sec-fetch-site", "same-site")], 403, "cross-site"),
        (&[("origin", "http://evil.example")], 403, "cross-site"),
    ];
    for (fields, status, name) in cases {
        for (method, target) in [
            ("POST", "/api/providers/hapn/refresh"),
            ("GET", "/"),
            ("GET", "/livez"),
        ] {
            let response = world.ask(method, target, fields).await;
            assert_eq!(
                (response.status, kind(&response).as_str()),
                (status, name),
                "{target} {fields:?}"
            );
        }
    }
    assert_eq!(world.endpoint.requests(), before);
    let own = format!("http://{}", world.address);
    let host = world.address.to_string();
    let fields = [
        ("host", host.as_str()),
        ("origin", own.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(
        world
            .ask("POST", "/api/providers/hapn/refresh", &fields)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_listener_that_others_can_reach_shows_only_health_and_metrics() {
    let world = World::start(Setup {
        public: true,
        ..Setup::default()
    })
    .await;
    world.until_readyz(200).await;
    for target in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(
            world
                .ask("GET", target, &[("host", "10.1.2.3:9900")])
                .await
                .status,
            200,
            "{target}"
        );
    }
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/api/status"),
        ("POST", "/api/providers/hapn/refresh"),
    ] {
        let response = world.ask(method, target, &[]).await;
        assert_eq!(
            (response.status, kind(&response).as_str()),
            (403, "not-allowed"),
            "{target}"
        );
    }
}

#[tokio::test]
async fn the_key_is_asked_for_and_opens_the_rest() {
    for public in [true, false] {
        let world = World::start(Setup {
            public,
            key: Some("canary-key"),
            ..Setup::default()
        })
        .await;
        assert_eq!(world.get("/livez").await.status, 200);
        for fields in [&[][..], &[("authorization", "Bearer wrong")]] {
            let response = world.ask("GET", "/api/status", fields).await;
            assert_eq!(
                (response.status, kind(&response).as_str()),
                (401, "admin-key-required")
            );
            assert!(
                response
                    .header("www-authenticate")
                    .starts_with("Basic realm=")
            );
            assert_eq!(
                response.headers.get_all("www-authenticate").iter().count(),
                2
            );
            assert!(!response.body.contains("canary"));
        }
        assert_eq!(
            world
                .ask("GET", "/", &[("authorization", "Bearer canary-key")])
                .await
                .status,
            200
        );
        // base64("me:canary-key")
        assert_eq!(
            world
                .ask(
                    "GET",
                    "/",
                    &[("authorization", "Basic bWU6Y2FuYXJ5LWtleQ==")]
                )
                .await
                .status,
            200
        );
    }
}

#[tokio::test]
async fn a_body_is_thrown_away_and_too_large_a_one_refused() {
    let world = World::start(Setup::default()).await;
    world.until_readyz(200).await;
    let target = "/api/providers/hapn/refresh";
    let response = send(world.address, "POST", target, &[], "ignored")
        .await
        .unwrap();
    assert_eq!(response.status, 200);
    let before = world.endpoint.requests();
    let response = send(world.address, "POST", target, &[], &"x".repeat(65 * 1024))
        .await
        .unwrap();
    assert_eq!(
        (response.status, kind(&response).as_str()),
        (413, "body-too-large")
    );
    assert_eq!(world.endpoint.requests(), before);
}

#[tokio::test]
async fn a_reload_shows_at_once() {
    let world = World::start(Setup::default()).await;
    let view = View {
        routes: vec![route("other", None)],
        ..(*world.state.view()).clone()
    };
    world.state.replace(view);
    let routes = world.get("/api/status").await.json()["routes"].clone();
    assert!(routes.get("other").is_some() && routes.get("devices").is_none());
}

#[tokio::test]
async fn shutting_down_ends_idle_connections_and_the_listener() {
    let world = World::start(Setup::default()).await;
    let mut idle = tokio::net::TcpStream::connect(world.address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut response = [0; 12];
    idle.read_exact(&mut response).await.unwrap();
    assert_eq!(&response, b"HTTP/1.1 200");
    let drained = tokio::spawn(world.listening.drain(Duration::from_secs(60)));
    let mut rest = Vec::new();
    let ended = async {
        idle.read_to_end(&mut rest).await.unwrap();
        drop(idle);
        drained.await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(10), ended)
        .await
        .expect("an end within 10 s");
    let refused = tokio::net::TcpStream::connect(world.address).await;
    assert!(refused.is_err(), "the listener is closed");
}

#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let world = World::start(Setup::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let bound = Bound::bind(&ListenAddress::Unix(folder.path().join("admin.sock"))).unwrap();
    let _listening = AdminServer::start(bound, world.state.clone()).unwrap();
    let mut stream = tokio::net::UnixStream::connect(folder.path().join("admin.sock"))
        .await
        .unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn refused_heads_get_their_problem() {
    let world = World::start(Setup::default()).await;
    let long = format!("x: {}\r\n", "a".repeat(70_000));
    for (fields, status) in [
        ("content-length: 1\r\ntransfer-encoding: chunked\r\n", 400),
        (long.as_str(), 431),
    ] {
        let request = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n");
        let response = send_bytes(world.address, request.as_bytes()).await.unwrap();
        assert_eq!(response.status, status);
        assert_eq!(response.header("content-type"), "application/problem+json");
        assert_eq!(response.header("connection"), "close");
    }
}

#[tokio::test]
async fn http2_is_not_served() {
    let world = World::start(Setup::default()).await;
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    stream.write_all(preface).await.unwrap();
    let mut response = Vec::new();
    // The end may be a reset.
    let _ = stream.read_to_end(&mut response).await;
    assert_eq!(response, b"");
}

/// Time is paused: the deadline passes as soon as the connection waits for it.
#[tokio::test(start_paused = true)]
async fn a_head_that_stays_incomplete_gets_a_408() {
    let world = World::start(Setup::default()).await;
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nhost: loc")
        .await
        .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 408"), "{response}");
}
