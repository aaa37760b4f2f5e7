//! `[providers.NAME]`, with its preset under it, to [`Provider`].

mod authorization;
mod client_auth;
mod injection;
mod sign_in;
mod token_request;
mod token_response;

use std::{collections::HashMap, rc::Rc, sync::Arc};

use url::Url;

use super::{
    BuildContext, check_name,
    endpoint::{self, Endpoints},
    secret,
};
use crate::{
    config::{
        choices::GRANT_TYPES,
        diagnostics::Diagnostic,
        preset::{preset, presets},
        quote::quote,
        section::Section,
        spanned::Spanned,
        suggestion::nearest,
    },
    oauth::provider::{ApiFields, ClientAuth, GrantType, Provider, RefreshPolicy, Revocation},
    proxy::route::{Binding, Injection},
};

/// All providers of a file.
pub(super) struct Providers<'a> {
    /// The valid ones, in the order of the file.
    pub(super) built: Vec<Arc<Provider>>,
    /// The defaults of every provider's routes, by provider name.
    pub(super) route_defaults: HashMap<&'a str, RouteDefaults>,
}

/// The keys of a provider that belong to its routes.
pub(super) struct RouteDefaults {
    pub(super) injection: Injection,
    pub(super) reauthorize_on: Vec<u16>,
    /// The default of `upstream`.
    pub(super) api_base: Option<Url>,
    /// Whether there may be an `api_base` that is not known: an invalid one, or that of an unknown
    /// preset. Both were reported.
    pub(super) hides_api_base: bool,
}

pub(super) fn build_all<'a>(
    sections: &[(&'a str, Section<'a>)],
    context: &mut BuildContext<'_>,
) -> Providers<'a> {
    let mut providers = Providers {
        built: Vec::new(),
        route_defaults: HashMap::new(),
    };
    for (name, section) in sections {
        context.ok_or_push(check_name(name, section));
        let with_preset = apply_preset(section, context);
        let with_preset = context.ok_or_push(with_preset);
        // Keys that are missing may be those of the preset that is misspelt.
        let is_complete = with_preset.is_some();
        let section = with_preset.unwrap_or_else(|| section.clone());

        let route_defaults = build_route_defaults(&section, is_complete, context);
        providers.route_defaults.insert(name, route_defaults);
        let provider = build(name, &section, is_complete, context);
        providers.built.extend(provider.map(Arc::new));
    }
    providers
}

/// Puts the keys of the preset under those of the file.
fn apply_preset<'a>(
    section: &Section<'a>,
    context: &mut BuildContext<'_>,
) -> Result<Section<'a>, Diagnostic> {
    let Some(name) = section.string("preset") else {
        return Ok(section.clone());
    };
    match preset(name.value) {
        Some(preset) => {
            let table = preset.parse(&mut context.diagnostics);
            Ok(section.clone().with_preset(Rc::new(table)))
        }
        None => Err(unknown_preset(&name)),
    }
}

fn unknown_preset(name: &Spanned<&str>) -> Diagnostic {
    let names = presets().iter().map(|preset| preset.name);
    let hint = match nearest(name.value, names.clone()) {
        Some(similar) => format!("did you mean \"{similar}\"?"),
        None => format!("use one of {}", names.collect::<Vec<_>>().join(", ")),
    };
    name.error(format!("there is no preset {}", quote(name.value)), hint)
}

fn build_route_defaults(
    section: &Section<'_>,
    is_complete: bool,
    context: &mut BuildContext<'_>,
) -> RouteDefaults {
    let api_base = section
        .string("api_base")
        .and_then(|found| context.ok_or_push(endpoint::parse_absolute("api_base", &found)));
    RouteDefaults {
        injection: injection::build(&section.section("inject"), context),
        reauthorize_on: section
            .section("refresh")
            .integers("reauthorize_on")
            .unwrap_or_else(|| Binding::DEFAULT_REAUTHORIZE_ON.to_vec()),
        hides_api_base: api_base.is_none() && (!is_complete || section.is_set("api_base")),
        api_base,
    }
}

