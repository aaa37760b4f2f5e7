//! A strict authorization server: automatic consent, rotating refresh tokens, and four vendors' dialects.
//!
//! A request that differs from the vendor's documentation fails the test.

mod dialect;
mod ledger;

use std::{
    net::TcpStream,
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use url::Url;

use self::dialect::ServerRequest;
pub use self::{
    dialect::{CLIENT_ID, CLIENT_SECRET, Dialect, EMAIL, PASSWORD},
    ledger::{Ledger, Spend},
};
use super::{
    patience::lock,
    protected_api::ProtectedApi,
    random::Random,
    server::Server,
    token_endpoint::{error_response, gzipped, json_response},
    wire::{Wire, answer},
};

/// A running server. Dropping it fails the test if a request differed from the vendor's documentation.
pub struct AuthorizationServer {
    server: Server,
    shared: Arc<Shared>,
}

/// The behaviour of a server, which a test changes while it runs.
#[derive(Clone)]
pub struct Behaviour {
    /// The lifetime of access tokens in seconds.
    pub lifetime: u64,
    /// Whether a refresh replaces the refresh token.
    pub rotates: bool,
    /// The number of refresh responses to lose: the tokens are issued, and the connection is closed.
    pub lost_responses: usize,
    /// Whether a spent refresh token is accepted again until its successor is used.
    pub accepts_repeats: bool,
    /// The maximum of the random delays before a refresh token is spent and before the response.
    pub max_delay: Duration,
    /// Whether the user denies consent.
    pub denies_consent: bool,
    /// Whether codes are refused.
    pub refuses_codes: bool,
    /// The outcome of a sign-in.
    pub sign_in: SignIn,
    /// Whether responses are in gzip, although no request asks for that.
    pub gzips: bool,
}

/// The outcome of a sign-in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// A code.
    Accepts,
    /// A refusal, as for a wrong password.
    Refuses,
    /// A code with the state of another sign-in.
    WrongState,
}

struct Shared {
    dialect: Dialect,
    origin: Mutex<String>,
    behaviour: Mutex<Behaviour>,
    ledger: Mutex<Ledger>,
    random: Mutex<Random>,
    violations: Mutex<Vec<String>>,
}

impl AuthorizationServer {
    /// Starts a server; tokens live for an hour.
    pub fn start(dialect: Dialect) -> Self {
        let behaviour = Behaviour {
            lifetime: 3600,
            rotates: true,
            lost_responses: 0,
            accepts_repeats: false,
            max_delay: Duration::ZERO,
            denies_consent: false,
            refuses_codes: false,
            sign_in: SignIn::Accepts,
            gzips: false,
        };
        let shared = Arc::new(Shared {
            dialect,
            origin: Mutex::default(),
            behaviour: Mutex::new(behaviour),
            ledger: Mutex::default(),
            random: Mutex::new(Random::new()),
            violations: Mutex::default(),
        });
        let server = Server::start({
            let shared = shared.clone();
            move |stream: TcpStream, _| shared.serve(Wire::new(stream))
        });
        *lock(&shared.origin) = format!("http://{}", server.address());
        Self { server, shared }
    }

    /// The server's origin, for a provider's `base_url`.
    pub fn origin(&self) -> String {
        lock(&self.shared.origin).clone()
    }

    /// The lines of `[providers.NAME]` for the dialect's preset.
    ///
    /// The client secret is in `$CLIENT_SECRET`, and the account's password in `$PASSWORD`.
    pub fn provider(&self, redirect_uri: Option<&str>) -> String {
        let dialect = self.shared.dialect;
        let mut lines = format!(
            "preset = \"{}\"\nbase_url = \"{}\"\nclient_id = \"{CLIENT_ID}\"\n",
            dialect.preset(),
            self.origin()
        );
        if matches!(
            dialect,
            Dialect::Hapn | Dialect::Happeo | Dialect::HappyrMatch
        ) {
            lines += "client_secret = { env = \"CLIENT_SECRET\" }\n";
        }
        if let Some(uri) = redirect_uri {
            lines += &format!("redirect_uri = \"{uri}\"\n");
        }
        lines
    }

    /// Starts an API that accepts the access tokens that are valid at the time.
    pub fn api(&self) -> ProtectedApi {
        let shared = self.shared.clone();
        ProtectedApi::accepting(move |token| lock(&shared.ledger).accept(token))
    }

