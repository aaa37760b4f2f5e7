//! Where a credential stands: what its refresher does, and what those who want a token are told. All pure.
//!
//! ```text
//!            ┌──────────────────────────────┐
//!            ▼                              │ due, expired unnoticed, refused by the upstream
//!   ──▶ Fetching ──── token ────────▶ Resting
//!            ▲ │
//!            │ └───── failure ──────▶ BackingOff ─── due, or insisted on ──▶ Fetching
//!            └──────────────────────────────┘
//! ```
//!
//! From Fetching it also goes to LoginRequired, and back once there is a login.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    no_token::NoToken,
    schedule::Retry,
    status::{CredentialState, LastError},
    store::StoreError,
};
use crate::{
    clock::BootInstant,
    oauth::error::{Refusal, TokenRequestError},
    secret::Secret,
};

/// An upstream that refuses fresh tokens too is answered with one renewal in this time.
const RENEWAL_SPACING: Duration = Duration::from_secs(60);

/// What the refresher is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A request is on its way, or about to be.
    Fetching,
    /// There is a token whose renewal is due at that instant.
    Resting {
        /// The instant.
        until: BootInstant,
    },
    /// The last attempt failed.
    BackingOff(Retry),
    /// A person has to log in.
    LoginRequired,
    /// The refresher is gone and will not be back.
    Ended,
}

/// Why the last attempt failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// For the callers' own answers.
    refusal: Option<Refusal>,
    /// Only a change to the client or its account can help.
    wants_a_change: bool,
    kind: &'static str,
    message: Arc<str>,
    at: SystemTime,
}

/// The kind of a failure of the store.
const STORE: &str = "store";

impl Failure {
    pub(super) fn new(error: &TokenRequestError, at: SystemTime) -> Self {
        let wants_a_change = error.refusal().is_some() || error.wants_a_change();
        Self {
            refusal: error.refusal(),
            wants_a_change,
            kind: error.kind(),
            message: error.to_string().into(),
            at,
        }
    }

    pub(super) fn of_store(error: &StoreError, at: SystemTime) -> Self {
        Self {
            refusal: None,
            wants_a_change: false,
            kind: STORE,
            message: error.to_string().into(),
            at,
        }
    }

    pub(super) fn other_client(at: SystemTime) -> Self {
        let message = "the login on record was made with another token_endpoint or client_id, and is neither shown to \
                       this one nor forgotten: put those back, or log in again";
        Self {
            refusal: None,
            wants_a_change: false,
            kind: "other_client",
            message: message.into(),
            at,
        }
    }

    pub(super) fn refused(&self) -> bool {
        self.refusal.is_some()
    }

    pub(super) fn wants_a_change(&self) -> bool {
        self.wants_a_change
    }

    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(super) fn is_of_store(&self) -> bool {
        self.kind == STORE
    }

    /// For callers, whom the paths of this machine do not concern.
    fn told(&self) -> Arc<str> {
        if self.is_of_store() {
            "the store of refresh tokens cannot be used".into()
        } else {
            self.message.clone()
        }
    }

    pub(super) fn shown(&self) -> LastError {
        LastError {
            kind: self.kind.into(),
            message: self.message.clone(),
            at: self.at,
        }
    }
}

/// Where a credential stands.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) phase: Phase,
    /// Somebody needs an attempt now, whatever the schedule says.
    pub(super) wanted: bool,
    /// The refresher is to end.
    pub(super) stopping: bool,
    /// Requests made.
    pub(super) requests: u64,
    /// Attempts that ended, whatever came of them.
    pub(super) ended: u64,
    /// Why the last attempt failed, if it did.
    pub(super) failure: Option<Failure>,
    /// The token that an upstream refused last: it is not to come back by way of the store.
    pub(super) discarded: Option<Secret>,
    /// The last time that an upstream's refusal was answered with a renewal.
    renewal: Option<Renewal>,
}

#[derive(Debug)]
struct Renewal {
    at: BootInstant,
    complained: bool,
}

/// What somebody who wants a token is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Wait until more than this many attempts have ended.
    Wait(u64),
    /// There is nothing to wait for.
    No(NoToken),
}

