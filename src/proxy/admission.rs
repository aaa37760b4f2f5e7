//! Rules of HTTP that hyper does not enforce: a request is admitted before anything else looks at it.

use http::{
    HeaderMap, Method, Uri, Version,
    header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING},
    request::Parts,
};

use super::error::ProxyRefusal;
use crate::server::{limits::Limits, problem::ProblemKind, requested_host::RequestedHost};

/// The path of a request for the server as a whole (RFC 9112 §3.2.4).
pub const ASTERISK: &str = "*";

/// The facts about an admitted request on which every later step relies.
#[derive(Clone, Copy, Debug)]
pub struct Admitted<'a> {
    /// The requested host and port, as the client wrote them; HTTP/1.0 may name none.
    pub authority: Option<&'a str>,
    /// The requested host, without its port.
    pub host: Option<&'a str>,
    /// The requested port, when it is named.
    pub port: Option<u16>,
    /// The path; `*` stands for the server as a whole.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: Option<&'a str>,
    /// Whether the path came with bytes outside ASCII, which the framing gate has percent-encoded.
    pub had_raw_path: bool,
}

/// Admits a request or refuses it.
///
/// # Errors
/// `bad-request`, `method-not-allowed`, `expectation-failed`, `path-too-long`, `headers-too-large`.
pub fn admit<'a>(parts: &'a Parts, limits: &Limits) -> Result<Admitted<'a>, ProxyRefusal> {
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(ProxyRefusal::new(
            ProblemKind::MethodNotAllowed,
            "CONNECT and TRACE are not served",
        ));
    }
    // `:authority` stands for Host.
    let has_authority = parts.version == Version::HTTP_2 && !parts.headers.contains_key(HOST);
    if parts.headers.len() + usize::from(has_authority) > limits.head_fields {
        return Err(ProxyRefusal::new(
            ProblemKind::HeadersTooLarge,
            "the request head has more fields than `limits.head_fields`",
        ));
    }
    let host = check_fields(&parts.headers)?;
    check_target(parts)?;
    let requested = requested_host(parts, host)?;
    let path = parts.uri.path();
    if path.len() > limits.path_bytes {
        return Err(ProxyRefusal::new(
            ProblemKind::PathTooLong,
            "the path is longer than `limits.path_bytes`",
        ));
    }
    Ok(Admitted {
        authority: requested.map(|requested| requested.text),
        host: requested.map(|requested| requested.host.name),
        port: requested.and_then(|requested| requested.host.port),
        path,
        query: parts.uri.query(),
        had_raw_path: false,
    })
}

/// Checks the fields that decide about the message, and returns `Host`, in one pass.
///
/// One transfer coding, which is `chunked`, or none (RFC 9112 §6.1). One length at most: the framing gate sees to it in
/// HTTP/1, nothing else in HTTP/2. No expectation but `100-continue`. One `Host` at most.
fn check_fields(headers: &HeaderMap) -> Result<Option<&[u8]>, ProxyRefusal> {
    let (mut host, mut length, mut coding) = (None, None, None);
    let mut has_other_expectation = false;
    for (name, value) in headers {
        let value = value.as_bytes();
        match *name {
            HOST if host.replace(value).is_some() => {
                return Err(ProxyRefusal::bad_request("more than one Host"));
            }
            CONTENT_LENGTH if length.replace(value).is_some() => {
                return Err(ProxyRefusal::bad_request("Content-Length is repeated"));
            }
            TRANSFER_ENCODING
                if coding.replace(value).is_some() || !value.eq_ignore_ascii_case(b"chunked") =>
            {
                return Err(ProxyRefusal::bad_request(
                    "a Transfer-Encoding other than one `chunked`",
                ));
            }
            EXPECT => has_other_expectation |= !value.eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
    }
    // After the framing, whose faults end the connection.
    match has_other_expectation {
        false => Ok(host),
        true => Err(ProxyRefusal::new(
            ProblemKind::ExpectationFailed,
            "an Expect other than 100-continue",
        )),
    }
}

/// Origin form, absolute form, and for OPTIONS the asterisk form (RFC 9112 §3.2).
fn check_target(parts: &Parts) -> Result<(), ProxyRefusal> {
    let uri = &parts.uri;
    let is_known_scheme = uri
        .scheme_str()
        .is_none_or(|scheme| matches!(scheme, "http" | "https"));
    let is_asterisk = uri.path() == ASTERISK;
    let is_path = uri.path().starts_with('/') && (uri.scheme().is_some() || is_origin_form(uri));
    let is_allowed = is_known_scheme
        && match is_asterisk {
            true => parts.method == Method::OPTIONS && uri.query().is_none(),
            false => is_path,
        };
    match is_allowed {
        true => Ok(()),
        false => Err(ProxyRefusal::bad_request(
            "a request target that is neither a path nor an http URL",
        )),
    }
}

fn is_origin_form(uri: &Uri) -> bool {
    uri.authority().is_none()
}

#[derive(Clone, Copy)]
struct RequestedAuthority<'a> {
    text: &'a str,
    host: RequestedHost<'a>,
}

