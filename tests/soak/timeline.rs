//! What was done to the world, and when: by it a failed request is explained.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::places::{Provider, Upstream};

/// Something that was done, or that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// The process was killed: from the signal until its successor serves.
    Killed,
    /// The process was told to end: from the signal until its successor serves.
    Stopped,
    /// An authorization server failed in some way.
    TokenFault(Provider),
    /// A login ended: from the refusal until there is a new one.
    LoggedOut(Provider),
    /// An upstream's connections were cut.
    Cut(Upstream),
    /// An upstream took no connections.
    Closed(Upstream),
    /// An upstream stopped to accept a provider's current token.
    Revoked(Provider),
    /// A reload changed a provider's settings.
    Changed(Provider),
    /// A process that lives has a token: from the response until it is no longer sent.
    Usable(Provider),
    /// This process itself did not run for a while: the machine is starved.
    Stalled,
}

/// Events with the time from their begin to their end.
#[derive(Debug, Default)]
pub(crate) struct Timeline(Mutex<Vec<Span>>);

#[derive(Clone, Copy, Debug)]
struct Span {
    event: Event,
    from: Instant,
    /// `None` while it lasts.
    to: Option<Instant>,
}

impl Timeline {
    /// Records an event that begins now. [`Self::end`] ends it.
    pub(crate) fn begin(&self, event: Event) {
        self.lock().push(Span {
            event,
            from: Instant::now(),
            to: None,
        });
    }

    /// Ends the events of this kind that last.
    pub(crate) fn end(&self, event: Event) {
        let now = Instant::now();
        for span in self.lock().iter_mut().filter(|span| span.event == event) {
            span.to.get_or_insert(now);
        }
    }

    /// Records an event that has no length.
    pub(crate) fn mark(&self, event: Event) {
        self.mark_since(event, Instant::now());
    }

    /// Records an event that ends now.
    pub(crate) fn mark_since(&self, event: Event, from: Instant) {
        let to = Some(Instant::now());
        self.lock().push(Span { event, from, to });
    }

    /// Records an event that ends later.
    pub(crate) fn mark_until(&self, event: Event, to: Instant) {
        let (from, to) = (Instant::now(), Some(to));
        self.lock().push(Span { event, from, to });
    }

    /// When the last event began that covers the time between two instants, and `margin` on both sides.
    pub(crate) fn covered_since(
        &self,
        event: Event,
        (from, to): (Instant, Instant),
        margin: Duration,
    ) -> Option<Instant> {
        let spans = self.lock();
        let mut same = spans.iter().rev().filter(|span| span.event == event);
        let covering = same.find(|span| {
            span.from + margin <= from && span.to.is_some_and(|end| to + margin <= end)
        });
        covering.map(|span| span.from)
    }

    /// Whether the event lasts.
    pub(crate) fn is_lasting(&self, event: Event) -> bool {
        let spans = self.lock();
        spans
            .iter()
            .any(|span| span.event == event && span.to.is_none())
    }

    /// Whether such an event touches the time between two instants; its effects last for `wake` longer.
    pub(crate) fn touches(&self, event: Event, from: Instant, to: Instant, wake: Duration) -> bool {
        let spans = self.lock();
        let mut same = spans.iter().rev().filter(|span| span.event == event);
        same.any(|span| span.from <= to && span.to.is_none_or(|end| end + wake >= from))
    }

    /// The number of events of each kind.
    pub(crate) fn counts(&self) -> BTreeMap<Event, usize> {
        let mut counts = BTreeMap::new();
        for span in self.lock().iter() {
            *counts.entry(span.event).or_default() += 1;
        }
        counts
    }

    /// The number of events of one kind.
    pub(crate) fn count(&self, event: Event) -> usize {
        self.counts().get(&event).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
