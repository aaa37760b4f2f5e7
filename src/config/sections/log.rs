//! `[log]` to [`LogSettings`].

use super::BuildContext;
use crate::{
    config::{
        choices::LOG_FORMATS, diagnostics::Diagnostic, quote::quote, section::Section,
        spanned::Spanned,
    },
    telemetry::{LogSettings, tracing::validate_level},
};

pub(super) fn build(section: &Section<'_>, context: &mut BuildContext<'_>) -> LogSettings {
    let default = LogSettings::default();
    let level = section
        .string("level")
        .and_then(|level| context.ok_or_push(parse_level(&level)));
    LogSettings {
        format: section
            .choice("format", &LOG_FORMATS)
            .unwrap_or(default.format),
        level: level.unwrap_or(default.level),
    }
}

fn parse_level(level: &Spanned<&str>) -> Result<String, Diagnostic> {
    match validate_level(level.value) {
        Ok(()) => Ok(level.value.to_owned()),
        Err(_) => Err(level.error(
            format!("`level` = {} is not a log level", quote(level.value)),
            "use error, warn, info, debug, trace or off; or directives such as \
             \"bearward::oauth=debug,info\"",
        )),
    }
}
