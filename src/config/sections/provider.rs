//! `[providers.NAME]`, with its preset under it, to [`Provider`].

mod api;
mod assertion;
mod authorization;
mod capture;
mod client_auth;
mod injection;
mod revocation;
mod scope;
mod sign_in;
mod token_request;
mod token_response;

pub(super) use self::capture::NamedCapture;
use self::token_response::parse_pointer;

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::Arc,
};

use typed_arena::Arena;

use super::{
    BuildContext, check_name, connection,
    endpoint::{self, Endpoints},
    secret,
};
use crate::{
    config::{
        choices::GRANT_TYPES,
        diagnostics::Diagnostic,
        preset::{preset, presets},
        problem_code::ProblemCode,
        quote::quote,
        section::Section,
        spanned::Spanned,
        suggestion::{misspelt, nearest},
        variables,
    },
    oauth::provider::{
        ApiBase, ApiFields, Capture, ClientAuth, GrantType, Provider, RefreshPolicy,
    },
    proxy::route::{Binding, Injection, ReauthorizeIf},
};

/// All providers of a file.
pub(super) struct Providers<'a> {
    /// The valid ones, in the order of the file.
    pub(super) built: Vec<Arc<Provider>>,
    /// The defaults of every provider's routes, by provider name.
    pub(super) route_defaults: HashMap<&'a str, RouteDefaults>,
    /// Whether no further ones are hidden by a mistake in the name of their table.
    pub(super) is_complete: bool,
}

impl Providers<'_> {
    /// The places of the tokens, by provider name.
    pub(super) fn injections(&self) -> BTreeMap<String, Injection> {
        let defaults = self.route_defaults.iter();
        let injections = defaults.map(|(name, one)| ((*name).to_owned(), one.injection.clone()));
        injections.collect()
    }
}

/// The keys of a provider that belong to its routes.
pub(super) struct RouteDefaults {
    pub(super) injection: Injection,
    pub(super) reauthorize_on: Vec<u16>,
    pub(super) reauthorize_if: Option<ReauthorizeIf>,
    pub(super) api: ApiFields,
    /// The default of `upstream`.
    pub(super) api_base: Option<ApiBase>,
    /// Whether there may be an `api_base` that is not known: an invalid one, or that of an unknown
    /// preset. Both were reported.
    pub(super) hides_api_base: bool,
}

pub(super) fn build_all<'a>(
    sections: &[(&'a str, Section<'a>)],
    texts: &'a Arena<String>,
    context: &mut BuildContext<'_>,
) -> Providers<'a> {
    let mut providers = Providers {
        built: Vec::new(),
        route_defaults: HashMap::new(),
        is_complete: true,
    };
    for (name, section) in sections {
        context.ok_or_push(check_name(name, section));
        let with_preset = apply_preset(section, context);
        let with_preset = context.ok_or_push(with_preset);
        // Keys that are missing may be those of the preset that is misspelt.
        let is_complete = with_preset.is_some();
        let section = with_preset.unwrap_or_else(|| section.clone());
        let variables =
            variables::resolve(name, &section, texts, is_complete, &mut context.diagnostics);
        let section = section.with_variables(variables);

        let captures = capture::build_all(&section, context);
        let endpoints = Endpoints::new(&section, &captures, context);
        let route_defaults = build_route_defaults(&section, &endpoints, is_complete, context);
        let parts = Parts {
            captures: capture::complete(captures, &endpoints, context),
            endpoints,
            route_defaults: &route_defaults,
            is_complete,
        };
        let provider = build(name, &section, parts, context);
        providers.built.extend(provider.map(Arc::new));
        providers.route_defaults.insert(name, route_defaults);
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
        .with_code(ProblemCode::UnknownPreset)
}

fn build_route_defaults(
    section: &Section<'_>,
    endpoints: &Endpoints<'_, '_>,
    is_complete: bool,
    context: &mut BuildContext<'_>,
) -> RouteDefaults {
    let api_base = api::build_base(section, endpoints, context);
    let injection = injection::build(&section.section("inject"), context);
    context.ok_or_push(api::check_injection(&section.section("api"), &injection));
    RouteDefaults {
        injection,
        reauthorize_if: build_reauthorize_if(&section.section("refresh"), context),
        api: api::build_fields(&section.section("api"), context),
        reauthorize_on: section
            .section("refresh")
            .integers("reauthorize_on")
            .unwrap_or_else(|| Binding::DEFAULT_REAUTHORIZE_ON.to_vec()),
        hides_api_base: api_base.is_none() && (!is_complete || section.is_set("api_base")),
        api_base,
    }
}

