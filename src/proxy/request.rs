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
    admission::ASTERISK,
    error::ProxyRefusal,
    forward::Outgoing,
    hop::{self, CredentialNames, NominatedNames},
    path,
};

/// Builds the request head for an upstream connection of `version`.
///
/// # Errors
/// `bad-request`: no upstream target can be made of the client's.
pub fn for_upstream(outgoing: &Outgoing<'_>, version: Version) -> Result<Parts, ProxyRefusal> {
    let Outgoing { parts, access, .. } = outgoing;
    let is_http2 = version == Version::HTTP_2;
    let has_body = !outgoing.body.is_empty();
    let mut upstream = http::Request::new(()).into_parts().0;
    upstream.method = parts.method.clone();
    upstream.uri = target(outgoing, is_http2)?;
    upstream.headers = fields(outgoing, is_http2);
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
    if let Some(asked) = outgoing.upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, asked.protocols.clone());
    }
    if let Some(token) = access.token() {
        token.fields.apply(headers, &outgoing.uuid);
        if let Some((name, value)) = &token.header {
            // `Authorization: Bearer …`, unless configured. The value is sensitive: HTTP/2 marks it as never indexed
            // (RFC 7541 §7.1.3).
            headers.insert(name.clone(), value.clone());
        }
    }
    Ok(upstream)
}

/// The client's fields that pass, in their order, with the upstream's Host.
fn fields(outgoing: &Outgoing<'_>, is_http2: bool) -> HeaderMap {
    let Outgoing { active, access, .. } = outgoing;
    let headers = &outgoing.parts.headers;
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
    // Host, the token and one framing field may be added, and the fields of `[api]`.
    let of_api = access.token().map_or(0, |token| token.fields.count());
    let mut kept = HeaderMap::with_capacity(headers.len() + 3 + of_api);
    let host = access.upstream().host_field();
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
fn target(outgoing: &Outgoing<'_>, is_http2: bool) -> Result<Uri, ProxyRefusal> {
    let Outgoing { parts, access, .. } = outgoing;
    let is_unchanged = is_unchanged(outgoing);
    let path_and_query = match is_unchanged {
        true => parts.uri.path_and_query().cloned(),
        false => Some(
            rewritten_target(outgoing)
                .ok_or_else(|| ProxyRefusal::bad_request("a target that no URL can carry"))?,
        ),
    };
    if !is_http2 && parts.uri.authority().is_none() && is_unchanged {
        return Ok(parts.uri.clone());
    }
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = path_and_query;
    if is_http2 {
        uri.scheme = Some(access.upstream().scheme().clone());
        uri.authority = Some(access.upstream().authority().clone());
    }
    Uri::from_parts(uri).map_err(|_| ProxyRefusal::bad_request("a target that no URL can carry"))
}

/// Whether the client's path and query go upstream as they are.
fn is_unchanged(outgoing: &Outgoing<'_>) -> bool {
    let Outgoing { active, access, .. } = outgoing;
    access.upstream().base().path.is_empty()
        && !active.route.strip_path
        && access.token().is_none_or(|token| token.query.is_none())
}

fn rewritten_target(outgoing: &Outgoing<'_>) -> Option<PathAndQuery> {
    let Outgoing {
        admitted, access, ..
    } = outgoing;
    if admitted.path == ASTERISK {
        return Some(PathAndQuery::from_static(ASTERISK));
    }
    let route = &outgoing.active.route;
    let base = access.upstream().base().path.as_bytes();
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
    match access.token().and_then(|token| token.query.as_ref()) {
        Some(own) => own.write(&mut target, query, &outgoing.uuid),
        None if admitted.query.is_some() => {
            target.push(b'?');
            target.extend_from_slice(query.as_bytes());
        }
        None => {}
    }
    PathAndQuery::from_maybe_shared(Bytes::from(target)).ok()
}
