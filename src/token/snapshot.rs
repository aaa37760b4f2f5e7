//! The state of a credential at one instant, and its transitions. All pure.
//!
//! ```text
//!            ┌──────────────────────────────┐
//!            ▼                              │ due, expired unnoticed, refused by the upstream
//!   ──▶ Fetching ──── token ────────▶ Idle ─┘
//!            ▲ │
//!            │ └───── failure ──────▶ BackingOff ─── due, or requested by an operator ──┐
//!            └──────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Fetching also leads to LoginRequired, and back once there is a login. Every phase leads to Ended.

use std::{sync::Arc, time::Duration};

use super::{
    access_token::Token, attempt_failure::AttemptFailure, error::TokenError, schedule::Retry,
    status::CredentialState,
};
use crate::clock::BootInstant;

/// An upstream that refuses fresh tokens too causes at most one refresh in this time.
const MIN_REFUSAL_SPACING: Duration = Duration::from_secs(60);

/// The refreshes that refusals cause in that time at most, whatever the upstream accepts between them.
const MAX_REFUSAL_REFRESHES: usize = 3;

/// The state of a credential. Its refresher owns it, and publishes an immutable copy after every change.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// The current token. It may have expired since.
    pub(super) token: Option<Token>,
    /// The refresher's phase.
    pub(super) phase: Phase,
    /// An attempt is needed now, whatever the schedule says.
    pub(super) refresh_requested: bool,
    /// The refresher is to end after the attempt in flight.
    pub(super) stopping: bool,
    /// The number of attempts that ended, with any outcome.
    pub(super) attempts_ended: u64,
    /// The last attempt brought a token that was issued for it, and not one from the store.
    pub(super) attempt_issued: bool,
    /// The last attempt failed, and `last_error` says why.
    pub(super) attempt_failed: bool,
    /// The last error, until a success. It may be set beside a usable token.
    pub(super) last_error: Option<AttemptFailure>,
    /// The token that an upstream refused last. It must not come back from the store.
    pub(super) invalidated: Option<Token>,
    /// When upstreams' refusals last caused refreshes, the oldest first.
    refreshed_for_refusals_at: [Option<BootInstant>; MAX_REFUSAL_REFRESHES],
    /// A refusal of a fresh token was reported since then.
    pub(super) refusal_reported: bool,
    /// The login ended with the process, because it could not be written.
    pub(super) login_lost: bool,
}

/// The phase of a refresher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A token request is in flight, or about to be.
    Fetching,
    /// There is a token, which is due for refresh at `refresh_at`.
    Idle {
        /// The instant: of the refresh, or else of the token's end; `None` if neither comes.
        refresh_at: Option<BootInstant>,
    },
    /// The last attempt failed.
    BackingOff(Retry),
    /// A person has to log in.
    LoginRequired {
        /// When the refresh token is tried again, unless it was refused for good.
        retry_at: Option<BootInstant>,
    },
    /// The refresher has ended and will not return.
    Ended,
}

/// The token that a client can have.
#[derive(Debug)]
pub(super) enum Availability {
    /// It is there.
    Ready(Token),
    /// An attempt is in flight, or has to be requested. Its end is worth waiting for.
    Pending,
    /// There is nothing to wait for.
    Unavailable(TokenError),
}

/// The token that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// Any usable token; the back-off is respected.
    AnyToken,
    /// A new token, even beside a usable one and whatever the back-off says.
    NewToken,
}

/// The consequence of a token's refusal for the refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplayPlan {
    /// The request is replayed with another token, which shows whether the refused one was revoked.
    Follows,
    /// The request cannot be replayed, so nothing shows whether another token would help.
    Impossible,
}

/// The outcome of an attempt that left the credential with a token.
#[derive(Debug)]
pub(super) enum Publication {
    /// A token that was issued now.
    Issued {
        /// The token.
        token: Token,
        /// When it is due for refresh, or else ends.
        refresh_at: Option<BootInstant>,
        /// Why its refresh token is only in memory.
        unsaved: Option<AttemptFailure>,
    },
    /// A token loaded from the store: of an earlier run, or of another process.
    Restored(Token),
    /// The current token stays.
    Unchanged,
}

/// The state at the beginning of an attempt.
#[derive(Debug)]
pub(super) struct AttemptStart {
    /// The usable current token.
    pub(super) current: Option<Token>,
    /// The token that an upstream refused last.
    pub(super) invalidated: Option<Token>,
    /// Another token than the current one is needed.
    pub(super) refresh_requested: bool,
}

