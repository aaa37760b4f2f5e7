//! JSON Pointers (RFC 6901) into token answers.

use super::{
    super::{
        raw::{Found, Section},
        value::quote,
    },
    Context,
};

/// The pointer `name` of `section`, or `default`.
pub(super) fn read(
    section: &Section<'_>,
    name: &'static str,
    default: &str,
    context: &mut Context<'_>,
) -> String {
    let Some(Found { value, at }) = section.text(name) else {
        return default.to_owned();
    };
    if !value.is_empty() && !value.starts_with('/') {
        context.error(
            &at,
            format!("{} is not a JSON Pointer", quote(value)),
            "it begins with `/`, as in \"/data/token\"",
        );
    } else if value
        .split('~')
        .skip(1)
        .any(|rest| !rest.starts_with(['0', '1']))
    {
        context.error(
            &at,
            format!("{} is not a JSON Pointer", quote(value)),
            "`~` is written ~0, and `/` in a name ~1",
        );
    }
    value.to_owned()
}
