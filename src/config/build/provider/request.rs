//! `[providers.NAME.token_request]` and `[providers.NAME.inject]`.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderName, HeaderValue};
use url::Url;

use super::super::{
    super::{
        raw::{Found, Section},
        value::quote,
    },
    Context, endpoint,
};
use crate::{
    oauth::provider::{ClientAuth, Encoding, TokenMethod, TokenRequest},
    proxy::route::Injection,
};

/// Fields that frame or route a message, belong to one hop (RFC 9110 §7.6.1), or guard the sidecar itself.
const RESERVED: [&str; 15] = [
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

pub(super) fn build(
    provider: &Section<'_>,
    client_auth: ClientAuth,
    context: &mut Context<'_>,
) -> TokenRequest {
    let section = provider.section("token_request");
    let method = if section.choice("method") == Some("GET") {
        TokenMethod::Get
    } else {
        TokenMethod::Post
    };
    let encoding = match section.choice("encoding") {
        _ if method == TokenMethod::Get => Encoding::Query,
        Some(word) => encoding(word),
        None => Encoding::Form,
    };
    if method == TokenMethod::Get
        && section.has_own("encoding")
        && section.choice("encoding") != Some("query")
    {
        let hint = "leave `encoding` out, or say method = \"POST\"";
        context.error(
            &section.at(),
            "a GET has its parameters in the query, not in a body",
            hint,
        );
    }
    TokenRequest {
        method,
        encoding,
        params: params(&section, provider, client_auth, context),
        headers: headers(&section, client_auth, context),
        omit_on_refresh: names(&section, "omit_on_refresh"),
        omit_on_exchange: names(&section, "omit_on_exchange"),
        timeout: section
            .duration("timeout")
            .unwrap_or(Duration::from_secs(10)),
        trust: context.trust(&section),
        proxy: proxy(&section, context),
    }
}

fn names(section: &Section<'_>, key: &'static str) -> Vec<String> {
    let found = section.texts(key);
    found
        .map(|found| {
            found
                .value
                .iter()
                .map(|found| found.value.to_owned())
                .collect()
        })
        .unwrap_or_default()
}

/// The encoding that `word` names.
pub(super) fn encoding(word: &str) -> Encoding {
    match word {
        "json" => Encoding::Json,
        "query" => Encoding::Query,
        _ => Encoding::Form,
    }
}

/// Extra parameters; none may come twice (RFC 6749 §3.2), so those that the grant sets itself are refused.
fn params(
    section: &Section<'_>,
    provider: &Section<'_>,
    client_auth: ClientAuth,
    context: &mut Context<'_>,
) -> BTreeMap<String, String> {
    let mut params = BTreeMap::new();
    for (name, Found { value, at }) in section.pairs("params") {
        let taken = match name {
            "grant_type" | "client_secret" | "code" | "code_verifier" | "refresh_token"
            | "redirect_uri" => true,
            "client_id" => client_auth != ClientAuth::SecretBasic,
            "scope" => provider.texts("scope").is_some(),
            _ => false,
        };
        if taken {
            let hint = format!(
                "it may come only once (RFC 6749 §3.2); the provider's own keys set `{name}`"
            );
            context.error(
                &at,
                format!("the parameter `{name}` is set by the grant itself"),
                hint,
            );
        }
        params.insert(name.to_owned(), value.to_owned());
    }
    params
}

fn headers(
    section: &Section<'_>,
    client_auth: ClientAuth,
    context: &mut Context<'_>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, Found { value, at }) in section.pairs("headers") {
        let Ok(field) = name.parse::<HeaderName>() else {
            context.error(
                &at,
                "this is not the name of a header field",
                "letters, digits and `-`, as in x-api-version",
            );
            continue;
        };
        if RESERVED.contains(&field.as_str()) && field != http::header::CONTENT_TYPE {
            let message = format!("the header field `{field}` is set by bearward itself");
            context.error(&at, message, "leave it out");
        } else if field == http::header::AUTHORIZATION && client_auth == ClientAuth::SecretBasic {
            let hint = "choose another token_endpoint_auth_method, or leave the field out";
            context.error(
                &at,
                "the header field `authorization` carries the client's secret already",
                hint,
            );
        }
        match HeaderValue::from_str(value) {
            Ok(mut content) => {
                content.set_sensitive(true);
                headers.push((field, content));
            }
            Err(_) => {
                let message =
                    format!("the value of the header field `{field}` cannot stand in a header");
                context.error(
                    &at,
                    message,
                    "visible characters and blanks alone, no line breaks",
                );
            }
        }
    }
    headers
}

fn proxy(section: &Section<'_>, context: &mut Context<'_>) -> Option<Url> {
    let found = section.text("proxy")?;
    let url = endpoint::absolute("proxy", &found, context)?;
    if url.path() != "/" || url.query().is_some() {
        context.error(
            &found.at,
            "`proxy` has a path",
            "it is an address alone, as in \"http://proxy.internal:3128\"",
        );
    }
    Some(url)
}

/// `[providers.NAME.inject]`.
pub(super) fn injection(provider: &Section<'_>, context: &mut Context<'_>) -> Injection {
    let section = provider.section("inject");
    if let Some(Found { value, at }) = section.text("query") {
        if section.has_own("header") || section.has_own("prefix") {
            let message = "`query` stands beside `header` or `prefix`, and the token can go to one place only";
            context.error(
                &at,
                message,
                "keep either `query`, or `header` and `prefix`",
            );
        }
        if !value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c))
        {
            let hint = "letters, digits, `-`, `.`, `_` and `~`, as in \"access_token\"";
            context.error(
                &at,
                format!("{} is not the name of a query parameter", quote(value)),
                hint,
            );
        }
        return Injection::Query {
            name: value.to_owned(),
        };
    }
    let mut name = http::header::AUTHORIZATION;
    if let Some(Found { value, at }) = section.text("header") {
        match value.parse::<HeaderName>() {
            Ok(field) if RESERVED.contains(&field.as_str()) => {
                let hint = "the token goes into a field such as authorization or x-api-key";
                context.error(
                    &at,
                    format!("the header field `{field}` frames or routes requests"),
                    hint,
                );
            }
            Ok(field) => name = field,
            Err(_) => {
                let hint = "letters, digits and `-`, as in x-api-key";
                context.error(
                    &at,
                    format!("{} is not the name of a header field", quote(value)),
                    hint,
                );
            }
        }
    }
    let Some(Found { value, at }) = section.text("prefix") else {
        return Injection::Header {
            name,
            prefix: "Bearer ".to_owned(),
        };
    };
    if value.starts_with(' ') || !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        let hint = "visible ASCII, blanks only behind it, as in \"Bearer \"";
        context.error(&at, "`prefix` cannot stand in a header", hint);
    }
    Injection::Header {
        name,
        prefix: value.to_owned(),
    }
}
