//! `verify`: one call of the API with the token, as a route would send it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header::WWW_AUTHENTICATE};
use url::Url;

use super::{
    cause::{Cause, FindingKind},
    examination::{Session, endpoint},
    surroundings::routes_of,
};
use crate::{
    config::text_value,
    oauth::{
        api_context::ApiContext,
        error::EndpointKey,
        provider::{ApiBase, EndpointUrl, HostList, Provider, Verification},
        request::PreparedRequest,
        variables::Variables,
    },
    proxy::route::{Injection, Route, UpstreamBase},
    secret::Secret,
};

/// Makes the call, if the provider has one and the address of the API is known.
pub(super) async fn verify(session: &mut Session<'_>, token: &Secret, context: &ApiContext) {
    let provider = session.provider.clone();
    let Some(verification) = &provider.verify else {
        return;
    };
    let route = routes_of(session.config, &provider).next();
    let injection = session.config.injection(&provider.name);
    let prepared = prepare(&provider, verification, route, &injection, token, context);
    let request = match prepared {
        Ok(request) => request,
        Err(reason) => {
            let message = format!("`verify` cannot be sent: {reason}.");
            let cause = Cause::new(FindingKind::Api, message);
            return session.causes.push(cause.about(&["verify", "api_base"]));
        }
    };
    let url = request.url.clone();
    let client = endpoint(Arc::new(as_upstream(&provider, route)), &session.recorder);
    let cause = match client.send(request).await {
        Err(error) => {
            let error = error.for_endpoint(EndpointKey::ApiBase, Some(&url), &provider);
            let message = format!("The call of the API failed: {}.", error.for_operators());
            Some(Cause::new(FindingKind::Api, message).about(&["api_base", "verify"]))
        }
        Ok(response) => judge(
            &provider,
            &injection,
            verification,
            response.status.as_u16(),
            &response.headers,
            &response.body,
            Some(url.origin().ascii_serialization()),
        ),
    };
    session.causes.extend(cause);
}

/// The provider with the connection settings of its route.
fn as_upstream(provider: &Provider, route: Option<&Route>) -> Provider {
    let mut provider = provider.clone();
    let settings = &mut provider.token_request;
    settings.trust = route
        .map(|route| route.upstream.trust.clone())
        .unwrap_or_default();
    settings.proxy = route.and_then(|route| route.upstream.proxy.clone());
    if let Some(route) = route {
        settings.timeout = route.timeouts.response;
    }
    provider.client_certificate = route.and_then(|route| route.upstream.client_certificate.clone());
    provider
}

fn prepare(
    provider: &Provider,
    verification: &Verification,
    route: Option<&Route>,
    injection: &Injection,
    token: &Secret,
    context: &ApiContext,
) -> Result<PreparedRequest, String> {
    let variables = Variables::new(provider, context);
    let base = base(provider, route, context, &variables)?;
    let whole = format!(
        "{}{}",
        base.as_str().trim_end_matches('/'),
        verification.path
    );
    let url = EndpointUrl::template(&whole, HostList::default());
    let url = url.map_err(|_| "its path has a brace without a name".to_owned())?;
    let mut url = variables
        .complete(&url)
        .map_err(|error| error.to_string())?;
    let mut headers = HeaderMap::new();
    headers.insert(
        http::header::USER_AGENT,
        HeaderValue::from_static(concat!("bearward/", env!("CARGO_PKG_VERSION"))),
    );
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("*/*"));
    for (name, value) in provider
        .api
        .default_headers
        .iter()
        .chain(&provider.api.headers)
    {
        headers.remove(name);
        for text in variables
            .resolve(value)
            .map_err(|missing| missing.to_string())?
        {
            headers.append(name, header(name, &text)?);
        }
    }
    for (name, value) in &provider.api.query {
        for text in variables
            .resolve(value)
            .map_err(|missing| missing.to_string())?
        {
            url.query_pairs_mut().append_pair(name, &text);
        }
    }
    match injection {
        Injection::Header { name, prefix } => {
            let text = zeroize::Zeroizing::new(format!("{prefix}{}", token.expose()));
            headers.insert(name, header(name, &text)?);
        }
        Injection::Query { name } => {
            url.query_pairs_mut().append_pair(name, token.expose());
        }
    }
    Ok(PreparedRequest {
        method: verification.method.clone(),
        url,
        headers,
        body: Vec::new(),
    })
}

