//! What can be turned while the server runs, and what it has seen.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, request::Parts};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use url::form_urlencoded;

use super::{super::serve::Body, grants::Rotation};

/// Requests that are remembered.
const REMEMBERED: usize = 1000;

/// Whether the server is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    #[default]
    Up,
    /// Every endpoint but the one of the counters answers 503 with a page for people.
    Unavailable,
    /// Every connection is closed without an answer.
    HangingUp,
}

/// An answer given to the letter.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// The status.
    pub status: http::StatusCode,
    /// All of its fields but the framing's.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl RawAnswer {
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Full::new(self.body).boxed());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// A request as one of the endpoints saw it.
#[derive(Clone)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Every field.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
}

impl Seen {
    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The parameters of the query and then those of a form, decoded.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let all =
            form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(&self.body));
        all.map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }

    /// The first parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters()
            .into_iter()
            .find(|(ours, _)| ours == name)
            .map(|(_, value)| value)
    }
}

/// Fields and parameters hold credentials, so they are not shown.
impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests of the token endpoint, whatever became of them.
    pub token_requests: u64,
    /// Those that were given a token.
    pub issued: u64,
    /// Those that were refused by the rules.
    pub refused: u64,
    /// Requests of the introspection endpoint.
    pub introspections: u64,
    /// Codes that were given out, by consent or by sign-in.
    pub consents: u64,
    /// Of those, the ones by sign-in.
    pub sign_ins: u64,
    /// Codes that were exchanged for tokens.
    pub exchanges: u64,
    /// Refresh tokens that were exchanged for tokens.
    pub refreshes: u64,
    /// Of those, the ones that had been spent already, but a moment ago.
    pub repeats: u64,
    /// Codes and refresh tokens that came once too often: each ended all that its consent had brought.
    pub reuses: u64,
    /// Token answers that were dropped on the way, the tokens in them issued.
    pub dropped: u64,
    /// Refresh tokens that were taken back.
    pub revocations: u64,
}

impl Stats {
    pub(super) fn to_json(self) -> serde_json::Value {
        json!({
            "token_requests": self.token_requests,
            "issued": self.issued,
            "refused": self.refused,
            "introspections": self.introspections,
            "consents": self.consents,
            "sign_ins": self.sign_ins,
            "exchanges": self.exchanges,
            "refreshes": self.refreshes,
            "repeats": self.repeats,
            "reuses": self.reuses,
            "dropped": self.dropped,
            "revocations": self.revocations,
        })
    }
}

#[derive(Debug)]
pub(super) struct Knobs(Mutex<Settings>);

#[derive(Debug)]
struct Settings {
    lifetime: Duration,
    health: Health,
    delay: Duration,
    delay_after: Duration,
    drops: u32,
    rotation: Rotation,
    raw_answer: Option<RawAnswer>,
    stats: Stats,
    seen: VecDeque<Seen>,
}

impl Knobs {
    pub(super) fn new(lifetime: Duration) -> Self {
        Self(Mutex::new(Settings {
            lifetime,
            health: Health::Up,
            delay: Duration::ZERO,
            delay_after: Duration::ZERO,
            drops: 0,
            rotation: Rotation {
                rotate: true,
                grace: Duration::ZERO,
            },
            raw_answer: None,
            stats: Stats::default(),
            seen: VecDeque::new(),
        }))
    }

    pub(super) fn set_lifetime(&self, lifetime: Duration) {
        self.lock().lifetime = lifetime;
    }

    pub(super) fn lifetime(&self) -> Duration {
        self.lock().lifetime
    }

    pub(super) fn set_health(&self, health: Health) {
        self.lock().health = health;
    }

    pub(super) fn health(&self) -> Health {
        self.lock().health
    }

    pub(super) fn set_delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    pub(super) fn delay(&self) -> Duration {
        self.lock().delay
    }

    pub(super) fn set_delay_after(&self, delay: Duration) {
        self.lock().delay_after = delay;
    }

    pub(super) fn delay_after(&self) -> Duration {
        self.lock().delay_after
    }

    pub(super) fn set_drops(&self, drops: u32) {
        self.lock().drops = drops;
    }

    /// Whether this answer is one to drop.
    pub(super) fn take_drop(&self) -> bool {
        let mut settings = self.lock();
        let drop = settings.drops > 0;
        if drop {
            settings.drops -= 1;
            settings.stats.dropped += 1;
        }
        drop
    }

    pub(super) fn set_rotation(&self, rotation: Rotation) {
        self.lock().rotation = rotation;
    }

    pub(super) fn rotation(&self) -> Rotation {
        self.lock().rotation
    }

    pub(super) fn set_raw_answer(&self, answer: Option<RawAnswer>) {
        self.lock().raw_answer = answer;
    }

    pub(super) fn raw_answer(&self) -> Option<RawAnswer> {
        self.lock().raw_answer.clone()
    }

    /// Remembers one request.
    pub(super) fn record(&self, parts: &Parts, body: &Bytes) {
        let target = parts
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default();
        let seen = Seen {
            method: parts.method.clone(),
            target,
            headers: parts.headers.clone(),
            body: body.clone(),
        };
        let mut settings = self.lock();
        if settings.seen.len() == REMEMBERED {
            settings.seen.pop_front();
        }
        settings.seen.push_back(seen);
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Stats)) {
        count(&mut self.lock().stats);
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().stats
    }

    /// Those of the endpoint at `path`.
    pub(super) fn seen(&self, path: &str) -> Vec<Seen> {
        self.lock()
            .seen
            .iter()
            .filter(|seen| seen.path() == path)
            .cloned()
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Settings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
