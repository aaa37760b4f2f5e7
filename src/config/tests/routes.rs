//! Promises of `[routes.NAME]`, of shared listeners, and of the tables of the process.

use std::{path::PathBuf, time::Duration};

use super::{super::parse, good, one_error, provider, route};
use crate::{
    proxy::route::{Http2, Injection, Route},
    secret::Secret,
    telemetry::LogFormat,
    token::store::StoreLocation,
};

fn built(text: &str) -> Route {
    good(text).0.routes[0].clone()
}

/// The only error of a route with `more`, without its place and hint.
fn refused(more: &str) -> String {
    let error = one_error(&route(more));
    error
        .split_once(": ")
        .unwrap()
        .1
        .split(';')
        .next()
        .unwrap()
        .to_owned()
}

fn two(first: &str, second: &str) -> String {
    format!(
        "[routes.a]\nupstream = \"https://api.example\"\n{first}\n[routes.b]\nupstream = \"https://api.example\"\n{second}\n"
    )
}

#[test]
fn absent_keys_have_the_documented_defaults() {
    let route = built(&route(""));
    assert_eq!(
        (route.host, route.path, route.strip_path),
        (None, None, false)
    );
    assert!(route.provider.is_none() && route.allow.is_none() && route.upgrade.is_empty());
    assert_eq!(route.guard.hosts, ["localhost", "127.0.0.1", "[::1]"]);
    assert_eq!((route.guard.max_body, route.guard.client_key), (None, None));
    assert_eq!(route.timeouts.connect, Duration::from_secs(5));
    assert_eq!(route.upstream.http2, Http2::Auto);
}

#[test]
fn every_key_reaches_its_owner() {
    let text = provider(
        "inject = { header = \"x-token\", prefix = \"\" }\nrefresh.reauthorize_on = [401, 403]",
    ) + &route(
        "host = \"Hapn.Localhost\"\npath = \"/v1/\"\nstrip_path = true\nprovider = \"p\"\nallow = [\"GET /v1/**\"]\n\
             http2 = \"prior-knowledge\"\nupgrade = [\"WebSocket\"]\n[routes.r.timeouts]\nidle = \"1h\"\n\
             [routes.r.guard]\nhosts = [\"Proxy.Internal\"]\nclient_key = { env = \"SECRET\" }\nmax_body = \"10MiB\"",
    );
    let route = built(&text);
    assert_eq!(
        (route.host.as_deref(), route.path.as_deref()),
        (Some("hapn.localhost"), Some("/v1"))
    );
    assert!(route.strip_path && route.allow.unwrap()[0].permits("GET", "/v1/x"));
    assert_eq!(route.upgrade, ["websocket"]);
    assert_eq!(
        route.guard.hosts,
        ["proxy.internal", "hapn.localhost"],
        "the route's own host is accepted all the same"
    );
    assert_eq!(route.guard.max_body, Some(10 << 20));
    assert_eq!(
        route.guard.client_key.unwrap().current().expose(),
        "from-the-environment"
    );
    assert_eq!(route.upstream.http2, Http2::PriorKnowledge);
    let binding = route.provider.unwrap();
    assert_eq!(binding.reauthorize_on, [401, 403]);
    assert_eq!(
        binding.inject,
        Injection::Header {
            name: "x-token".parse().unwrap(),
            prefix: String::new()
        }
    );
    let query =
        built(&(provider("inject.query = \"access_token\"") + &super::route("provider = \"p\"")));
    assert_eq!(
        query.provider.unwrap().inject,
        Injection::Query {
            name: "access_token".into()
        }
    );
}