impl Snapshot {
    /// Creates the state of a credential whose first token is about to be requested.
    pub(super) fn new() -> Self {
        Self {
            token: None,
            phase: Phase::Fetching,
            refresh_requested: false,
            stopping: false,
            attempts_ended: 0,
            attempt_issued: false,
            attempt_failed: false,
            last_error: None,
            invalidated: None,
            refreshed_for_refusals_at: [None; MAX_REFUSAL_REFRESHES],
            refusal_reported: false,
            login_lost: false,
        }
    }

    /// Begins an attempt.
    pub(super) fn begin(&mut self, now: BootInstant) -> AttemptStart {
        self.phase = Phase::Fetching;
        AttemptStart {
            current: self.usable_token(now).cloned(),
            invalidated: self.invalidated.clone(),
            refresh_requested: std::mem::take(&mut self.refresh_requested),
        }
    }

    /// Publishes a token.
    ///
    /// One that was invalidated since it was read is not published: then a refresh is requested.
    pub(super) fn publish(&mut self, publication: Publication, now: BootInstant) {
        let is_issued = matches!(publication, Publication::Issued { .. });
        let (token, refresh_at, unsaved) = match publication {
            Publication::Issued {
                token,
                refresh_at,
                unsaved,
            } => {
                if self.is_invalidated(&token) {
                    // The authorization server insists on it: it may be used and stay in the store.
                    self.invalidated = None;
                }
                (token, refresh_at, unsaved)
            }
            Publication::Restored(token) if self.is_invalidated(&token) => {
                self.refresh_requested = true;
                return;
            }
            Publication::Restored(token) => {
                let refresh_at = token.due_at();
                (token, refresh_at, None)
            }
            Publication::Unchanged => {
                let Some(token) = self.usable_token(now).cloned() else {
                    self.refresh_requested = true;
                    return;
                };
                let refresh_at = token.due_at();
                (token, refresh_at, None)
            }
        };

        self.token = Some(token);
        self.phase = Phase::Idle { refresh_at };
        self.end_attempt(unsaved, false);
        self.attempt_issued = is_issued;
    }

    /// Ends an attempt that failed. The current token stays.
    pub(super) fn fail(&mut self, failure: AttemptFailure, retry: Retry) {
        self.phase = Phase::BackingOff(retry);
        self.end_attempt(Some(failure), true);
    }

    /// Ends an attempt that found no way to renew the current token, which stays.
    pub(super) fn decline(&mut self, failure: AttemptFailure) {
        let refresh_at = self.token.as_ref().and_then(|token| token.due_at());
        self.phase = Phase::Idle { refresh_at };
        self.end_attempt(Some(failure), true);
    }

    /// Ends an attempt that cannot be repeated before there is a login. The current token stays until it expires.
    ///
    /// With `retry_at` it is repeated then all the same: the refresh token may be good after all.
    pub(super) fn require_login(
        &mut self,
        failure: Option<AttemptFailure>,
        retry_at: Option<BootInstant>,
    ) {
        self.phase = Phase::LoginRequired { retry_at };
        let failed = failure.is_some();
        self.end_attempt(failure, failed);
    }

    /// Asks the refresher to end after the attempt in flight.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    /// Removes the token of a login that was ended.
    pub(super) fn drop_token(&mut self) {
        self.token = None;
    }

    /// Requests an attempt, unless one is in flight or has ended since `attempts_ended` was read.
    pub(super) fn request_refresh(&mut self, attempts_ended: u64) {
        let can_attempt = matches!(
            self.phase,
            Phase::Idle { .. } | Phase::BackingOff(_) | Phase::LoginRequired { retry_at: Some(_) }
        );
        if can_attempt && !self.stopping && self.attempts_ended == attempts_ended {
            self.refresh_requested = true;
        }
    }