fn header(name: &HeaderName, text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| format!("the value of the header `{name}` cannot stand in one"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The address of the API: that of a route with this provider, else `api_base`.
fn base(
    provider: &Provider,
    route: Option<&Route>,
    context: &ApiContext,
    variables: &Variables<'_>,
) -> Result<Url, String> {
    if let Some(UpstreamBase::Fixed(base)) = route.map(|route| &route.upstream.base) {
        let scheme = if base.tls { "https" } else { "http" };
        let text = format!("{scheme}://{}{}", base.authority, base.path);
        return Url::parse(&text).map_err(|error| error.to_string());
    }
    match &provider.api_base {
        Some(ApiBase::Url(base)) => variables.complete(base).map_err(|error| error.to_string()),
        Some(ApiBase::Response { from, .. }) => context
            .base
            .clone()
            .ok_or_else(|| format!("the token response has no URL at {from:?}")),
        None => Err("neither `api_base` nor a route names the API".to_owned()),
    }
}

/// Judges the response of the API. Pure.
fn judge(
    provider: &Provider,
    injection: &Injection,
    verification: &Verification,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    origin: Option<String>,
) -> Option<Cause> {
    if (200..300).contains(&status) || status == 304 {
        return None;
    }
    let call = format!("{} {}", verification.method, verification.path);
    let challenge = headers.get(WWW_AUTHENTICATE);
    let challenge = challenge
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let lower = challenge.to_lowercase();
    let words = format!("{lower} {}", String::from_utf8_lossy(body).to_lowercase());
    let cause = |advice: &str| {
        let message = format!("The API responded to {call} with status {status}: {advice}.");
        Cause::new(FindingKind::Api, message)
    };
    if let Some(scope) = wanted_scope(challenge).filter(|_| words.contains("insufficient_scope")) {
        let own = provider.scope.as_deref().unwrap_or_default();
        let mut scopes: Vec<&str> = own.split_whitespace().collect();
        scopes.extend(
            scope
                .split_whitespace()
                .filter(|one| !own.split_whitespace().any(|known| known == *one)),
        );
        let list: Vec<String> = scopes.iter().map(|scope| text_value(scope)).collect();
        let value = format!("[{}]", list.join(", "));
        return Some(
            cause(&format!("the token lacks the scope {scope:?}"))
                .fixed_by_value(vec!["scope".into()], value),
        );
    }
    if let Some(origin) =
        origin.filter(|_| matches!(status, 401 | 403) && words.contains("audience"))
    {
        let key = match provider.token_request.params.contains_key("resource") {
            true => "token_request.params.resource",
            false => "token_request.params.audience",
        };
        return Some(cause("the token is for another audience").fixed_by(key, &origin));
    }
    Some(match status {
        401 => match injection {
            Injection::Header { name, prefix }
                if lower.starts_with("bearer")
                    && (*name != Injection::DEFAULT_HEADER
                        || prefix != Injection::DEFAULT_PREFIX) =>
            {
                let advice =
                    "it wants `Authorization: Bearer`, and `inject` sends the token otherwise";
                match *name == Injection::DEFAULT_HEADER {
                    true => cause(advice).fixed_by("inject.prefix", Injection::DEFAULT_PREFIX),
                    false => cause(advice).fixed_by("inject.header", "authorization"),
                }
            }
            Injection::Query { .. } if lower.starts_with("bearer") => cause(
                "it wants `Authorization: Bearer`, and `inject.query` sends the token in the query",
            )
            .about(&["inject.query", "inject"]),
            _ => cause("it refuses the token. Check `scope`, the audience, and `inject`")
                .about(&["verify", "scope"]),
        },
        403 => cause(
            "the token is accepted, and lacks a permission. Check `scope`, and the client's rights",
        )
        .about(&["scope", "verify"]),
        404 | 405 => cause(
            "there is no such resource. Check the path of `verify`, and the address of the API",
        )
        .about(&["verify", "api_base"]),
        300..=399 => cause("it redirects. Check the path of `verify`, and the address of the API")
            .about(&["verify", "api_base"]),
        429 => cause("it limits requests. Wait").about(&["verify"]),
        500.. => cause("it fails. See its log, or wait").about(&["verify", "api_base"]),
        _ => cause("check `verify`, and the headers and parameters in `api`")
            .about(&["verify", "api"]),
    })
}

/// The scope that a challenge names (RFC 6750 §3).
fn wanted_scope(challenge: &str) -> Option<&str> {
    let (_, rest) = challenge.split_once("scope=\"")?;
    let (scope, _) = rest.split_once('"')?;
    (!scope.is_empty()).then_some(scope)
}
