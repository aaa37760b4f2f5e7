//! `scope` of a provider.

use super::super::BuildContext;
use crate::{
    config::{problem_code::ProblemCode, section::Section},
    oauth::provider::Provider,
};

/// Returns one string as it is, or an array joined by the separator. Without scopes it is `None`.
pub(super) fn build(section: &Section<'_>, context: &mut BuildContext<'_>) -> Option<String> {
    let separator = section.section("token_request").string("scope_separator");
    let separator = separator.map_or(Provider::DEFAULT_SCOPE_SEPARATOR, |found| found.value);
    let found = section.strings("scope")?;
    let scopes: Vec<_> = found.value.iter().map(|scope| scope.value).collect();
    let has_commas = scopes.iter().any(|scope| scope.contains(','));
    if has_commas && !separator.contains(',') && section.is_set_in_file("scope") {
        context.push(found.warning(
            ProblemCode::ScopeCommas,
            "`scope` has commas, and scopes are separated by blanks",
            "write scope = \"a b\" or scope = [\"a\", \"b\"]; where the vendor wants commas, write the array and \
             token_request.scope_separator = \",\"",
        ));
    }
    Some(scopes.join(separator)).filter(|scope| !scope.is_empty())
}
