//! Where the token goes, and that nobody but the sidecar can pick what stands there.

use std::sync::{Arc, Mutex};

use crate::support::{
    client::exchange,
    either::{Ask, BOTH},
    frame_server::FrameServer,
    frames::{flag, kind, literals},
    patience::lock,
    ports,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{answer, ok},
};

fn world(provider: &str) -> (Sidecar, Upstream) {
    let tokens = TokenEndpoint::issuing("the+token/1=");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin())
        .provider(provider)
        .start_ready();
    // Nothing asks for another token within the hour that it lives.
    drop(tokens);
    (sidecar, upstream)
}

#[test]
fn the_token_is_a_bearer_in_authorization() {
    let (sidecar, upstream) = world("");
    let head = upstream.head_through(sidecar.address(), "/", "");
    assert_eq!(head.value("authorization"), Some("Bearer the+token/1="));
}

#[test]
fn the_callers_own_credentials_go_no_further() {
    let (sidecar, upstream) = world("");
    for fields in [
        "Authorization: Bearer evil\r\n",
        "authorization: Bearer evil\r\nAUTHORIZATION: Basic ZXZpbA==\r\n",
        "Authorization:\r\n",
        "Proxy-Authorization: Basic ZXZpbA==evil\r\n",
        "proxy_authorization: evil\r\n",
        "PROXY-authorization: evil\r\nProxy_Authorization: evil\r\n",
    ] {
        let head = upstream.head_through(sidecar.address(), "/", fields);
        assert_eq!(
            head.value("authorization"),
            Some("Bearer the+token/1="),
            "{fields}: {head:?}"
        );
        assert!(
            !head.has("proxy-authorization") && !head.has("proxy_authorization"),
            "{fields}: {head:?}"
        );
        assert!(
            !String::from_utf8_lossy(&head.raw).contains("evil"),
            "{fields}: {head:?}"
        );
    }
}

#[test]
fn another_header_and_another_prefix_may_be_configured() {
    let (sidecar, upstream) = world("inject.header = \"X-Api-Token\"\ninject.prefix = \"token=\"");
    let head = upstream.head_through(sidecar.address(), "/", "");
    assert_eq!(head.value("x-api-token"), Some("token=the+token/1="));
    assert!(!head.has("authorization"), "{head:?}");
}

#[test]
fn every_spelling_of_the_injected_header_is_removed() {
    let (sidecar, upstream) = world("inject.header = \"x-api-token\"\ninject.prefix = \"\"");
    for spelling in [
        "x-api-token",
        "X-Api-Token",
        "x_api_token",
        "x-api_token",
        "X_API-TOKEN",
    ] {
        let head = upstream.head_through(
            sidecar.address(),
            "/",
            &format!("{spelling}: evil\r\n{spelling}: evil\r\n"),
        );
        assert_eq!(
            head.value("x-api-token"),
            Some("the+token/1="),
            "{spelling}: {head:?}"
        );
        assert!(
            !String::from_utf8_lossy(&head.raw).contains("evil"),
            "{spelling}: {head:?}"
        );
    }
}

#[test]
fn a_caller_cannot_make_the_token_a_hop_by_hop_field() {
    let (sidecar, upstream) = world("");
    for connection in [
        "authorization",
        "close, Authorization",
        "host, authorization, content-length",
    ] {
        let head = upstream.head_through(
            sidecar.address(),
            "/",
            &format!("Connection: {connection}\r\n"),
        );
        assert_eq!(
            head.value("authorization"),
            Some("Bearer the+token/1="),
            "{connection}: {head:?}"
        );
        assert_eq!(
            head.value("host"),
            Some(upstream.address().to_string().as_str()),
            "{connection}: {head:?}"
        );
    }
}

#[test]
fn the_token_may_be_a_query_parameter() {
    let (sidecar, upstream) = world("inject.query = \"access_token\"");
    let head = upstream.head_through(sidecar.address(), "/a", "");
    assert_eq!(head.target(), "/a?access_token=the%2Btoken%2F1%3D");
    let head = upstream.head_through(
        sidecar.address(),
        "/a?b=%2f&c",
        "Authorization: Bearer evil\r\n",
    );
    assert_eq!(head.target(), "/a?b=%2f&c&access_token=the%2Btoken%2F1%3D");
}

#[test]
fn wherever_the_token_goes_the_callers_authorization_does_not_pass() {
    for place in [
        "inject.query = \"access_token\"",
        "inject.header = \"x-api-key\"",
    ] {
        let (sidecar, upstream) = world(place);
        for fields in [
            "Authorization: Bearer evil\r\n",
            "AUTHORIZATION: Basic evil\r\nauthorization: evil\r\n",
        ] {
            let head = upstream.head_through(sidecar.address(), "/", fields);
            assert!(!head.has("authorization"), "{place}: {head:?}");
            assert!(
                !String::from_utf8_lossy(&head.raw).contains("evil"),
                "{place}: {head:?}"
            );
        }
    }
}

