//! `[providers.NAME.inject]` to [`Injection`].

use http::HeaderName;

use super::super::BuildContext;
use crate::{
    config::{
        diagnostics::Diagnostic, problem_code::ProblemCode, quote::quote, section::Section,
        spanned::Spanned,
    },
    proxy::route::Injection,
};

/// Fields that neither the token nor `headers` may use. They frame or route a message, belong to
/// one hop (RFC 9110 §7.6.1), or carry the client key.
pub(super) const RESERVED_FIELDS: [&str; 15] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "x-bearward-key",
];

pub(super) fn build(section: &Section<'_>, context: &mut BuildContext<'_>) -> Injection {
    if let Some(query) = section.string("query") {
        if section.is_set_in_file("header") || section.is_set_in_file("prefix") {
            context.push(query.error(
                "`query` conflicts with `header` and `prefix`: the token has one place only",
                "keep either `query`, or `header` and `prefix`",
            ).with_code(ProblemCode::ConflictingKeys));
        }
        context.ok_or_push(check_query(&query));
        return Injection::Query {
            name: query.value.to_owned(),
        };
    }

    let header = section.string("header");
    let header = header.and_then(|found| context.ok_or_push(parse_header(&found)));
    let prefix = section.string("prefix");
    let prefix = prefix.and_then(|found| context.ok_or_push(parse_prefix(&found)));
    Injection::Header {
        name: header.unwrap_or(Injection::DEFAULT_HEADER),
        prefix: prefix.unwrap_or_else(|| Injection::DEFAULT_PREFIX.to_owned()),
    }
}

fn check_query(query: &Spanned<&str>) -> Result<(), Diagnostic> {
    let is_unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if query.value.chars().all(is_unreserved) {
        return Ok(());
    }
    Err(query.error(
        format!(
            "`query` = {} is not the name of a query parameter",
            quote(query.value)
        ),
        "use letters, digits, `-`, `.`, `_` and `~`, such as \"access_token\"",
    ))
}

fn parse_header(header: &Spanned<&str>) -> Result<HeaderName, Diagnostic> {
    let Ok(name) = header.value.parse::<HeaderName>() else {
        return Err(header.error(
            format!(
                "`header` = {} is not the name of a header field",
                quote(header.value)
            ),
            "use letters, digits and `-`, such as x-api-key",
        ));
    };
    if RESERVED_FIELDS.contains(&name.as_str()) {
        return Err(header
            .error(
                format!("`header` = \"{name}\" is reserved: the field frames or routes requests"),
                "use a field such as authorization or x-api-key",
            )
            .with_code(ProblemCode::ReservedName));
    }
    Ok(name)
}

/// Parses visible ASCII and spaces, with no space at the start.
fn parse_prefix(prefix: &Spanned<&str>) -> Result<String, Diagnostic> {
    let text = prefix.value;
    let is_printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if is_printable && !text.starts_with(' ') {
        return Ok(text.to_owned());
    }
    Err(prefix.error(
        "`prefix` contains characters that a header cannot have",
        "use visible ASCII, and spaces only after it, such as \"Bearer \"",
    ))
}
