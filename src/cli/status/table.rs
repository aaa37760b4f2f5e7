//! The status as a table for people: providers, then routes.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::cli::terminal::printable;

/// Formats the status document as of `now`.
pub(super) fn render(status: &Value, now: SystemTime) -> String {
    let word = |name: &str| printable(status[name].as_str().unwrap_or("?"));
    let mut text = format!("bearward {}, admin {}\n\n", word("version"), word("admin"));
    let providers = members(&status["providers"]).map(|(name, provider)| {
        [
            printable(name),
            member(provider, "state"),
            instant(&provider["expires_at"], now),
            instant(&provider["refresh_at"], now),
            member(provider, "token_requests"),
            last_error(&provider["last_error"]),
            member(provider, "grant_type"),
        ]
    });
    let head = [
        "PROVIDER",
        "STATE",
        "TOKEN EXPIRES",
        "REFRESH",
        "REQUESTS",
        "LAST ERROR",
        "GRANT",
    ];
    columns(&mut text, head, providers.collect());
    text.push('\n');
    let routes = members(&status["routes"]).map(|(name, route)| {
        [
            printable(name),
            member(route, "listen"),
            member(route, "upstream"),
            member(route, "provider"),
        ]
    });
    columns(
        &mut text,
        ["ROUTE", "LISTENER", "UPSTREAM", "PROVIDER"],
        routes.collect(),
    );
    text
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn member(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::Null => "-".into(),
        Value::String(text) => printable(text),
        other => printable(&other.to_string()),
    }
}

fn last_error(error: &Value) -> String {
    if error.is_null() {
        return "-".into();
    }
    let text = format!("{}: {}", member(error, "kind"), member(error, "message"));
    match &error["description"] {
        Value::Null => text,
        _ => format!("{text} ({})", member(error, "description")),
    }
}

/// Formats a time stamp relative to `now`: `in 4m 12s`, `3s ago`.
fn instant(stamp: &Value, now: SystemTime) -> String {
    let Some(stamp) = stamp.as_str() else {
        return "-".into();
    };
    let Ok(time) = humantime::parse_rfc3339(stamp) else {
        return printable(stamp);
    };
    let whole =
        |duration: Duration| humantime::format_duration(Duration::from_secs(duration.as_secs()));
    match time.duration_since(now) {
        Ok(left) => format!("in {}", whole(left)),
        Err(past) => format!("{} ago", whole(past.duration())),
    }
}

/// Writes `head` and `rows` in aligned columns, two spaces apart, with no space at the end of a line.
fn columns<const N: usize>(text: &mut String, head: [&str; N], rows: Vec<[String; N]>) {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned))
        .chain(rows)
        .collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    for row in &rows {
        let padded = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_line_up_and_nothing_steers_the_terminal() {
        let status = json!({
            "version": "0.1.0",
            "admin": "127.0.0.1:9900",
            "providers": {
                "hapn": {
                    "grant_type": "client_credentials", "state": "ready", "expires_at": "1970-01-01T00:05:12Z",
                    "refresh_at": "1970-01-01T00:00:57Z", "token_requests": 3, "last_error": null
                },
                "a-much-longer-name": {
                    "grant_type": "client_credentials", "state": "failing", "expires_at": null, "refresh_at": null,
                    "token_requests": 12, "last_error": { "kind": "connect", "message": "\u{1b}[2Jno\nw\u{202e}ay" }
                }
            },
            "routes": {
                "devices": { "listen": "127.0.0.1:8080", "upstream": "https://api.iotgps.io", "provider": "hapn" },
                "open": { "listen": "unix:/x", "upstream": "http://127.0.0.1:1", "provider": null }
            }
        });
        let expected = [
            "bearward 0.1.0, admin 127.0.0.1:9900",
            "",
            "PROVIDER            STATE    TOKEN EXPIRES  REFRESH  REQUESTS  LAST ERROR            GRANT",
            "a-much-longer-name  failing  -              -        12        connect: \u{fffd}[2Jno\u{fffd}w\u{fffd}ay  client_credentials",
            "hapn                ready    in 4m 12s      3s ago   3         -                     client_credentials",
            "",
            "ROUTE    LISTENER        UPSTREAM               PROVIDER",
            "devices  127.0.0.1:8080  https://api.iotgps.io  hapn",
            "open     unix:/x         http://127.0.0.1:1     -",
        ];
        let shown = render(&status, SystemTime::UNIX_EPOCH + Duration::from_secs(60));
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected, "{shown}");
        assert!(shown.ends_with("-\n"));
    }
}
