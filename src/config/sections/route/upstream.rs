//! `upstream` of a route, or its provider's `api_base`, to [`Upstream`].

use url::Url;

use super::super::{
    BuildContext,
    endpoint::{check_no_query, check_plaintext, parse_absolute},
    provider::RouteDefaults,
};
use crate::{
    config::{
        choices::HTTP2_MODES, diagnostics::Diagnostic, location::Location, section::Section,
        spanned::Spanned,
    },
    proxy::route::{BaseUrl, Http2, Upstream, UpstreamBase},
    tls::Trust,
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

    let url = match upstream {
        Some(found) => parse_absolute("upstream", &found).map(|url| Some(("upstream", url))),
        None => default_url(route, section, defaults),
    };
    let upstream = context.ok_or_push(url).flatten().and_then(|(key, url)| {
        let found = Spanned {
            value: key,
            location: location.clone(),
        };
        context.ok_or_push(check_url(&url, &found, section));
        let http2 = section.choice("http2", &HTTP2_MODES).unwrap_or_default();
        from_url(&url, trust, http2)
    });
    (upstream, location)
}

/// Returns the provider's `api_base`. A missing one is an error only if no other error explains it.
fn default_url(
    route: &str,
    section: &Section<'_>,
    defaults: Option<&RouteDefaults>,
) -> Result<Option<(&'static str, Url)>, Diagnostic> {
    let is_explained = match defaults {
        Some(defaults) => defaults.hides_api_base,
        None => section.is_set("provider"),
    };
    if section.is_set("upstream") || is_explained {
        return Ok(None);
    }
    match defaults.and_then(|defaults| defaults.api_base.as_ref()) {
        Some(url) => Ok(Some(("api_base", url.clone()))),
        None => Err(section.error(
            format!("route `{route}` has no `upstream`"),
            "add upstream = \"https://api.example.com\"",
        )),
    }
}

fn check_url(url: &Url, key: &Spanned<&str>, section: &Section<'_>) -> Result<(), Diagnostic> {
    let allow_plaintext = section.boolean("allow_plaintext").unwrap_or(false);
    check_no_query(url, key.value, key)?;
    check_plaintext(url, key.value, "route", allow_plaintext, key)
}

fn from_url(url: &Url, trust: Trust, http2: Http2) -> Option<Upstream> {
    Some(Upstream {
        base: UpstreamBase::Fixed(BaseUrl::from_url(url)?),
        trust,
        client_certificate: None,
        proxy: None,
        http2,
    })
}
