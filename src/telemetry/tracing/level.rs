//! `[log] level`: a level, or directives such as `info,bearward::oauth=debug`.
//!
//! The libraries below print header fields and frames when they are asked for details, so whatever is not our own stays
//! at `warn`, or at `info` where a directive names it, and never tells more than that.

use std::fmt;

use tracing_subscriber::filter::{LevelFilter, Targets};

use super::FOREIGN;

/// Checks what a configuration says without setting anything up.
///
/// # Errors
/// The directive that is none.
pub fn validate_level(text: &str) -> Result<(), InvalidLevel> {
    parse(text).map(drop)
}

/// Reads a level or directives.
pub(super) fn parse(text: &str) -> Result<Targets, InvalidLevel> {
    let mut default = None;
    let mut named = Vec::new();
    for directive in text.split(',').map(str::trim) {
        let invalid = || InvalidLevel {
            directive: directive.to_owned(),
        };
        match directive.split_once('=') {
            None => default = Some(level(directive).ok_or_else(invalid)?),
            Some((target, word)) if is_target(target) => {
                named.push((target, level(word).ok_or_else(invalid)?))
            }
            Some(_) => return Err(invalid()),
        }
    }
    let default = default.unwrap_or(LevelFilter::INFO);
    let targets = Targets::new()
        .with_default(default.min(FOREIGN))
        .with_target(OURS, default);
    Ok(targets.with_targets(
        named
            .into_iter()
            .map(|(target, level)| (target, bounded(target, level))),
    ))
}

const OURS: &str = "bearward";

fn bounded(target: &str, level: LevelFilter) -> LevelFilter {
    let ours = target
        .strip_prefix(OURS)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    if ours {
        level
    } else {
        level.min(LevelFilter::INFO)
    }
}

fn level(word: &str) -> Option<LevelFilter> {
    const LEVELS: [(&str, LevelFilter); 6] = [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    LEVELS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
        .map(|(_, level)| *level)
}

fn is_target(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-'))
}

/// A directive that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidLevel {
    directive: String,
}

impl fmt::Display for InvalidLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is neither a level (off, error, warn, info, debug, trace) nor a directive such as bearward::oauth=debug",
            self.directive
        )
    }
}

impl std::error::Error for InvalidLevel {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_accepted() {
        for text in [
            "info",
            "TRACE",
            "off",
            "warn,bearward::oauth=debug",
            "bearward=debug",
            "info, h2=info",
        ] {
            assert_eq!(validate_level(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_misspelt_level_is_an_error_and_not_a_target() {
        for text in [
            "",
            "inof",
            "info,",
            "=debug",
            "bearward=",
            "bearward=loud",
            "bearward[span]=debug",
            "info;debug",
        ] {
            assert!(validate_level(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_directive_may_ask_for_less_than_the_default() {
        let targets = parse("debug,bearward::access=off,h2=off").unwrap();
        assert!(!targets.would_enable("bearward::access", &tracing::Level::ERROR));
        assert!(!targets.would_enable("h2", &tracing::Level::ERROR));
        assert!(targets.would_enable("bearward::token", &tracing::Level::DEBUG));
    }

    #[test]
    fn directives_alone_leave_the_rest_at_info() {
        let targets = parse("bearward::oauth=debug").unwrap();
        assert!(targets.would_enable("bearward::proxy", &tracing::Level::INFO));
        assert!(!targets.would_enable("bearward::proxy", &tracing::Level::DEBUG));
    }

    #[test]
    fn a_target_that_only_looks_like_ours_is_not() {
        let targets = parse("bear=trace,bearwardish=trace").unwrap();
        assert!(!targets.would_enable("bearwardish", &tracing::Level::DEBUG));
        assert!(!targets.would_enable("bears", &tracing::Level::DEBUG));
    }
}
