//! The attempts of one login that returns to a listener of this command: the printed address's, and the opened one's.

use std::sync::Arc;

use super::{callback_listener::Callback, start::BrowserStart};
use crate::oauth::{
    authorization::{Attempt, Authorized, CallbackError},
    provider::Provider,
};

/// The attempts that a callback may belong to.
pub(super) struct CallbackAttempts {
    /// The attempt of the printed address, for any browser of the person who reads it.
    pub(super) printed: Attempt,
    /// The attempt of the browser that this command opened, which has the cookie of its start.
    pub(super) opened: Option<(Attempt, Arc<BrowserStart>)>,
}

/// Why a callback brought no code.
pub(super) enum UnreadCallback {
    /// It belongs to no attempt.
    Forged,
    /// It belongs to the browser that this command opened, and comes from another one.
    OtherBrowser,
    /// The authorization server gave no code.
    Declined(CallbackError),
}

impl CallbackAttempts {
    /// All attempts. What a person pastes may belong to any.
    pub(super) fn all(&self) -> Vec<&Attempt> {
        let opened = self.opened.iter().map(|(attempt, _)| attempt);
        std::iter::once(&self.printed).chain(opened).collect()
    }

    /// Reads the code in a callback, and finds the attempt that it belongs to.
    pub(super) fn read(
        &self,
        provider: &Provider,
        callback: &Callback,
    ) -> Result<(&Attempt, Authorized), UnreadCallback> {
        let read = |attempt: &Attempt| attempt.read_callback(provider, &callback.query);
        match (read(&self.printed), &self.opened) {
            (Err(CallbackError::State), Some((attempt, start))) => match read(attempt) {
                Err(CallbackError::State) => Err(UnreadCallback::Forged),
                _ if !start.is_held_in(&callback.headers) => Err(UnreadCallback::OtherBrowser),
                read => Ok((attempt, read?)),
            },
            (read, _) => Ok((&self.printed, read?)),
        }
    }
}

impl From<CallbackError> for UnreadCallback {
    fn from(error: CallbackError) -> Self {
        match error {
            CallbackError::State | CallbackError::Repeated | CallbackError::TooLong => Self::Forged,
            error => Self::Declined(error),
        }
    }
}
