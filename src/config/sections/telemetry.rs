//! `[telemetry]` to [`TraceSettings`].

use url::Url;

use super::{
    BuildContext,
    endpoint::{check_no_query, parse_absolute},
};
use crate::{
    config::{
        diagnostics::Diagnostic, problem_code::ProblemCode, section::Section, spanned::Spanned,
    },
    oauth::provider::is_protected,
    telemetry::traces::TraceSettings,
};

/// The key of the collector.
const COLLECTOR: &str = "otlp_endpoint";

/// Builds the settings of traces; `None` without a collector.
pub(super) fn build(
    section: &Section<'_>,
    context: &mut BuildContext<'_>,
) -> Option<TraceSettings> {
    let ratio = section.ratio("sample_ratio");
    let Some(found) = section.string(COLLECTOR) else {
        if ratio.is_some() && !section.is_set(COLLECTOR) {
            context.push(section.warning(
                ProblemCode::NoEffect,
                "[telemetry] has no `otlp_endpoint`, so there are no traces",
                "add otlp_endpoint = \"http://127.0.0.1:4318\"",
            ));
        }
        return None;
    };
    let collector = context.ok_or_push(parse_collector(&found))?;
    if !is_protected(&collector, false) {
        context.push(found.warning(
            ProblemCode::Plaintext,
            "traces are sent in plain text: others can read the paths of requests",
            "use https://, or a collector on this machine",
        ));
    }
    Some(TraceSettings {
        collector,
        sample_ratio: ratio.unwrap_or(TraceSettings::DEFAULT_SAMPLE_RATIO),
    })
}

fn parse_collector(found: &Spanned<&str>) -> Result<Url, Diagnostic> {
    let url = parse_absolute(COLLECTOR, found)?;
    check_no_query(&url, COLLECTOR, found)?;
    Ok(url)
}
