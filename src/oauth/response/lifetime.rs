//! The lifetimes in a token response: relative, absolute, or none.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::Value;

use crate::oauth::provider::{ExpiresInUnit, TokenResponse};

/// The minimum lifetime; shorter ones are raised to it.
pub const MIN_LIFETIME: Duration = Duration::from_secs(1);
/// The maximum lifetime that is believed: a thousand years. A longer one counts as none.
pub const MAX_LIFETIME: Duration = Duration::from_secs(1000 * 366 * 24 * 60 * 60);

/// The first number of an absolute time that counts milliseconds; as seconds it is in the year 5138.
const FIRST_MILLISECONDS: f64 = 1e11;

/// Returns the lifetime of the access token from `requested_at` on.
///
/// The absolute expiry comes first, where the layout names one. Zero, a negative number or a senseless value counts as
/// absent.
pub(super) fn of_access_token(
    response: &Value,
    layout: &TokenResponse,
    requested_at: SystemTime,
) -> Option<Duration> {
    let member = |pointer: &String| response.pointer(pointer);
    let absolute = || until(member(layout.expires_at.as_ref()?)?, requested_at);
    let relative = || {
        let number = number(member(&layout.expires_in)?)?;
        lifetime(match layout.expires_in_unit {
            ExpiresInUnit::Seconds => number,
            ExpiresInUnit::Milliseconds => number / 1000.0,
        })
    };
    absolute().or_else(relative)
}

/// Returns the lifetime of the refresh token from `requested_at` on. Zero means that it is unknown.
///
/// It is a number of seconds; some servers write the end of the lifetime as RFC 3339.
pub(super) fn of_refresh_token(
    response: &Value,
    layout: &TokenResponse,
    requested_at: SystemTime,
) -> Option<Duration> {
    let told = response.pointer(layout.refresh_expires_in.as_ref()?)?;
    match number(told) {
        Some(seconds) => lifetime(seconds),
        None => until(told, requested_at),
    }
}

/// Returns the time from `requested_at` until `told`: RFC 3339, or seconds or milliseconds since 1970.
fn until(told: &Value, requested_at: SystemTime) -> Option<Duration> {
    let since_1970 = match number(told) {
        Some(milliseconds) if milliseconds >= FIRST_MILLISECONDS => milliseconds / 1000.0,
        Some(seconds) => seconds,
        None => timestamp(told.as_str()?.trim())?
            .as_duration()
            .as_secs_f64(),
    };
    let now = requested_at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    lifetime(since_1970 - now.as_secs_f64())
}

/// Parses RFC 3339. A time without an offset is in UTC.
fn timestamp(text: &str) -> Option<Timestamp> {
    let in_utc = || format!("{text}Z").parse().ok();
    text.parse().ok().or_else(in_utc)
}

/// Reads a number, or a number in a string.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn lifetime(seconds: f64) -> Option<Duration> {
    // A comparison with NaN is false.
    (seconds > 0.0 && seconds <= MAX_LIFETIME.as_secs_f64())
        .then(|| Duration::from_secs_f64(seconds).max(MIN_LIFETIME))
}
