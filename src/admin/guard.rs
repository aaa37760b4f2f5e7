//! Access to the admin listener: an accepted Host, the same origin, and the key. Decides only.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, Uri, Version, header, request::Parts};

use crate::{
    secret::Secret,
    server::{
        address::ListenAddress,
        origin_guard::{CrossSiteRule, OriginGuard, is_navigation},
        requested_host::RequestedHost,
    },
};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not exactly one valid `Host`.
    BadHost,
    /// A Host that the listener does not accept.
    UnknownHost,
    /// Sent by a page of another site.
    CrossSite,
    /// The key is missing or wrong.
    KeyRequired,
    /// Other machines can reach the listener, and it has no key.
    ClosedToNetwork,
}

/// The clients that an endpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Probes and scrapers.
    Anyone,
    /// A browser that returns from an authorization server, by a navigation from another site. It needs no key: the
    /// cookie binds the login to the browser that started it with one.
    Returning,
    /// Clients with the key; without a key, clients on this machine.
    Operator,
    /// Operators who start a login, by a name of the listener or the one in a `redirect_uri`.
    Starting,
    /// Operators that this listener redirected here from another of its names.
    Redirected,
}

/// The guard of one admin listener.
#[derive(Debug)]
pub(super) struct Guard {
    is_local: bool,
    origin: OriginGuard,
}

impl Guard {
    /// The guard of the listener at `address`, the real one, port 0 resolved, which an ingress publishes as `hosts`.
    pub(super) fn new(address: &ListenAddress, hosts: Vec<String>) -> Self {
        Self {
            is_local: address.is_local(),
            origin: OriginGuard::for_address(address)
                .with_rule(CrossSiteRule::RequireSameOrigin)
                .with_published_names(hosts),
        }
    }

    /// Checks Host and origin. Where a login starts and returns, the host of a `redirect_uri` is accepted too.
    pub(super) fn check_site(
        &self,
        parts: &Parts,
        audience: Audience,
        is_redirect_host: impl Fn(&str) -> bool,
    ) -> Result<(), Refusal> {
        // A kubelet probes by the pod's address, and a scraper by any name.
        let any_host = audience == Audience::Anyone && !self.is_local;
        // HTTP/1.0, which no browser speaks, may name no host; some probes speak it.
        let is_optional = any_host || parts.version == Version::HTTP_10;
        let host = requested_host(&parts.uri, &parts.headers, is_optional)?;

        let is_login = !matches!(audience, Audience::Anyone | Audience::Operator);
        let is_accepted = |name: &str| {
            any_host || self.origin.accepts_host(name) || is_login && is_redirect_host(name)
        };
        if host.is_some_and(|host| !is_accepted(host.name)) {
            return Err(Refusal::UnknownHost);
        }
        let may_navigate = matches!(audience, Audience::Returning | Audience::Redirected);
        let is_exempt = may_navigate && is_navigation(&parts.headers);
        if !is_exempt && self.origin.is_cross_site(&parts.headers, host) {
            return Err(Refusal::CrossSite);
        }
        Ok(())
    }

    /// Checks the key that `headers` carry, where `audience` needs one.
    pub(super) fn check_key(
        &self,
        headers: &HeaderMap,
        audience: Audience,
        key: Option<&Secret>,
    ) -> Result<(), Refusal> {
        match key {
            _ if audience == Audience::Anyone => Ok(()),
            Some(_) if audience == Audience::Returning => Ok(()),
            Some(key) if has_key(headers, key) => Ok(()),
            Some(_) => Err(Refusal::KeyRequired),
            None if self.is_local => Ok(()),
            None => Err(Refusal::ClosedToNetwork),
        }
    }
}

/// The host that a request names. An absolute-form target has to name the same as `Host`; RFC 9112 §3.2.2 would let the
/// target win, and no honest client sends two.
fn requested_host<'a>(
    uri: &Uri,
    headers: &'a HeaderMap,
    is_optional: bool,
) -> Result<Option<RequestedHost<'a>>, Refusal> {
    let mut fields = headers.get_all(header::HOST).iter();
    let host = match (fields.next(), fields.next()) {
        (Some(field), None) => field.to_str().map_err(|_| Refusal::BadHost)?,
        (None, _) if is_optional && uri.authority().is_none() => return Ok(None),
        (None, _) if is_optional => return Err(Refusal::UnknownHost),
        _ => return Err(Refusal::BadHost),
    };
    let requested = RequestedHost::parse(host).ok_or(Refusal::BadHost)?;
    match uri.authority() {
        Some(target) if !target.as_str().eq_ignore_ascii_case(host) => Err(Refusal::UnknownHost),
        _ => Ok(Some(requested)),
    }
}

/// Whether `headers` carry the key, as a Bearer token (RFC 6750) or as the password of any user (RFC 7617).
fn has_key(headers: &HeaderMap, key: &Secret) -> bool {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return false;
    };
    let Some((scheme, credentials)) = field.to_str().ok().and_then(|field| field.split_once(' '))
    else {
        return false;
    };
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return key.matches(credentials.as_bytes());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    let Ok(pair) = BASE64_STANDARD
        .decode(credentials)
        .map(zeroize::Zeroizing::new)
    else {
        return false;
    };
    let password = pair.splitn(2, |byte| *byte == b':').nth(1);
    password.is_some_and(|password| key.matches(password))
}

#[cfg(test)]
mod tests;
