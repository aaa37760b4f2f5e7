//! What HTTP allows and we do not: a request is admitted before anything else looks at it.

use std::net::Ipv6Addr;

use super::error::{Kind, Refusal};
use crate::{
    http1::{
        field::{Known, Span, list},
        framing::{self, Framing},
        head::{Head, Version},
    },
    server::limits::Limits,
};

/// The path that stands for the server as a whole (RFC 9112 §3.2.4).
pub const ASTERISK: &[u8] = b"*";

/// What every later step may rely on.
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    /// The host that is asked for and its port, as the caller wrote them.
    pub authority: Option<Span>,
    /// The host that is asked for, without its port; HTTP/1.0 may name none.
    pub host: Option<Span>,
    /// Its port, when it is named.
    pub port: Option<u16>,
    /// The path; empty stands for `/`, and `*` for the server as a whole.
    pub path: Span,
    /// `?` and the query, or nothing.
    pub query: Span,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the caller waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Whether the connection may serve another request.
    pub keep_alive: bool,
    /// Whether the caller wants to switch to one of the protocols that it names in `Upgrade` (RFC 9110 §7.8).
    pub upgrade: bool,
}

/// Admits a request or says what is wrong with it.
///
/// # Errors
/// `bad-request`, `method-not-allowed`, `expectation-failed`, `path-too-long`.
pub fn admit(head: &Head, limits: &Limits) -> Result<Admitted, Refusal> {
    if matches!(head.method(), b"CONNECT" | b"TRACE") {
        return Err(Refusal::new(
            Kind::MethodNotAllowed,
            "CONNECT and TRACE are not served",
        ));
    }
    let framing =
        framing::of_request(head).map_err(|ambiguous| Refusal::bad_request(ambiguous.as_str()))?;
    let target = target(head)?;
    let authority = authority(head, target.authority)?;
    if target.path.len() > limits.path_bytes {
        return Err(Refusal::new(
            Kind::PathTooLong,
            "the path is longer than this listener takes",
        ));
    }
    Ok(Admitted {
        authority: authority.map(|authority| authority.whole),
        host: authority.map(|authority| authority.host),
        port: authority.and_then(|authority| authority.port),
        path: target.path,
        query: target.query,
        framing,
        expects_continue: expects_continue(head)?,
        keep_alive: keeps_alive(head),
        upgrade: asks_to_switch(head, framing),
    })
}

/// Whether the sender of this head is ready for another message on the connection (RFC 9112 §9.3).
pub fn keeps_alive(head: &Head) -> bool {
    let mut keep_alive = head.version == Version::Http11;
    if !head.has(Known::Connection) {
        return keep_alive;
    }
    for option in head.values(Known::Connection).flat_map(list) {
        if option.eq_ignore_ascii_case(b"close") {
            return false;
        }
        keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
    }
    keep_alive
}

#[derive(Clone, Copy)]
struct Authority {
    whole: Span,
    host: Span,
    port: Option<u16>,
}

/// The path of a target that may not have been admitted, for people: no query, no fragment, nothing of a URL's authority.
pub fn path_alone(target: &[u8]) -> &[u8] {
    let end = target
        .iter()
        .position(|byte| b"?#".contains(byte))
        .unwrap_or(target.len());
    let target = &target[..end];
    if target.starts_with(b"/") {
        return target;
    }
    let authority = memchr::memmem::find(target, b"://").map_or(target.len(), |at| at + 3);
    let path = memchr::memchr(b'/', &target[authority..]).map_or(target.len(), |at| authority + at);
    &target[path..]
}

/// The protocol that an answer switches to: one alone.
pub fn switches_to(head: &Head) -> Option<&[u8]> {
    let mut protocols = head.values(Known::Upgrade).flat_map(list);
    let (Some(protocol), None) = (protocols.next(), protocols.next()) else {
        return None;
    };
    has_option(head, b"upgrade").then_some(protocol)
}

/// A request with a body cannot switch: where the body ends and the other protocol begins would be doubtful.
fn asks_to_switch(head: &Head, framing: Framing) -> bool {
    let may = head.version == Version::Http11 && framing == Framing::Empty;
    may && head.has(Known::Upgrade) && has_option(head, b"upgrade")
}

