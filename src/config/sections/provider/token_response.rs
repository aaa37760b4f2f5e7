//! `[providers.NAME.token_response]` to [`TokenResponse`].

use std::collections::BTreeMap;

use super::super::BuildContext;
use crate::{
    config::{
        choices::{ERROR_CODES, EXPIRES_IN_UNITS},
        diagnostics::Diagnostic,
        problem_code::ProblemCode,
        quote::quote,
        section::Section,
        spanned::Spanned,
        suggestion::nearest,
    },
    oauth::{
        provider::{Lifetime, MappedError, SuccessCondition, TokenResponse, TokenTypes},
        response::needs_proof,
    },
};

pub(super) fn build(section: &Section<'_>, context: &mut BuildContext<'_>) -> TokenResponse {
    let default = TokenResponse::default();
    TokenResponse {
        access_token: access_token(section, context).unwrap_or(default.access_token),
        refresh_token: pointer(section, "refresh_token", context).unwrap_or(default.refresh_token),
        expires_in: pointer(section, "expires_in", context).unwrap_or(default.expires_in),
        error: pointer(section, "error", context).unwrap_or(default.error),
        expires_at: pointer(section, "expires_at", context),
        refresh_expires_in: pointer(section, "refresh_expires_in", context),
        expires_in_unit: section
            .choice("expires_in_unit", &EXPIRES_IN_UNITS)
            .unwrap_or(default.expires_in_unit),
        default_lifetime: section
            .duration_or_never("default_lifetime")
            .map(|lifetime| lifetime.map_or(Lifetime::Never, Lifetime::For)),
        max_lifetime: section.duration("max_lifetime"),
        token_types: token_types(section, context),
        success: success(section, context),
        error_map: error_map(section, context),
    }
}

fn pointer(section: &Section<'_>, name: &str, context: &mut BuildContext<'_>) -> Option<String> {
    let found = section.string(name)?;
    context.ok_or_push(parse_pointer(name, &found))
}

/// Returns the pointer to the access token. The empty one names the whole response, which is no text.
fn access_token(section: &Section<'_>, context: &mut BuildContext<'_>) -> Option<String> {
    let found = section.string("access_token")?;
    if found.value.is_empty() {
        context.push(found.error(
            "`access_token` is empty, and names the whole response instead of the token",
            "write the pointer to the token, such as \"/access_token\"",
        ));
        return None;
    }
    context.ok_or_push(parse_pointer("access_token", &found))
}

fn token_types(section: &Section<'_>, context: &mut BuildContext<'_>) -> TokenTypes {
    let Some(types) = section.strings("token_types") else {
        return TokenTypes::AnyBearer;
    };
    if types.value.is_empty() {
        context.push(
            types
                .error(
                    "`token_types` is empty, so no token could be used",
                    "list the accepted types, or remove `token_types`",
                )
                .with_code(ProblemCode::InvalidValue),
        );
    }
    for kind in &types.value {
        if needs_proof(kind.value) {
            context.push(kind.error(
                format!(
                    "tokens of the type {} need a proof of possession",
                    quote(kind.value)
                ),
                "remove it: bearward sends bearer tokens",
            ));
        }
    }
    TokenTypes::Only(
        types
            .value
            .iter()
            .map(|kind| kind.value.to_owned())
            .collect(),
    )
}

fn success(section: &Section<'_>, context: &mut BuildContext<'_>) -> Option<SuccessCondition> {
    if !section.has_table("success") {
        return None;
    }
    let table = section.section("success");
    for key in ["pointer", "equals"] {
        if !table.is_set(key) {
            context.push(table.error(
                format!("`success` has no `{key}`"),
                "write { pointer = \"/ok\", equals = true }",
            ));
        }
    }
    let pointer = pointer(&table, "pointer", context);
    let equals = table.scalar("equals");
    Some(SuccessCondition {
        pointer: pointer?,
        equals: equals?,
    })
}

/// Returns the meaning of the vendor's codes: a code of RFC 6749 §5.2, or `temporary`.
fn error_map(
    section: &Section<'_>,
    context: &mut BuildContext<'_>,
) -> BTreeMap<String, MappedError> {
    let mut map = BTreeMap::new();
    for (code, meaning) in section.string_map("error_map") {
        let mapped = match meaning.value {
            "temporary" => MappedError::Temporary,
            known if ERROR_CODES.contains(&known) => MappedError::Code(known.to_owned()),
            other => {
                context.push(meaning.error(
                    format!("{} in `error_map` is not a code of RFC 6749", quote(other)),
                    match nearest(other, ERROR_CODES.iter().copied()) {
                        Some(similar) => format!("did you mean \"{similar}\"?"),
                        None => format!("use \"temporary\" or one of {}", ERROR_CODES.join(", ")),
                    },
                ));
                continue;
            }
        };
        map.insert(code.to_owned(), mapped);
    }
    map
}

/// Parses a JSON Pointer (RFC 6901 §3). The empty one is valid.
pub(super) fn parse_pointer(name: &str, found: &Spanned<&str>) -> Result<String, Diagnostic> {
    let pointer = found.value;
    let is_escaped = |rest: &str| rest.starts_with(['0', '1']);
    let hint = if !pointer.is_empty() && !pointer.starts_with('/') {
        "begin with `/`, such as \"/data/token\""
    } else if !pointer.split('~').skip(1).all(is_escaped) {
        "write `~` in a name as ~0, and `/` in a name as ~1"
    } else {
        return Ok(pointer.to_owned());
    };
    Err(found.error(
        format!("`{name}` = {} is not a JSON Pointer", quote(pointer)),
        hint,
    ))
}
