//! What all tasks of a run share.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::HeaderMap;

use crate::{
    ledger::{Arrival, Ledger, RequestFault},
    places::{Provider, Upstream},
    timeline::{Event, Timeline},
    tokens::{Judgement, Tokens},
};

/// The field that carries a request's id.
pub(crate) const ID: &str = "x-soak-id";

/// The field by which the upstream marks a response that is a fault.
pub(crate) const FAULT: &str = "x-soak-fault";

/// A pause of this process that counts as a starved machine.
const MIN_STALL: Duration = Duration::from_secs(1);

/// The shared state of a run.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) ledger: Ledger,
    pub(crate) tokens: Tokens,
    /// Where the sidecar's proxy listener is.
    pub(crate) listen: SocketAddr,
    /// The faults that await the next requests of each upstream.
    armed: [Mutex<VecDeque<RequestFault>>; Upstream::ALL.len()],
    end: Instant,
}

impl World {
    pub(crate) fn new(seed: u64, listen: SocketAddr, length: Duration) -> Self {
        let timeline = Arc::new(Timeline::default());
        Self {
            seed,
            ledger: Ledger::new(timeline.clone()),
            timeline,
            tokens: Tokens::default(),
            listen,
            armed: Default::default(),
            end: Instant::now() + length,
        }
    }

    /// The time until the load ends.
    pub(crate) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether the load has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// Gives the next request of an upstream a fault.
    pub(crate) fn arm(&self, upstream: Upstream, fault: RequestFault) {
        let mut armed = self.armed[upstream as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        armed.push_back(fault);
    }

    fn disarm(&self, upstream: Upstream) -> Option<RequestFault> {
        let mut armed = self.armed[upstream as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        armed.pop_front()
    }

    /// Receives a request at an upstream: its id, whether its token is refused, and the fault that it gets.
    pub(crate) fn receive(
        &self,
        headers: &HeaderMap,
        provider: Provider,
        upstream: Upstream,
    ) -> Received {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let id = text(ID).and_then(|id| id.parse().ok()).unwrap_or_default();
        let at = Instant::now();
        let sent = self.ledger.sent_at(id).unwrap_or(at);
        let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let judgement = match bearer {
            Some(token) => self.tokens.judge(token, provider, sent),
            None => Judgement::Violation("no token".into()),
        };
        if let Judgement::Violation(what) = &judgement {
            self.ledger.violate(format!(
                "request {id} arrived at {} with {what}",
                upstream.name()
            ));
        }
        let refused = judgement == Judgement::Refuse;
        let fault = match refused {
            true => None,
            false => self.disarm(upstream),
        };
        self.ledger.arrive(id, Arrival { at, refused, fault });
        Received { id, refused, fault }
    }

    /// Watches whether this process runs: a late tick means that the machine is starved.
    pub(crate) async fn watch_stalls(&self) {
        const TICK: Duration = Duration::from_millis(100);
        loop {
            let before = Instant::now();
            tokio::time::sleep(TICK).await;
            if before.elapsed() > MIN_STALL {
                self.timeline.mark_since(Event::Stalled, before);
            }
        }
    }
}

/// A request as an upstream received it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) id: u64,
    pub(crate) refused: bool,
    pub(crate) fault: Option<RequestFault>,
}
