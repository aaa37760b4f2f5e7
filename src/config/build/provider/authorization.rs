//! The consent redirect and headless sign-in of a provider.

use std::collections::BTreeMap;

use url::Url;

use super::{
    super::{
        super::{
            raw::{Found, Section},
            value::quote,
        },
        Context, endpoint, secret,
    },
    request,
};
use crate::oauth::{
    provider::{Authorization, Encoding, SignIn},
    redirect_uri::{InvalidRedirectUri, RedirectUri},
};

/// Of `authorization_endpoint`, `redirect_uri`, `code_challenge_method` and `[providers.NAME.authorization]`.
pub(super) fn build(
    provider: &Section<'_>,
    base: Option<&Url>,
    plaintext: bool,
    context: &mut Context<'_>,
) -> Option<Authorization> {
    let section = provider.section("authorization");
    Some(Authorization {
        endpoint: endpoint::endpoint(provider, "authorization_endpoint", base, plaintext, context),
        redirect_uri: redirect_uri(provider, context),
        pkce: provider.choice("code_challenge_method") != Some("none"),
        params: params(&section, provider, context),
        code_parameter: section
            .text("code_parameter")
            .map_or("code", |found| found.value)
            .to_owned(),
    })
}

/// RFC 6749 §3.1.2: absolute, without a fragment; an app's own scheme will do.
fn redirect_uri(provider: &Section<'_>, context: &mut Context<'_>) -> Option<RedirectUri> {
    let Found { value, at } = provider.text("redirect_uri")?;
    match value.parse() {
        Ok(uri) => Some(uri),
        Err(InvalidRedirectUri) => {
            let message = format!(
                "`redirect_uri` = {} is not an absolute URL without a fragment",
                quote(value)
            );
            context.error(
                &at,
                message,
                "write it as it is registered, as in \"http://127.0.0.1:9900/callback\"",
            );
            None
        }
    }
}

fn params(
    section: &Section<'_>,
    provider: &Section<'_>,
    context: &mut Context<'_>,
) -> BTreeMap<String, String> {
    const TAKEN: [&str; 6] = [
        "response_type",
        "client_id",
        "redirect_uri",
        "state",
        "code_challenge",
        "code_challenge_method",
    ];
    let mut params = BTreeMap::new();
    for (name, Found { value, at }) in section.pairs("params") {
        if TAKEN.contains(&name) || name == "scope" && provider.texts("scope").is_some() {
            let hint = "it may come only once (RFC 6749 §3.1); leave it out";
            context.error(
                &at,
                format!("the parameter `{name}` is set by the consent redirect itself"),
                hint,
            );
        }
        params.insert(name.to_owned(), value.to_owned());
    }
    params
}

/// `[providers.NAME.sign_in]`; a preset's counts only once the file adds an account to it.
pub(super) fn sign_in(
    provider: &Section<'_>,
    base: Option<&Url>,
    plaintext: bool,
    context: &mut Context<'_>,
) -> Option<SignIn> {
    let section = provider.section("sign_in");
    if !section.is_own() {
        return None;
    }
    for key in ["endpoint", "email", "password"] {
        let there =
            section.has_own(key) || (key == "endpoint" && section.text("endpoint").is_some());
        if !there {
            context.error(
                &section.at(),
                format!("`sign_in` has no `{key}`"),
                "it needs `endpoint`, `email` and `password`",
            );
        }
    }
    let endpoint = endpoint::endpoint(&section, "endpoint", base, plaintext, context);
    let password = secret::read(&section, "password", context);
    Some(SignIn {
        endpoint: endpoint?,
        email: section.text("email")?.value.to_owned(),
        password: password?,
        encoding: section
            .choice("encoding")
            .map_or(Encoding::Json, request::encoding),
        state_length: section
            .number("state_length")
            .and_then(|length| length.try_into().ok())
            .unwrap_or(43),
    })
}
