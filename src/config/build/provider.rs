//! `[providers.NAME]`, its preset merged in, to [`Provider`].

mod authorization;
mod request;

use std::{collections::HashMap, sync::Arc};

use url::Url;

use super::{
    super::{
        preset::{preset, presets},
        raw::{At, Found, Section},
        value::{nearest, quote},
    },
    Context, check_name, endpoint, pointer, secret,
};
use crate::{
    oauth::provider::{ClientAuth, GrantType, Provider, TokenResponse},
    proxy::route::Injection,
};

/// All providers of a file.
pub(super) struct Providers<'a> {
    /// Those that could be built, in the order of the file.
    pub(super) built: Vec<Arc<Provider>>,
    /// What routes need to know of each, the others too.
    pub(super) known: HashMap<&'a str, Known>,
}

/// What a route needs to know of its provider.
pub(super) struct Known {
    pub(super) injection: Injection,
    pub(super) reauthorize_on: Vec<u16>,
    /// The default of a route's upstream, and where it is written.
    pub(super) api_base: Option<(Url, At)>,
}

pub(super) fn build_all<'a>(
    sections: &[(&'a str, Section<'a>)],
    context: &mut Context<'_>,
) -> Providers<'a> {
    let mut providers = Providers {
        built: Vec::new(),
        known: HashMap::new(),
    };
    for (name, section) in sections {
        check_name(name, &section.at(), context);
        let (section, preset_known) = with_preset(section, context);
        let known = Known {
            injection: request::injection(&section, context),
            reauthorize_on: statuses(&section),
            api_base: section.text("api_base").and_then(|found| {
                Some((endpoint::absolute("api_base", &found, context)?, found.at))
            }),
        };
        providers.known.insert(name, known);
        // With an unknown preset, whatever is missing may have been meant to come from it.
        let built = build(name, &section, preset_known, context);
        providers.built.extend(built.map(Arc::new));
    }
    providers
}

/// The section over the preset it names, and false if that is unknown.
fn with_preset<'a>(section: &Section<'a>, context: &mut Context<'_>) -> (Section<'a>, bool) {
    let Some(Found { value, at }) = section.text("preset") else {
        return (section.clone(), true);
    };
    if let Some(preset) = preset(value) {
        return (section.clone().over(preset.table()), true);
    }
    let names = presets().iter().map(|preset| preset.name);
    let hint = nearest(value, names.clone()).map_or_else(
        || format!("built in are {}", names.collect::<Vec<_>>().join(", ")),
        |name| format!("did you mean \"{name}\"?"),
    );
    context.error(&at, format!("there is no preset {}", quote(value)), hint);
    (section.clone(), false)
}

fn build(
    name: &str,
    section: &Section<'_>,
    complete: bool,
    context: &mut Context<'_>,
) -> Option<Provider> {
    let grant_type = section.choice("grant_type").map(|grant| match grant {
        "authorization_code" => GrantType::AuthorizationCode,
        "refresh_token" => GrantType::RefreshToken,
        _ => GrantType::ClientCredentials,
    });
    let require = |there: bool, key: &str, hint: &str, context: &mut Context<'_>| {
        if complete && !there {
            context.error(
                &section.at(),
                format!("provider `{name}` has no `{key}`"),
                hint,
            );
        }
    };
    let plaintext = section.switch("allow_plaintext").unwrap_or(false);
    let base = endpoint::base(section, context);
    let relative = |key| {
        !section.has_own(key)
            && section
                .text(key)
                .is_some_and(|found| found.value.starts_with('/'))
    };
    if !section.has_own("base_url")
        && base.is_none()
        && ["token_endpoint", "authorization_endpoint"]
            .iter()
            .any(|key| relative(key))
    {
        let hint = "this preset's vendor has no fixed host: add base_url = \"https://…\"";
        context.error(
            &section.at(),
            format!("provider `{name}` has no `base_url`"),
            hint,
        );
    }
    let endpoint = |key, context: &mut Context<'_>| {
        endpoint::endpoint(section, key, base.as_ref(), plaintext, context)
    };

    let grants = "grant_type = \"client_credentials\", \"authorization_code\" or \"refresh_token\"";
    require(
        grant_type.is_some() || section.has_own("grant_type"),
        "grant_type",
        grants,
        context,
    );
    let token_endpoint = endpoint("token_endpoint", context);
    let there = section.text("token_endpoint").is_some() || section.has_own("token_endpoint");
    require(
        there,
        "token_endpoint",
        "the authorization server's documentation names it (RFC 6749 §3.2)",
        context,
    );
    let revocation_endpoint = endpoint("revocation_endpoint", context);
    let client_id = section
        .text("client_id")
        .map(|found| found.value.to_owned());
    let there = client_id.is_some() || section.has_own("client_id");
    require(
        there,
        "client_id",
        "the authorization server gave it when the client was registered",
        context,
    );

    let client_secret = secret::read(section, "client_secret", context);
    let client_auth = client_auth(section, grant_type, complete, context);
    let refresh_token = secret::read(section, "refresh_token", context);
    if grant_type == Some(GrantType::RefreshToken) {
        let hint =
            "add refresh_token = { env = \"NAME\" }, or use grant_type = \"authorization_code\"";
        require(
            section.has_own("refresh_token"),
            "refresh_token",
            hint,
            context,
        );
    }
    let sign_in = authorization::sign_in(section, base.as_ref(), plaintext, context);
    let authorization = authorization::build(section, base.as_ref(), plaintext, context);
    if grant_type == Some(GrantType::AuthorizationCode) && !section.section("sign_in").is_own() {
        let there = section.text("authorization_endpoint").is_some()
            || section.has_own("authorization_endpoint");
        let hint = "the authorization server's documentation names it (RFC 6749 §3.1)";
        require(there, "authorization_endpoint", hint, context);
    }
    let token_request = request::build(section, client_auth, context);
    Some(Provider {
        name: name.into(),
        grant_type: grant_type?,
        token_endpoint: token_endpoint?,
        revocation_endpoint,
        client_id: client_id?,
        client_secret: client_secret.filter(|_| client_auth != ClientAuth::None),
        client_auth,
        scope: scope(section),
        refresh_token,
        token_request,
        token_response: token_response(section, context),
        authorization: authorization.filter(|_| grant_type == Some(GrantType::AuthorizationCode)),
        sign_in,
        refresh_before: section.section("refresh").duration("before"),
    })
}

