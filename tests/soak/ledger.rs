//! The book of all requests: what was sent, what arrived upstream, and how it ended.

mod verdict;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    places::{Kind, Route},
    timeline::Timeline,
};

/// How long an ended request is kept: late arrivals and late explanations find it.
const KEPT: Duration = Duration::from_secs(40);

/// Violations that are kept as text; further ones are counted.
const MAX_TEXTS: usize = 40;

/// How a request ended, as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The upstream's response, whole, with the body of this request.
    Right,
    /// bearward's own problem response: status and type.
    Problem(u16, String),
    /// A fault that the upstream was told to respond with.
    Fault(u16),
    /// The upstream refused the token.
    Refused,
    /// The connection broke, before the response or in it.
    Broken { in_response: bool, error: String },
    /// Anything that must never happen.
    Wrong(String),
}

/// A fault of one request, that the upstream was told to produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestFault {
    /// A response with status 500.
    Status500,
    /// The connection is closed before a response.
    CutBeforeResponse,
    /// The connection is closed in the middle of the body.
    CutInBody,
    /// No response, for longer than the route waits.
    Hang,
    /// A response that takes a while.
    Slow,
}

/// An arrival of a request at the upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    /// Whether the upstream refused its token, and processed nothing.
    pub(crate) refused: bool,
    pub(crate) fault: Option<RequestFault>,
}

/// One request.
#[derive(Debug)]
struct Entry {
    kind: Kind,
    route: Route,
    sent: Instant,
    ended: Option<(Instant, Outcome)>,
    arrivals: Vec<Arrival>,
}

impl Entry {
    /// The entry as text, with times since it was sent.
    fn describe(&self) -> String {
        let millis = |at: &Instant| at.saturating_duration_since(self.sent).as_millis();
        let arrivals: Vec<String> = self
            .arrivals
            .iter()
            .map(|one| {
                let (after, refused) =
                    (millis(&one.at), if one.refused { ", refused" } else { "" });
                format!("after {after} ms{refused} (fault: {:?})", one.fault)
            })
            .collect();
        let ended = self.ended.as_ref();
        let ended = ended.map(|(at, outcome)| format!("after {} ms: {outcome:?}", millis(at)));
        format!("arrivals {arrivals:?}, end {ended:?}")
    }
}

/// All requests, and the sums of those that are settled.
#[derive(Debug)]
pub(crate) struct Ledger {
    next: AtomicU64,
    timeline: Arc<Timeline>,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    entries: HashMap<u64, Entry>,
    sums: Sums,
}

/// The sums of the account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    /// Requests sent, by kind.
    pub(crate) sent: BTreeMap<Kind, u64>,
    /// Requests by kind and by how they ended and why.
    pub(crate) settled: BTreeMap<(Kind, String), u64>,
    /// Requests that arrived upstream more than once, by why that may be.
    pub(crate) repeated: BTreeMap<String, u64>,
    /// Connections that could not be opened while the process was down.
    pub(crate) unconnected: u64,
    pub(crate) violations: u64,
    pub(crate) texts: Vec<String>,
}

impl Sums {
    fn violate(&mut self, text: String) {
        self.violations += 1;
        if self.texts.len() < MAX_TEXTS {
            self.texts.push(text);
        }
    }
}

impl Ledger {
    pub(crate) fn new(timeline: Arc<Timeline>) -> Self {
        Self {
            next: AtomicU64::new(1),
            timeline,
            book: Mutex::default(),
        }
    }

    /// Enters a request that is sent now, and gives its id.
    pub(crate) fn begin(&self, kind: Kind, route: Route) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut book = self.lock();
        *book.sums.sent.entry(kind).or_default() += 1;
        book.entries.insert(
            id,
            Entry {
                kind,
                route,
                sent: Instant::now(),
                ended: None,
                arrivals: Vec::new(),
            },
        );
        id
    }

    /// Enters the end of a request.
    pub(crate) fn end(&self, id: u64, outcome: Outcome) {
        let mut book = self.lock();
        if let Some(entry) = book.entries.get_mut(&id) {
            entry.ended = Some((Instant::now(), outcome));
        }
    }

    /// Enters a connection that could not be opened. No request was sent.
    pub(crate) fn record_unconnected(&self, since: Instant) {
        let is_down = verdict::is_down(&self.timeline, since, Instant::now());
        let mut book = self.lock();
        book.sums.unconnected += 1;
        if !is_down {
            book.sums
                .violate("a connection was refused while the process served".into());
        }
    }

    /// When request `id` was sent, if it is known.
    pub(crate) fn sent_at(&self, id: u64) -> Option<Instant> {
        self.lock().entries.get(&id).map(|entry| entry.sent)
    }

    /// Enters an arrival upstream.
    pub(crate) fn arrive(&self, id: u64, arrival: Arrival) {
        let mut book = self.lock();
        match book.entries.get_mut(&id) {
            Some(entry) => entry.arrivals.push(arrival),
            None => book.sums.violate(format!(
                "request {id} arrived upstream, and was not sent or ended long ago"
            )),
        }
    }

    /// Enters something that must never happen.
    pub(crate) fn violate(&self, text: String) {
        self.lock().sums.violate(text);
    }

    /// Settles the requests that ended long ago.
    pub(crate) fn settle_old(&self) {
        self.settle(|entry, now| {
            entry
                .ended
                .as_ref()
                .is_some_and(|(at, _)| now.saturating_duration_since(*at) > KEPT)
        });
    }

    /// Settles all requests, and gives the sums.
    pub(crate) fn close(&self) -> Sums {
        self.settle(|_, _| true);
        self.lock().sums.clone()
    }

    /// The requests that have not ended.
    pub(crate) fn open(&self) -> usize {
        let book = self.lock();
        let open = book.entries.values().filter(|entry| entry.ended.is_none());
        open.count()
    }

    fn settle(&self, is_due: impl Fn(&Entry, Instant) -> bool) {
        let now = Instant::now();
        let mut book = self.lock();
        let due: Vec<u64> = book
            .entries
            .iter()
            .filter(|(_, entry)| is_due(entry, now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(entry) = book.entries.remove(&id) else {
                continue;
            };
            let verdict = verdict::judge(&entry, &self.timeline);
            *book
                .sums
                .settled
                .entry((entry.kind, verdict.ending))
                .or_default() += 1;
            if let Some(why) = verdict.repeated {
                *book.sums.repeated.entry(why).or_default() += 1;
            }
            for violation in verdict.violations {
                book.sums.violate(format!(
                    "request {id}, {} by the route {}: {violation}; {}",
                    entry.kind.name(),
                    entry.route.name(),
                    entry.describe(),
                ));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