/// Whether `Connection` says so, without which `Upgrade` is not meant for this hop.
fn has_option(head: &Head, option: &[u8]) -> bool {
    head.values(Known::Connection)
        .flat_map(list)
        .any(|named| named.eq_ignore_ascii_case(option))
}

struct Target {
    authority: Option<Span>,
    path: Span,
    query: Span,
}

/// Origin form, absolute form, and for OPTIONS the asterisk form (RFC 9112 §3.2).
fn target(head: &Head) -> Result<Target, Refusal> {
    let (start, end) = (head.target_span().start(), head.target_span().end());
    let target = head.target();
    if target == ASTERISK && head.method() == b"OPTIONS" {
        return Ok(Target {
            authority: None,
            path: head.target_span(),
            query: Span::new(end, end),
        });
    }
    if target.contains(&b'#') {
        return Err(Refusal::bad_request("a fragment in the request target"));
    }
    let (authority, path_start) = if target.starts_with(b"/") {
        (None, start)
    } else {
        let scheme = [&b"http://"[..], b"https://"]
            .into_iter()
            .find(|scheme| {
                target
                    .get(..scheme.len())
                    .is_some_and(|head| head.eq_ignore_ascii_case(scheme))
            })
            .ok_or_else(|| {
                Refusal::bad_request("a request target that is neither a path nor a URL")
            })?;
        let rest = &target[scheme.len()..];
        let length = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?'))
            .unwrap_or(rest.len());
        let from = start + scheme.len();
        (Some(Span::new(from, from + length)), from + length)
    };
    let rest = &target[path_start - start..];
    let path_end = path_start + memchr::memchr(b'?', rest).unwrap_or(rest.len());
    Ok(Target {
        authority,
        path: Span::new(path_start, path_end),
        query: Span::new(path_end, end),
    })
}

/// The one name that the request is for, and its port. The authority of an absolute form comes before `Host`
/// (RFC 9112 §3.2.2), which has to be there all the same.
fn authority(head: &Head, absolute: Option<Span>) -> Result<Option<Authority>, Refusal> {
    let mut hosts = head
        .fields()
        .iter()
        .filter(|field| field.known == Known::Host)
        .map(|field| field.value);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::bad_request("more than one Host"));
    }
    if host.is_none() && head.version == Version::Http11 {
        return Err(Refusal::bad_request("no Host"));
    }
    let read = |span: Span| {
        let (length, port) = split_authority(head.bytes(span)).ok_or_else(|| {
            Refusal::bad_request("a Host that is not one name with an optional port")
        })?;
        Ok(Authority {
            whole: span,
            host: Span::new(span.start(), span.start() + length),
            port,
        })
    };
    let host = host.map(read).transpose()?;
    Ok(absolute.map(read).transpose()?.or(host))
}

/// The length of the name in `NAME[:PORT]`, and the port. IPv6 addresses stand in brackets, which count.
fn split_authority(authority: &[u8]) -> Option<(usize, Option<u16>)> {
    let length = if authority.starts_with(b"[") {
        let end = authority.iter().position(|byte| *byte == b']')?;
        std::str::from_utf8(&authority[1..end])
            .ok()?
            .parse::<Ipv6Addr>()
            .ok()?;
        end + 1
    } else {
        let end = authority
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(authority.len());
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        if end == 0 || !authority[..end].iter().all(is_name) {
            return None;
        }
        end
    };
    match &authority[length..] {
        [] => Some((length, None)),
        [b':', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            Some((
                length,
                Some(std::str::from_utf8(digits).ok()?.parse().ok()?),
            ))
        }
        _ => None,
    }
}

