//! Who may ask the admin listener. Decides only.
//!
//! A browser on this machine is the attacker to think of: any page in it can send requests to loopback. DNS rebinding is
//! met by knowing the Host names, requests across sites by what browsers say of themselves, and everybody on the network
//! by the key.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, Uri, Version, header, request::Parts, uri::Authority};

use crate::{secret::Secret, server::address::ListenAddress};

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not exactly one `Host`, or one that is no host.
    BadHost,
    /// A Host that is not this listener's.
    UnknownHost,
    /// Sent by a page of another site.
    CrossSite,
    /// The key is missing or wrong.
    KeyRequired,
    /// Others than this machine can reach the listener and there is no key.
    Private,
}

/// Who an endpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Probes and scrapers.
    Anyone,
    /// Whoever comes back from an authorization server: by a navigation that starts at another site, and without the
    /// key, since what the login set out with binds it to the browser that had it.
    Returning,
    /// Who has the key; where there is none, this machine.
    Operator,
    /// The same, sent here by this listener itself under another name of it.
    Redirected,
}

/// Lets a request to the listener at `address` pass, or says why not.
pub(super) fn check(
    Parts {
        uri,
        headers,
        version,
        ..
    }: &Parts,
    address: &ListenAddress,
    audience: Audience,
    key: Option<&Secret>,
) -> Result<(), Refusal> {
    // A kubelet probes by the address of the pod, and a scraper by whatever name it has.
    let any_host = audience == Audience::Anyone && !address.is_local();
    // HTTP/1.0, which no browser speaks, may name no host at all; some probes speak it.
    let may_miss = any_host || *version == Version::HTTP_10;
    let host = host(uri, headers, may_miss)?;
    if !any_host && host.as_ref().is_some_and(|host| !is_known(host, address)) {
        return Err(Refusal::UnknownHost);
    }
    let may_navigate = matches!(audience, Audience::Returning | Audience::Redirected);
    if !(may_navigate && is_navigation(headers)) && is_cross_site(headers, host.as_ref()) {
        return Err(Refusal::CrossSite);
    }
    match key {
        _ if audience == Audience::Anyone => Ok(()),
        Some(_) if audience == Audience::Returning => Ok(()),
        Some(key) if opens(key, headers) => Ok(()),
        Some(_) => Err(Refusal::KeyRequired),
        None if address.is_local() => Ok(()),
        None => Err(Refusal::Private),
    }
}

/// The one host that is asked, if there is one. An absolute-form target has to name the same (RFC 9112 §3.2.2 would
/// have it win; nobody honest sends two).
fn host(uri: &Uri, headers: &HeaderMap, may_miss: bool) -> Result<Option<Authority>, Refusal> {
    let mut fields = headers.get_all(header::HOST).iter();
    let host = match (fields.next(), fields.next()) {
        (Some(field), None) => {
            let host: Authority = field.as_bytes().try_into().map_err(|_| Refusal::BadHost)?;
            Some(host)
        }
        (None, _) if may_miss => None,
        _ => return Err(Refusal::BadHost),
    };
    if host
        .as_ref()
        .is_some_and(|host| host.as_str().contains('@'))
    {
        return Err(Refusal::BadHost);
    }
    match uri.authority() {
        Some(target) if Some(target) != host.as_ref() => Err(Refusal::UnknownHost),
        _ => Ok(host),
    }
}

/// A name that resolves to somebody else's choice is never known; a literal address cannot be rebound.
fn is_known(host: &Authority, address: &ListenAddress) -> bool {
    let name = host.host();
    if ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
    {
        return true;
    }
    let literal = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    match (address, literal.parse::<std::net::IpAddr>()) {
        (ListenAddress::Tcp(address), Ok(literal)) => {
            address.ip().is_unspecified() || address.ip() == literal
        }
        _ => false,
    }
}

