//! The authorization request of a provider to [`Authorization`].

use std::collections::BTreeMap;

use super::super::{
    BuildContext,
    endpoint::Endpoints,
    parameters::{names, parameters, renames},
};
use crate::{
    config::{
        choices::CHALLENGE_METHODS, diagnostics::Diagnostic, problem_code::ProblemCode,
        quote::quote, section::Section, spanned::Spanned,
    },
    oauth::{
        provider::{Authorization, ParameterValue},
        redirect_uri::{InvalidRedirectUri, RedirectUri},
    },
};

/// The parameters of the authorization request that bearward sets.
const OWN_PARAMETERS: [&str; 6] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "state",
    "code_challenge",
    "code_challenge_method",
];

/// Builds it from `authorization_endpoint`, `redirect_uri`, `code_challenge_method` and
/// `[….authorization]`.
pub(super) fn build(
    provider: &Section<'_>,
    endpoints: &Endpoints<'_, '_>,
    context: &mut BuildContext<'_>,
) -> Authorization {
    let section = provider.section("authorization");
    let default = Authorization::default();
    let endpoint = context.ok_or_push(endpoints.parse("authorization_endpoint"));
    let redirect_uri = provider
        .string("redirect_uri")
        .and_then(|found| context.ok_or_push(parse_redirect_uri(&found)));
    let code_parameter = section.string("code_parameter");

    Authorization {
        endpoint: endpoint.flatten(),
        redirect_uri,
        pkce: provider
            .choice("code_challenge_method", &CHALLENGE_METHODS)
            .unwrap_or(default.pkce),
        default_redirect_uri: None,
        redirect_uri_value: provider
            .string("redirect_uri_value")
            .map(|found| found.value.to_owned()),
        rename: renames(&section, "rename", context),
        omit: names(&section, "omit").unwrap_or(default.omit),
        params: params(&section, provider, context),
        code_parameter: code_parameter
            .map_or(default.code_parameter, |found| found.value.to_owned()),
    }
}

/// Parses an absolute URL without a fragment (RFC 6749 §3.1.2). An app's own scheme is permitted.
fn parse_redirect_uri(found: &Spanned<&str>) -> Result<RedirectUri, Diagnostic> {
    found.value.parse().map_err(|InvalidRedirectUri| {
        let uri = quote(found.value);
        found.error(
            format!("`redirect_uri` = {uri} is not an absolute URL without a fragment"),
            "write it exactly as it is registered, such as \"http://127.0.0.1:9900/callback\"",
        )
    })
}

fn params(
    section: &Section<'_>,
    provider: &Section<'_>,
    context: &mut BuildContext<'_>,
) -> BTreeMap<String, ParameterValue> {
    let sets_scope = provider.strings("scope").is_some();
    parameters(section, "params", context, |name, found| {
        if !OWN_PARAMETERS.contains(&name) && (name != "scope" || !sets_scope) {
            return Ok(());
        }
        Err(found
            .error(
                format!("bearward sets the parameter `{name}` of the authorization request itself"),
                format!(
                    "remove `{name}` from `params`; no parameter may be sent twice (RFC 6749 §3.1)"
                ),
            )
            .with_code(ProblemCode::ReservedName))
    })
}