/// The method in force; without a secret the client is public, whatever its preset says.
fn client_auth(
    section: &Section<'_>,
    grant_type: Option<GrantType>,
    complete: bool,
    context: &mut Context<'_>,
) -> ClientAuth {
    let own = section.has_own("token_endpoint_auth_method");
    let has_secret = section.has_own("client_secret");
    let method = section
        .choice("token_endpoint_auth_method")
        .map(|method| match method {
            "client_secret_basic" => ClientAuth::SecretBasic,
            "client_secret_post" => ClientAuth::SecretPost,
            _ => ClientAuth::None,
        });
    match method {
        Some(ClientAuth::None) if has_secret => {
            let hint =
                "leave the secret out, or set token_endpoint_auth_method = \"client_secret_post\"";
            context.drafts.warning(
                &section.at(),
                "`client_secret` is not used, the authentication method is `none`",
                hint,
            );
            ClientAuth::None
        }
        Some(method) if has_secret => method,
        Some(method @ (ClientAuth::SecretBasic | ClientAuth::SecretPost)) if own => {
            let hint = "add client_secret = { env = \"NAME\" }, or say token_endpoint_auth_method = \"none\"";
            context.error(
                &section.at(),
                "the authentication method needs a `client_secret`, and there is none",
                hint,
            );
            method
        }
        _ if has_secret => ClientAuth::SecretBasic,
        _ => {
            // RFC 6749 §4.4: confidential clients alone; some servers have it otherwise.
            if grant_type == Some(GrantType::ClientCredentials) && !own && complete {
                let hint = "add client_secret = { env = \"NAME\" }, or say token_endpoint_auth_method = \"none\"";
                context.drafts.warning(
                    &section.at(),
                    "client credentials without a `client_secret`",
                    hint,
                );
            }
            ClientAuth::None
        }
    }
}

/// One string as it is, an array joined by the separator.
fn scope(section: &Section<'_>) -> Option<String> {
    let separator = section
        .section("token_request")
        .text("scope_separator")
        .map_or(" ", |found| found.value);
    let scopes: Vec<&str> = section
        .texts("scope")?
        .value
        .iter()
        .map(|found| found.value)
        .collect();
    Some(scopes.join(separator)).filter(|scope| !scope.is_empty())
}

fn statuses(section: &Section<'_>) -> Vec<u16> {
    let given = section.section("refresh").numbers("reauthorize_on");
    given.map_or_else(
        || vec![401],
        |numbers| {
            numbers
                .into_iter()
                .filter_map(|number| number.try_into().ok())
                .collect()
        },
    )
}

fn token_response(section: &Section<'_>, context: &mut Context<'_>) -> TokenResponse {
    let section = section.section("token_response");
    TokenResponse {
        access_token: pointer::read(&section, "access_token", "/access_token", context),
        refresh_token: pointer::read(&section, "refresh_token", "/refresh_token", context),
        expires_in: pointer::read(&section, "expires_in", "/expires_in", context),
        default_lifetime: section.duration("default_lifetime"),
    }
}
