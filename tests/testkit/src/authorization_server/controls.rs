//! Settings that tests change while the server runs, its counters and its recorded requests.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, request::Parts};
use url::form_urlencoded;

use super::grants::Rotation;
use crate::serve::Body;

/// Requests kept for inspection.
const MAX_RECORDED_REQUESTS: usize = 1000;

/// Whether the server responds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It responds.
    #[default]
    Up,
    /// Every endpoint responds with 503 and an HTML page.
    Unavailable,
    /// Every connection is closed without a response.
    ClosesConnections,
}

/// A response that is sent as given.
#[derive(Clone, Debug)]
pub struct RawResponse {
    /// The status.
    pub status: http::StatusCode,
    /// All header fields but those of framing.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl RawResponse {
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::new(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// A request as an endpoint received it.
#[derive(Clone)]
pub struct RecordedRequest {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Every header field.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl RecordedRequest {
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

/// Shows the method only: headers and parameters hold credentials.
impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedRequest")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Token requests.
    pub token_requests: u64,
    /// Token requests that were granted.
    pub issued: u64,
    /// Token requests that were refused with an OAuth error.
    pub refused: u64,
    /// Codes that were issued, by consent or by sign-in.
    pub consents: u64,
    /// Codes that were issued by sign-in.
    pub sign_ins: u64,
    /// Codes that were exchanged for tokens.
    pub exchanges: u64,
    /// Refresh tokens that were exchanged for tokens.
    pub refreshes: u64,
    /// Refresh tokens accepted again within the grace period.
    pub repeats: u64,
    /// Codes and refresh tokens that were used again; each use revoked its whole grant.
    pub reuses: u64,
    /// Token responses that were dropped after the tokens were issued.
    pub dropped: u64,
    /// Refresh tokens that were revoked.
    pub revocations: u64,
}

/// The settings, counters and recorded requests of a running server.
pub(super) struct Controls(Mutex<Settings>);

struct Settings {
    lifetime: Duration,
    health: Health,
    delay: Duration,
    delay_after_issue: Duration,
    responses_to_drop: u32,
    rotation: Rotation,
    raw_response: Option<RawResponse>,
    stats: Stats,
    requests: VecDeque<RecordedRequest>,
}

impl Controls {
    pub(super) fn new(lifetime: Duration) -> Self {
        Self(Mutex::new(Settings {
            lifetime,
            health: Health::Up,
            delay: Duration::ZERO,
            delay_after_issue: Duration::ZERO,
            responses_to_drop: 0,
            rotation: Rotation {
                rotate: true,
                grace: Duration::ZERO,
            },
            raw_response: None,
            stats: Stats::default(),
            requests: VecDeque::new(),
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

    pub(super) fn set_delay_after_issue(&self, delay: Duration) {
        self.lock().delay_after_issue = delay;
    }

    pub(super) fn delay_after_issue(&self) -> Duration {
        self.lock().delay_after_issue
    }

    pub(super) fn set_responses_to_drop(&self, count: u32) {
        self.lock().responses_to_drop = count;
    }

    /// Whether to drop this response. Counts it if so.
    pub(super) fn should_drop_response(&self) -> bool {
        let mut settings = self.lock();
        let drop = settings.responses_to_drop > 0;
        if drop {
            settings.responses_to_drop -= 1;
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

    pub(super) fn set_raw_response(&self, response: Option<RawResponse>) {
        self.lock().raw_response = response;
    }

    pub(super) fn raw_response(&self) -> Option<RawResponse> {
        self.lock().raw_response.clone()
    }

    /// Records a request.
    pub(super) fn record(&self, parts: &Parts, body: &Bytes) {
        let target = parts
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default();
        let request = RecordedRequest {
            method: parts.method.clone(),
            target,
            headers: parts.headers.clone(),
            body: body.clone(),
        };
        let mut settings = self.lock();
        if settings.requests.len() == MAX_RECORDED_REQUESTS {
            settings.requests.pop_front();
        }
        settings.requests.push_back(request);
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Stats)) {
        count(&mut self.lock().stats);
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().stats
    }

    /// The recorded requests to `path`.
    pub(super) fn requests_to(&self, path: &str) -> Vec<RecordedRequest> {
        self.lock()
            .requests
            .iter()
            .filter(|request| request.path() == path)
            .cloned()
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Settings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
