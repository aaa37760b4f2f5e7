//! One line a request.

use std::{fmt, time::Duration};

/// What the line says. No header field and no query: nothing in it can hold a credential.
#[derive(Clone, Copy, Debug)]
pub struct AccessEntry<'a> {
    /// The route that answered; `None` when nothing matched.
    pub route: Option<&'a str>,
    /// The method as the caller wrote it.
    pub method: &'a str,
    /// The path as the caller wrote it, without the query.
    pub path: &'a str,
    /// The status the caller got.
    pub status: u16,
    /// Bytes of the answer's body that were handed to the caller.
    pub bytes: u64,
    /// From the request's head to the end of its answer.
    pub elapsed: Duration,
    /// See [`TokenCost`].
    pub token: TokenCost,
}

/// What the token cost this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCost {
    /// The route has no provider, or the request did not come that far.
    Unneeded,
    /// It was there.
    Cached,
    /// The request waited for it.
    Waited(Duration),
    /// The upstream refused the first one, and the request was repeated with another.
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

/// Whether [`log`] writes anything: ask before gathering what an entry needs.
pub fn enabled() -> bool {
    tracing::enabled!(target: "bearward::access", tracing::Level::INFO)
}

/// Writes the line, at `info`. Costs next to nothing when that level is off.
pub fn log(entry: &AccessEntry<'_>) {
    let AccessEntry { route, method, path, status, bytes, elapsed, token } = entry;
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
        "request"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_of_a_token_reads_as_documented() {
        let shown = |cost: TokenCost| cost.to_string();
        assert_eq!(shown(TokenCost::Unneeded), "-");
        assert_eq!(shown(TokenCost::Cached), "cached");
        assert_eq!(shown(TokenCost::Waited(Duration::from_micros(12_700))), "waited 12ms");
        assert_eq!(shown(TokenCost::Replayed), "replayed");
    }
}