#[test]
fn an_upstream_is_split_into_its_parts() {
    let upstream = |url: &str| {
        let text = format!(
            "[routes.r]\nlisten = \"127.0.0.1:1\"\nallow_plaintext = true\nupstream = \"{url}\""
        );
        let upstream = built(&text).upstream.fixed().unwrap().clone();
        (
            upstream.tls,
            upstream.host,
            upstream.port,
            upstream.authority,
            upstream.path,
        )
    };
    let is = |tls, host: &str, port, authority: &str, base: &str| {
        (
            tls,
            host.to_owned(),
            port,
            authority.to_owned(),
            base.to_owned(),
        )
    };
    assert_eq!(
        upstream("https://API.example"),
        is(true, "api.example", 443, "api.example", "")
    );
    assert_eq!(
        upstream("https://api.example:443/"),
        is(true, "api.example", 443, "api.example", "")
    );
    assert_eq!(
        upstream("http://api.example:81/base/x/"),
        is(false, "api.example", 81, "api.example:81", "/base/x")
    );
    assert_eq!(
        upstream("https://[2001:db8::1]:8443/b"),
        is(true, "2001:db8::1", 8443, "[2001:db8::1]:8443", "/b")
    );
}

#[test]
fn a_presets_api_is_the_default_of_an_upstream() {
    let hapn = "[providers.p]\npreset = \"hapn\"\nclient_id = \"x\"\nclient_secret = { env = \"SECRET\" }\n";
    let route = built(&format!(
        "{hapn}[routes.r]\nlisten = \"127.0.0.1:1\"\nprovider = \"p\"\n"
    ));
    assert_eq!(route.upstream.fixed().unwrap().authority, "api.iotgps.io");
    let own = format!(
        "{hapn}api_base = \"https://other.example/x\"\n[routes.r]\nlisten = \"127.0.0.1:1\"\nprovider = \"p\"\n"
    );
    assert_eq!(built(&own).upstream.fixed().unwrap().path, "/x");
    let error =
        one_error(&(provider("") + "[routes.r]\nlisten = \"127.0.0.1:1\"\nprovider = \"p\"\n"));
    assert!(error.contains("route `r` has no `upstream`"), "{error}");
}

#[test]
fn a_missing_upstream_is_not_reported_where_its_default_is_unknown() {
    let route = "[routes.r]\nlisten = \"127.0.0.1:1\"\nprovider = \"p\"\n";
    let error = one_error(&format!("{}{route}", provider("api_base = \"x\"")));
    assert!(error.contains("`api_base` = \"x\" is not a URL"), "{error}");
    let error = one_error(&format!("[providers.p]\npreset = \"hapnn\"\n{route}"));
    assert!(error.contains("there is no preset \"hapnn\""), "{error}");
    let error = one_error(route);
    assert!(error.contains("there is no provider \"p\""), "{error}");
}

#[test]
fn invalid_values_are_refused() {
    for (more, wanted) in [
        ("host = \"http://x\"", "is not a host name"),
        ("host = \"x:80\"", "is not a host name"),
        ("path = \"v1\"", "is not a path prefix"),
        ("path = \"/a//b\"", "is not a path prefix"),
        ("path = \"/a/../b\"", "is not a path prefix"),
        ("path = \"/a%2fb\"", "is not a path prefix"),
        ("path = \"/a/**\"", "is not a path prefix"),
        ("allow = [\"GET\"]", "\"GET\" in `allow` is not a rule"),
        ("allow = [\"GET /a*\"]", "is not a rule"),
        (
            "upgrade = [\"h2c\"]",
            "\"h2c\" in `upgrade` is a form of HTTP",
        ),
        ("upgrade = [\"a b\"]", "in `upgrade` is not a protocol"),
        ("guard.hosts = [\"localhost:8080\"]", "is not a host name"),
        ("provider = \"unknown\"", "there is no provider \"unknown\""),
        ("ca_file = \"/no/such.pem\"", "cannot be used"),
    ] {
        let refused = refused(more);
        assert!(refused.contains(wanted), "{more}: {refused}");
    }
    for (upstream, wanted) in [
        ("http://api.example", "would be reached in plain text"),
        ("https://u:p@api.example", "has user information in it"),
        ("https://api.example/#x", "has a fragment"),
        ("https://api.example/?x", "`upstream` has a query"),
        ("api.example", "is not a URL"),
        ("https://api.example:0", "has port 0"),
    ] {
        let error = one_error(&format!(
            "[routes.r]\nlisten = \"127.0.0.1:1\"\nupstream = \"{upstream}\""
        ));
        assert!(error.contains(wanted), "{error}");
    }
    assert!(
        one_error("[routes.r]\nupstream = \"https://a.example\"")
            .contains("route `r` has no `listen`")
    );
    assert!(
        one_error("[routes.r]\nlisten = \"8080\"\nupstream = \"https://a.example\"")
            .contains("is not an address to listen on")
    );
    built("[routes.r]\nlisten = \"unix:/run/bearward/r.sock\"\nupstream = \"http://127.0.0.1:1\"");
}