/// The one host that the request is for.
///
/// The authority of an absolute form takes precedence over `Host` (RFC 9112 §3.2.2), which HTTP/1.1 needs all the same.
/// In HTTP/2, `Host` must equal `:authority` (RFC 9113 §8.3.1).
fn requested_host<'a>(
    parts: &'a Parts,
    host: Option<&'a [u8]>,
) -> Result<Option<RequestedAuthority<'a>>, ProxyRefusal> {
    if host.is_none() && parts.version == Version::HTTP_11 {
        return Err(ProxyRefusal::bad_request("no Host"));
    }
    let host = host.map(RequestedAuthority::parse).transpose()?;
    let authority = parts
        .uri
        .authority()
        .map(|authority| RequestedAuthority::parse(authority.as_str().as_bytes()))
        .transpose()?;
    match (host, authority) {
        (Some(host), Some(authority))
            if parts.version == Version::HTTP_2
                && !host.text.eq_ignore_ascii_case(authority.text) =>
        {
            Err(ProxyRefusal::bad_request("a Host that is not :authority"))
        }
        (None, None) if parts.version == Version::HTTP_2 => {
            Err(ProxyRefusal::bad_request("neither :authority nor Host"))
        }
        _ => Ok(authority.or(host)),
    }
}

impl<'a> RequestedAuthority<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, ProxyRefusal> {
        let parse = || {
            let text = std::str::from_utf8(text).ok()?;
            let host = RequestedHost::parse(text)?;
            Some(Self { text, host })
        };
        parse().ok_or_else(|| {
            ProxyRefusal::bad_request("a Host that is not one name with an optional port")
        })
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn request(version: Version, method: &str, target: &str, fields: &[(&str, &str)]) -> Parts {
        let mut builder = Request::builder()
            .version(version)
            .method(method)
            .uri(target);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn kind(parts: &Parts) -> Result<(), ProblemKind> {
        admit(parts, &Limits::default())
            .map(|_| ())
            .map_err(|refusal| refusal.kind)
    }

    fn with_host(host: &str) -> Parts {
        request(Version::HTTP_11, "GET", "/", &[("host", host)])
    }

    fn with_target(method: &str, target: &str) -> Result<(), ProblemKind> {
        kind(&request(Version::HTTP_11, method, target, &[("host", "a")]))
    }

    #[test]
    fn a_request_is_for_exactly_one_host() {
        for host in ["a", "a:80", "a:", "[::1]:8080", "a.b-c_d~e"] {
            assert_eq!(kind(&with_host(host)), Ok(()), "{host}");
        }
        for host in [
            "", "a, b", "a b", "a:99999", "a:80:80", "a:x", "user@a", "a/b", "[::1", "[x]", ":80",
        ] {
            assert_eq!(
                kind(&with_host(host)),
                Err(ProblemKind::BadRequest),
                "{host}"
            );
        }
        let none = request(Version::HTTP_11, "GET", "/", &[]);
        assert_eq!(kind(&none), Err(ProblemKind::BadRequest));
        let two = request(
            Version::HTTP_10,
            "GET",
            "/",
            &[("host", "a"), ("host", "a")],
        );
        assert_eq!(kind(&two), Err(ProblemKind::BadRequest));
        assert_eq!(kind(&request(Version::HTTP_10, "GET", "/", &[])), Ok(()));
    }

    #[test]
    fn the_authority_of_an_absolute_form_precedes_the_host() {
        let parts = request(Version::HTTP_11, "GET", "HTTP://b:81/?q", &[("host", "a")]);
        let admitted = admit(&parts, &Limits::default()).unwrap();
        assert_eq!((admitted.host, admitted.port), (Some("b"), Some(81)));
        assert_eq!((admitted.path, admitted.query), ("/", Some("q")));
        let user = request(Version::HTTP_11, "GET", "http://u@a/", &[("host", "a")]);
        assert_eq!(kind(&user), Err(ProblemKind::BadRequest));
    }

    #[test]
    fn host_and_authority_agree_in_http2() {
        let parts = |fields: &[(&str, &str)]| request(Version::HTTP_2, "GET", "http://a/", fields);
        assert_eq!(kind(&parts(&[])), Ok(()));
        assert_eq!(kind(&parts(&[("host", "A")])), Ok(()));
        assert_eq!(kind(&parts(&[("host", "b")])), Err(ProblemKind::BadRequest));
        let none = request(Version::HTTP_2, "GET", "/", &[]);
        assert_eq!(kind(&none), Err(ProblemKind::BadRequest));
    }

    #[test]
    fn only_options_is_for_the_server_as_a_whole() {
        assert_eq!(with_target("OPTIONS", "*"), Ok(()));
        assert_eq!(with_target("GET", "*"), Err(ProblemKind::BadRequest));
        for target in ["a", "a:1"] {
            assert_eq!(
                with_target("OPTIONS", target),
                Err(ProblemKind::BadRequest),
                "{target}"
            );
        }
        assert_eq!(with_target("GET", "ftp://a/"), Err(ProblemKind::BadRequest));
    }

    #[test]
    fn methods_expectations_and_codings() {
        assert_eq!(
            with_target("CONNECT", "a:1"),
            Err(ProblemKind::MethodNotAllowed)
        );
        assert_eq!(
            with_target("TRACE", "/"),
            Err(ProblemKind::MethodNotAllowed)
        );
        assert_eq!(with_target("PURGE", "/"), Ok(()));
        let field = |name, value| {
            kind(&request(
                Version::HTTP_11,
                "PUT",
                "/",
                &[("host", "a"), (name, value)],
            ))
        };
        assert_eq!(field("expect", "100-Continue"), Ok(()));
        assert_eq!(field("expect", "tea"), Err(ProblemKind::ExpectationFailed));
        assert_eq!(field("transfer-encoding", "Chunked"), Ok(()));
        for coding in ["gzip, chunked", "chunked, chunked", "identity", ""] {
            let refused = field("transfer-encoding", coding);
            assert_eq!(refused, Err(ProblemKind::BadRequest), "{coding}");
        }
    }

    #[test]
    fn the_query_does_not_count_towards_the_path() {
        let long = "x".repeat(9000);
        assert_eq!(
            with_target("GET", &format!("/{long}")),
            Err(ProblemKind::PathTooLong)
        );
        assert_eq!(with_target("GET", &format!("/?{long}")), Ok(()));
    }

    #[test]
    fn a_head_has_a_largest_number_of_fields_and_one_length() {
        let fields = |count| vec![("x", "1"); count];
        let parts = |fields: &[(&str, &str)]| request(Version::HTTP_2, "GET", "http://a/", fields);
        assert_eq!(kind(&parts(&fields(99))), Ok(()));
        assert_eq!(
            kind(&parts(&fields(100))),
            Err(ProblemKind::HeadersTooLarge)
        );
        let length = ("content-length", "5");
        assert_eq!(kind(&parts(&[length])), Ok(()));
        assert_eq!(
            kind(&parts(&[length, length])),
            Err(ProblemKind::BadRequest)
        );
    }

    proptest! {
        #[test]
        fn any_target_and_host_are_admitted_or_refused(target in "[!-~]{1,40}", host in "[ -~]{0,20}") {
            let request = Request::builder().uri(target).header("host", host).body(());
            if let Ok(request) = request {
                let (parts, ()) = request.into_parts();
                if let Ok(admitted) = admit(&parts, &Limits::default()) {
                    prop_assert!(admitted.host.is_some());
                }
            }
        }
    }
}
