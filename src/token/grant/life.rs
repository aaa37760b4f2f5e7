//! The end of a login, as far as it is known.

use std::time::Duration;

use crate::{
    oauth::{
        provider::{Lifetime, Provider},
        response::Issued,
    },
    token::store::{LoginTimes, Record, millis},
};

/// The longest time before the end of a login at which it is due.
const MAX_DUE_BEFORE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Returns the earliest known end of the login in `record`, in milliseconds since 1970.
///
/// A refresh token ends when it stayed unused for too long, when the login is too old, or when the authorization server
/// said so. Without a refresh token the login ends with its access token.
pub(super) fn login_end(record: &Record, provider: &Provider) -> Option<u64> {
    if record.refused || record.is_logged_out() {
        return None;
    }
    let times = &record.times;
    let after =
        |start: Option<u64>, life: Option<Duration>| Some(start?.saturating_add(millis(life?)));
    let absolute = after(times.logged_in_at, provider.refresh.absolute);
    let ends = match &record.refresh_token {
        Some(_) => [
            absolute,
            after(times.refreshed_at, provider.refresh.idle),
            times.refresh_expires_at,
        ],
        None if provider.can_renew_alone() => [None; 3],
        None => [absolute, access_token_end(record), None],
    };
    ends.into_iter().flatten().min()
}

/// Returns when a person should log in again, in milliseconds since 1970: a week, or a quarter of the login's life, before
/// its end.
///
/// That is the end of its age, or of its access token where nothing can renew that. An end that refreshes move is not one.
pub(super) fn login_due(record: &Record, provider: &Provider) -> Option<u64> {
    if record.refused || record.is_logged_out() {
        return None;
    }
    let of_login = record.times.logged_in_at.zip(provider.refresh.absolute);
    let of_token = || {
        let access = record.access.as_ref()?;
        let Lifetime::For(lifetime) = access.lifetime() else {
            return None;
        };
        let is_last = record.refresh_token.is_none() && !provider.can_renew_alone();
        is_last.then_some((access.requested_at_wall, lifetime))
    };
    let (start, life) = of_login.or_else(of_token)?;
    let before = MAX_DUE_BEFORE.min(life / 4);
    Some(start.saturating_add(millis(life - before)))
}

/// Returns the time from the access token's request to the end of a refresh token that a refresh extends.
pub(super) fn refresh_token_left(record: &Record, provider: &Provider) -> Option<Duration> {
    record.usable_refresh_token()?;
    let requested_at = record.access.as_ref()?.requested_at_wall;
    let until = |end: u64| Duration::from_millis(end.saturating_sub(requested_at));
    let told = record.times.refresh_expires_at.map(until);
    [told, provider.refresh.idle].into_iter().flatten().min()
}

/// Returns the times after a response that was requested at `requested_at`, in milliseconds since 1970.
///
/// `before` are the times of the login that was refreshed. A refresh starts the time without use anew, and not the age.
pub(super) fn times_after(
    issued: &Issued,
    requested_at: u64,
    before: Option<&LoginTimes>,
) -> LoginTimes {
    let told = issued.refresh_lifetime;
    let told = told.map(|left| requested_at.saturating_add(millis(left)));
    let kept = before.filter(|_| issued.refresh_token.is_none());
    LoginTimes {
        logged_in_at: before.map_or(Some(requested_at), |before| before.logged_in_at),
        refreshed_at: Some(requested_at),
        refresh_expires_at: told.or_else(|| kept?.refresh_expires_at),
    }
}

fn access_token_end(record: &Record) -> Option<u64> {
    let access = record.access.as_ref()?;
    match access.lifetime() {
        Lifetime::For(lifetime) => Some(access.requested_at_wall.saturating_add(millis(lifetime))),
        Lifetime::Never => None,
    }
}