#[test]
fn routes_that_would_match_the_same_requests_are_refused() {
    for (first, second) in [
        ("listen = \"127.0.0.1:1\"", "listen = \"127.0.0.1:1\""),
        (
            "listen = \"localhost:1\"",
            "listen = \"localhost:1\"\npath = \"/\"",
        ),
        (
            "listen = \"127.0.0.1:1\"\nhost = \"A\"\npath = \"/v1\"",
            "listen = \"127.0.0.1:1\"\nhost = \"a\"\npath = \"/v1/\"",
        ),
        ("listen = \"unix:/run/x\"", "listen = \"unix:/run/x\""),
    ] {
        let error = one_error(&two(first, second));
        assert!(
            error.contains("routes.b: route `b` matches the same requests as route `a`"),
            "{error}"
        );
    }
    for (first, second) in [
        ("listen = \"127.0.0.1:1\"", "listen = \"127.0.0.1:2\""),
        (
            "listen = \"127.0.0.1:1\"",
            "listen = \"127.0.0.1:1\"\nhost = \"a\"",
        ),
        (
            "listen = \"127.0.0.1:1\"\npath = \"/v1\"",
            "listen = \"127.0.0.1:1\"\npath = \"/v1/devices\"",
        ),
        ("listen = \"127.0.0.1:1\"", "listen = \"127.0.0.2:1\""),
    ] {
        good(&two(first, second));
    }
}

#[test]
fn listeners_that_overlap_are_refused() {
    for (first, second) in [
        ("0.0.0.0:1", "127.0.0.1:1"),
        ("127.0.0.1:1", "0.0.0.0:1"),
        ("[::]:1", "127.0.0.1:1"),
        ("0.0.0.0:1", "[::]:1"),
        ("[::1]:1", "[::]:1"),
        ("localhost:1", "127.0.0.1:1"),
        ("[::1]:1", "localhost:1"),
        ("127.0.0.1:9900", "127.0.0.1:1"),
        ("0.0.0.0:9900", "127.0.0.1:1"),
    ] {
        let text = two(
            &format!("listen = \"{first}\""),
            &format!("listen = \"{second}\""),
        );
        let error = one_error(&text);
        assert!(
            error.contains("listens on") && error.contains("already uses"),
            "{error}"
        );
    }
    good(&two("listen = \"127.0.0.1:0\"", "listen = \"0.0.0.0:0\""));
    good(&two("listen = \"127.0.0.1:1\"", "listen = \"[::1]:1\""));
    good(&format!(
        "[admin]\nlisten = \"off\"\n{}",
        route("").replace("8080", "9900")
    ));
}

#[test]
fn an_upstream_that_is_bearward_itself_is_refused() {
    for (listen, upstream) in [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("127.0.0.1:8080", "http://localhost:8080/x"),
        ("[::1]:8080", "http://localhost:8080"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]:8080", "http://[::1]:8080"),
        ("[::]:8080", "https://127.0.0.1:8080"),
        ("127.0.0.1:8080", "http://0.0.0.0:8080"),
        ("10.0.0.1:8080", "https://10.0.0.1:8080"),
        ("127.0.0.1:8080", "http://127.0.0.1:9900"),
        ("127.0.0.1:8080", "https://x.localhost:8080"),
    ] {
        let error = one_error(&format!(
            "[routes.r]\nlisten = \"{listen}\"\nupstream = \"{upstream}\"\nallow_plaintext = true\n"
        ));
        assert!(
            error.contains("`upstream` is bearward itself"),
            "{listen} {upstream}: {error}"
        );
    }
    for upstream in [
        "http://127.0.0.1:8081",
        "https://example.com:8080",
        "http://[::1]:8080",
    ] {
        good(&format!(
            "[routes.r]\nlisten = \"127.0.0.1:8080\"\nupstream = \"{upstream}\"\n"
        ));
    }
}

