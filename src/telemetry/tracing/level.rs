//! `[log] level`: a level, or directives such as `info,bearward::oauth=debug`.
//!
//! Libraries print header fields and frames at `debug` and `trace`. So foreign targets stay at `warn`, or at `info`
//! where a directive names them.

use thiserror::Error;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// The crate's own target.
const OWN: &str = "bearward";

/// The most detailed level of a foreign target that no directive names.
const MAX_FOREIGN: LevelFilter = LevelFilter::WARN;

/// The most detailed level of a foreign target that a directive names.
const MAX_NAMED_FOREIGN: LevelFilter = LevelFilter::INFO;

/// Checks a level or directives without setting up a log.
///
/// # Errors
/// The first invalid directive.
pub fn validate_level(text: &str) -> Result<(), InvalidLevel> {
    parse(text).map(drop)
}

/// Parses a level or directives, and clamps foreign targets.
pub(super) fn parse(text: &str) -> Result<Targets, InvalidLevel> {
    let mut default = LevelFilter::INFO;
    let mut named = Vec::new();
    for directive in text.split(',').map(str::trim) {
        let invalid = || InvalidLevel {
            directive: directive.to_owned(),
        };
        let (target, level) = directive
            .split_once('=')
            .map_or((None, directive), |(target, level)| (Some(target), level));
        // `Targets` also reads a misspelt level as a target, and a number as a level.
        let is_word = !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_alphabetic());
        let level = level.parse().ok().filter(|_| is_word).ok_or_else(invalid)?;
        match target {
            None => default = level,
            Some(target) => {
                let is_target = is_target(target);
                named.push((target, is_target.then_some(level).ok_or_else(invalid)?));
            }
        }
    }

    Ok(Targets::new()
        .with_default(default.min(MAX_FOREIGN))
        .with_target(OWN, default)
        .with_targets(
            named
                .into_iter()
                .map(|(target, level)| (target, clamped(target, level))),
        ))
}

fn is_target(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-');
    !text.is_empty() && text.bytes().all(is_allowed)
}

fn clamped(target: &str, level: LevelFilter) -> LevelFilter {
    let own = target
        .strip_prefix(OWN)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    if own {
        level
    } else {
        level.min(MAX_NAMED_FOREIGN)
    }
}

/// An invalid log directive.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{directive:?} is neither a level (off, error, warn, info, debug, trace) nor a directive such as \
     bearward::oauth=debug"
)]
pub struct InvalidLevel {
    directive: String,
}

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
    fn a_target_with_a_similar_name_is_foreign() {
        let targets = parse("bear=trace,bearwardish=trace").unwrap();
        assert!(!targets.would_enable("bearwardish", &tracing::Level::DEBUG));
        assert!(!targets.would_enable("bears", &tracing::Level::DEBUG));
    }
}
