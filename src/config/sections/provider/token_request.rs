//! `[providers.NAME.token_request]` to [`TokenRequest`].

use http::{HeaderName, header};

use super::{
    super::{
        BuildContext, connection,
        parameters::{headers, names, parameters, renames},
    },
    injection::RESERVED_FIELDS,
};
use crate::{
    config::{
        choices::{BASIC_ENCODINGS, ENCODINGS, TOKEN_METHODS},
        diagnostics::Diagnostic,
        problem_code::ProblemCode,
        section::Section,
        spanned::Spanned,
    },
    oauth::provider::{ClientAuth, Encoding, TokenMethod, TokenRequest},
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
    let checks = Checks {
        client_auth,
        sets_scope: provider.strings("scope").is_some(),
    };
    let params = |key: &str, context: &mut BuildContext<'_>| {
        parameters(&section, key, context, |name, found| {
            checks.check_parameter(key, name, found)
        })
    };

    let proxy = connection::proxy(&section, context);
    TokenRequest {
        method,
        encoding: context.ok_or_push(encoding).unwrap_or_default(),
        basic: section
            .choice("basic", &BASIC_ENCODINGS)
            .unwrap_or(default.basic),
        params: params("params", context),
        params_on_exchange: params("params_on_exchange", context),
        params_on_refresh: params("params_on_refresh", context),
        headers: headers(&section, "headers", context, |name, found| {
            checks.check_header(name, found)
        }),
        rename: renames(&section, "rename", context),
        omit: names(&section, "omit").unwrap_or(default.omit),
        omit_on_refresh: names(&section, "omit_on_refresh").unwrap_or(default.omit_on_refresh),
        omit_on_exchange: names(&section, "omit_on_exchange").unwrap_or(default.omit_on_exchange),
        timeout: section.duration("timeout").unwrap_or(default.timeout),
        trust: context.ok_or_push(trust).unwrap_or_default(),
        unused_proxy: connection::unused_proxy(proxy.as_ref(), context),
        proxy,
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
        return Err(section
            .error(
                "`encoding` does not fit method = \"GET\", whose parameters are in the query",
                "remove `encoding`, or set method = \"POST\"",
            )
            .with_code(ProblemCode::ConflictingKeys));
    }
    Ok(Encoding::Query)
}

/// The checks of additional parameters and header fields.
struct Checks {
    client_auth: ClientAuth,
    sets_scope: bool,
}

impl Checks {
    /// Refuses a parameter of the grant itself, which may not be sent twice (RFC 6749 §3.2).
    ///
    /// Parameters of one phase may replace it.
    fn check_parameter<T>(
        &self,
        key: &str,
        name: &str,
        found: &Spanned<T>,
    ) -> Result<(), Diagnostic> {
        let is_own = match name {
            "grant_type" | "client_secret" | "code" | "code_verifier" | "refresh_token"
            | "redirect_uri" => true,
            "client_id" => self.client_auth != ClientAuth::SecretBasic,
            "scope" => self.sets_scope,
            _ => false,
        };
        if key != "params" || !is_own {
            return Ok(());
        }
        Err(found
            .error(
                format!("bearward sets the parameter `{name}` of token requests itself"),
                format!(
                    "remove `{name}` from `params`; no parameter may be sent twice (RFC 6749 §3.2)"
                ),
            )
            .with_code(ProblemCode::ReservedName))
    }

    fn check_header<T>(&self, name: &HeaderName, found: &Spanned<T>) -> Result<(), Diagnostic> {
        if RESERVED_FIELDS.contains(&name.as_str()) && *name != header::CONTENT_TYPE {
            return Err(found
                .error(
                    format!("bearward sets the header field `{name}` itself"),
                    format!("remove `{name}` from `headers`"),
                )
                .with_code(ProblemCode::ReservedName));
        }
        let carries_client = matches!(
            self.client_auth,
            ClientAuth::SecretBasic | ClientAuth::JwtHeader
        );
        if *name == header::AUTHORIZATION && carries_client {
            return Err(found
                .error(
                    "the header field `authorization` already carries the client secret",
                    "remove the field, or set token_endpoint_auth_method = \"client_secret_post\"",
                )
                .with_code(ProblemCode::ConflictingKeys));
        }
        Ok(())
    }
}