fn expects_continue(head: &Head) -> Result<bool, Refusal> {
    let mut expects = false;
    for value in head.values(Known::Expect) {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::new(
                Kind::ExpectationFailed,
                "an Expect other than 100-continue",
            ));
        }
        expects = true;
    }
    // A caller that speaks HTTP/1.0 cannot be sent an interim answer (RFC 9110 §10.1.1).
    Ok(expects && head.version == Version::Http11)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http1::head::HeadLimits;

    fn read(text: &[u8]) -> Option<Head> {
        let mut head = Head::default();
        head.buffer.extend(text);
        (head.parse_request(HeadLimits {
            bytes: 64 * 1024,
            fields: 100,
        }) == Ok(true))
        .then_some(head)
    }

    fn kind(text: &str) -> Result<(), Kind> {
        let head = read(text.as_bytes()).expect("a head that parses");
        admit(&head, &Limits::default())
            .map(|_| ())
            .map_err(|refusal| refusal.kind)
    }

    #[test]
    fn a_request_is_for_exactly_one_host() {
        assert_eq!(kind("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(()));
        assert_eq!(kind("GET / HTTP/1.0\r\n\r\n"), Ok(()));
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [x]\r\n\r\n",
            "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert_eq!(kind(head), Err(Kind::BadRequest), "{head:?}");
        }
    }

    #[test]
    fn the_authority_of_an_absolute_form_comes_before_the_host() {
        let head = read(b"GET HTTP://b:81?q HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let admitted = admit(&head, &Limits::default()).unwrap();
        assert_eq!(head.bytes(admitted.host.unwrap()), b"b");
        assert_eq!(admitted.port, Some(81));
        assert_eq!(
            (head.bytes(admitted.path), head.bytes(admitted.query)),
            (&b""[..], &b"?q"[..])
        );
    }

    #[test]
    fn an_address_in_brackets_is_a_host() {
        let head = read(b"GET /a?b?c HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n").unwrap();
        let admitted = admit(&head, &Limits::default()).unwrap();
        assert_eq!(head.bytes(admitted.host.unwrap()), b"[::1]");
        assert_eq!(
            (head.bytes(admitted.path), head.bytes(admitted.query)),
            (&b"/a"[..], &b"?b?c"[..])
        );
    }

    #[test]
    fn the_server_as_a_whole_has_options_and_nothing_else() {
        let head = read(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let admitted = admit(&head, &Limits::default()).unwrap();
        assert_eq!(
            (head.bytes(admitted.path), head.bytes(admitted.query)),
            (ASTERISK, &b""[..])
        );
        for target in ["*?a", "*/", "**", "a"] {
            let head = format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(kind(&head), Err(Kind::BadRequest), "{target}");
        }
    }

    #[test]
    fn the_path_of_any_target_holds_nothing_else() {
        for (target, path) in [
            ("/a?b#c", "/a"),
            ("/a#c?b", "/a"),
            ("http://user:secret@host/a/b?c", "/a/b"),
            ("http://user:secret@host", ""),
            ("user:secret@host:443", ""),
            ("*", ""),
        ] {
            assert_eq!(path_alone(target.as_bytes()), path.as_bytes(), "{target}");
        }
    }

    #[test]
    fn methods_and_expectations() {
        assert_eq!(
            kind("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
            Err(Kind::MethodNotAllowed)
        );
        assert_eq!(
            kind("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
            Err(Kind::MethodNotAllowed)
        );
        assert_eq!(kind("PURGE / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(()));
        assert_eq!(
            kind("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n"),
            Ok(())
        );
        assert_eq!(
            kind("PUT / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"),
            Err(Kind::ExpectationFailed)
        );
    }

    #[test]
    fn the_query_does_not_count_towards_the_path() {
        let long = "x".repeat(9000);
        assert_eq!(
            kind(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
            Err(Kind::PathTooLong)
        );
        assert_eq!(
            kind(&format!("GET /?{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
            Ok(())
        );
    }

    #[test]
    fn persistence_follows_the_version_and_the_connection_field() {
        let keeps = |text: &[u8]| keeps_alive(&read(text).unwrap());
        assert!(keeps(b"GET / HTTP/1.1\r\n\r\n"));
        assert!(!keeps(b"GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n"));
        assert!(!keeps(b"GET / HTTP/1.0\r\n\r\n"));
        assert!(keeps(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
        assert!(!keeps(
            b"GET / HTTP/1.1\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"
        ));
    }

    proptest! {
        #[test]
        fn whatever_parses_is_admitted_or_refused_without_a_panic(target in "[!-~]{1,40}", host in "[ -~]{0,20}") {
            if let Some(head) = read(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
                && let Ok(admitted) = admit(&head, &Limits::default())
            {
                prop_assert!(admitted.path.end() == admitted.query.start());
                prop_assert!(admitted.host.is_some());
            }
        }
    }
}