#[test]
fn a_listener_beyond_loopback_without_a_key_is_a_warning() {
    let text = |more: &str| {
        format!("[routes.r]\nlisten = \"0.0.0.0:8080\"\nupstream = \"https://a.example\"\n{more}")
    };
    assert_eq!(
        good(&text("")).1,
        ["every machine that reaches 0.0.0.0:8080 can use this route: it has no `client_key`"]
    );
    assert_eq!(
        good(&text("guard.client_key = { env = \"SECRET\" }")).1,
        [""; 0]
    );
    let unread = one_error(&text("guard.client_key = { env = \"UNSET\" }"));
    assert!(unread.contains("`UNSET`"), "{unread}");
}

#[test]
fn every_key_of_the_process_reaches_its_owner() {
    let text = "[admin]\nlisten = \"unix:/run/admin.sock\"\nkey = { env = \"SECRET\" }\n[store]\nkind = \"memory\"\n\
                [log]\nformat = \"json\"\nlevel = \"bearward::oauth=debug,info\"\n[limits]\nconnections = 7\nhead_bytes = \"1KiB\"\n\
                [drain]\ntimeout = \"0s\"\nlame_duck = \"2s\"\n[runtime]\nworkers = 3\n";
    let (config, _) = good(&format!("{text}{}", route("")));
    assert_eq!(
        config.admin.unwrap().listen.to_string(),
        "unix:/run/admin.sock"
    );
    assert_eq!(config.store, StoreLocation::Memory);
    assert_eq!(
        (config.log.format, config.log.level.as_str()),
        (LogFormat::Json, "bearward::oauth=debug,info")
    );
    assert_eq!(
        (
            config.limits.connections,
            config.limits.head_bytes,
            config.limits.head_fields
        ),
        (7, 1024, 100)
    );
    assert_eq!(
        (config.drain.timeout, config.drain.lame_duck),
        (Duration::ZERO, Duration::from_secs(2))
    );
    assert_eq!(config.workers, 3);
    assert_eq!(
        good(&format!("admin.listen = \"off\"\n{}", route("")))
            .0
            .admin,
        None
    );
}

#[test]
fn the_store_is_in_the_folder_that_the_environment_names() {
    let store = |pairs: &[(&str, &str)]| {
        let env = |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        parse(&route(""), "test.toml", &env).unwrap().0.store
    };
    let at = |path: &str| StoreLocation::File(PathBuf::from(path));
    assert_eq!(
        store(&[
            ("HOME", "/h"),
            ("XDG_STATE_HOME", "/x"),
            ("STATE_DIRECTORY", "/s:/t")
        ]),
        at("/s")
    );
    assert_eq!(
        store(&[("HOME", "/h"), ("XDG_STATE_HOME", "/x")]),
        at("/x/bearward")
    );
    assert_eq!(
        store(&[("HOME", "/h"), ("XDG_STATE_HOME", "relative")]),
        at("/h/.local/state/bearward")
    );
    assert_eq!(store(&[]), at("/var/lib/bearward"));
    let (config, _) = good(&format!("store.path = \"/data\"\n{}", route("")));
    assert_eq!(config.store, at("/data"));

    let key = "k".repeat(32);
    let sealed = format!(
        "store.path = \"/data\"\nstore.encryption_key = \"{key}\"\n{}",
        route("")
    );
    let sealed_at = StoreLocation::SealedFile {
        path: "/data".into(),
        key: Secret::new(key),
    };
    assert_eq!(good(&sealed).0.store, sealed_at);
    let short = one_error(&format!(
        "store.encryption_key = {{ env = \"SECRET\" }}\n{}",
        route("")
    ));
    assert!(short.contains("less than 32 characters"), "{short}");
}
