//! Redirects into the route's own upstream, rewritten to the address and path that the client uses.

use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_LOCATION, LOCATION},
};

use super::{
    admission::Admitted,
    path,
    route::{BaseUrl, Route},
};

/// Replaces the URLs in `Location` and `Content-Location` by what `map` makes of them; `None` keeps one.
pub fn map_locations(headers: &mut HeaderMap, map: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    for (name, value) in headers {
        if matches!(*name, LOCATION | CONTENT_LOCATION)
            && let Some(url) = map(value.as_bytes())
            && let Ok(url) = HeaderValue::from_bytes(&url)
        {
            *value = url;
        }
    }
}

/// Rewrites `Location` and `Content-Location` for the client of one request.
#[derive(Clone, Copy, Debug)]
pub struct LocationRewriter<'a> {
    route: &'a Route,
    upstream: &'a BaseUrl,
    authority: Option<&'a str>,
}

impl<'a> LocationRewriter<'a> {
    /// Makes the rewriter for the response of `upstream` to an admitted request.
    pub fn new(route: &'a Route, upstream: &'a BaseUrl, admitted: &Admitted<'a>) -> Self {
        Self {
            route,
            upstream,
            authority: admitted.authority,
        }
    }

    /// Rewrites a URL; `None` when it passes as it came.
    pub fn rewrite(&self, url: &[u8]) -> Option<Vec<u8>> {
        let (is_absolute, rest) = self.strip_origin(url)?;
        let (path, query) = rest.split_at(
            rest.iter()
                .position(|byte| b"?#".contains(byte))
                .unwrap_or(rest.len()),
        );
        // Dot segments may lead out of the base path.
        let path = path::remove_dot_segments(path);
        let path = self.strip_base_path(&path)?;
        let mut rewritten = Vec::with_capacity(url.len() + 32);
        if let (true, Some(authority)) = (is_absolute, self.authority) {
            rewritten.extend_from_slice(b"http://");
            rewritten.extend_from_slice(authority.as_bytes());
        }
        if self.route.strip_path {
            rewritten.extend_from_slice(
                self.route
                    .escaped_path
                    .as_deref()
                    .unwrap_or_default()
                    .as_bytes(),
            );
        }
        if !path.starts_with(b"/") && (!self.route.strip_path || self.route.path.is_none()) {
            rewritten.push(b'/');
        }
        rewritten.extend_from_slice(path);
        rewritten.extend_from_slice(query);
        // A path that begins with two slashes would be read as a host; browsers read a backslash as a slash.
        let is_host = rewritten.starts_with(b"//") || rewritten.starts_with(b"/\\");
        (!is_host).then_some(rewritten)
    }

