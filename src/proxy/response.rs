//! The head that goes to the client: the upstream's, less what ends here, with `Location` as the client uses it.

use http::{
    HeaderMap, Response, StatusCode, Version,
    header::{ALT_SVC, CONTENT_LENGTH, TRANSFER_ENCODING},
    response::Parts,
};
use hyper::body::Incoming;

use super::{
    body::{Download, TrailerFilter},
    error::ProxyRefusal,
    forward::{Outgoing, Sent},
    hop::{self, NominatedNames},
    location::{self, LocationRewriter},
    redact,
};
use crate::server::{limits::Limits, problem::ProblemKind};

/// Checks a response head for what hyper lets through.
///
/// # Errors
/// `upstream-protocol`: more fields than `limits` allow, or framing that another reader may take otherwise
/// (RFC 9112 §6.3).
pub fn check(response: &Response<Incoming>, limits: &Limits) -> Result<(), ProxyRefusal> {
    let headers = response.headers();
    if headers.len() > limits.head_fields {
        return Err(head_too_large());
    }
    match framing_fault(headers) {
        None => Ok(()),
        Some(fault) => Err(ProxyRefusal::new(
            ProblemKind::UpstreamProtocol,
            format!("the upstream sent {fault}"),
        )),
    }
}

fn framing_fault(headers: &HeaderMap) -> Option<&'static str> {
    let (mut length, mut coding) = (None, None);
    for (name, value) in headers {
        let value = value.as_bytes();
        match *name {
            TRANSFER_ENCODING
                if coding.replace(value).is_some() || !value.eq_ignore_ascii_case(b"chunked") =>
            {
                return Some("a Transfer-Encoding other than one `chunked`");
            }
            CONTENT_LENGTH => {
                if length.replace(value).is_some() {
                    return Some("more than one Content-Length");
                }
                if !value.iter().all(u8::is_ascii_digit) {
                    return Some("a Content-Length that is not one number");
                }
            }
            _ => {}
        }
    }
    coding
        .and(length)
        .and(Some("a Content-Length beside Transfer-Encoding"))
}

/// Makes the refusal of a response head that is above the limits.
pub fn head_too_large() -> ProxyRefusal {
    ProxyRefusal::new(
        ProblemKind::UpstreamProtocol,
        "the upstream sent a head above `limits.head_bytes` or `limits.head_fields`",
    )
    .with_proxy_error("http_response_header_section_size")
}

/// Turns the upstream's response into the client's.
pub fn for_client(sent: Sent, outgoing: &Outgoing<'_>) -> Response<Download> {
    let Sent {
        response,
        peeked,
        mut checkout,
    } = sent;
    let Outgoing {
        active,
        parts: request,
        body,
        ..
    } = outgoing;
    if !body.is_received() {
        checkout.detach_upload();
    }
    let (mut parts, incoming) = response.into_parts();
    let filter = TrailerFilter::of_response(&parts.headers);
    parts.version = Version::HTTP_11;
    strip_hop_by_hop(&mut parts, filter.nominated(), request.version);
    redact::strip_secrets(&mut parts.headers, outgoing.access.token());
    let upstream = outgoing.access.upstream().base();
    let rewriter = LocationRewriter::new(&active.route, upstream, outgoing.admitted);
    location::map_locations(&mut parts.headers, |url| rewriter.rewrite(url));
    let idle = active.route.timeouts.idle;
    let download = Download::new((peeked, incoming), checkout, body.clone(), filter, idle);
    Response::from_parts(parts, download)
}

fn strip_hop_by_hop(parts: &mut Parts, nominated: &NominatedNames, client_version: Version) {
    let is_http2 = client_version == Version::HTTP_2;
    // RFC 9110 §8.6: a 204 has no length.
    let has_no_length = parts.status == StatusCode::NO_CONTENT;
    hop::retain(&mut parts.headers, |name, _| {
        let ends_here = hop::is_hop_by_hop(name)
            || *name == ALT_SVC
            || (is_http2 && *name == TRANSFER_ENCODING)
            || (has_no_length && *name == CONTENT_LENGTH)
            || nominated.contains(name);
        !ends_here
    });
}
