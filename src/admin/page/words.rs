//! Times and texts as the page words them. The script words the passing of time alike.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};

use crate::admin::status::rfc3339;

/// A time relative to `now`: `in 4 min 12 s`, or `12 days ago`.
pub(super) fn relative(time: SystemTime, now: SystemTime) -> Markup {
    let text = match time.duration_since(now) {
        Ok(left) => format!("in {}", duration(left)),
        Err(past) => format!("{} ago", duration(past.duration())),
    };
    stamped(time, "relative", &text)
}

/// The time since `time`: `4 min 12 s ago`.
pub(super) fn ago(time: SystemTime, now: SystemTime) -> Markup {
    let past = now.duration_since(time).unwrap_or_default();
    stamped(time, "ago", &format!("{} ago", duration(past)))
}

/// The time left until `time`: `4 min 12 s`.
pub(super) fn left(time: SystemTime, now: SystemTime) -> Markup {
    let left = time.duration_since(now).unwrap_or_default();
    stamped(time, "left", &duration(left))
}

fn stamped(time: SystemTime, form: &str, text: &str) -> Markup {
    let stamp = rfc3339(time);
    html! { time datetime=(stamp) title=(stamp) data-form=(form) { (text) } }
}

/// A duration in its two largest units, or in whole days from two days on.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600, seconds / 60);
    match () {
        () if days >= 2 => format!("{days} days"),
        () if hours > 0 => format!("{hours} h {} min", minutes % 60),
        () if minutes > 0 => format!("{minutes} min {} s", seconds % 60),
        () => format!("{seconds} s"),
    }
}

/// A number of milliseconds in the unit that suits it.
pub(super) fn milliseconds(number: f64) -> String {
    match number {
        ..10.0 => format!("{number:.1} ms"),
        ..1000.0 => format!("{number:.0} ms"),
        ..10_000.0 => format!("{:.1} s", number / 1000.0),
        _ => "over 10 s".into(),
    }
}

/// A text whose parts between backticks are code.
pub(super) fn code_in(text: &str) -> Markup {
    html! {
        @for (place, part) in text.split('`').enumerate() {
            @if place % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_their_two_largest_units() {
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (252, "4 min 12 s"),
            (3600, "1 h 0 min"),
            (169_200, "47 h 0 min"),
            (12 * 86_400 + 3, "12 days"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn latencies_have_the_unit_that_suits_them() {
        for (number, words) in [
            (0.4, "0.4 ms"),
            (12.3, "12 ms"),
            (1234.0, "1.2 s"),
            (10_000.0, "over 10 s"),
        ] {
            assert_eq!(milliseconds(number), words);
        }
    }

    #[test]
    fn backticks_become_code() {
        assert_eq!(
            code_in("run `bearward login <x>` now").into_string(),
            "run <code>bearward login &lt;x&gt;</code> now"
        );
    }
}
