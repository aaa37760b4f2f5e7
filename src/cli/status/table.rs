//! The status as a table for people: providers with what to do about them, then routes. Most lines fit 80 columns.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use clap::builder::styling::Style;
use serde_json::{Map, Value};

use crate::cli::terminal::{printable, state_style};

/// The units that a time span is shown with, the largest first.
const SHOWN_UNITS: usize = 2;

/// Formats the status document as of `now`, with states in colours if `is_coloured`.
pub(super) fn render(status: &Value, now: SystemTime, is_coloured: bool) -> String {
    let word = |name: &str| printable(status[name].as_str().unwrap_or("?"));
    let mut text = format!("bearward {}, admin {}\n\n", word("version"), word("admin"));
    let providers = members(&status["providers"]).map(|(name, provider)| Row {
        style: state_style(provider["state"].as_str().unwrap_or_default(), is_coloured),
        cells: [
            printable(name),
            member(provider, "state"),
            expiry(provider, now),
            due(&provider["refresh_at"], now),
            instant(&provider["login_expires_at"], now),
            member(provider, "token_requests"),
        ],
        notes: notes(name, provider, now),
    });
    let head = [
        "PROVIDER",
        "STATE",
        "TOKEN EXPIRES",
        "REFRESH",
        "LOGIN ENDS",
        "REQUESTS",
    ];
    columns(&mut text, head, providers.collect());
    text.push('\n');
    let routes = members(&status["routes"]).map(|(name, route)| Row {
        style: Style::new(),
        cells: [
            printable(name),
            member(route, "listen"),
            member(route, "upstream"),
            member(route, "provider"),
        ],
        notes: Vec::new(),
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

/// The lines below a provider: its last error, and the command that ends a missing login.
fn notes(name: &str, provider: &Value, now: SystemTime) -> Vec<String> {
    let mut notes = Vec::new();
    let error = &provider["last_error"];
    if !error.is_null() {
        let kind = member(error, "kind");
        notes.push(match &error["at"] {
            Value::Null => format!("{kind}: {}", member(error, "message")),
            at => format!("{kind}, {}: {}", instant(at, now), member(error, "message")),
        });
        if !error["description"].is_null() {
            let description = member(error, "description");
            notes.push(format!("the authorization server says: {description}"));
        }
    }
    let has_login = ["authorization_code", "device_code"]
        .iter()
        .any(|grant_type| provider["grant_type"] == *grant_type);
    if provider["state"] == "login_required" && has_login {
        notes.push(format!("run: bearward login {}", printable(name)));
    }
    notes
}

/// Formats the expiry of the current token.
fn expiry(provider: &Value, now: SystemTime) -> String {
    match provider["expires_at"].is_null() && provider["state"] == "ready" {
        true => "never".into(),
        false => instant(&provider["expires_at"], now),
    }
}

/// Formats the time of a task, which is due once it has come.
fn due(stamp: &Value, now: SystemTime) -> String {
    let time = stamp.as_str().map(humantime::parse_rfc3339);
    match time {
        Some(Ok(time)) if time <= now => "now".into(),
        _ => instant(stamp, now),
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
    match time.duration_since(now) {
        Ok(left) => format!("in {}", span(left)),
        Err(past) => format!("{} ago", span(past.duration())),
    }
}

/// Formats a time span in whole seconds, with its [`SHOWN_UNITS`] largest units.
fn span(duration: Duration) -> String {
    let whole = humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string();
    let units: Vec<&str> = whole.split(' ').take(SHOWN_UNITS).collect();
    units.join(" ")
}

/// A line of a table, and the notes below it.
struct Row<const N: usize> {
    cells: [String; N],
    /// The style of the second cell, the state.
    style: Style,
    notes: Vec<String>,
}

/// Writes `head` and `rows` in aligned columns, two spaces apart, with no space at the end of a line.
fn columns<const N: usize>(text: &mut String, head: [&str; N], rows: Vec<Row<N>>) {
    let head = Row {
        cells: head.map(str::to_owned),
        style: Style::new(),
        notes: Vec::new(),
    };
    let rows: Vec<Row<N>> = std::iter::once(head).chain(rows).collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter()
            .map(|row| row.cells[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    for Row {
        cells,
        style,
        notes,
    } in &rows
    {
        let padded = cells.iter().zip(widths).enumerate();
        let padded = padded.map(|(column, (cell, width))| match column {
            1 => format!("{style}{cell:<width$}{style:#}"),
            _ => format!("{cell:<width$}"),
        });
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
        for note in notes {
            // Writing to a String does not fail.
            let _ = writeln!(text, "  {note}");
        }
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
                    "grant_type": "client_credentials", "state": "ready", "expires_at": "1970-01-02T00:05:12Z",
                    "refresh_at": "1970-01-02T00:00:57Z", "token_requests": 3, "last_error": null
                },
                "happeo": {
                    "grant_type": "authorization_code", "state": "login_required", "expires_at": null,
                    "refresh_at": null, "token_requests": 1, "login_expires_at": "1970-01-01T23:59:55Z",
                    "last_error": {
                        "kind": "invalid_grant", "message": "it refuses", "description": "revoked",
                        "at": "1970-01-01T22:50:01Z"
                    }
                },
                "a-longer-name": {
                    "grant_type": "client_credentials", "state": "failing", "expires_at": null,
                    "refresh_at": "1970-01-31T20:08:50Z", "token_requests": 12, "last_error": {
                        "kind": "connect", "message": "\u{1b}[2Jno\nw\u{202e}ay", "at": "1970-01-02T00:00:48Z"
                    }
                },
                "github": {
                    "grant_type": "authorization_code", "state": "ready", "expires_at": null, "refresh_at": null,
                    "token_requests": 0, "last_error": null
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
            "PROVIDER       STATE           TOKEN EXPIRES  REFRESH        LOGIN ENDS  REQUESTS",
            "a-longer-name  failing         -              in 29days 20h  -           12",
            "  connect, 12s ago: \u{fffd}[2Jno\u{fffd}w\u{fffd}ay",
            "github         ready           never          -              -           0",
            "hapn           ready           in 4m 12s      now            -           3",
            "happeo         login_required  -              -              1m 5s ago   1",
            "  invalid_grant, 1h 10m ago: it refuses",
            "  the authorization server says: revoked",
            "  run: bearward login happeo",
            "",
            "ROUTE    LISTENER        UPSTREAM               PROVIDER",
            "devices  127.0.0.1:8080  https://api.iotgps.io  hapn",
            "open     unix:/x         http://127.0.0.1:1     -",
        ];
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(86_460);
        let shown = render(&status, now, false);
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected, "{shown}");
        assert!(shown.ends_with("-\n"));
        let coloured = render(&status, now, true);
        let (green, plain) = (state_style("ready", true), Style::new());
        assert_ne!(green, plain);
        assert!(coloured.contains(&format!("{green}ready         {green:#}")));
    }
}