    /// Invalidates `refused`, which an upstream refused at `now`: that very token, a newer one stays.
    ///
    /// An upstream that refuses fresh tokens too gets no other so soon: then the token stays and the error says how
    /// long. A token that was accepted before counts as revoked, so that another is worth requesting at once; but an
    /// upstream that accepts and refuses in turn, as one whose nodes disagree, gets three at most.
    pub(super) fn invalidate(
        &mut self,
        refused: &Token,
        replay: ReplayPlan,
        now: BootInstant,
    ) -> Availability {
        match self.usable_token(now) {
            Some(current) if Arc::ptr_eq(current, refused) => {}
            Some(newer) => return Availability::Ready(newer.clone()),
            None => return Availability::Pending,
        }
        let was_revoked = replay == ReplayPlan::Follows && refused.was_accepted_before();
        let [oldest, .., newest] = self.refreshed_for_refusals_at;
        let (bounding, reason) = match was_revoked {
            true => (oldest, "the upstream refuses one token after another"),
            false => (newest, "the upstream refuses fresh tokens too"),
        };
        let left = bounding.map_or(Duration::ZERO, |at| (at + MIN_REFUSAL_SPACING).since(now));
        if !left.is_zero() {
            self.refusal_reported = true;
            return Availability::Unavailable(TokenError::unavailable(left, reason));
        }

        self.refreshed_for_refusals_at.rotate_left(1);
        self.refreshed_for_refusals_at[MAX_REFUSAL_REFRESHES - 1] = Some(now);
        self.refusal_reported = false;
        self.invalidated = self.token.take();
        match &mut self.phase {
            Phase::BackingOff(retry) => *retry = retry.without_token(now),
            // Readiness needs another one even if no client asks for it.
            Phase::Idle { .. } => self.refresh_requested = true,
            // One is in flight, or none can be obtained.
            Phase::Fetching | Phase::LoginRequired { .. } | Phase::Ended => {}
        }
        Availability::Pending
    }

    /// Returns the token, if it may be sent at `now`.
    pub(super) fn usable_token(&self, now: BootInstant) -> Option<&Token> {
        self.token.as_ref().filter(|token| token.is_usable(now))
    }

    /// Returns what a client that demands a token can have at `now`.
    pub(super) fn availability(&self, now: BootInstant, demand: Demand) -> Availability {
        if demand == Demand::AnyToken
            && let Some(token) = self.usable_token(now)
        {
            return Availability::Ready(token.clone());
        }
        match self.phase {
            Phase::Fetching => Availability::Pending,
            Phase::BackingOff(retry)
                if now < retry.at && demand == Demand::AnyToken && !self.refresh_requested =>
            {
                Availability::Unavailable(self.error(now))
            }
            // Due, demanded by an operator, or expired unnoticed while the machine slept.
            Phase::Idle { .. } | Phase::BackingOff(_) if !self.stopping => Availability::Pending,
            Phase::LoginRequired { retry_at: Some(_) }
                if demand == Demand::NewToken && !self.stopping =>
            {
                Availability::Pending
            }
            _ => Availability::Unavailable(self.error(now)),
        }
    }

    /// Returns whether a client has to request the attempt that it waits for.
    pub(super) fn needs_request(&self) -> bool {
        self.phase != Phase::Fetching && !self.refresh_requested
    }

    /// Returns the error for clients that find no token at `now`.
    pub(super) fn error(&self, now: BootInstant) -> TokenError {
        let retry_after = match self.phase {
            Phase::BackingOff(retry) => retry.at.since(now),
            _ => Duration::ZERO,
        };
        match (self.phase, &self.last_error) {
            (Phase::LoginRequired { .. }, _) => TokenError::LoginRequired,
            (Phase::Ended, _) => TokenError::ended(),
            (_, Some(failure)) => match failure.refusal() {
                Some(refusal) => TokenError::Refused {
                    error: refusal.as_str().into(),
                    detail: failure.public_message(),
                },
                None => TokenError::unavailable(retry_after, failure.public_message()),
            },
            (_, None) => TokenError::unavailable(retry_after, "the first token is not there yet"),
        }
    }

    /// Returns the state as the status shows it.
    pub(super) fn credential_state(&self, now: BootInstant) -> CredentialState {
        match (self.phase, &self.last_error) {
            _ if self.usable_token(now).is_some() => CredentialState::Ready,
            (Phase::LoginRequired { .. }, _) => CredentialState::LoginRequired,
            (_, Some(failure)) if failure.refusal().is_some() => CredentialState::Refused,
            (_, Some(_)) | (Phase::Ended, None) => CredentialState::Failing,
            (_, None) => CredentialState::Pending,
        }
    }

    fn is_invalidated(&self, token: &Token) -> bool {
        self.invalidated
            .as_ref()
            .is_some_and(|invalidated| invalidated.secret == token.secret)
    }

    fn end_attempt(&mut self, last_error: Option<AttemptFailure>, failed: bool) {
        self.last_error = last_error;
        self.attempt_failed = failed;
        self.attempt_issued = false;
        self.attempts_ended += 1;
    }
}

#[cfg(test)]
mod tests;