/// Builds a provider. `is_complete` is false if its preset is unknown: then missing keys are not
/// reported.
fn build(
    name: &str,
    section: &Section<'_>,
    is_complete: bool,
    context: &mut BuildContext<'_>,
) -> Option<Provider> {
    let grant_type = grant_type(section);
    if is_complete {
        check_required_keys(name, section, grant_type.as_ref(), context);
    }

    let endpoints = Endpoints::new(section, context);
    context.ok_or_push(endpoints.check_base_url(name));
    let token_endpoint = context.ok_or_push(endpoints.parse("token_endpoint"));
    let revocation_endpoint = context.ok_or_push(endpoints.parse("revocation_endpoint"));

    let client_secret = secret::read(section, "client_secret", context);
    let client_auth = client_auth::build(section, grant_type.as_ref(), is_complete, context);
    let refresh_token = secret::read(section, "refresh_token", context);
    let sign_in = sign_in::build(&section.section("sign_in"), &endpoints, context);
    let authorization = authorization::build(section, &endpoints, context);
    let token_request = token_request::build(section, client_auth, context);
    let token_response = token_response::build(&section.section("token_response"), context);

    Some(Provider {
        name: name.into(),
        grant_type: grant_type.clone()?,
        issuer: None,
        token_endpoint: Some(token_endpoint.flatten()?),
        refresh_endpoint: None,
        device_authorization_endpoint: None,
        revocation_endpoint: revocation_endpoint.flatten(),
        client_id: section.string("client_id")?.value.to_owned(),
        client_secret: client_secret.filter(|_| client_auth != ClientAuth::None),
        client_auth,
        client_certificate: None,
        assertion: None,
        username: None,
        password: None,
        scope: scope(section),
        refresh_token,
        token_request,
        token_response,
        authorization: (grant_type == Some(GrantType::AuthorizationCode)).then_some(authorization),
        sign_in,
        captures: Vec::new(),
        refresh: RefreshPolicy {
            before: section.section("refresh").duration("before"),
            ..RefreshPolicy::default()
        },
        revocation: Revocation::default(),
        api_base: None,
        api: ApiFields::default(),
        verify: None,
    })
}

/// Returns the grant. A name that is not known is a grant of the vendor's own.
fn grant_type(section: &Section<'_>) -> Option<GrantType> {
    let name = section.string("grant_type")?.value;
    let known = GRANT_TYPES.iter().find(|known| known.as_str() == name);
    Some(
        known
            .cloned()
            .unwrap_or_else(|| GrantType::Other(name.into())),
    )
}

fn check_required_keys(
    name: &str,
    section: &Section<'_>,
    grant_type: Option<&GrantType>,
    context: &mut BuildContext<'_>,
) {
    let mut required = vec![
        (
            "grant_type",
            "add grant_type = \"client_credentials\", \"authorization_code\" or \"refresh_token\"",
        ),
        (
            "token_endpoint",
            "add the URL from the authorization server's documentation (RFC 6749 §3.2)",
        ),
        (
            "client_id",
            "add the identifier from the client's registration (RFC 6749 §2.2)",
        ),
    ];
    match grant_type {
        Some(GrantType::RefreshToken) => required.push((
            "refresh_token",
            "add refresh_token = { env = \"NAME\" }, or use grant_type = \"authorization_code\"",
        )),
        Some(GrantType::AuthorizationCode) if !section.section("sign_in").is_in_file() => required
            .push((
                "authorization_endpoint",
                "add the URL from the authorization server's documentation (RFC 6749 §3.1)",
            )),
        _ => {}
    }
    for (key, hint) in required {
        if !section.is_set(key) {
            context.push(section.error(format!("provider `{name}` has no `{key}`"), hint));
        }
    }
}

/// Returns one string as it is, or an array joined by the separator. Without scopes it is `None`.
fn scope(section: &Section<'_>) -> Option<String> {
    let separator = section.section("token_request").string("scope_separator");
    let separator = separator.map_or(Provider::DEFAULT_SCOPE_SEPARATOR, |found| found.value);
    let scopes = section.strings("scope")?.value;
    let scopes: Vec<_> = scopes.iter().map(|scope| scope.value).collect();
    Some(scopes.join(separator)).filter(|scope| !scope.is_empty())
}
