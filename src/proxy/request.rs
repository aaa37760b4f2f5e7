//! The head that goes upstream: the client's, less what ends here, with the upstream's Host and the token.
//!
//! This is where `Authorization`, or whatever field or parameter `inject` names, is set.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
    uri::PathAndQuery,
};

use super::{
    admission::{ASTERISK, Admitted},
    error::ProxyRefusal,
    hop::{self, CredentialNames, NominatedNames},
    inject::InjectedToken,
    path,
    route::{Injection, Route},
    table::ActiveRoute,
};
use crate::token::access_token::AccessToken;

/// Builds the request head for an upstream connection of `version`.
///
/// `has_body` tells whether a body follows. `protocols` are those that the request may switch to.
///
/// # Errors
/// `bad-request`: no upstream target can be made of the client's.
pub fn for_upstream(
    parts: &Parts,
    admitted: &Admitted<'_>,
    active: &ActiveRoute,
    token: Option<&InjectedToken>,
    has_body: bool,
    protocols: Option<&HeaderValue>,
    version: Version,
) -> Result<Parts, ProxyRefusal> {
    let route = &active.route;
    let is_http2 = version == Version::HTTP_2;
    let mut upstream = http::Request::new(()).into_parts().0;
    upstream.method = parts.method.clone();
    upstream.uri = target(parts, admitted, active, token, is_http2)?;
    upstream.headers = fields(&parts.headers, active, is_http2);
    if !is_http2 {
        // The spelling of the client's field names.
        upstream.extensions = parts.extensions.clone();
    }

    let headers = &mut upstream.headers;
    if parts.version == Version::HTTP_2 && !is_http2 {
        join_cookies(headers);
    }
    if has_body && !is_http2 && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if is_http2 && hop::takes_trailers(&parts.headers) {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocols) = protocols {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocols.clone());
    }
    if let Some(name) = route.injected_header()
        && let Some(value) = token.and_then(|token| token.header.as_ref())
    {
        // `Authorization: Bearer …`, unless configured. The value is sensitive: HTTP/2 marks it as never indexed
        // (RFC 7541 §7.1.3).
        headers.insert(name.clone(), value.clone());
    }
    Ok(upstream)
}

/// The client's fields that pass, in their order, with the upstream's Host.
fn fields(headers: &HeaderMap, active: &ActiveRoute, is_http2: bool) -> HeaderMap {
    let nominated = NominatedNames::new(headers);
    let credentials = CredentialNames::new(&active.route);
    let passes = |name: &HeaderName| {
        let ends_here = hop::is_hop_by_hop(name)
            || *name == EXPECT
            || (is_http2 && (*name == TRANSFER_ENCODING || *name == HOST))
            || credentials.contains(name)
            || nominated.contains(name);
        !ends_here
    };
    // Host, the token and one framing field may be added.
    let mut kept = HeaderMap::with_capacity(headers.len() + 3);
    let host = active.upstream.host_field();
    if !is_http2 && !headers.contains_key(HOST) {
        kept.insert(HOST, host.clone());
    }
    for (name, value) in headers {
        if *name == HOST && !is_http2 {
            // In its place, even if `Connection` names it.
            kept.insert(HOST, host.clone());
        } else if passes(name) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// Joins the cookies that an HTTP/2 client may send in fields of their own (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies = headers.get_all(COOKIE).iter();
    let cookies: Vec<&[u8]> = cookies.map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

/// The target: the upstream's base path, then the client's path and query byte for byte.
fn target(
    parts: &Parts,
    admitted: &Admitted<'_>,
    active: &ActiveRoute,
    token: Option<&InjectedToken>,
    is_http2: bool,
) -> Result<Uri, ProxyRefusal> {
    let path_and_query = match is_unchanged(&active.route) {
        true => parts.uri.path_and_query().cloned(),
        false => Some(
            rewritten_target(admitted, &active.route, token)
                .ok_or_else(|| ProxyRefusal::bad_request("a target that no URL can carry"))?,
        ),
    };
    if !is_http2 && parts.uri.authority().is_none() && is_unchanged(&active.route) {
        return Ok(parts.uri.clone());
    }
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = path_and_query;
    if is_http2 {
        uri.scheme = Some(active.upstream.scheme().clone());
        uri.authority = Some(active.upstream.authority().clone());
    }
    Uri::from_parts(uri).map_err(|_| ProxyRefusal::bad_request("a target that no URL can carry"))
}

/// Whether the client's path and query go upstream as they are.
fn is_unchanged(route: &Route) -> bool {
    route.upstream.base_path.is_empty()
        && !route.strip_path
        && !matches!(route.injection(), Some(Injection::Query { .. }))
}

fn rewritten_target(
    admitted: &Admitted<'_>,
    route: &Route,
    token: Option<&InjectedToken>,
) -> Option<PathAndQuery> {
    if admitted.path == ASTERISK {
        return Some(PathAndQuery::from_static(ASTERISK));
    }
    let base = route.upstream.base_path.as_bytes();
    let mut path = admitted.path.as_bytes();
    // When the prefix was all of the path, the base path stands alone.
    let mut is_complete = true;
    if let Some(prefix) = route.path.as_ref().filter(|_| route.strip_path) {
        path = path::after_segments(path, prefix.matches('/').count());
        is_complete = !path.is_empty() || !base.is_empty();
    }
    let query = admitted.query.unwrap_or_default();
    let mut target = Vec::with_capacity(base.len() + path.len() + query.len() + 2);
    target.extend_from_slice(base);
    target.extend_from_slice(if is_complete { path } else { b"/" });
    match route.injection() {
        Some(Injection::Query { name }) => write_query(&mut target, query, name, token),
        _ if admitted.query.is_some() => {
            target.push(b'?');
            target.extend_from_slice(query.as_bytes());
        }
        _ => {}
    }
    PathAndQuery::from_maybe_shared(Bytes::from(target)).ok()
}

/// Writes the client's query without the injected parameter, then the token (RFC 6750 §2.3).
fn write_query(target: &mut Vec<u8>, query: &str, injected: &str, token: Option<&InjectedToken>) {
    let is_injected = |parameter: &str| {
        let mut pairs = url::form_urlencoded::parse(parameter.as_bytes());
        pairs.next().is_some_and(|(name, _)| name == injected)
    };
    let own = token.map(|token| query_pair(injected, &token.token));
    let client = query
        .split('&')
        .filter(|parameter| !query.is_empty() && !is_injected(parameter));
    let mut separator = b'?';
    for parameter in client.chain(own.as_deref()) {
        target.push(separator);
        target.extend_from_slice(parameter.as_bytes());
        separator = b'&';
    }
}

/// Encodes the token as a query parameter.
pub fn query_pair(name: &str, token: &AccessToken) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair(name, token.secret.expose())
        .finish()
}