    /// Strips the upstream's origin; tells whether it was there. A path alone has the same origin.
    fn strip_origin<'u>(&self, url: &'u [u8]) -> Option<(bool, &'u [u8])> {
        let upstream = self.upstream;
        let scheme: &[u8] = if upstream.tls { b"https:" } else { b"http:" };
        let behind_scheme = match url.get(..scheme.len()) {
            Some(head) if head.eq_ignore_ascii_case(scheme) => &url[scheme.len()..],
            _ => url,
        };
        let Some(rest) = behind_scheme.strip_prefix(b"//") else {
            return (url.starts_with(b"/") && behind_scheme.len() == url.len())
                .then_some((false, url));
        };
        let end = rest
            .iter()
            .position(|byte| b"/?#".contains(byte))
            .unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let port = format!(":{}", upstream.port);
        let named = upstream.authority.as_bytes();
        let bare = named.strip_suffix(port.as_bytes()).unwrap_or(named);
        let is_own = authority.eq_ignore_ascii_case(named)
            || authority
                .strip_suffix(port.as_bytes())
                .is_some_and(|host| host.eq_ignore_ascii_case(bare));
        is_own.then_some((true, rest))
    }

    /// Strips the upstream's base path, on whole segments.
    fn strip_base_path<'u>(&self, path: &'u [u8]) -> Option<&'u [u8]> {
        let rest = path.strip_prefix(self.upstream.path.as_bytes())?;
        (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::route::{Guard, Http2, Timeouts, Upstream, UpstreamBase};

    fn route(base_path: &str, path: Option<&str>, strip_path: bool) -> Route {
        Route {
            name: "r".into(),
            listen: "127.0.0.1:8080".parse().unwrap(),
            host: None,
            path: path.map(Into::into),
            escaped_path: path.map(path::encode),
            strip_path,
            upstream: Upstream {
                base: UpstreamBase::Fixed(BaseUrl {
                    tls: true,
                    host: "api.example.com".into(),
                    port: 443,
                    authority: "api.example.com".into(),
                    path: base_path.into(),
                }),
                trust: crate::tls::Trust::default(),
                client_certificate: None,
                proxy: None,
                http2: Http2::Never,
                route: "r".into(),
                unused_proxy: None,
            },
            provider: None,
            allow: None,
            upgrade: Vec::new(),
            timeouts: Timeouts::default(),
            guard: Guard {
                hosts: Vec::new(),
                accepts_bound_hosts: false,
                client_key: None,
                max_body: None,
            },
        }
    }

    fn rewrite(route: &Route, url: &str) -> Option<String> {
        let rewriter = LocationRewriter {
            route,
            upstream: route.upstream.fixed().unwrap(),
            authority: Some("localhost:8080"),
        };
        rewriter
            .rewrite(url.as_bytes())
            .map(|url| String::from_utf8(url).unwrap())
    }

    #[test]
    fn a_url_into_the_upstream_becomes_one_into_the_sidecar() {
        let route = route("/base", Some("/v1"), true);
        for (from, to) in [
            (
                "https://api.example.com/base/x?q#f",
                "http://localhost:8080/v1/x?q#f",
            ),
            (
                "HTTPS://API.example.com:443/base/x",
                "http://localhost:8080/v1/x",
            ),
            ("//api.example.com/base/x", "http://localhost:8080/v1/x"),
            ("https://api.example.com/base", "http://localhost:8080/v1"),
            ("/base/x", "/v1/x"),
            ("/base?q", "/v1?q"),
        ] {
            assert_eq!(rewrite(&route, from).as_deref(), Some(to), "{from}");
        }
    }

    #[test]
    fn without_a_prefix_or_base_the_path_stays() {
        let route = route("", None, false);
        assert_eq!(
            rewrite(&route, "https://api.example.com").as_deref(),
            Some("http://localhost:8080/")
        );
        assert_eq!(
            rewrite(&route, "https://api.example.com?q").as_deref(),
            Some("http://localhost:8080/?q")
        );
        assert_eq!(rewrite(&route, "/x").as_deref(), Some("/x"));
    }

    #[test]
    fn dot_segments_are_resolved_before_the_base_path_is_compared() {
        let stripped = route("/base", Some("/v1"), true);
        for (from, to) in [
            ("/base/x/../y?q=/../#/../", Some("/v1/y?q=/../#/../")),
            ("/other/%2e%2e/base/x", Some("/v1/x")),
            (
                "https://api.example.com/base/./x",
                Some("http://localhost:8080/v1/x"),
            ),
            ("/base/../admin", None),
            ("/base/x/%2E%2e/../admin", None),
            ("https://api.example.com/base/..", None),
            ("/base/..", None),
        ] {
            assert_eq!(rewrite(&stripped, from).as_deref(), to, "{from}");
        }
        // Above the root there is nothing, so it stays below the prefix too.
        assert_eq!(
            rewrite(&route("", Some("/v1"), true), "/../x").as_deref(),
            Some("/v1/x")
        );
    }

    #[test]
    fn a_path_never_becomes_a_host() {
        for url in [
            "/base//evil.example.com",
            "/base/\\evil.example.com",
            "/base/x/..//evil.example.com",
        ] {
            assert_eq!(rewrite(&route("/base", None, false), url), None, "{url}");
        }
    }

    #[test]
    fn anything_else_passes_as_it_came() {
        let route = route("/base", Some("/v1"), true);
        for url in [
            "http://api.example.com/base/x",
            "https://api.example.com:8443/base/x",
            "https://api.example.com.evil/base/x",
            "https://user@api.example.com/base/x",
            "https://api.example.com/basement",
            "https://api.example.com/other",
            "//evil.example.com/base/x",
            "/other",
            "x",
            "?q",
            "",
            "https:/base/x",
            "mailto:a@b",
        ] {
            assert_eq!(rewrite(&route, url), None, "{url}");
        }
    }
}