/// What a browser says of a request that a page of another site makes (Fetch Metadata, RFC 6454).
fn is_cross_site(headers: &HeaderMap, host: Option<&Authority>) -> bool {
    let mut site = headers.get_all("sec-fetch-site").iter();
    let same_origin = match (site.next().map(|site| site.as_bytes()), site.next()) {
        (None, _) => false,
        (Some(b"same-origin"), None) => true,
        (Some(b"none"), None) => false,
        _ => return true,
    };
    headers
        .get_all(header::ORIGIN)
        .iter()
        .any(|origin| match origin.to_str() {
            // What a form of a page without referrers says; the browser vouches for it.
            Ok("null") => !same_origin,
            Ok(origin) => {
                let origin = origin.strip_prefix("http://").map(without_default_port);
                let host = host.map(|host| without_default_port(host.as_str()));
                match (origin, host) {
                    (Some(origin), Some(host)) => !origin.eq_ignore_ascii_case(host),
                    _ => true,
                }
            }
            Err(_) => true,
        })
}

/// Whether a whole page is asked for: no picture, no frame, no script's request. A browser that says where a request comes
/// from says this too; of one that says neither, an `Origin` tells, which no navigation by GET has.
fn is_navigation(headers: &HeaderMap) -> bool {
    let mut modes = headers.get_all("sec-fetch-mode").iter();
    let mut destinations = headers.get_all("sec-fetch-dest").iter();
    match modes.next() {
        None => !headers.contains_key(header::ORIGIN),
        Some(mode) => {
            mode == "navigate"
                && modes.next().is_none()
                && destinations
                    .next()
                    .is_none_or(|destination| destination == "document")
                && destinations.next().is_none()
        }
    }
}

fn without_default_port(authority: &str) -> &str {
    authority.strip_suffix(":80").unwrap_or(authority)
}

/// The key as a Bearer token (RFC 6750) or as the password of any user (RFC 7617).
fn opens(key: &Secret, headers: &HeaderMap) -> bool {
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
    let decoded = if scheme.eq_ignore_ascii_case("basic") {
        BASE64_STANDARD.decode(credentials).ok()
    } else {
        None
    };
    let decoded = decoded.map(zeroize::Zeroizing::new);
    decoded.is_some_and(|pair| {
        let password = pair
            .iter()
            .position(|byte| *byte == b':')
            .map(|colon| &pair[colon + 1..]);
        password.is_some_and(|password| key.matches(password))
    })
}

#[cfg(test)]
mod tests {
    use super::{Audience::*, *};