fn build_reauthorize_if(
    refresh: &Section<'_>,
    context: &mut BuildContext<'_>,
) -> Option<ReauthorizeIf> {
    if !refresh.has_table("reauthorize_if") {
        return None;
    }
    let section = refresh.section("reauthorize_if");
    let pointer = section.string("pointer");
    let pointer = pointer.and_then(|found| context.ok_or_push(parse_pointer("pointer", &found)));
    let values = section
        .strings("in")
        .map(|found| found.value)
        .unwrap_or_default();
    if (pointer.is_none() && !section.is_set("pointer")) || values.is_empty() {
        context.push(section.error(
            "`reauthorize_if` needs `pointer` and `in`",
            "write { status = 200, pointer = \"/error\", in = [\"token_expired\"] }",
        ));
    }
    Some(ReauthorizeIf {
        status: section.integer("status").unwrap_or(200),
        pointer: pointer?,
        values: values.iter().map(|value| value.value.to_owned()).collect(),
    })
}

/// The parts of a provider that others depend on.
struct Parts<'s, 'a> {
    captures: Vec<Capture>,
    endpoints: Endpoints<'s, 'a>,
    route_defaults: &'s RouteDefaults,
    /// Whether its preset is known. Missing keys are not reported otherwise.
    is_complete: bool,
}

/// Builds a provider.
fn build(
    name: &str,
    section: &Section<'_>,
    parts: Parts<'_, '_>,
    context: &mut BuildContext<'_>,
) -> Option<Provider> {
    let Parts {
        captures,
        endpoints,
        route_defaults,
        is_complete,
    } = parts;
    let grant_type = grant_type(section, context);
    if is_complete {
        check_required_keys(name, section, grant_type.as_ref(), context);
    }

    context.ok_or_push(endpoints.check_base_url(name));
    let token_endpoint = context.ok_or_push(endpoints.parse("token_endpoint"));
    let refresh_endpoint = context.ok_or_push(endpoints.parse("refresh_endpoint"));
    let device_authorization_endpoint =
        context.ok_or_push(endpoints.parse("device_authorization_endpoint"));
    let revocation_endpoint = context.ok_or_push(endpoints.parse("revocation_endpoint"));
    let allow_plaintext = section.boolean("allow_plaintext").unwrap_or_default();
    let issuer = section.string("issuer");
    let issuer = issuer
        .and_then(|found| context.ok_or_push(endpoint::parse_issuer(&found, allow_plaintext)));

    let client_secret = secret::read(section, "client_secret", context);
    let client_auth = client_auth::build(section, grant_type.as_ref(), is_complete, context);
    let refresh_token = secret::read(section, "refresh_token", context);
    let sign_in = sign_in::build(&section.section("sign_in"), &endpoints, context);
    let authorization = authorization::build(section, &endpoints, context);
    let token_request = token_request::build(section, client_auth, context);
    let token_response = token_response::build(&section.section("token_response"), context);
    let assertion = assertion::build(
        section,
        client_auth,
        grant_type.as_ref(),
        client_secret.as_deref(),
        is_complete,
        context,
    );
    let client_certificate = connection::client_certificate(section, context);
    if client_auth == ClientAuth::TlsClientAuth && !section.is_set("client_certificate") {
        context.push(section.error(
            "token_endpoint_auth_method = \"tls_client_auth\" needs a `client_certificate`",
            "add client_certificate = { cert = \"client.crt\", key = { file = \"client.key\" } }",
        ));
    }
    let password = secret::read(section, "password", context);
    let revocation = revocation::build(&section.section("revocation"), context);
    let verify = section.string("verify");
    let verify = verify.and_then(|found| context.ok_or_push(api::parse_verification(&found)));

    let refresh = section.section("refresh");
    Some(Provider {
        name: name.into(),
        grant_type: grant_type.clone()?,
        issuer,
        allow_plaintext,
        token_endpoint: token_endpoint?,
        refresh_endpoint: refresh_endpoint.flatten(),
        device_authorization_endpoint: device_authorization_endpoint.flatten(),
        revocation_endpoint: revocation_endpoint.flatten(),
        client_id: section.string("client_id")?.value.to_owned(),
        client_secret: client_secret.filter(|_| client_auth != ClientAuth::None),
        client_auth,
        client_certificate,
        assertion,
        username: section
            .string("username")
            .map(|found| found.value.to_owned()),
        password,
        scope: scope::build(section, context),
        refresh_token,
        token_request,
        token_response,
        authorization: (grant_type == Some(GrantType::AuthorizationCode)).then_some(authorization),
        sign_in,
        captures,
        refresh: RefreshPolicy {
            before: refresh.duration("before"),
            jitter: refresh.duration("jitter"),
            retry_lost_answer: refresh
                .boolean("retry_lost_answer")
                .unwrap_or(RefreshPolicy::default().retry_lost_answer),
            idle: refresh.duration("idle"),
            absolute: refresh.duration("absolute"),
        },
        revocation,
        api_base: route_defaults.api_base.clone(),
        api: route_defaults.api.clone(),
        verify,
    })
}

