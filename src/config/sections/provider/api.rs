//! `api_base`, `[providers.NAME.api]` and `verify`.

use http::{HeaderName, Method};

use super::{
    super::{
        BuildContext,
        endpoint::Endpoints,
        hosts,
        parameters::{headers, parameters},
    },
    injection::RESERVED_FIELDS,
    token_response::parse_pointer,
};
use crate::{
    config::{
        diagnostics::Diagnostic, parsed::ParameterSource, problem_code::ProblemCode, quote::quote,
        section::Section, spanned::Spanned,
    },
    oauth::provider::{ApiBase, ApiFields, Verification},
    proxy::route::Injection,
};

/// The reserved fields that a request to the API may have all the same.
const PERMITTED: [&str; 1] = ["content-type"];

/// Builds the address of the API: a URL, or a member of the token response.
pub(super) fn build_base(
    provider: &Section<'_>,
    endpoints: &Endpoints<'_, '_>,
    context: &mut BuildContext<'_>,
) -> Option<ApiBase> {
    if provider.string("api_base").is_some() {
        let url = context.ok_or_push(endpoints.parse_api_base());
        return url.flatten().map(ApiBase::Url);
    }
    if !provider.has_table("api_base") {
        return None;
    }
    let table = provider.section("api_base");
    let from = table.string("from");
    let from = from.and_then(|found| context.ok_or_push(parse_pointer("from", &found)));
    let allow = hosts::build(&table, context);
    if (from.is_none() && !table.is_set("from")) || allow.is_empty() {
        context.push(table.error(
            "`api_base` needs `from` and `allow`",
            "write { from = \"/instance_url\", allow = [\"*.example.com\"] }; `allow` names the \
             hosts that may get the token",
        ));
    }
    let append = table.string("append");
    let append = append.and_then(|found| context.ok_or_push(parse_append(&found)));
    Some(ApiBase::Response {
        from: from?,
        allow,
        append: append.unwrap_or_default(),
    })
}

fn parse_append(found: &Spanned<&str>) -> Result<String, Diagnostic> {
    let path = found.value.trim_end_matches('/');
    if (path.is_empty() || path.starts_with('/')) && !path.contains(['?', '#']) {
        return Ok(path.to_owned());
    }
    Err(found.error(
        format!("`append` = {} is not a path", quote(found.value)),
        "write it like \"/services\", without a query",
    ))
}

pub(super) fn build_fields(section: &Section<'_>, context: &mut BuildContext<'_>) -> ApiFields {
    ApiFields {
        headers: headers(section, "headers", context, check_header),
        default_headers: headers(section, "default_headers", context, check_header),
        query: parameters(section, "query", context, |_, _| Ok(())),
    }
}

/// Reports a field or parameter in the place of the token, which would replace it anyway.
pub(super) fn check_injection(
    section: &Section<'_>,
    injection: &Injection,
) -> Result<(), Diagnostic> {
    let (keys, place): (&[_], _) = match injection {
        Injection::Header { name, .. } => (&["headers", "default_headers"], name.as_str()),
        Injection::Query { name } => (&["query"], name.as_str()),
    };
    for key in keys {
        for (name, found) in section.parameters(key) {
            let is_same = match injection {
                Injection::Header { .. } => name.eq_ignore_ascii_case(place),
                Injection::Query { .. } => name == place,
            };
            if is_same {
                return Err(found
                    .error(
                        format!("`{place}` in `{key}` is the place of the token"),
                        format!("remove `{place}`, or give the token another place in `inject`"),
                    )
                    .with_code(ProblemCode::ReservedName));
            }
        }
    }
    Ok(())
}

fn check_header(name: &HeaderName, found: &Spanned<ParameterSource<'_>>) -> Result<(), Diagnostic> {
    if !RESERVED_FIELDS.contains(&name.as_str()) || PERMITTED.contains(&name.as_str()) {
        return Ok(());
    }
    Err(found
        .error(
            format!("the field `{name}` frames or routes requests, so bearward sets it itself"),
            format!("remove `{name}`"),
        )
        .with_code(ProblemCode::ReservedName))
}

/// Parses a method and a path, such as `GET /v1/me`.
pub(super) fn parse_verification(found: &Spanned<&str>) -> Result<Verification, Diagnostic> {
    let parsed = found.value.split_once(' ').and_then(|(method, path)| {
        let method: Method = method.parse().ok()?;
        let is_path = path.starts_with('/') && !path.contains(['#', ' ']);
        is_path.then(|| Verification {
            method,
            path: path.to_owned(),
        })
    });
    parsed.ok_or_else(|| {
        found.error(
            format!("`verify` = {} is not a request", quote(found.value)),
            "write a method and a path, such as \"GET /v1/me\"",
        )
    })
}
