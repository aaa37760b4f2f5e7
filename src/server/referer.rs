//! `Referer`: the only field that tells where a browser's request to a plain listener comes from.

use std::net::Ipv4Addr;

use http::{HeaderMap, HeaderName, header};

use super::requested_host::RequestedHost;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether `Referer` has to tell where a browser's request comes from.
///
/// Browsers send Fetch Metadata to https and loopback only, and `Origin` with no plain GET. The name decides, not the
/// address it stands for.
pub(super) fn is_telling(headers: &HeaderMap, requested: Option<RequestedHost<'_>>) -> bool {
    let is_beyond_loopback = requested.is_some_and(|host| !is_loopback_name(host.name));
    is_beyond_loopback
        && !headers.contains_key(SEC_FETCH_SITE)
        && !headers.contains_key(header::ORIGIN)
}

/// Whether browsers take a name for loopback (Secure Contexts §3.1).
fn is_loopback_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name == "[::1]"
        || name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns the origin in the URL of a page; `None` for a path alone (RFC 9110 §10.1.3).
pub(super) fn origin_of(url: &[u8]) -> Option<&[u8]> {
    let scheme = url.windows(3).position(|window| window == b"://")?;
    let begin = scheme + 3;
    let end = url[begin..].iter().position(|byte| b"/?#".contains(byte));
    Some(&url[..end.map_or(url.len(), |length| begin + length)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::origin_guard::{CrossSiteRule, OriginGuard};

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter();
        fields
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn beyond_loopback_the_referer_tells_a_page_of_another_site() {
        let names = vec!["gateway".into(), "localhost".into(), "10.0.0.5".into()];
        let programs = OriginGuard::with_names(names, Some(8080));
        let pages = OriginGuard::for_address(&"10.0.0.5:8080".parse().unwrap())
            .with_rule(CrossSiteRule::RequireSameOrigin);
        let is_cross_site = |guard: &OriginGuard, fields: &[(&'static str, &str)], host| {
            guard.is_cross_site(&headers(fields), RequestedHost::parse(host))
        };
        let host = "10.0.0.5:8080";
        for referer in [
            "http://evil.example/",
            "http://evil.example",
            "https://10.0.0.5:8080/",
            "http://10.0.0.5:8080@evil.example/",
            "http://10.0.0.5:8081/x",
            "http://10.0.0.5:8080.evil/",
        ] {
            for guard in [&programs, &pages] {
                assert!(
                    is_cross_site(guard, &[("referer", referer)], host),
                    "{referer}"
                );
            }
            let site = [("referer", referer), ("sec-fetch-site", "same-origin")];
            assert!(!is_cross_site(&programs, &site, host), "{referer}");
            for local in ["localhost:8080", "api.localhost", "127.0.0.1:8080", "[::1]"] {
                assert!(!is_cross_site(&programs, &[("referer", referer)], local));
            }
        }
        for referer in [
            "http://10.0.0.5:8080/a?b#c",
            "http://10.0.0.5:8080",
            "/a",
            "",
        ] {
            for guard in [&programs, &pages] {
                assert!(
                    !is_cross_site(guard, &[("referer", referer)], host),
                    "{referer}"
                );
            }
        }
        let other_name = [("referer", "http://gateway:8080/a")];
        assert!(!is_cross_site(&programs, &other_name, host));
    }
}