/// Returns the grant. A name that is not known is a grant of the vendor's own.
fn grant_type(section: &Section<'_>, context: &mut BuildContext<'_>) -> Option<GrantType> {
    let found = section.string("grant_type")?;
    let name = found.value;
    let known = GRANT_TYPES.iter().find(|known| known.as_str() == name);
    if known.is_none()
        && let Some(similar) = misspelt(name, GRANT_TYPES.iter().map(GrantType::as_str))
    {
        context.push(found.warning(
            ProblemCode::SuspectedTypo,
            format!("grant_type = {} is sent as it is", quote(name)),
            format!("did you mean \"{similar}\"?"),
        ));
    }
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
    let discovers = section.is_set("issuer");
    let mut required = vec![(
        "grant_type",
        "add grant_type = \"client_credentials\", \"authorization_code\" or \"refresh_token\"",
    )];
    if !discovers {
        required.push((
            "token_endpoint",
            "add the URL from the authorization server's documentation (RFC 6749 §3.2)",
        ));
    }
    required.push((
        "client_id",
        "add the identifier from the client's registration (RFC 6749 §2.2)",
    ));
    match grant_type {
        Some(GrantType::RefreshToken) => required.push((
            "refresh_token",
            "add refresh_token = { env = \"NAME\" }, or use grant_type = \"authorization_code\"",
        )),
        Some(GrantType::Password) => required.extend([
            ("username", "add the resource owner's name (RFC 6749 §4.3)"),
            ("password", "add password = { env = \"NAME\" }"),
        ]),
        Some(GrantType::DeviceCode) if !discovers => required.push((
            "device_authorization_endpoint",
            "add the URL from the authorization server's documentation (RFC 8628 §3.1)",
        )),
        Some(GrantType::AuthorizationCode)
            if !discovers && !section.section("sign_in").is_in_file() =>
        {
            required.push((
                "authorization_endpoint",
                "add the URL from the authorization server's documentation (RFC 6749 §3.1)",
            ));
        }
        _ => {}
    }
    if grant_type == Some(&GrantType::TokenExchange) {
        check_subject_token(&section.section("token_request"), context);
    }
    for (key, hint) in required {
        if !section.is_set(key) {
            context.push(section.error(format!("provider `{name}` has no `{key}`"), hint));
        }
    }
}

/// Warns of a token exchange without the parameters that RFC 8693 §2.1 requires.
fn check_subject_token(token_request: &Section<'_>, context: &mut BuildContext<'_>) {
    let params = token_request.parameters("params");
    for name in ["subject_token", "subject_token_type"] {
        if !params.iter().any(|(given, _)| *given == name) {
            context.push(token_request.warning(
                ProblemCode::IncompleteClient,
                format!("grant_type = \"token_exchange\" has no `{name}`"),
                format!("add `{name}` to `token_request.params` (RFC 8693 §2.1)"),
            ));
        }
    }
}