/// What becomes of a token that an upstream refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is discarded.
    Discard,
    /// It stays: the upstream would refuse the next one too. Renewal is open again after this time.
    Keep {
        /// The time left.
        left: Duration,
        /// Whether this is the first to be told so.
        first: bool,
    },
}

impl Progress {
    /// A credential whose first token is about to be asked for.
    pub(super) fn new(phase: Phase) -> Self {
        Self {
            phase,
            wanted: false,
            stopping: false,
            requests: 0,
            ended: 0,
            failure: None,
            discarded: None,
            renewal: None,
        }
    }

    /// Somebody without a usable token wants one; who insists does not respect the back-off.
    pub(super) fn ask(&mut self, now: BootInstant, insist: bool) -> Told {
        match self.phase {
            Phase::Fetching => Told::Wait(self.ended),
            Phase::BackingOff(retry) if now < retry.at && !insist && !self.wanted => {
                Told::No(self.no_token(now))
            }
            // Due, insisted on, or a token that went out of use unnoticed, as it does when the machine sleeps.
            Phase::Resting { .. } | Phase::BackingOff(_) if !self.stopping => {
                self.wanted = true;
                Told::Wait(self.ended)
            }
            _ => Told::No(self.no_token(now)),
        }
    }

    /// An attempt begins; tells whether somebody wanted it.
    pub(super) fn begin(&mut self) -> bool {
        self.phase = Phase::Fetching;
        std::mem::replace(&mut self.wanted, false)
    }

    /// An attempt brought a token whose renewal is due at `until`.
    pub(super) fn succeed(&mut self, until: BootInstant) {
        self.phase = Phase::Resting { until };
        self.failure = None;
        self.ended += 1;
    }

    /// An attempt failed.
    pub(super) fn fail(&mut self, failure: Failure, retry: Retry) {
        self.phase = Phase::BackingOff(retry);
        self.failure = Some(failure);
        self.ended += 1;
    }

    /// An attempt found that nothing can be asked for before there is a login.
    pub(super) fn require_login(&mut self, failure: Option<Failure>) {
        self.phase = Phase::LoginRequired;
        self.failure = failure;
        self.ended += 1;
    }

    /// An upstream refused the token in hand, which was `revoked` as far as one can tell. An upstream that refuses fresh
    /// tokens too is not given another so soon.
    pub(super) fn refused_by_upstream(&mut self, now: BootInstant, revoked: bool) -> Verdict {
        if let Some(renewal) = self.renewal.as_mut().filter(|_| !revoked) {
            let left = (renewal.at + RENEWAL_SPACING).since(now);
            if !left.is_zero() {
                let first = !std::mem::replace(&mut renewal.complained, true);
                return Verdict::Keep { left, first };
            }
        }
        self.renewal = Some(Renewal {
            at: now,
            complained: false,
        });
        match &mut self.phase {
            Phase::BackingOff(retry) => *retry = retry.without_token(now),
            // Another is wanted whether or not anybody asks: readiness does.
            Phase::Resting { .. } => self.wanted = true,
            // It is on its way, or there is none to be had.
            Phase::Fetching | Phase::LoginRequired | Phase::Ended => {}
        }
        Verdict::Discard
    }

    /// What those without a token are told at `now`.
    pub(super) fn no_token(&self, now: BootInstant) -> NoToken {
        let retry_after = match self.phase {
            Phase::BackingOff(retry) => retry.at.since(now),
            _ => Duration::ZERO,
        };
        match (self.phase, &self.failure) {
            (Phase::LoginRequired, _) => NoToken::LoginRequired,
            (Phase::Ended, _) => {
                NoToken::unavailable(retry_after, "this provider is being shut down")
            }
            (
                _,
                Some(Failure {
                    refusal: Some(refusal),
                    ..
                }),
            ) => NoToken::Refused {
                error: refusal.as_str().into(),
            },
            (_, Some(failure)) => NoToken::unavailable(retry_after, failure.told()),
            (_, None) => NoToken::unavailable(retry_after, "no token has come yet"),
        }
    }

