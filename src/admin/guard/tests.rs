//! Every request that the guard admits, and every one that it refuses.

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
    let guard = Guard::new(
        &listen.parse().unwrap(),
        vec!["bearward.example.com".into()],
    );
    check(&guard, &parts("/", headers(fields)), audience, key.as_ref())
}

fn check(
    guard: &Guard,
    parts: &Parts,
    audience: Audience,
    key: Option<&Secret>,
) -> Result<(), Refusal> {
    guard.check_site(parts, audience, |host| host == "redirect.example.com")?;
    guard.check_key(&parts.headers, audience, key)
}

const LOCAL: &str = "127.0.0.1:9900";
const ANYWHERE: &str = "0.0.0.0:9900";

#[test]
fn a_probe_that_speaks_http_1_0_may_name_no_host() {
    let guard = Guard::new(&LOCAL.parse().unwrap(), Vec::new());
    let mut probe = parts("/livez", HeaderMap::new());
    assert_eq!(check(&guard, &probe, Anyone, None), Err(Refusal::BadHost));
    probe.version = Version::HTTP_10;
    assert_eq!(check(&guard, &probe, Anyone, None), Ok(()));
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
    for host in [
        "",
        "a b",
        "user@localhost",
        "localhost:x:y",
        "localhost/",
        "localhost:x",
        "localhost:99999",
        "[::1]evil",
        "[::1",
    ] {
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
fn a_published_name_is_accepted_everywhere_and_that_of_a_redirect_uri_at_logins() {
    for listen in [LOCAL, ANYWHERE] {
        let by = |host, audience| checked(listen, audience, Some("k"), &[("host", host)]);
        for audience in [Starting, Operator, Redirected] {
            let published = by("bearward.example.com", audience);
            assert_eq!(published, Err(Refusal::KeyRequired), "{audience:?}");
        }
        assert_eq!(by("Bearward.Example.com:443", Returning), Ok(()));
        assert_eq!(by("redirect.example.com", Returning), Ok(()));
        for audience in [Starting, Redirected] {
            let redirect = by("redirect.example.com", audience);
            assert_eq!(redirect, Err(Refusal::KeyRequired), "{audience:?}");
        }
        let elsewhere = by("redirect.example.com", Operator);
        assert_eq!(elsewhere, Err(Refusal::UnknownHost));
    }
    let form = [
        ("host", "bearward.example.com"),
        ("origin", "https://bearward.example.com"),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(checked(LOCAL, Operator, None, &form), Ok(()));
}

#[test]
fn a_target_that_names_another_host_is_refused() {
    let fields = headers(&[("host", "localhost")]);
    let guard = Guard::new(&LOCAL.parse().unwrap(), Vec::new());
    let check = |uri| check(&guard, &parts(uri, fields.clone()), Anyone, None);
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
        Err(Refusal::ClosedToNetwork)
    );
    assert_eq!(
        checked(ANYWHERE, Operator, None, &[("host", "evil.example")]),
        Err(Refusal::UnknownHost)
    );
    assert_eq!(
        checked("10.0.0.5:1", Operator, None, &[("host", "10.0.0.5:1")]),
        Err(Refusal::ClosedToNetwork)
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
fn a_return_from_a_consent_page_passes_and_a_request_of_another_page_does_not() {
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
fn a_return_needs_no_key_and_still_finds_nothing_where_none_is_set() {
    for listen in [LOCAL, ANYWHERE] {
        assert_eq!(
            checked(listen, Returning, Some("k"), &[("host", "127.0.0.1")]),
            Ok(())
        );
    }
    assert_eq!(
        checked(ANYWHERE, Returning, None, &[("host", "127.0.0.1")]),
        Err(Refusal::ClosedToNetwork)
    );
}
