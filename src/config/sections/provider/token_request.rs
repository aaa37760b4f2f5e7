//! `[providers.NAME.token_request]` to [`TokenRequest`].

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, header};
use url::Url;

use super::{
    super::{
        BuildContext,
        endpoint::{check_no_query, parse_absolute},
    },
    injection::RESERVED_FIELDS,
};
use crate::{
    config::{
        choices::{ENCODINGS, TOKEN_METHODS},
        diagnostics::Diagnostic,
        section::Section,
        spanned::Spanned,
    },
    forward_proxy::ForwardProxy,
    oauth::{
        provider::{ClientAuth, Encoding, ParameterValue, TokenMethod, TokenRequest},
        template::Template,
    },
};

pub(super) fn build(
    provider: &Section<'_>,
    client_auth: ClientAuth,
    context: &mut BuildContext<'_>,
) -> TokenRequest {
    let section = provider.section("token_request");
    let default = TokenRequest::default();
    let method = section
        .choice("method", &TOKEN_METHODS)
        .unwrap_or(default.method);
    let encoding = encoding(&section, method, default.encoding);
    let trust = context.trust(&section);
    let proxy = section
        .string("proxy")
        .and_then(|found| context.ok_or_push(parse_proxy(&found)));

    TokenRequest {
        method,
        encoding: context.ok_or_push(encoding).unwrap_or_default(),
        params: params(&section, provider, client_auth, context),
        headers: headers(&section, client_auth, context),
        omit_on_refresh: parameter_names(&section, "omit_on_refresh")
            .unwrap_or(default.omit_on_refresh),
        omit_on_exchange: parameter_names(&section, "omit_on_exchange")
            .unwrap_or(default.omit_on_exchange),
        timeout: section.duration("timeout").unwrap_or(default.timeout),
        trust: context.ok_or_push(trust).unwrap_or_default(),
        proxy: proxy.map(|url| ForwardProxy {
            url,
            credentials: None,
        }),
        ..default
    }
}

/// Returns the encoding. A GET has its parameters in the query, even if its preset sets another
/// encoding.
fn encoding(
    section: &Section<'_>,
    method: TokenMethod,
    default: Encoding,
) -> Result<Encoding, Diagnostic> {
    let encoding = section.choice("encoding", &ENCODINGS);
    if method != TokenMethod::Get {
        return Ok(encoding.unwrap_or(default));
    }
    if section.is_set_in_file("encoding") && encoding != Some(Encoding::Query) {
        return Err(section.error(
            "`encoding` does not fit method = \"GET\", whose parameters are in the query",
            "remove `encoding`, or set method = \"POST\"",
        ));
    }
    Ok(Encoding::Query)
}

fn parameter_names(section: &Section<'_>, key: &str) -> Option<Vec<String>> {
    let names = section.strings(key)?.value;
    Some(names.iter().map(|name| name.value.to_owned()).collect())
}

/// Returns the additional parameters. Those of the grant are refused, since none may be sent twice
/// (RFC 6749 §3.2).
fn params(
    section: &Section<'_>,
    provider: &Section<'_>,
    client_auth: ClientAuth,
    context: &mut BuildContext<'_>,
) -> BTreeMap<String, ParameterValue> {
    let is_own = |name: &str| match name {
        "grant_type" | "client_secret" | "code" | "code_verifier" | "refresh_token"
        | "redirect_uri" => true,
        "client_id" => client_auth != ClientAuth::SecretBasic,
        "scope" => provider.strings("scope").is_some(),
        _ => false,
    };
    let mut params = BTreeMap::new();
    for (name, found) in section.string_map("params") {
        if is_own(name) {
            context.push(found.error(
                format!("bearward sets the parameter `{name}` of token requests itself"),
                format!(
                    "remove `{name}` from `params`; no parameter may be sent twice (RFC 6749 §3.2)"
                ),
            ));
        }
        let value = Template::parse(found.value).unwrap_or_default();
        params.insert(name.to_owned(), ParameterValue::Text(value));
    }
    params
}

fn headers(
    section: &Section<'_>,
    client_auth: ClientAuth,
    context: &mut BuildContext<'_>,
) -> Vec<(HeaderName, ParameterValue)> {
    let fields = section.string_map("headers");
    fields
        .iter()
        .filter_map(|(name, value)| context.ok_or_push(parse_field(name, value, client_auth)))
        .collect()
}

fn parse_field(
    name: &str,
    value: &Spanned<&str>,
    client_auth: ClientAuth,
) -> Result<(HeaderName, ParameterValue), Diagnostic> {
    let Ok(name) = name.parse::<HeaderName>() else {
        return Err(value.error(
            "this is not the name of a header field",
            "use letters, digits and `-`, such as x-api-version",
        ));
    };
    if RESERVED_FIELDS.contains(&name.as_str()) && name != header::CONTENT_TYPE {
        return Err(value.error(
            format!("bearward sets the header field `{name}` itself"),
            format!("remove `{name}` from `headers`"),
        ));
    }
    if name == header::AUTHORIZATION && client_auth == ClientAuth::SecretBasic {
        return Err(value.error(
            "the header field `authorization` already carries the client secret",
            "remove the field, or set token_endpoint_auth_method = \"client_secret_post\"",
        ));
    }

    if HeaderValue::from_str(value.value).is_err() {
        return Err(value.error(
            format!("the value of the header field `{name}` contains invalid characters"),
            "use visible characters and spaces only, without line breaks",
        ));
    }
    Ok((
        name,
        ParameterValue::Text(Template::parse(value.value).unwrap_or_default()),
    ))
}

fn parse_proxy(found: &Spanned<&str>) -> Result<Url, Diagnostic> {
    let url = parse_absolute("proxy", found)?;
    check_no_query(&url, "proxy", found)?;
    if url.path() != "/" {
        return Err(found.error(
            "`proxy` has a path",
            "write the address only, such as \"http://proxy.internal:3128\"",
        ));
    }
    Ok(url)
}