    fn parts(uri: &'static str, headers: HeaderMap) -> Parts {
        let (mut parts, ()) = http::Request::get(uri).body(()).unwrap().into_parts();
        parts.headers = headers;
        parts
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn checked(
        listen: &str,
        audience: Audience,
        key: Option<&str>,
        fields: &[(&'static str, &str)],
    ) -> Result<(), Refusal> {
        let key = key.map(Secret::new);
        check(
            &parts("/", headers(fields)),
            &listen.parse().unwrap(),
            audience,
            key.as_ref(),
        )
    }

    const LOCAL: &str = "127.0.0.1:9900";
    const ANYWHERE: &str = "0.0.0.0:9900";

    #[test]
    fn a_probe_that_speaks_http_1_0_may_name_no_host() {
        let mut probe = parts("/livez", HeaderMap::new());
        assert_eq!(
            check(&probe, &"127.0.0.1:9900".parse().unwrap(), Anyone, None),
            Err(Refusal::BadHost)
        );
        probe.version = Version::HTTP_10;
        assert_eq!(
            check(&probe, &"127.0.0.1:9900".parse().unwrap(), Anyone, None),
            Ok(())
        );
    }

    #[test]
    fn a_rebound_name_is_refused() {
        for host in ["localhost", "LOCALHOST:9900", "127.0.0.1:1", "[::1]:9900"] {
            assert_eq!(
                checked(LOCAL, Operator, None, &[("host", host)]),
                Ok(()),
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "localhost.",
        ] {
            assert_eq!(
                checked(LOCAL, Operator, None, &[("host", host)]),
                Err(Refusal::UnknownHost),
                "{host}"
            );
            assert_eq!(
                checked(LOCAL, Anyone, None, &[("host", host)]),
                Err(Refusal::UnknownHost),
                "{host}"
            );
        }
        for host in ["", "a b", "user@localhost", "localhost:x:y", "localhost/"] {
            assert_eq!(
                checked(LOCAL, Operator, None, &[("host", host)]),
                Err(Refusal::BadHost),
                "{host:?}"
            );
        }
        assert_eq!(checked(LOCAL, Operator, None, &[]), Err(Refusal::BadHost));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(
            checked(LOCAL, Operator, None, &twice),
            Err(Refusal::BadHost)
        );
        assert_eq!(
            checked("127.0.0.7:1", Operator, None, &[("host", "127.0.0.7:1")]),
            Ok(())
        );
        assert_eq!(
            checked("unix:/run/x", Operator, None, &[("host", "evil.example")]),
            Err(Refusal::UnknownHost)
        );
    }

    #[test]
    fn a_target_that_names_another_host_is_refused() {
        let fields = headers(&[("host", "localhost")]);
        let listen = LOCAL.parse().unwrap();
        let check = |uri| check(&parts(uri, fields.clone()), &listen, Anyone, None);
        assert_eq!(
            check("http://evil.example/livez"),
            Err(Refusal::UnknownHost)
        );
        assert_eq!(check("http://localhost/livez"), Ok(()));
    }

    #[test]
    fn probes_pass_by_any_host_where_others_can_reach_the_listener() {
        assert_eq!(
            checked(ANYWHERE, Anyone, None, &[("host", "pod.example")]),
            Ok(())
        );
        assert_eq!(checked(ANYWHERE, Anyone, None, &[]), Ok(()));
        assert_eq!(
            checked(ANYWHERE, Anyone, Some("k"), &[("host", "pod.example")]),
            Ok(())
        );
    }

    #[test]
    fn the_rest_is_closed_to_the_network_without_a_key() {
        assert_eq!(
            checked(ANYWHERE, Operator, None, &[("host", "localhost")]),
            Err(Refusal::Private)
        );
        assert_eq!(
            checked(ANYWHERE, Operator, None, &[("host", "evil.example")]),
            Err(Refusal::UnknownHost)
        );
        assert_eq!(
            checked("10.0.0.5:1", Operator, None, &[("host", "10.0.0.5:1")]),
            Err(Refusal::Private)
        );
        assert_eq!(
            checked("10.0.0.5:1", Operator, None, &[("host", "10.0.0.6:1")]),
            Err(Refusal::UnknownHost)
        );
    }

    #[test]
    fn the_key_opens_as_a_token_and_as_a_password() {
        for listen in [LOCAL, ANYWHERE] {
            let with = |authorization: &str| {
                checked(
                    listen,
                    Operator,
                    Some("pass:word"),
                    &[("host", "127.0.0.1"), ("authorization", authorization)],
                )
            };
            assert_eq!(with("Bearer pass:word"), Ok(()));
            // base64("anyone:pass:word") and base64(":pass:word")
            assert_eq!(with("basic YW55b25lOnBhc3M6d29yZA=="), Ok(()));
            assert_eq!(with("Basic OnBhc3M6d29yZA=="), Ok(()));
            for wrong in [
                "Bearer pass",
                "Bearer",
                "Basic pass:word",
                "Basic cGFzczp3b3Jk",
                "Digest pass:word",
                "",
            ] {
                assert_eq!(with(wrong), Err(Refusal::KeyRequired), "{wrong}");
            }
            assert_eq!(
                checked(listen, Operator, Some("k"), &[("host", "127.0.0.1")]),
                Err(Refusal::KeyRequired)
            );
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let host = ("host", "localhost:9900");
        let cases = [
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "same-site")], false),
            (vec![("sec-fetch-site", "new-word")], false),
            (
                vec![
                    ("sec-fetch-site", "same-origin"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "none")], true),
            (vec![("origin", "http://localhost:9900")], true),
            (vec![("origin", "http://LOCALHOST:9900")], true),
            (vec![("origin", "https://localhost:9900")], false),
            (vec![("origin", "http://localhost")], false),
            (vec![("origin", "http://evil.example")], false),
            (vec![("origin", "null")], false),
            (vec![("origin", "null"), ("sec-fetch-site", "none")], false),
            (
                vec![("origin", "null"), ("sec-fetch-site", "same-origin")],
                true,
            ),
            (
                vec![
                    ("origin", "http://evil.example"),
                    ("sec-fetch-site", "same-origin"),
                ],
                false,
            ),
        ];
        for (mut fields, passes) in cases {
            fields.push(host);
            assert_eq!(
                checked(LOCAL, Operator, None, &fields).is_ok(),
                passes,
                "{fields:?}"
            );
            assert_eq!(
                checked(LOCAL, Anyone, None, &fields).is_ok(),
                passes,
                "{fields:?}"
            );
        }
        assert_eq!(
            checked(
                LOCAL,
                Operator,
                None,
                &[("host", "localhost:80"), ("origin", "http://localhost")]
            ),
            Ok(())
        );
        let probe = [("host", "pod.example"), ("origin", "http://evil.example")];
        assert_eq!(
            checked(ANYWHERE, Anyone, None, &probe),
            Err(Refusal::CrossSite)
        );
    }

    #[test]
    fn who_comes_back_from_a_consent_page_passes_and_a_page_that_reaches_in_does_not() {
        let host = ("host", "localhost:9900");
        let navigation = [
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        let from_elsewhere = [host, ("sec-fetch-site", "cross-site")];
        let with = |more: &[(&'static str, &'static str)]| [&from_elsewhere[..], more].concat();
        assert_eq!(checked(LOCAL, Returning, None, &with(&navigation)), Ok(()));
        assert_eq!(
            checked(LOCAL, Operator, None, &with(&navigation)),
            Err(Refusal::CrossSite)
        );
        assert_eq!(checked(LOCAL, Redirected, None, &with(&navigation)), Ok(()));
        assert_eq!(
            checked(LOCAL, Redirected, Some("k"), &with(&navigation)),
            Err(Refusal::KeyRequired)
        );
        assert_eq!(
            checked(LOCAL, Anyone, None, &with(&navigation)),
            Err(Refusal::CrossSite)
        );
        for (mode, destination) in [
            ("navigate", "iframe"),
            ("no-cors", "image"),
            ("cors", "empty"),
        ] {
            let fields = with(&[("sec-fetch-mode", mode), ("sec-fetch-dest", destination)]);
            assert_eq!(
                checked(LOCAL, Returning, None, &fields),
                Err(Refusal::CrossSite),
                "{mode} {destination}"
            );
        }
        let script = [host, ("origin", "http://evil.example")];
        assert_eq!(
            checked(LOCAL, Returning, None, &script),
            Err(Refusal::CrossSite)
        );
        let twice = with(&[("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "cors")]);
        assert_eq!(
            checked(LOCAL, Returning, None, &twice),
            Err(Refusal::CrossSite)
        );
        assert_eq!(
            checked(LOCAL, Returning, None, &[host]),
            Ok(()),
            "a browser that says nothing of itself"
        );
        let rebound = [&navigation[..], &[("host", "evil.example")]].concat();
        assert_eq!(
            checked(LOCAL, Returning, None, &rebound),
            Err(Refusal::UnknownHost)
        );
    }

    #[test]
    fn who_comes_back_needs_no_key_and_still_finds_nothing_where_none_is_set() {
        for listen in [LOCAL, ANYWHERE] {
            assert_eq!(
                checked(listen, Returning, Some("k"), &[("host", "127.0.0.1")]),
                Ok(())
            );
        }
        assert_eq!(
            checked(ANYWHERE, Returning, None, &[("host", "127.0.0.1")]),
            Err(Refusal::Private)
        );
    }
}
