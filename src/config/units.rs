//! Durations and sizes: a whole number and a unit, with no space between them.

use std::time::Duration;

use thiserror::Error;

/// The longest duration of any key. A longer one is a typing error.
const MAX_DURATION: Duration = Duration::from_secs(3660 * 24 * 3600);
/// The largest size of any key, 1 TiB.
const MAX_SIZE: u64 = 1 << 40;

/// An invalid duration. Its text is a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum InvalidDuration {
    #[error(
        "write a whole number and a unit, such as \"500ms\", \"10s\", \"5m\", \"1h\" or \"90d\""
    )]
    Syntax,
    #[error("use at most \"3660d\"")]
    TooLong,
}

/// An invalid size. Its text is a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum InvalidSize {
    #[error("write a whole number and a unit, such as \"512B\", \"64KiB\", \"10MiB\" or \"1GiB\"")]
    Syntax,
    #[error("use a unit that is a power of two, such as \"{0}\"")]
    DecimalUnit(&'static str),
    #[error("use at most \"1024GiB\"")]
    TooLarge,
}

/// Parses `500ms`, `10s`, `5m`, `1h` or `90d`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let (number, unit) = split(text).ok_or(InvalidDuration::Syntax)?;
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(InvalidDuration::Syntax),
    };

    number
        .checked_mul(millis_per_unit)
        .map(Duration::from_millis)
        .filter(|duration| *duration <= MAX_DURATION)
        .ok_or(InvalidDuration::TooLong)
}

/// Writes `duration` as the file does, in seconds or milliseconds.
pub(super) fn format_duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

/// Parses `512B`, `64KiB`, `10MiB` or `1GiB` to bytes.
pub(super) fn parse_size(text: &str) -> Result<u64, InvalidSize> {
    let (number, unit) = split(text).ok_or(InvalidSize::Syntax)?;
    let bytes_per_unit: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "k" | "K" | "kB" | "KB" | "kb" => return Err(InvalidSize::DecimalUnit("64KiB")),
        "m" | "M" | "MB" | "mb" => return Err(InvalidSize::DecimalUnit("10MiB")),
        "g" | "G" | "GB" | "gb" => return Err(InvalidSize::DecimalUnit("1GiB")),
        _ => return Err(InvalidSize::Syntax),
    };

    number
        .checked_mul(bytes_per_unit)
        .filter(|bytes| *bytes <= MAX_SIZE)
        .ok_or(InvalidSize::TooLarge)
}

/// Writes `bytes` as the file does, in the largest unit that fits.
pub(super) fn format_size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    units
        .into_iter()
        .find(|(bits, _)| bytes > 0 && bytes.trailing_zeros() >= *bits)
        .map_or_else(
            || format!("{bytes}B"),
            |(bits, unit)| format!("{}{unit}", bytes >> bits),
        )
}

/// Splits `text` into its number and its unit.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_documented() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("0s", 0),
        ] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(text), Ok(duration), "{text}");
        }
        let three_months = Duration::from_secs(90 * 86_400);
        assert_eq!(parse_duration("90d"), Ok(three_months));
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "10 s",
            "1h30m",
            "10S",
            "3661d",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
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
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "", "64", "64KB", "1.5MiB", "-1B", "1TiB", "1025GiB", "64 KiB",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_as_the_same_value() {
        for millis in [0, 500, 1_500, 10_000, 60_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
        for bytes in [0, 1, 1_000, 8 << 10, 64 << 10, 10 << 20, 3 << 30] {
            assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }
        assert_eq!(format_size(64 << 10), "64KiB");
        assert_eq!(format_duration(Duration::from_secs(60)), "60s");
    }
}
