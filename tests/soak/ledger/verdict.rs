//! Whether a request ended as it should have, by what was done to the world meanwhile.

use std::time::{Duration, Instant};

use super::{Arrival, Entry, Outcome, RequestFault};
use crate::{
    places::Provider,
    timeline::{Event, Timeline},
};

/// How long a failed authorization server is felt: the longest wait between attempts without a token, the wait of a
/// request, and some patience for a busy machine.
const TOKEN_WAKE: Duration = Duration::from_secs(15 + 10 + 5);

/// How long before and after the process has a token for sure, on a busy machine.
const TOKEN_MARGIN: Duration = Duration::from_millis(1200);

/// How long a break is felt by connections that were open.
const WAKE: Duration = Duration::from_secs(2);

/// How long a new login takes to be in use (5 s), with patience.
const LOGIN_WAKE: Duration = Duration::from_secs(15);

/// How one request ended, and why.
pub(super) struct Verdict {
    /// The row of the account.
    pub(super) ending: String,
    /// Why it arrived more than once, if it did.
    pub(super) repeated: Option<String>,
    pub(super) violations: Vec<String>,
}

/// Whether the process was down between two instants.
pub(super) fn is_down(timeline: &Timeline, from: Instant, to: Instant) -> bool {
    let touches = |event| timeline.touches(event, from, to, WAKE);
    touches(Event::Killed) || touches(Event::Stopped)
}

pub(super) fn judge(entry: &Entry, timeline: &Timeline) -> Verdict {
    let case = Case { entry, timeline };
    let (ending, unexplained) = match &entry.ended {
        None => (
            "no end".to_owned(),
            Some("neither a response nor a break".to_owned()),
        ),
        Some((_, outcome)) => case.explain(outcome),
    };
    let mut violations: Vec<String> = unexplained.into_iter().collect();
    let (repeated, twice) = case.arrivals();
    violations.extend(twice);
    Verdict {
        ending,
        repeated,
        violations,
    }
}

/// One request among what happened meanwhile.
struct Case<'a> {
    entry: &'a Entry,
    timeline: &'a Timeline,
}