#[test]
fn a_callers_own_parameter_of_that_name_is_removed() {
    let (sidecar, upstream) = world("inject.query = \"access_token\"");
    for query in [
        "access_token=evil",
        "access_token=evil&access_token=evil",
        "access%5Ftoken=evil",
        "access_token",
        "a=1;access_token=evil",
        "access_token=evil;b=2",
        "a=1;access%5ftoken=evil;b=2",
    ] {
        let target = upstream
            .head_through(sidecar.address(), &format!("/a?x=1&{query}&y=2"), "")
            .target()
            .to_owned();
        assert!(!target.contains("evil"), "{query}: {target}");
        let (_, query) = target.split_once('?').unwrap();
        let tokens: Vec<_> = url::form_urlencoded::parse(query.as_bytes())
            .filter(|(n, _)| n == "access_token")
            .collect();
        assert_eq!(tokens.len(), 1, "{target}");
        assert_eq!(tokens[0].1, "the+token/1=", "{target}");
        assert!(query.contains("x=1") && query.contains("y=2"), "{target}");
    }
}

#[test]
fn a_route_without_a_provider_passes_the_callers_authorization() {
    let tokens = TokenEndpoint::issuing("unused");
    let upstream = Upstream::answering(|_| ok("fine"));
    let route = format!(
        "[routes.open]\nlisten = \"{}\"\nupstream = \"{}\"",
        ports::unused(),
        upstream.origin()
    );
    let sidecar = Setup::new(&tokens, upstream.origin())
        .tables(&route)
        .start();
    let answer = exchange(
        sidecar.route("open"),
        "GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic b3du\r\nProxy-Authorization: no\r\n\r\n",
    );
    assert_eq!(answer.status, 200);
    let head = upstream.last().head;
    assert_eq!(head.value("authorization"), Some("Basic b3du"));
    assert!(!head.has("proxy-authorization"), "{head:?}");
}

#[test]
fn the_callers_query_stays_as_it_came() {
    let (sidecar, upstream) = world("inject.query = \"access_token\"");
    let token = "access_token=the%2Btoken%2F1%3D";
    for (query, wanted) in [
        ("?a=1&&b=2", format!("?a=1&&b=2&{token}")),
        ("?a=1&", format!("?a=1&&{token}")),
        ("?&a", format!("?&a&{token}")),
        ("?", format!("?{token}")),
        ("?a&access_token=evil&&b", format!("?a&&b&{token}")),
        ("?access_token=evil&a&access%5Ftoken", format!("?a&{token}")),
        ("?access_token", format!("?{token}")),
    ] {
        assert_eq!(
            upstream
                .head_through(sidecar.address(), &format!("/x{query}"), "")
                .target(),
            format!("/x{wanted}"),
            "{query}"
        );
    }
}

#[test]
fn a_redirect_that_repeats_the_query_does_not_show_the_token() {
    let tokens = TokenEndpoint::issuing("the+token/1=");
    let upstream = Upstream::answering(|request| {
        let target = request.head.target().replace("/go", "/gone");
        let host = request.head.value("host").unwrap_or_default();
        let fields = format!(
            "location: http://{host}{target}\r\ncontent-location: https://elsewhere.example{target}&c=access_token\r\n"
        );
        answer("302 Found", &fields, "")
    });
    let sidecar = Setup::new(&tokens, upstream.origin())
        .provider("inject.query = \"access_token\"")
        .start_ready();
    for protocol in BOTH {
        let got = Ask::get("/go?a=1").told(protocol, sidecar.address());
        let location = got.value("location").unwrap();
        assert!(
            location.starts_with("http://") && location.ends_with("/gone?a=1"),
            "{protocol:?}: {location}"
        );
        let elsewhere = "https://elsewhere.example/gone?a=1&c=access_token";
        assert_eq!(
            got.value("content-location"),
            Some(elsewhere),
            "{protocol:?}"
        );
    }
}

#[test]
fn over_http2_the_token_enters_no_table_whatever_its_place() {
    // Under a header name it is marked, so that no proxy on the way may put it into a table either (RFC 7541 §6.2.3).
    // A path cannot be marked; it is a literal that stays out of the table of this connection (§6.2.2).
    const LENGTH: usize = 400;
    for (provider, kind_of_literal) in [
        ("", 0x10),
        ("inject.header = \"x-api-token\"", 0x10),
        ("inject.query = \"access_token\"", 0x00),
    ] {
        let blocks: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let upstream = FrameServer::start({
            let blocks = blocks.clone();
            move |mut wire, _| {
                while let Ok(head) = wire.next_of(kind::HEADERS) {
                    lock(&blocks).push(head.payload.clone());
                    let flags = flag::END_HEADERS | flag::END_STREAM;
                    if wire
                        .send(kind::HEADERS, flags, head.stream, &[0x88])
                        .is_err()
                    {
                        return;
                    }
                }
            }
        });
        let tokens = TokenEndpoint::issuing(&"t".repeat(LENGTH));
        let sidecar = Setup::new(&tokens, upstream.origin())
            .provider(provider)
            .route("http2 = \"prior-knowledge\"")
            .tables("[runtime]\nworkers = 1")
            .start_ready();
        for _ in 0..3 {
            assert_eq!(sidecar.get("/").status, 200, "{provider}");
        }
        let blocks = lock(&blocks);
        assert_eq!(blocks.len(), 3, "{provider}");
        for block in &*blocks {
            let of_token: Vec<u8> = literals(block)
                .into_iter()
                // No value but the token's is as long, packed (RFC 7541, appendix B) or not.
                .filter(|(_, length)| *length > LENGTH / 2)
                .map(|(kind, _)| kind)
                .collect();
            assert_eq!(of_token, [kind_of_literal], "{provider}: {block:02x?}");
        }
    }
}
