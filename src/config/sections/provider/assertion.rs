//! `[providers.NAME.assertion]` to [`Assertion`].

use std::collections::BTreeMap;

use super::super::{BuildContext, connection::certificate_in, parameters, secret};
use crate::{
    config::{
        choices::SIGNING_ALGORITHMS, diagnostics::Diagnostic, file_access, parsed::ParameterSource,
        parsed::SecretSource, problem_code::ProblemCode, quote::quote, section::Section,
        spanned::Spanned,
    },
    oauth::{
        assertion::{self, AssertionError},
        provider::{Assertion, AssertionSource, ClaimValue, ClientAuth, GrantType},
    },
    secret::{LiveSecret, Secret},
};

/// Builds the assertion that the client authentication or the grant needs.
pub(super) fn build(
    provider: &Section<'_>,
    client_auth: ClientAuth,
    grant_type: Option<&GrantType>,
    client_secret: Option<&LiveSecret>,
    is_complete: bool,
    context: &mut BuildContext<'_>,
) -> Option<Assertion> {
    let section = provider.section("assertion");
    let signs_with_secret = client_auth == ClientAuth::SecretJwt;
    let is_needed = matches!(
        client_auth,
        ClientAuth::PrivateKeyJwt | ClientAuth::JwtHeader
    ) || (grant_type == Some(&GrantType::JwtBearer)
        && !has_ready_assertion(provider));
    if !is_needed && !signs_with_secret {
        return None;
    }
    let source = source(
        &section,
        signs_with_secret && !is_needed,
        is_complete,
        context,
    );
    let assertion = Assertion {
        algorithm: section.choice("alg", &SIGNING_ALGORITHMS),
        kid: kid(&section, context),
        certificate: certificate_in(&section, "certificate", context),
        lifetime: section
            .duration("lifetime")
            .unwrap_or(Assertion::DEFAULT_LIFETIME),
        backdate: section.duration("backdate").unwrap_or_default(),
        claims: claims(&section),
        // Last, so that the other keys are checked even without it.
        source: source?,
    };
    context.ok_or_push(check_key(&section, &assertion, client_secret));
    Some(assertion)
}

/// Checks that the key can sign with the algorithm. A `client_secret` that is missing was reported.
fn check_key(
    section: &Section<'_>,
    assertion: &Assertion,
    client_secret: Option<&LiveSecret>,
) -> Result<(), Diagnostic> {
    let Err(error) = assertion::check(assertion, client_secret) else {
        return Ok(());
    };
    if error == AssertionError::NoClientSecret {
        return Ok(());
    }
    let hint = "write key = { file = \"client.pem\" }, and `alg` for the kind of this key";
    let key = section.secret("key");
    Err(match &key {
        Some(key) => key
            .error(error.to_string(), hint)
            .with_code(ProblemCode::CertificateUnusable),
        None => section.error(
            error.to_string(),
            "use `alg` = \"HS256\", \"HS384\" or \"HS512\" with the client secret",
        ),
    })
}

/// Returns whether the parameters hold an assertion of another maker.
fn has_ready_assertion(provider: &Section<'_>) -> bool {
    let params = provider.section("token_request").parameters("params");
    params.iter().any(|(name, _)| *name == "assertion")
}

fn source(
    section: &Section<'_>,
    signs_with_secret: bool,
    is_complete: bool,
    context: &mut BuildContext<'_>,
) -> Option<AssertionSource> {
    if signs_with_secret {
        for key in ["key", "file"] {
            if section.is_set(key) {
                context.push(
                    section
                        .error(
                            format!("`assertion.{key}` conflicts with client_secret_jwt"),
                            format!("remove `{key}`: the key is `client_secret`"),
                        )
                        .with_code(ProblemCode::ConflictingKeys),
                );
            }
        }
        return Some(AssertionSource::ClientSecret);
    }
    if section.is_set("key") && section.is_set("file") {
        context.push(
            section
                .error(
                    "`assertion` has both `key` and `file`",
                    "keep `key` to sign assertions, or `file` for ready ones",
                )
                .with_code(ProblemCode::ConflictingKeys),
        );
    }
    if let Some(file) = section.string("file") {
        let read = read_ready(&file, context);
        let ready = context.ok_or_push(read)?;
        return Some(AssertionSource::File(ready.into()));
    }
    if !section.is_set("key") && is_complete {
        context.push(section.error(
            "`assertion` has neither `key` nor `file`",
            "add key = { file = \"client.pem\" } to the provider's `assertion`",
        ));
    }
    secret::read(section, "key", context).map(AssertionSource::Key)
}

/// Reads a ready assertion. It is read again at every use.
fn read_ready(file: &Spanned<&str>, context: &BuildContext<'_>) -> Result<LiveSecret, Diagnostic> {
    let path = context.resolve(file.value);
    LiveSecret::file(&path).map_err(|error| {
        file.error(
            format!(
                "the file {} for `assertion.file` cannot be read: {}",
                quote(file.value),
                file_access::explain(&path, &error)
            ),
            "create the file with nothing but the assertion in it, and make it readable by this \
             user",
        )
        .with_code(ProblemCode::SecretUnreadable)
    })
}

/// Returns the key's identifier, which is no secret when it is written in the file.
fn kid(
    section: &Section<'_>,
    context: &mut BuildContext<'_>,
) -> Option<std::sync::Arc<LiveSecret>> {
    match section.secret("kid")?.value {
        SecretSource::Inline(text) => Some(LiveSecret::fixed(Secret::new(text)).into()),
        _ => secret::read(section, "kid", context),
    }
}

fn claims(section: &Section<'_>) -> BTreeMap<String, ClaimValue> {
    let claim = |(name, found): (&str, Spanned<ParameterSource<'_>>)| {
        let value = match found.value {
            ParameterSource::Text(text) => ClaimValue::Text(parameters::template(text)),
            ParameterSource::List(texts) => ClaimValue::List(
                texts
                    .iter()
                    .map(|text| parameters::template(text))
                    .collect(),
            ),
            // The key table permits no secret here.
            ParameterSource::Secret(_) => return None,
        };
        Some((name.to_owned(), value))
    };
    section
        .parameters("claims")
        .into_iter()
        .filter_map(claim)
        .collect()
}
