//! Server-sent events: the status document, to each client that watches (HTML Living Standard §9.2).
//!
//! One task writes the document for all streams, and only while there are some. Streams end when the drain begins, so
//! they hold up no shutdown.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse, Response, Sse, sse::Event},
};
use futures_util::stream::{self, Stream};
use http::{HeaderName, HeaderValue, header};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep},
};

use super::{drained_body::DrainedBody, respond, state::AdminState, status::Status};

/// The time within which a change is sent.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The longest time without an event, so that a client sees that the sidecar is there.
const MAX_SILENCE: Duration = Duration::from_secs(9);

/// Streams that are open at a time, and no more than half of the listener's connections.
const MAX_STREAMS: usize = 32;

/// The status documents that are sent.
#[derive(Debug)]
pub(super) struct EventFeed {
    /// `None` while there is no stream.
    documents: watch::Sender<Option<Arc<str>>>,
    opened: Notify,
    slots: Arc<Semaphore>,
}

/// One stream of events.
struct Subscription {
    documents: watch::Receiver<Option<Arc<str>>>,
    state: Arc<AdminState>,
    _slot: OwnedSemaphorePermit,
}

impl EventFeed {
    /// Makes a feed of a listener with at most `connections`.
    pub(super) fn new(connections: usize) -> Self {
        let streams = (connections / 2).clamp(1, MAX_STREAMS);
        Self {
            documents: watch::Sender::new(None),
            opened: Notify::new(),
            slots: Arc::new(Semaphore::new(streams)),
        }
    }

    /// Writes the documents, as long as it is polled.
    pub(super) async fn run(state: Arc<AdminState>) {
        let feed = state.events();
        let mut sent_at = Instant::now();
        loop {
            if feed.documents.receiver_count() == 0 {
                // The next stream begins with the state of its time.
                feed.documents.send_replace(None);
                feed.opened.notified().await;
            }
            let Some(document) = write_document(state.clone()).await else {
                continue;
            };
            let is_late = sent_at.elapsed() >= MAX_SILENCE;
            let is_sent = feed.documents.send_if_modified(|current| {
                let is_due = is_late || current.as_deref() != Some(&*document);
                if is_due {
                    *current = Some(document);
                }
                is_due
            });
            if is_sent {
                sent_at = Instant::now();
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

async fn write_document(state: Arc<AdminState>) -> Option<Arc<str>> {
    let writing = tokio::task::spawn_blocking(move || serde_json::to_string(&Status::of(&state)));
    match writing.await {
        Ok(Ok(document)) => Some(document.into()),
        failed => {
            // The panic hook has printed a panic.
            tracing::error!(?failed, "the status cannot be written as JSON");
            sleep(POLL_INTERVAL).await;
            None
        }
    }
}

impl Subscription {
    fn open(state: Arc<AdminState>) -> Option<Self> {
        let feed = state.events();
        let slot = feed.slots.clone().try_acquire_owned().ok()?;
        let mut documents = feed.documents.subscribe();
        // The present document comes first, where there is one.
        documents.mark_changed();
        feed.opened.notify_one();
        Some(Self {
            documents,
            _slot: slot,
            state,
        })
    }

    /// Waits for the next document; `None` when the drain begins.
    async fn next(&mut self) -> Option<Arc<str>> {
        loop {
            tokio::select! {
                biased;
                () = self.state.draining() => return None,
                changed = self.documents.changed() => changed.ok()?,
            }
            let document = self.documents.borrow_and_update().clone();
            if document.is_some() {
                return document;
            }
        }
    }

    fn into_events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, async |mut subscription| {
            let document = subscription.next().await?;
            Some((Ok(Event::default().data(&*document)), subscription))
        })
    }
}

/// Sends the status whenever it changes, and at least every 10 s.
pub(super) async fn events(State(state): State<Arc<AdminState>>, _: DrainedBody) -> Response {
    if state.is_draining() {
        return respond::no_events("the process is about to end");
    }
    let Some(subscription) = Subscription::open(state) else {
        return respond::no_events("too many clients watch; close some, or request /api/status");
    };
    let mut response = Sse::new(subscription.into_events()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // An nginx in front would keep events back until its buffer is full.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}
