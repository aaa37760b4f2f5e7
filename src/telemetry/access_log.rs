//! The access log: one line for each request.

use std::{fmt, time::Duration};

use crate::help;

/// One request in the access log. It has no header field and no query, so it holds no credential.
#[derive(Clone, Copy, Debug)]
pub struct AccessEntry<'a> {
    /// The matching route; `None` when no route matched.
    pub route: Option<&'a str>,
    /// The method as the client wrote it.
    pub method: &'a str,
    /// The path as the client wrote it, without the query.
    pub path: &'a str,
    /// The status of the response.
    pub status: u16,
    /// Bytes of the response body that were passed on to the client.
    pub bytes: u64,
    /// Time from the request head to the end of the response.
    pub elapsed: Duration,
    /// The cost of the token.
    pub token: TokenCost,
    /// Why the client got no complete response of the upstream.
    pub failure: Option<FailureEntry<'a>>,
}

/// A failed request in the access log. It holds no secret, and nothing of an authorization server but its `error` code.
#[derive(Clone, Copy, Debug)]
pub struct FailureEntry<'a> {
    /// The word of the problem's type.
    pub error: &'static str,
    /// The cause, for operators.
    pub reason: &'a str,
}

/// The cost of a token for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCost {
    /// The route has no provider, or the request ended before it needed a token.
    Unneeded,
    /// The token was cached.
    Cached,
    /// The request waited this long for the token.
    Waited(Duration),
    /// The upstream rejected the first token, and the request was repeated with another.
    Replayed,
}

impl fmt::Display for TokenCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unneeded => f.write_str("-"),
            Self::Cached => f.write_str("cached"),
            Self::Waited(wait) => write!(f, "waited {}ms", wait.as_millis()),
            Self::Replayed => f.write_str("replayed"),
        }
    }
}

/// Tells whether [`log`] writes anything, so that no entry is gathered in vain.
pub fn enabled() -> bool {
    tracing::enabled!(target: "bearward::access", tracing::Level::INFO)
}

/// Writes one line at `info`. It costs next to nothing when that level is off.
pub fn log(entry: &AccessEntry<'_>) {
    let AccessEntry {
        route,
        method,
        path,
        status,
        bytes,
        elapsed,
        token,
        failure,
    } = entry;
    let reason = failure.map(|failure| failure.reason);
    tracing::info!(
        target: "bearward::access",
        route = route.unwrap_or("-"),
        method,
        path,
        status,
        bytes,
        // Rounded to microseconds, so that a cached token's 0.3 ms do not show as 0.
        ms = (elapsed.as_secs_f64() * 1e6).round() / 1e3,
        token = %token,
        error = failure.map(|failure| failure.error),
        reason,
        help = failure.map(|failure| help::place(failure.error)),
        "request"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{LogFormat, tracing::recording};

    #[test]
    fn the_cost_of_a_token_reads_as_documented() {
        let shown = |cost: TokenCost| cost.to_string();
        assert_eq!(shown(TokenCost::Unneeded), "-");
        assert_eq!(shown(TokenCost::Cached), "cached");
        assert_eq!(
            shown(TokenCost::Waited(Duration::from_micros(12_700))),
            "waited 12ms"
        );
        assert_eq!(shown(TokenCost::Replayed), "replayed");
    }

    const ENTRY: AccessEntry<'_> = AccessEntry {
        route: Some("devices"),
        method: "GET",
        path: "/v1/devices",
        status: 200,
        bytes: 256,
        elapsed: Duration::from_micros(1250),
        token: TokenCost::Cached,
        failure: None,
    };

    #[test]
    fn a_failed_request_says_why() {
        let recording = recording::start("info", LogFormat::Json);
        let failure = FailureEntry {
            error: "upstream-unreachable",
            reason: "the upstream 127.0.0.1:1 refuses connections",
        };
        log(&AccessEntry {
            failure: Some(failure),
            ..ENTRY
        });
        let text = recording.finish();
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["error"], "upstream-unreachable");
        assert_eq!(line["reason"], failure.reason);
        assert_eq!(line["help"], "docs/errors.md#upstream-unreachable");
    }

    #[test]
    fn a_request_is_one_line_of_these_members() {
        let recording = recording::start("info", LogFormat::Json);
        assert!(enabled());
        log(&ENTRY);
        log(&AccessEntry {
            route: None,
            ..ENTRY
        });
        let text = recording.finish();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        let mut line = lines[0].clone();
        assert!(line.as_object_mut().unwrap().remove("timestamp").is_some());
        assert_eq!(
            line,
            serde_json::json!({
                "level": "INFO", "target": "bearward::access", "message": "request", "route": "devices", "method": "GET",
                "path": "/v1/devices", "status": 200, "bytes": 256, "ms": 1.25, "token": "cached"
            })
        );
        assert_eq!(lines[1]["route"], "-");
    }

    #[test]
    fn a_directive_disables_the_access_log_alone() {
        let recording = recording::start("info,bearward::access=warn", LogFormat::Text);
        assert!(!enabled());
        log(&ENTRY);
        tracing::info!(target: "bearward::token", "told");
        let text = recording.finish();
        assert!(text.contains("told") && !text.contains("request"), "{text}");
    }
}
