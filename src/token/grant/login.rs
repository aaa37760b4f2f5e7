//! The recording of a login.

use std::{fmt, time::Duration};

use super::{locked::LockedGrant, state::GrantContext};
use crate::{
    oauth::{provider::Lifetime, response::Issued},
    token::{access_token::AccessToken, store::StoreError},
};

/// A locked grant with room reserved in the store, ready to record a login.
pub struct PreparedLogin<'a> {
    context: &'a GrantContext,
    grant: LockedGrant<'a>,
}

impl<'a> PreparedLogin<'a> {
    pub(super) fn new(context: &'a GrantContext, grant: LockedGrant<'a>) -> Self {
        Self { context, grant }
    }

    /// Records a login. It outlives the process unless the result says `unsaved`.
    ///
    /// It replaces the login before, including its refresh token: the two accounts may differ.
    /// The lifetime is counted from before the code was exchanged.
    pub async fn record(&mut self, issued: Issued) -> RecordedLogin {
        let unsaved = self.grant.record_issued(&issued, false).await.err();
        RecordedLogin {
            token: self.grant.access_token(),
            has_refresh_token: issued.refresh_token.is_some(),
            is_short: issued.refresh_token.is_none() && is_short(issued.lifetime),
            unsaved,
        }
    }
}

impl fmt::Debug for PreparedLogin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedLogin")
            .field("provider", &self.context.provider.name)
            .finish_non_exhaustive()
    }
}

/// A login that is in use.
#[derive(Debug)]
pub struct RecordedLogin {
    /// Its access token, if that may still be used.
    pub token: Option<AccessToken>,
    /// Whether it brought a refresh token. A login without one ends with its access token.
    pub has_refresh_token: bool,
    /// Whether it brought no refresh token and an access token of at most a day.
    pub is_short: bool,
    /// Why it could not be written and is only in memory.
    pub unsaved: Option<StoreError>,
}

fn is_short(lifetime: Lifetime) -> bool {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    matches!(lifetime, Lifetime::For(lifetime) if lifetime <= DAY)
}
