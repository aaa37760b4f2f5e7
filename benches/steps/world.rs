//! What the steps are timed on: an ordinary request, and a sidecar's table with any number of routes and providers.

use std::{io, sync::Arc, time::Duration};

use bearward::{
    clock::SystemClock,
    config::{self, Config},
    demo::authorization_server::{AuthorizationServer, Options},
    http1::head::{Head, HeadLimits},
    proxy::{
        admission::{Admitted, admit},
        service::Ingress,
        table::{ActiveRoute, Table},
        upstream::Target,
    },
    server::limits::Limits,
    telemetry::metrics::Metrics,
    tls,
    token::{
        Tokens,
        access_token::Token,
        credential::Credential,
        store::{self, StoreLocation},
    },
};
use tokio::runtime::{Builder, Runtime};

/// A request as services send them. Its route is the last one of any table.
pub const REQUEST: &[u8] = b"GET /last/devices/42?fields=name,state HTTP/1.1\r\n\
    Host: last.localhost:8080\r\nUser-Agent: service/1.0\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n\
    X-Request-Id: 4f1c9a52e7d84c0f\r\n\r\n";

/// An answer as APIs give them.
pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: api\r\nDate: Sat, 21 Nov 2026 21:00:00 GMT\r\n\
    Content-Type: application/json\r\nContent-Length: 256\r\nCache-Control: no-store\r\nX-Request-Id: 4f1c9a52e7d84c0f\r\n\r\n";

/// The fields of [`ANSWER`] in HTTP/2, Huffman coded: nothing of them is to be remembered,
pub const FIELDS_LITERAL: &[u8] =
    b"\x88\x0F'\x82\x1Df\x0F\x12\x96\xDC4\xFD( \xA9\xA4\xFD\xD4\x10\x04\xE2\x82\r\xC0\x02\xE0\x00\xA6-\x1B\xFF\
    \x0F\x10\x8B\x1Du\xD0b\r&=LtA\xEA\x0F\r\x83\x13n\x7F\x0F\t\x86\xA8\xEB!'\xB0\xBF\
    \x00\x89\xF2\xB5\x85\xEDiP\x95\x8D'\x8CjP\x91\xF1\xB6\"\xBB#\xCD\x10\x12\xFF";

/// or all is,
pub const FIELDS_ADDED: &[u8] =
    b"\x88v\x82\x1Dfa\x96\xDC4\xFD( \xA9\xA4\xFD\xD4\x10\x04\xE2\x82\r\xC0\x02\xE0\x00\xA6-\x1B\xFF\
    _\x8B\x1Du\xD0b\r&=LtA\xEA\\\x83\x13n\x7FX\x86\xA8\xEB!'\xB0\xBF\
    @\x89\xF2\xB5\x85\xEDiP\x95\x8D'\x8CjP\x91\xF1\xB6\"\xBB#\xCD\x10\x12\xFF";

/// or all was.
pub const FIELDS_INDEXED: &[u8] = b"\x88\xC3\xC2\xC1\xC0\xBF\xBE";

/// The default limits.
pub const HEAD_LIMITS: HeadLimits = HeadLimits {
    bytes: 64 * 1024,
    fields: 100,
};

/// How many tokens are asked for at once.
const BATCH: usize = 200;

/// [`REQUEST`], parsed.
pub fn request() -> Head {
    let mut head = Head::default();
    head.buffer.extend(REQUEST);
    assert_eq!(head.parse_request(HEAD_LIMITS), Ok(true));
    head
}

/// [`ANSWER`], parsed.
pub fn answer() -> Head {
    let mut head = Head::default();
    head.buffer.extend(ANSWER);
    assert_eq!(head.parse_response(HEAD_LIMITS), Ok(true));
    head
}

/// A sidecar with as many routes and providers, told apart by path, and the authorization server that serves them all.
pub struct World {
    pub ingress: Ingress,
    pub runtime: Runtime,
    tokens: Tokens,
    config: Config,
    metrics: Arc<Metrics>,
    _server: AuthorizationServer,
}

