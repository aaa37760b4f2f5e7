//! A scripted authorization server: consent without a person, refresh tokens that rotate and are good once, and four vendors'
//! dialects, each request of which has to be to the letter.

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

use self::dialect::Asked;
pub use self::{
    dialect::{CLIENT_ID, CLIENT_SECRET, Dialect, EMAIL, PASSWORD},
    ledger::{Ledger, Spend},
};
use super::{
    patience::lock,
    protected_api::ProtectedApi,
    random::Random,
    server::Server,
    token_endpoint::{error_answer, json_answer},
    wire::{Wire, answer},
};

/// The server. Dropping it fails the test if a request came that is not what the vendor's page shows.
pub struct AuthorizationServer {
    server: Server,
    shared: Arc<Shared>,
}

/// How it behaves from now on.
#[derive(Clone)]
pub struct Behaviour {
    /// Seconds that access tokens live.
    pub lifetime: u64,
    /// Whether a refresh brings a new refresh token.
    pub rotates: bool,
    /// So many answers to refreshes are lost: the tokens are issued, and the connection is cut.
    pub lost_answers: usize,
    /// Whether a spent refresh token may come again while what took its place was never used.
    pub forgives: bool,
    /// Up to this long, at random, before a refresh token is spent, and again before the answer.
    pub hesitates: Duration,
    /// Whether the user says no.
    pub denies: bool,
    /// Whether codes are refused.
    pub refuses_codes: bool,
    /// What becomes of a sign-in.
    pub sign_in: SignIn,
}

/// What the sign-in endpoint answers with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// A code.
    Lets,
    /// A refusal: the password is wrong.
    Refuses,
    /// A code and the state of somebody else's sign-in.
    Confuses,
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
    /// Starts one; tokens live for an hour.
    pub fn start(dialect: Dialect) -> Self {
        let behaviour = Behaviour {
            lifetime: 3600,
            rotates: true,
            lost_answers: 0,
            forgives: false,
            hesitates: Duration::ZERO,
            denies: false,
            refuses_codes: false,
            sign_in: SignIn::Lets,
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

    /// Its origin, which takes the place of a preset's `base_url`.
    pub fn origin(&self) -> String {
        lock(&self.shared.origin).clone()
    }

    /// The lines of `[providers.NAME]` that make a provider of its preset. A client secret is in `$CLIENT_SECRET`, and the
    /// password of the account in `$PASSWORD`.
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

    /// An API that takes the access tokens that are good now.
    pub fn api(&self) -> ProtectedApi {
        let shared = self.shared.clone();
        ProtectedApi::accepting(move |token| lock(&shared.ledger).accept(token))
    }

    /// Changes how it behaves.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.shared.behaviour));
    }

    /// The books.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.shared.ledger)
    }

    /// A refresh token as if somebody had logged in elsewhere.
    pub fn mint(&self) -> String {
        self.ledger().mint()
    }

    /// How many refreshes went well.
    pub fn refreshes(&self) -> usize {
        self.ledger()
            .spends
            .iter()
            .filter(|spend| spend.issued.is_some())
            .count()
    }

    /// Every refresh token came once.
    #[track_caller]
    pub fn assert_none_was_spent_twice(&self) {
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

    /// What was wrong with the requests so far.
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
                "requests that {:?} does not know: {violations:#?}",
                self.shared.dialect
            );
        }
    }
}

impl Shared {
    fn serve(&self, mut wire: Wire<TcpStream>) {
        // A caller may be killed at any time; what was rotated for it stays in the books.
        while let Ok(Some(request)) = wire.request() {
            let Some((bytes, spend)) = (match self.dialect.read(&request) {
                Ok(asked) => self.answer(asked),
                Err(difference) => {
                    lock(&self.violations).push(format!("{difference}: {}", request.head.start));
                    Some((error_answer("400 Bad Request", "invalid_request"), None))
                }
            }) else {
                return;
            };
            if wire.send(bytes).is_err() {
                return;
            }
            if let Some(spend) = spend {
                lock(&self.ledger).spends[spend].answered = Some(Instant::now());
            }
        }
    }

    /// The answer, and the spend that it answers; `None` where it is lost.
    fn answer(&self, asked: Asked) -> Option<(Vec<u8>, Option<usize>)> {
        let behaviour = lock(&self.behaviour).clone();
        if !matches!(asked, Asked::Consent { .. } | Asked::Revoke { .. }) {
            lock(&self.ledger).token_requests += 1;
        }
        let refused = || error_answer("400 Bad Request", "invalid_grant");
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
            json_answer("200 OK", &body.to_string())
        };
        let bytes = match asked {
            Asked::Consent {
                redirect_uri,
                state,
                challenge,
                headless,
            } => self.consent(&behaviour, redirect_uri, &state, challenge, headless),
            Asked::Exchange { .. } if behaviour.refuses_codes => refused(),
            Asked::Exchange {
                code,
                redirect_uri,
                verifier,
            } => issued(lock(&self.ledger).exchange(
                &code,
                redirect_uri.as_deref(),
                verifier.as_deref(),
                behaviour.lifetime,
            )),
            Asked::Credentials => issued(Some(lock(&self.ledger).credentials(behaviour.lifetime))),
            Asked::Revoke { token } => {
                lock(&self.ledger).revoke(&token);
                answer("200 OK", "", "")
            }
            Asked::Refresh { refresh_token } => {
                self.hesitate(&behaviour);
                let (spend, issue) = lock(&self.ledger).refresh(
                    &refresh_token,
                    behaviour.lifetime,
                    behaviour.rotates,
                    behaviour.forgives,
                );
                self.hesitate(&behaviour);
                if self.loses() {
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
        if behaviour.denies {
            back.query_pairs_mut()
                .append_pair("error", "access_denied")
                .append_pair("state", state);
            return answer("302 Found", &format!("location: {back}\r\n"), "");
        }
        let code = lock(&self.ledger).consent(redirect_uri, challenge);
        let name = self.dialect.code_parameter();
        if headless {
            let state = match behaviour.sign_in {
                SignIn::Lets => state,
                SignIn::Refuses => return error_answer("401 Unauthorized", "access_denied"),
                SignIn::Confuses => "0123456789",
            };
            return json_answer(
                "200 OK",
                &json!({ name: code, "expires_in": 300, "state": state }).to_string(),
            );
        }
        back.query_pairs_mut()
            .append_pair(name, &code)
            .append_pair("state", state);
        answer("302 Found", &format!("location: {back}\r\n"), "")
    }

    fn loses(&self) -> bool {
        let mut behaviour = lock(&self.behaviour);
        let loses = behaviour.lost_answers > 0;
        behaviour.lost_answers = behaviour.lost_answers.saturating_sub(1);
        loses
    }

    fn hesitate(&self, behaviour: &Behaviour) {
        if !behaviour.hesitates.is_zero() {
            let pause = lock(&self.random).up_to(behaviour.hesitates);
            thread::sleep(pause);
        }
    }
}