impl Case<'_> {
    /// The row of the account, and what is wrong.
    fn explain(&self, outcome: &Outcome) -> (String, Option<String>) {
        match outcome {
            Outcome::Right => {
                let missing = self.accepted().next().is_none();
                let wrong = missing.then(|| "a response, and no arrival upstream".to_owned());
                ("right".into(), wrong)
            }
            Outcome::Wrong(what) => ("wrong".into(), Some(what.clone())),
            Outcome::Fault(status) => {
                let is_ours = self.has_fault(RequestFault::Status500);
                explained(
                    format!("{status} of the upstream"),
                    is_ours.then_some("fault"),
                )
            }
            Outcome::Refused => {
                let is_refused = self.entry.arrivals.iter().any(|arrival| arrival.refused);
                explained(
                    "401 of the upstream".into(),
                    is_refused.then_some("revoked token"),
                )
            }
            Outcome::Problem(status, kind) => {
                explained(format!("{status} {kind}"), self.problem_cause(kind))
            }
            Outcome::Broken { in_response, error } => {
                let ending = if *in_response {
                    "cut in the response"
                } else {
                    "cut before the response"
                };
                match self.break_cause(*in_response) {
                    Some(cause) => (format!("{ending} ({cause})"), None),
                    None => (ending.into(), Some(format!("{ending}: {error}"))),
                }
            }
        }
    }

    /// Why bearward would respond with such a problem.
    fn problem_cause(&self, kind: &str) -> Option<&'static str> {
        let route = self.entry.route;
        let provider = route.provider();
        match kind {
            "upstream-unreachable" | "upstream-protocol" => self.upstream_cause(),
            // The second one where the client's own stream waits for messages.
            "upstream-timeout" | "request-timeout" if self.has_fault(RequestFault::Hang) => {
                Some("fault")
            }
            "token-unavailable" if self.has_token(provider) => None,
            "token-unavailable" if self.touches(Event::LoggedOut(provider), LOGIN_WAKE) => {
                Some("login ended")
            }
            "token-unavailable" => self
                .touches(Event::TokenFault(provider), TOKEN_WAKE)
                .then_some("authorization server"),
            "login-required" => self
                .touches(Event::LoggedOut(provider), LOGIN_WAKE)
                .then_some("login ended"),
            _ => None,
        }
        .or_else(|| self.stall())
    }

    /// Whether the process had a usable token all the time.
    fn has_token(&self, provider: Provider) -> bool {
        let to = self.end();
        let span = (self.entry.sent, to);
        let since = self
            .timeline
            .covered_since(Event::Usable(provider), span, TOKEN_MARGIN);
        // What takes the token away: an end of the process or of the login, a refusal, changed settings.
        let lost = [
            Event::Killed,
            Event::Stopped,
            Event::LoggedOut(provider),
            Event::Revoked(provider),
            Event::Changed(provider),
        ];
        since.is_some_and(|since| {
            let is_lost = |event| self.timeline.touches(event, since, to, WAKE);
            !lost.into_iter().any(is_lost)
        })
    }

    /// Why the connection to the upstream would break.
    fn upstream_cause(&self) -> Option<&'static str> {
        let upstream = self.entry.route.upstream();
        let faults = [RequestFault::CutBeforeResponse, RequestFault::CutInBody];
        if faults.into_iter().any(|fault| self.has_fault(fault)) {
            Some("fault")
        } else if self.touches(Event::Cut(upstream), WAKE)
            || self.touches(Event::Closed(upstream), WAKE)
        {
            Some("relay")
        } else {
            None
        }
    }

    /// Why the connection of the client would break.
    fn break_cause(&self, in_response: bool) -> Option<&'static str> {
        let cause = self.upstream_cause();
        // Before the response, bearward tells the client about the upstream.
        if cause.is_some() && (in_response || self.is_stream()) {
            return cause;
        }
        if self.touches(Event::Killed, WAKE) {
            return Some("kill");
        }
        // What has arrived upstream finishes before the process ends.
        if self.touches(Event::Stopped, WAKE) && self.entry.arrivals.is_empty() {
            return Some("stop");
        }
        self.stall()
    }

    /// How often it arrived, and what is wrong with that.
    fn arrivals(&self) -> (Option<String>, Option<String>) {
        let accepted = self.accepted().count();
        let refused = self.entry.arrivals.len() - accepted;
        if refused > 1 {
            return (None, Some(format!("refused {refused} times")));
        }
        match accepted {
            0 | 1 if refused == 1 && accepted == 1 => {
                (Some("replayed after a refused token".into()), None)
            }
            0 | 1 => (None, None),
            2 if self.entry.kind.is_idempotent() => match self.upstream_cause() {
                Some(cause) => (
                    Some(format!("retried after a broken connection ({cause})")),
                    None,
                ),
                None => (
                    None,
                    Some("arrived twice, and no connection was broken".into()),
                ),
            },
            count => (
                None,
                Some(format!("arrived {count} times and was processed")),
            ),
        }
    }

    fn accepted(&self) -> impl Iterator<Item = &Arrival> {
        self.entry
            .arrivals
            .iter()
            .filter(|arrival| !arrival.refused)
    }

    /// Whether a break of the upstream reaches the client as a break: its response has no end that is known before.
    fn is_stream(&self) -> bool {
        use crate::places::Kind;
        matches!(self.entry.kind, Kind::WebSocket | Kind::GrpcTalk)
    }

    fn has_fault(&self, fault: RequestFault) -> bool {
        let mut faults = self
            .entry
            .arrivals
            .iter()
            .filter_map(|arrival| arrival.fault);
        faults.any(|found| found == fault)
    }

    fn stall(&self) -> Option<&'static str> {
        self.touches(Event::Stalled, WAKE)
            .then_some("starved machine")
    }

    fn touches(&self, event: Event, wake: Duration) -> bool {
        self.timeline
            .touches(event, self.entry.sent, self.end(), wake)
    }

    fn end(&self) -> Instant {
        let ended = self.entry.ended.as_ref();
        ended.map_or_else(Instant::now, |(at, _)| *at)
    }
}

fn explained(ending: String, cause: Option<&'static str>) -> (String, Option<String>) {
    match cause {
        Some(cause) => (format!("{ending} ({cause})"), None),
        None => {
            let wrong = format!("{ending}, and nothing explains it");
            (ending, Some(wrong))
        }
    }
}
