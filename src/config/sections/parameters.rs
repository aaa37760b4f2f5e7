//! Parameters and header fields, whose values may be secrets, lists and templates.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};

use super::{BuildContext, secret};
use crate::{
    config::{
        diagnostics::Diagnostic, parsed::ParameterSource, quote::quote, section::Section,
        spanned::Spanned,
    },
    oauth::{provider::ParameterValue, template::Template},
};

/// Parses a text with variables. The check of a provider's variables reports an invalid one.
pub(super) fn template(text: &str) -> Template {
    Template::parse(text).unwrap_or_default()
}

/// Builds the parameters under `key`. `check` reports those that may not be set.
pub(super) fn parameters(
    section: &Section<'_>,
    key: &str,
    context: &mut BuildContext<'_>,
    check: impl Fn(&str, &Spanned<ParameterSource<'_>>) -> Result<(), Diagnostic>,
) -> BTreeMap<String, ParameterValue> {
    let mut parameters = BTreeMap::new();
    for (name, found) in section.parameters(key) {
        context.ok_or_push(check(name, &found));
        if let Some(value) = value(name, &found, context) {
            parameters.insert(name.to_owned(), value);
        }
    }
    parameters
}

/// Builds the header fields under `key`. `check` reports those that may not be set.
pub(super) fn headers(
    section: &Section<'_>,
    key: &str,
    context: &mut BuildContext<'_>,
    check: impl Fn(&HeaderName, &Spanned<ParameterSource<'_>>) -> Result<(), Diagnostic>,
) -> Vec<(HeaderName, ParameterValue)> {
    let mut headers = Vec::new();
    for (name, found) in section.parameters(key) {
        let parsed = parse_name(name, &found).and_then(|name| {
            check(&name, &found)?;
            check_field_value(&name, &found)?;
            Ok(name)
        });
        let parsed = context.ok_or_push(parsed);
        let value = value(name, &found, context);
        headers.extend(parsed.zip(value));
    }
    headers
}

fn parse_name(name: &str, found: &Spanned<ParameterSource<'_>>) -> Result<HeaderName, Diagnostic> {
    name.parse().map_err(|_| {
        found.error(
            "this is not the name of a header field",
            "use letters, digits and `-`, such as x-api-version",
        )
    })
}

fn check_field_value(
    name: &HeaderName,
    found: &Spanned<ParameterSource<'_>>,
) -> Result<(), Diagnostic> {
    let texts = match &found.value {
        ParameterSource::Text(text) => std::slice::from_ref(text),
        ParameterSource::List(texts) => texts.as_slice(),
        ParameterSource::Secret(_) => &[],
    };
    if texts.iter().all(|text| HeaderValue::from_str(text).is_ok()) {
        return Ok(());
    }
    Err(found.error(
        format!("the value of the header field `{name}` contains invalid characters"),
        "use visible characters and spaces only, without line breaks",
    ))
}

fn value(
    name: &str,
    found: &Spanned<ParameterSource<'_>>,
    context: &mut BuildContext<'_>,
) -> Option<ParameterValue> {
    match &found.value {
        ParameterSource::Text(text) => Some(ParameterValue::Text(template(text))),
        ParameterSource::List(texts) => {
            let templates = texts.iter().map(|text| template(text));
            Some(ParameterValue::List(templates.collect()))
        }
        ParameterSource::Secret(source) => {
            let source = Spanned {
                value: *source,
                location: found.location.clone(),
            };
            secret::build(name, &source, context).map(ParameterValue::Secret)
        }
    }
}

/// Returns names by names, such as those of `rename`.
pub(super) fn renames(
    section: &Section<'_>,
    key: &str,
    context: &mut BuildContext<'_>,
) -> BTreeMap<String, String> {
    let mut renames = BTreeMap::new();
    for (from, to) in section.string_map(key) {
        if to.value.is_empty() {
            context.push(to.error(
                format!("{} in `{key}` has no new name", quote(from)),
                "give it a name, or list the parameter in `omit`",
            ));
        }
        renames.insert(from.to_owned(), to.value.to_owned());
    }
    renames
}

/// Returns the names of parameters under `key`.
pub(super) fn names(section: &Section<'_>, key: &str) -> Option<Vec<String>> {
    let names = section.strings(key)?.value;
    Some(names.iter().map(|name| name.value.to_owned()).collect())
}
