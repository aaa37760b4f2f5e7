//! `allow` lists of hosts to [`HostList`].

use url::Host;

use super::BuildContext;
use crate::{
    config::{diagnostics::Diagnostic, quote::quote, section::Section, spanned::Spanned},
    oauth::provider::HostList,
};

/// Builds `allow` of `section`, and reports names that no host can ever have.
pub(super) fn build(section: &Section<'_>, context: &mut BuildContext<'_>) -> HostList {
    let found = section.strings("allow").map(|found| found.value);
    let names = found.unwrap_or_default();
    for name in &names {
        context.ok_or_push(check_name(name));
    }
    HostList::new(names.iter().map(|name| name.value))
}

fn check_name(name: &Spanned<&str>) -> Result<(), Diagnostic> {
    let text = name.value;
    // A variable without a value was reported.
    let is_valid = text.contains('{')
        || match text.strip_prefix("*.") {
            Some(suffix) => matches!(parse(suffix), Some(Host::Domain(_))),
            None => parse(text).is_some(),
        };
    if is_valid {
        return Ok(());
    }
    Err(name.error(
        format!("{} in `allow` is not a host name", quote(text)),
        "write a name like api.example.com, or *.example.com, without a scheme, port or path; in \
         ASCII",
    ))
}

/// Parses a host in the form that a parsed URL has, but for the case of its letters.
fn parse(text: &str) -> Option<Host> {
    let host = Host::parse(text).ok()?;
    let is_whole = !text.contains('*') && host.to_string().eq_ignore_ascii_case(text);
    is_whole.then_some(host)
}