impl World {
    /// Starts one, and waits until the token of the last provider is there.
    pub fn new(count: usize) -> io::Result<Self> {
        tls::install_crypto_provider();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (server, tokens, config, metrics) = runtime.block_on(start(count))?;
        let active = config
            .routes
            .iter()
            .map(|route| activated(route.clone(), &tokens, &metrics));
        let ingress = Ingress {
            port: Some(8080),
            limits: Limits::default(),
            table: Arc::new(Table::new(active)).into(),
            connections: metrics.listener("bench"),
            unrouted: metrics.route(""),
        };
        Ok(Self {
            ingress,
            runtime,
            tokens,
            config,
            metrics,
            _server: server,
        })
    }

    /// What admission says of the request.
    pub fn admitted(&self, head: &Head) -> Admitted {
        admit(head, &self.ingress.limits).unwrap_or_else(|refusal| panic!("{}", refusal.detail))
    }

    /// The route that the request takes.
    pub fn active(&self, head: &Head) -> Arc<ActiveRoute> {
        match self.ingress.table.load().select(head, &self.admitted(head)) {
            Ok(selected) => selected.route,
            Err(refusal) => panic!("{}", refusal.detail),
        }
    }

    /// The same routes, told apart by host.
    pub fn by_host(&self, head: &Head) -> Table {
        let routes = self.config.routes.iter().map(|route| {
            let host = Some(
                route
                    .path
                    .as_deref()
                    .map_or("", |path| &path[1..])
                    .to_owned()
                    + ".localhost",
            );
            activated(
                bearward::proxy::route::Route {
                    host,
                    path: None,
                    ..route.clone()
                },
                &self.tokens,
                &self.metrics,
            )
        });
        let table = Table::new(routes);
        assert!(table.select(head, &self.admitted(head)).is_ok());
        table
    }

    /// The last provider's credential.
    pub fn credential(&self) -> Arc<Credential> {
        self.tokens
            .credential("last")
            .expect("it is configured")
            .clone()
    }

    /// Its token.
    pub fn token(&self) -> Token {
        self.credential().current().expect("it was waited for")
    }
}

fn activated(
    route: bearward::proxy::route::Route,
    tokens: &Tokens,
    metrics: &Metrics,
) -> Arc<ActiveRoute> {
    Arc::new(ActiveRoute {
        credential: route
            .provider
            .as_ref()
            .and_then(|binding| tokens.credential(&binding.provider))
            .cloned(),
        way_to_log_in: "".into(),
        target: Arc::new(Target::new(route.upstream.clone(), false)),
        metrics: metrics.route(&route.name),
        route,
    })
}

async fn start(count: usize) -> io::Result<(AuthorizationServer, Tokens, Config, Arc<Metrics>)> {
    let server = AuthorizationServer::start(Options {
        lifetime: Duration::from_secs(86_400),
        ..Options::default()
    })
    .await?;
    let (client_id, client_secret) = server.client();
    let mut text = String::new();
    let names = (1..count)
        .map(|number| format!("n{number}"))
        .chain(["last".to_owned()]);
    for name in names {
        text.push_str(&format!(
            "[providers.{name}]\ngrant_type = \"client_credentials\"\ntoken_endpoint = \"{}\"\nclient_id = \"{client_id}\"\n\
             client_secret = {{ env = \"S\" }}\n[routes.{name}]\nlisten = \"127.0.0.1:8080\"\npath = \"/{name}\"\n\
             upstream = \"http://127.0.0.1:9\"\nprovider = \"{name}\"\n[routes.{name}.guard]\nhosts = [\"last.localhost\"]\n",
            server.token_endpoint(),
        ));
    }
    let secret = client_secret.expose().to_owned();
    let (config, _) = config::parse(&text, "bench.toml", &|_| Some(secret.clone()))
        .map_err(|report| io::Error::other(report.to_string()))?;
    let metrics = Metrics::new();
    let store = store::open(&StoreLocation::Memory).map_err(io::Error::other)?;
    // One after another, a batch at a time: as many at once would need more descriptors than a process usually may have.
    let mut tokens = Tokens::start(&[], store, Arc::new(SystemClock), &metrics);
    for number in 0..config.providers.len().div_ceil(BATCH) {
        let known = config.providers.len().min((number + 1) * BATCH);
        tokens = tokens.reconfigured(&config.providers[..known], &metrics);
        for provider in &config.providers[number * BATCH..known] {
            let token = tokens
                .credential(&provider.name)
                .expect("it was started")
                .obtain()
                .await;
            assert!(token.is_ok(), "no token: {:?}", token.err());
        }
    }
    Ok((server, tokens, config, metrics))
}
