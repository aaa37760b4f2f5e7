//! `[providers.NAME.capture.*]` to [`Capture`].

use super::{
    super::{BuildContext, endpoint::Endpoints, hosts},
    token_response::parse_pointer,
};
use crate::{
    config::{diagnostics::Diagnostic, problem_code::ProblemCode, quote::quote, section::Section},
    oauth::{
        provider::{Capture, CaptureSource, HostList},
        template::is_variable_name,
        variables::BUILT_IN,
    },
};

/// A capture whose source is still to be built: its URL may have other captured values.
pub(in crate::config::sections) struct NamedCapture<'a> {
    pub(in crate::config::sections) name: &'a str,
    pub(in crate::config::sections) allow: HostList,
    section: Section<'a>,
}

/// Reads the names of the captures and their hosts.
pub(super) fn build_all<'a>(
    provider: &Section<'a>,
    context: &mut BuildContext<'_>,
) -> Vec<NamedCapture<'a>> {
    let sections = provider.named_sections("capture");
    let named = sections.into_iter().map(|(name, section)| {
        context.ok_or_push(check_name(name, &section));
        NamedCapture {
            name,
            allow: hosts::build(&section, context),
            section,
        }
    });
    named.collect()
}

fn check_name(name: &str, section: &Section<'_>) -> Result<(), Diagnostic> {
    if is_variable_name(name) && !BUILT_IN.contains(&name) {
        return Ok(());
    }
    Err(section
        .error(
            format!("{} is not the name of a captured value", quote(name)),
            "use small letters, digits and `_`, and none of bearward's own variables",
        )
        .with_code(ProblemCode::InvalidName))
}

/// Builds the sources of the captures.
pub(super) fn complete(
    captures: Vec<NamedCapture<'_>>,
    endpoints: &Endpoints<'_, '_>,
    context: &mut BuildContext<'_>,
) -> Vec<Capture> {
    let complete = captures.into_iter().filter_map(|capture| {
        let source = source(&capture.section, endpoints, context);
        Some(Capture {
            name: capture.name.to_owned(),
            source: context.ok_or_push(source)??,
            allow: capture.allow,
        })
    });
    complete.collect()
}

fn source(
    section: &Section<'_>,
    endpoints: &Endpoints<'_, '_>,
    context: &mut BuildContext<'_>,
) -> Result<Option<CaptureSource>, Diagnostic> {
    let pointer = section.string("pointer");
    if section.is_set("callback") == section.is_set("get") {
        return Err(section
            .error(
                "a captured value comes either from `callback` or from `get`",
                "add callback = \"realmId\", or get = \"https://…\" and pointer = \"/…\"",
            )
            .with_code(ProblemCode::ConflictingKeys));
    }
    if let Some(parameter) = section.string("callback") {
        return Ok(Some(CaptureSource::Callback(parameter.value.to_owned())));
    }
    let url = context.ok_or_push(endpoints.in_section(section).parse("get"));
    let Some(pointer) = pointer else {
        return Err(section.error(
            "`get` has no `pointer` to the value in its response",
            "add pointer = \"/0/id\"",
        ));
    };
    let pointer = parse_pointer("pointer", &pointer)?;
    Ok(url.flatten().map(|url| CaptureSource::Get {
        url: Box::new(url),
        pointer,
    }))
}
