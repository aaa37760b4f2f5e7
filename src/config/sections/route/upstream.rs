//! `upstream` of a route, or its provider's `api_base`, to [`Upstream`].

use url::Url;

use super::super::{
    BuildContext, connection,
    endpoint::{check_no_query, check_plaintext, parse_absolute},
    provider::RouteDefaults,
};
use crate::{
    config::{
        choices::HTTP2_MODES, diagnostics::Diagnostic, location::Location, section::Section,
        spanned::Spanned,
    },
    oauth::provider::ApiBase,
    proxy::route::{BaseUrl, Upstream, UpstreamBase},
};

/// Builds the upstream, and returns where it is configured.
pub(super) fn build(
    route: &str,
    section: &Section<'_>,
    defaults: Option<&RouteDefaults>,
    context: &mut BuildContext<'_>,
) -> (Option<Upstream>, Location) {
    let trust = context.trust(section);
    let trust = context.ok_or_push(trust).unwrap_or_default();
    let upstream = section.string("upstream");
    let location = upstream.as_ref().map_or_else(
        || section.location().clone(),
        |found| found.location.clone(),
    );

    let base = match upstream {
        Some(found) => parse_absolute("upstream", &found).and_then(|url| {
            check_url(&url, "upstream", section, &location)?;
            Ok(BaseUrl::from_url(&url).map(UpstreamBase::Fixed))
        }),
        None => default_base(route, section, defaults, &location),
    };
    let base = context.ok_or_push(base).flatten();
    let proxy = connection::proxy(section, context);
    let upstream = Upstream {
        route: route.into(),
        unused_proxy: connection::unused_proxy(proxy.as_ref(), context),
        trust,
        client_certificate: connection::client_certificate(section, context),
        proxy,
        http2: section.choice("http2", &HTTP2_MODES).unwrap_or_default(),
        base: match base {
            Some(base) => base,
            None => return (None, location),
        },
    };
    (Some(upstream), location)
}

/// Returns the provider's `api_base`. A missing one is an error only if no other error explains it.
fn default_base(
    route: &str,
    section: &Section<'_>,
    defaults: Option<&RouteDefaults>,
    location: &Location,
) -> Result<Option<UpstreamBase>, Diagnostic> {
    let is_explained = match defaults {
        Some(defaults) => defaults.hides_api_base,
        None => section.is_set("provider"),
    };
    if section.is_set("upstream") || is_explained {
        return Ok(None);
    }
    let Some(base) = defaults.and_then(|defaults| defaults.api_base.as_ref()) else {
        return Err(section.error(
            format!("route `{route}` has no `upstream`"),
            "add upstream = \"https://api.example.com\"",
        ));
    };
    let fixed = match base {
        ApiBase::Url(url) => url.as_fixed(),
        ApiBase::Response { .. } => None,
    };
    match fixed {
        Some(url) => {
            check_url(url, "api_base", section, location)?;
            Ok(BaseUrl::from_url(url).map(UpstreamBase::Fixed))
        }
        None => Ok(Some(UpstreamBase::Token(base.clone()))),
    }
}

fn check_url(
    url: &Url,
    key: &str,
    section: &Section<'_>,
    location: &Location,
) -> Result<(), Diagnostic> {
    let found = Spanned {
        value: key,
        location: location.clone(),
    };
    let allow_plaintext = section.boolean("allow_plaintext").unwrap_or(false);
    check_no_query(url, key, &found)?;
    check_plaintext(url, key, "route", allow_plaintext, &found)
}
