//! Texts that are the name of a variable, which other programs replace by its value.

use toml::de::DeValue;

use super::{
    diagnostics::Diagnostic,
    keys::{KeySpec, Kind},
    location::Location,
    problem_code::ProblemCode,
    quote::{is_variable_name, quote},
};

/// Returns the name in `$NAME` or `${NAME}`, which other programs replace by the variable's value.
///
/// A password may begin with `$`, so that only a name in braces may have small letters.
pub(super) fn literal_variable(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('$')?;
    let in_braces = rest
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let name = in_braces.unwrap_or(rest);
    let is_shouted = !name.contains(|c: char| c.is_ascii_lowercase());
    (is_variable_name(name) && (is_shouted || in_braces.is_some())).then_some(name)
}

/// Warns of a text that is the name of a variable. Braces may name one of `vars`, and a secret has an error.
pub(super) fn warn_of_literal_variable(
    value: &DeValue<'_>,
    spec: &KeySpec,
    location: &Location,
) -> Option<Diagnostic> {
    let text = value.as_str().filter(|text| !text.contains('{'))?;
    let is_secret = matches!(spec.kind, Kind::Secret | Kind::SecretOrMember);
    if is_secret || literal_variable(text).is_none() {
        return None;
    }
    Some(Diagnostic::warning(
        ProblemCode::LiteralVariable,
        location,
        format!(
            "`{}` = {} is taken literally: nothing replaces it",
            spec.name,
            quote(text)
        ),
        "write the value itself; only secrets may be { env = \"NAME\" }",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_variable_is_a_name_behind_a_dollar_sign() {
        for (text, name) in [
            ("$HAPN_CLIENT_SECRET", Some("HAPN_CLIENT_SECRET")),
            ("${HAPN_2}", Some("HAPN_2")),
            ("${hapn}", Some("hapn")),
            ("$ecret", None),
            ("$", None),
            ("${A", None),
            ("$A-B", None),
            ("$2Y", None),
            ("A$B", None),
        ] {
            assert_eq!(literal_variable(text), name, "{text}");
        }
    }
}
