//! How times and sizes are written, and how a value is quoted in a message.

use std::time::Duration;

/// The longest time that makes sense anywhere: a typing error, not a wish, lies beyond it.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
/// The largest size, 1 TiB.
const LARGEST: u64 = 1 << 40;

/// Reads `500ms`, `10s`, `5m`, `1h`, `90d`.
///
/// # Errors
/// What is wrong, as a hint.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    const HOW: &str =
        "write a whole number and a unit: \"500ms\", \"10s\", \"5m\", \"1h\" or \"90d\"";
    let (number, unit) = split(text).ok_or(HOW)?;
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(HOW),
    };
    let time = number.checked_mul(unit).map(Duration::from_millis);
    time.filter(|time| *time <= LONGEST)
        .ok_or("nothing may take longer than \"366d\"")
}

/// Reads `512B`, `64KiB`, `10MiB`, `1GiB`.
///
/// # Errors
/// What is wrong, as a hint.
pub(super) fn size(text: &str) -> Result<u64, &'static str> {
    const HOW: &str = "write a whole number and a unit: \"512B\", \"64KiB\", \"10MiB\" or \"1GiB\"";
    let (number, unit) = split(text).ok_or(HOW)?;
    let unit: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "k" | "K" | "kB" | "KB" | "kb" => {
            return Err("units are powers of two here: write \"64KiB\"");
        }
        "m" | "M" | "MB" | "mb" => return Err("units are powers of two here: write \"10MiB\""),
        "g" | "G" | "GB" | "gb" => return Err("units are powers of two here: write \"1GiB\""),
        _ => return Err(HOW),
    };
    number
        .checked_mul(unit)
        .filter(|bytes| *bytes <= LARGEST)
        .ok_or("nothing may be larger than \"1024GiB\"")
}

/// The number and its unit, with no blank between.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit))
}

/// Whether `text` can be shown: an address with user information, a query or a fragment may hold a credential, and so
/// may anything of that length.
pub(super) fn is_presentable(text: &str) -> bool {
    text.len() <= 200 && !text.contains(['@', '?', '#']) && !text.chars().any(char::is_control)
}

/// `text` in quotation marks, or a stand-in where it cannot be shown. For values of keys that hold no secret.
pub(super) fn quote(text: &str) -> String {
    if is_presentable(text) {
        format!("\"{text}\"")
    } else {
        "\"***\"".to_owned()
    }
}

/// The candidate that `text` was probably meant to be.
pub(super) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let bound = (text.chars().count() / 3).clamp(1, 4);
    let text = text.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&text, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words; words far apart in length are not
/// looked at closely.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 4 || a.len() > 64 {
        return usize::MAX;
    }
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_documented() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "10 s",
            "1h30m",
            "10S",
            "367d",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_two() {
        for (text, bytes) in [
            ("1B", 1),
            ("64KiB", 65_536),
            ("10MiB", 10 << 20),
            ("2GiB", 2 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "", "64", "64KB", "1.5MiB", "-1B", "1TiB", "1025GiB", "64 KiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_finds_what_was_meant() {
        let keys = ["client_id", "client_secret", "scope"];
        assert_eq!(nearest("client_secrt", keys), Some("client_secret"));
        assert_eq!(nearest("clinet_id", keys), Some("client_id"));
        assert_eq!(nearest("Scope", keys), Some("scope"));
        assert_eq!(nearest("upstream", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn what_may_hold_a_credential_is_not_quoted() {
        assert_eq!(
            quote("https://api.example.com/v1"),
            "\"https://api.example.com/v1\""
        );
        for text in [
            "https://user:canary@host",
            "https://host?key=canary",
            "https://host#canary",
            "can\nary",
        ] {
            assert_eq!(quote(text), "\"***\"");
        }
    }
}
