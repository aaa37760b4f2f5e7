//! Exchanges with an authorization server, kept as they were sent and received.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use http::{HeaderMap, Method, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use crate::oauth::request::PreparedRequest;

/// The exchanges of one or more endpoints, in their order. They hold secrets.
#[derive(Debug, Default)]
pub struct ExchangeRecorder(Mutex<Vec<RecordedExchange>>);

/// One request, and the response as far as it came.
#[derive(Clone)]
pub struct RecordedExchange {
    /// The method.
    pub method: Method,
    /// The URL with its query.
    pub url: Url,
    /// All headers except `Host` and those of the framing.
    pub headers: HeaderMap,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
    /// The time of day just before it was sent.
    pub sent_at: SystemTime,
    /// The response; absent if no head of one came.
    pub response: Option<RecordedResponse>,
}

/// One response, its body decoded.
#[derive(Clone)]
pub struct RecordedResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; empty if it did not come as a whole.
    pub body: Zeroizing<Vec<u8>>,
    /// The time of day when its head had come.
    pub received_at: SystemTime,
}

/// Shows the method alone: all else may hold a secret.
impl fmt::Debug for RecordedExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedExchange")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// Shows the status alone: all else may hold a secret.
impl fmt::Debug for RecordedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedResponse")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl ExchangeRecorder {
    /// Returns the exchanges so far.
    pub fn exchanges(&self) -> Vec<RecordedExchange> {
        self.lock().clone()
    }

    /// Returns the last exchange.
    pub fn last(&self) -> Option<RecordedExchange> {
        self.lock().last().cloned()
    }

    /// Returns the number of exchanges so far.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Records a request that is about to be sent.
    pub(super) fn begin(
        self: &Arc<Self>,
        request: &PreparedRequest,
        now: SystemTime,
    ) -> ExchangeRecording {
        let mut exchanges = self.lock();
        exchanges.push(RecordedExchange {
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: Zeroizing::new(request.body.clone()),
            sent_at: now,
            response: None,
        });
        ExchangeRecording {
            recorder: self.clone(),
            index: exchanges.len() - 1,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<RecordedExchange>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The recording of one exchange.
pub(super) struct ExchangeRecording {
    recorder: Arc<ExchangeRecorder>,
    index: usize,
}

impl ExchangeRecording {
    /// Records the head of the response.
    pub(super) fn record_head(&self, status: StatusCode, headers: &HeaderMap, now: SystemTime) {
        if let Some(exchange) = self.recorder.lock().get_mut(self.index) {
            exchange.response = Some(RecordedResponse {
                status,
                headers: headers.clone(),
                body: Zeroizing::default(),
                received_at: now,
            });
        }
    }

    /// Records the body of the response.
    pub(super) fn record_body(&self, body: &[u8]) {
        let mut exchanges = self.recorder.lock();
        let exchange = exchanges.get_mut(self.index);
        if let Some(response) = exchange.and_then(|exchange| exchange.response.as_mut()) {
            response.body = Zeroizing::new(body.to_vec());
        }
    }
}