    /// Changes the behaviour.
    pub fn configure(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.shared.behaviour));
    }

    /// The record of what was issued and used.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.shared.ledger)
    }

    /// Issues a refresh token, as another login would.
    pub fn issue_refresh_token(&self) -> String {
        self.ledger().issue_refresh_token()
    }

    /// The number of successful refreshes.
    pub fn refreshes(&self) -> usize {
        self.ledger()
            .spends
            .iter()
            .filter(|spend| spend.issued.is_some())
            .count()
    }

    /// Checks that no refresh token was used again.
    #[track_caller]
    pub fn assert_no_token_was_spent_twice(&self) {
        let mut seen: Vec<_> = self
            .ledger()
            .spends
            .iter()
            .map(|spend| spend.refresh_token.clone())
            .collect();
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(
            all - seen.len(),
            0,
            "of {all} refresh tokens some came more than once"
        );
        assert_eq!(self.ledger().reuses, 0);
    }

    /// The differences from the vendor's documentation so far.
    pub fn violations(&self) -> Vec<String> {
        lock(&self.shared.violations).clone()
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

impl Drop for AuthorizationServer {
    fn drop(&mut self) {
        let violations = self.violations();
        if !violations.is_empty() && !thread::panicking() {
            panic!(
                "requests that differ from the documentation of {:?}: {violations:#?}",
                self.shared.dialect
            );
        }
    }
}

impl Shared {
    fn serve(&self, mut wire: Wire<TcpStream>) {
        // A client may be killed at any time; the ledger keeps what was rotated for it.
        while let Ok(Some(request)) = wire.request() {
            let Some((bytes, spend)) = (match self.dialect.parse(&request) {
                Ok(request) => self.respond(request),
                Err(difference) => {
                    lock(&self.violations).push(format!("{difference}: {}", request.head.start));
                    Some((error_response("400 Bad Request", "invalid_request"), None))
                }
            }) else {
                return;
            };
            let bytes = match lock(&self.behaviour).gzips {
                true => gzipped(&bytes),
                false => bytes,
            };
            if wire.send(bytes).is_err() {
                return;
            }
            if let Some(spend) = spend {
                lock(&self.ledger).spends[spend].responded = Some(Instant::now());
            }
        }
    }

    /// The response, and the index of its spend; `None` for a lost response.
    fn respond(&self, request: ServerRequest) -> Option<(Vec<u8>, Option<usize>)> {
        let behaviour = lock(&self.behaviour).clone();
        if !matches!(
            request,
            ServerRequest::Consent { .. } | ServerRequest::Revoke { .. }
        ) {
            lock(&self.ledger).token_requests += 1;
        }
        let refused = || error_response("400 Bad Request", "invalid_grant");
        let issued = |issue: Option<ledger::Issue>| {
            let Some(issue) = issue else { return refused() };
            let mut body = json!({
                "access_token": issue.access_token,
                "token_type": "Bearer",
                "expires_in": behaviour.lifetime,
            });
            if let Some(token) = issue.refresh_token {
                body["refresh_token"] = token.into();
            }
            json_response("200 OK", &body.to_string())
        };
        let bytes = match request {
            ServerRequest::Consent {
                redirect_uri,
                state,
                challenge,
                headless,
            } => self.consent(&behaviour, redirect_uri, &state, challenge, headless),
            ServerRequest::Exchange { .. } if behaviour.refuses_codes => refused(),
            ServerRequest::Exchange {
                code,
                redirect_uri,
                verifier,
            } => issued(lock(&self.ledger).exchange(
                &code,
                redirect_uri.as_deref(),
                verifier.as_deref(),
                behaviour.lifetime,
            )),
            ServerRequest::Credentials => {
                issued(Some(lock(&self.ledger).credentials(behaviour.lifetime)))
            }
            ServerRequest::Revoke { token } => {
                lock(&self.ledger).revoke(&token);
                answer("200 OK", "", "")
            }
            ServerRequest::Refresh { refresh_token } => {
                self.delay(&behaviour);
                let (spend, issue) = lock(&self.ledger).refresh(
                    &refresh_token,
                    behaviour.lifetime,
                    behaviour.rotates,
                    behaviour.accepts_repeats,
                );
                self.delay(&behaviour);
                if self.should_lose_response() {
                    return None;
                }
                return Some((issued(issue), Some(spend)));
            }
        };
        Some((bytes, None))
    }

    fn consent(
        &self,
        behaviour: &Behaviour,
        redirect_uri: String,
        state: &str,
        challenge: Option<String>,
        headless: bool,
    ) -> Vec<u8> {
        let mut back: Url = redirect_uri.parse().expect("a redirect_uri is a URL");
        if behaviour.denies_consent {
            back.query_pairs_mut()
                .append_pair("error", "access_denied")
                .append_pair("state", state);
            return answer("302 Found", &format!("location: {back}\r\n"), "");
        }
        let code = lock(&self.ledger).consent(redirect_uri, challenge);
        let name = self.dialect.code_parameter();
        if headless {
            let state = match behaviour.sign_in {
                SignIn::Accepts => state,
                SignIn::Refuses => return error_response("401 Unauthorized", "access_denied"),
                SignIn::WrongState => "0123456789",
            };
            return json_response(
                "200 OK",
                &json!({ name: code, "expires_in": 300, "state": state }).to_string(),
            );
        }
        back.query_pairs_mut()
            .append_pair(name, &code)
            .append_pair("state", state);
        answer("302 Found", &format!("location: {back}\r\n"), "")
    }

    fn should_lose_response(&self) -> bool {
        let mut behaviour = lock(&self.behaviour);
        let loses = behaviour.lost_responses > 0;
        behaviour.lost_responses = behaviour.lost_responses.saturating_sub(1);
        loses
    }

    fn delay(&self, behaviour: &Behaviour) {
        if !behaviour.max_delay.is_zero() {
            let pause = lock(&self.random).up_to(behaviour.max_delay);
            thread::sleep(pause);
        }
    }
}