    /// The word for it; `usable` is whether there is a usable token.
    pub(super) fn state(&self, usable: bool) -> CredentialState {
        match (self.phase, &self.failure) {
            _ if usable => CredentialState::Ready,
            (Phase::LoginRequired, _) => CredentialState::LoginRequired,
            (_, Some(failure)) if failure.refused() => CredentialState::Refused,
            (_, Some(_)) | (Phase::Ended, None) => CredentialState::Failing,
            (_, None) => CredentialState::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::error::Fault;

    const NOW: BootInstant = BootInstant::from_boot(Duration::from_secs(1000));

    fn failed(fault: Fault, wait: u64) -> Progress {
        let mut progress = Progress::new(Phase::Fetching);
        progress.begin();
        let failure = Failure::new(&TokenRequestError::new(fault), SystemTime::UNIX_EPOCH);
        progress.fail(
            failure,
            Retry {
                at: NOW + Duration::from_secs(wait),
                not_before: None,
            },
        );
        progress
    }

    #[test]
    fn who_comes_during_a_fetch_waits_for_it_and_starts_no_other() {
        let mut progress = Progress::new(Phase::Fetching);
        assert_eq!(progress.ask(NOW, false), Told::Wait(0));
        assert_eq!(progress.ask(NOW, true), Told::Wait(0));
        assert!(!progress.wanted);
    }

    #[test]
    fn who_comes_between_attempts_is_refused_at_once_unless_they_insist() {
        let mut progress = failed(Fault::Connect, 7);
        let Told::No(NoToken::Unavailable { retry_after, .. }) = progress.ask(NOW, false) else {
            panic!()
        };
        assert_eq!(retry_after, Duration::from_secs(7));
        assert_eq!(progress.ask(NOW, true), Told::Wait(1));
        assert_eq!(
            progress.ask(NOW, false),
            Told::Wait(1),
            "the attempt that was insisted on is for all"
        );
    }

    #[test]
    fn an_attempt_that_is_overdue_is_waited_for() {
        let mut progress = failed(Fault::Connect, 7);
        assert_eq!(
            progress.ask(NOW + Duration::from_secs(7), false),
            Told::Wait(1)
        );
        assert!(progress.wanted);
    }

    #[test]
    fn a_refusal_is_told_by_its_code_alone() {
        let mut progress = failed(Fault::Refused(Refusal::InvalidScope), 60);
        assert_eq!(
            progress.ask(NOW, false),
            Told::No(NoToken::Refused {
                error: "invalid_scope".into()
            })
        );
        assert_eq!(progress.state(false), CredentialState::Refused);
        assert_eq!(progress.state(true), CredentialState::Ready);
    }

    #[test]
    fn an_upstream_gets_one_renewal_a_minute() {
        let mut progress = Progress::new(Phase::Resting { until: NOW });
        assert_eq!(progress.refused_by_upstream(NOW, false), Verdict::Discard);
        let later = NOW + Duration::from_secs(59);
        let left = Duration::from_secs(1);
        assert_eq!(
            progress.refused_by_upstream(later, false),
            Verdict::Keep { left, first: true }
        );
        assert_eq!(
            progress.refused_by_upstream(later, false),
            Verdict::Keep { left, first: false }
        );
        assert_eq!(
            progress.refused_by_upstream(NOW + Duration::from_secs(60), false),
            Verdict::Discard
        );
    }

    #[test]
    fn a_revoked_token_is_renewed_within_the_minute_too() {
        let mut progress = Progress::new(Phase::Resting { until: NOW });
        assert_eq!(progress.refused_by_upstream(NOW, false), Verdict::Discard);
        assert_eq!(
            progress.refused_by_upstream(NOW + Duration::from_secs(1), true),
            Verdict::Discard
        );
    }

    #[test]
    fn a_refusal_asks_for_another_token_unless_one_is_on_its_way() {
        let mut progress = Progress::new(Phase::Resting { until: NOW });
        progress.refused_by_upstream(NOW, false);
        assert!(progress.wanted);
        let mut progress = Progress::new(Phase::Fetching);
        progress.refused_by_upstream(NOW, false);
        assert!(!progress.wanted, "two requests for one refusal");
    }

    #[test]
    fn nobody_waits_for_a_refresher_that_ended() {
        let mut progress = failed(Fault::Connect, 0);
        progress.phase = Phase::Ended;
        assert!(matches!(
            progress.ask(NOW, true),
            Told::No(NoToken::Unavailable { .. })
        ));
    }
}
