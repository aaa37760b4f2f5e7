//! `[api]`: what every request to the API carries beside the token.

use std::{collections::BTreeMap, sync::Arc};

use bearward::{
    oauth::{
        provider::{ApiFields, ParameterValue},
        template::Template,
    },
    secret::{LiveSecret, Secret},
};
use http::HeaderName;

use crate::support::{
    client::exchange,
    either::{Ask, BOTH},
    in_process::{self, InProcess},
    patience::until,
    problem::assert_problem,
    setup::Setup,
    token_endpoint::{TokenEndpoint, token_response},
    upstream::Upstream,
    wire::{answer, ok},
};

fn text(value: &str) -> ParameterValue {
    ParameterValue::Text(Template::parse(value).unwrap())
}

fn secret(value: &str) -> ParameterValue {
    ParameterValue::Secret(Arc::new(LiveSecret::fixed(Secret::new(value))))
}

fn header(name: &'static str, value: ParameterValue) -> (HeaderName, ParameterValue) {
    (HeaderName::from_static(name), value)
}

/// A sidecar whose provider has `api`, in front of `upstream`.
fn sidecar(upstream: &Upstream, tokens: &TokenEndpoint, api: ApiFields) -> InProcess {
    with_provider(upstream, tokens, "", api)
}

fn with_provider(
    upstream: &Upstream,
    tokens: &TokenEndpoint,
    provider: &str,
    api: ApiFields,
) -> InProcess {
    let setup = Setup::new(tokens, upstream.origin()).provider(provider);
    in_process::start(setup, |config| {
        config.routes[0].provider.as_mut().unwrap().api = api;
    })
}

fn world(api: ApiFields) -> (InProcess, Upstream) {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = sidecar(&upstream, &tokens, api);
    (sidecar, upstream)
}

#[test]
fn a_header_of_the_api_replaces_the_clients_in_every_spelling() {
    let (sidecar, upstream) = world(ApiFields {
        headers: vec![
            header("xero-tenant-id", text("t-1")),
            header("x-client", text("id {client_id}")),
        ],
        ..ApiFields::default()
    });
    for fields in [
        "",
        "Xero-Tenant-Id: evil\r\n",
        "xero_tenant_id: evil\r\nXERO-tenant_id: evil\r\nX-Client: evil\r\n",
    ] {
        let head = upstream.head_through(sidecar.address(), "/", fields);
        assert_eq!(head.values("xero-tenant-id"), ["t-1"], "{head:?}");
        assert_eq!(head.values("x-client"), ["id legacy-service"], "{head:?}");
        assert_eq!(head.value("authorization"), Some("Bearer token-1"));
        let all = String::from_utf8_lossy(&head.raw).into_owned();
        assert!(!all.contains("evil"), "{all}");
    }
}

#[test]
fn a_default_header_is_set_where_the_client_sent_none() {
    let (sidecar, upstream) = world(ApiFields {
        default_headers: vec![
            header("accept", text("application/json")),
            header("user-agent", text("acme/1")),
        ],
        ..ApiFields::default()
    });
    let head = upstream.head_through(sidecar.address(), "/", "Accept: text/csv\r\n");
    assert_eq!(head.values("accept"), ["text/csv"]);
    assert_eq!(head.values("user-agent"), ["acme/1"]);
    let head = upstream.head_through(
        sidecar.address(),
        "/",
        "Connection: accept\r\nAccept: x\r\n",
    );
    assert_eq!(head.values("accept"), ["application/json"]);
}

#[test]
fn a_parameter_of_the_api_replaces_the_clients() {
    let query = [("realm", text("a b")), ("client", text("{client_id}"))];
    let query = query.map(|(name, value)| (name.to_owned(), value));
    let (sidecar, upstream) = world(ApiFields {
        query: BTreeMap::from(query),
        ..ApiFields::default()
    });
    let own = "client=legacy-service&realm=a+b";
    for (target, wanted) in [
        ("/x", format!("/x?{own}")),
        ("/x?b=%2f&c", format!("/x?b=%2f&c&{own}")),
        (
            "/x?realm=evil&b=1&re%61lm=evil&realm",
            format!("/x?b=1&{own}"),
        ),
    ] {
        let head = upstream.head_through(sidecar.address(), target, "");
        assert_eq!(head.target(), wanted, "{target}");
    }
}

#[test]
fn each_request_has_a_uuid_of_its_own() {
    let (sidecar, upstream) = world(ApiFields {
        headers: vec![header("x-request-id", text("r-{uuid}"))],
        query: BTreeMap::from([("nonce".to_owned(), text("{uuid}"))]),
        ..ApiFields::default()
    });
    let ids = [0, 1].map(|_| {
        let head = upstream.head_through(sidecar.address(), "/", "");
        let id = head.value("x-request-id").unwrap().to_owned();
        assert_eq!(head.target(), format!("/?nonce={}", &id[2..]));
        assert_eq!(id.len(), "r-".len() + 36, "{id}");
        id
    });
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_secret_of_the_api_is_read_again_when_its_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "one\n").unwrap();
    let key = Arc::new(LiveSecret::file(&path).unwrap());
    let (sidecar, upstream) = world(ApiFields {
        headers: vec![header("x-api-key", ParameterValue::Secret(key.clone()))],
        ..ApiFields::default()
    });
    let sent = || {
        upstream
            .head_through(sidecar.address(), "/", "")
            .value("x-api-key")
            .unwrap()
            .to_owned()
    };
    assert_eq!(sent(), "one");
    std::fs::write(&path, "two\n").unwrap();
    assert!(key.reload().unwrap());
    until("the new key", || (sent() == "two").then_some(()));
}

#[test]
fn the_fields_of_the_api_go_with_replays_and_upgrades() {
    let tokens = TokenEndpoint::start(|_, number| token_response(&format!("t-{number}"), 3600));
    let upstream = Upstream::answering(|request| match request.head.value("authorization") {
        Some("Bearer t-0") => answer("401 Unauthorized", "", ""),
        _ if request.head.has("upgrade") => answer(
            "101 Switching Protocols",
            "Connection: upgrade\r\nUpgrade: websocket\r\n",
            "",
        ),
        _ => ok("fine"),
    });
    let api = ApiFields {
        headers: vec![header("x-tenant", text("acme {uuid}"))],
        ..ApiFields::default()
    };
    let setup = Setup::new(&tokens, upstream.origin()).route("upgrade = [\"websocket\"]");
    let sidecar = in_process::start(setup, |config| {
        config.routes[0].provider.as_mut().unwrap().api = api;
    });
    assert_eq!(sidecar.get("/").text(), "fine");
    let sent = upstream.requests();
    let values: Vec<_> = sent
        .iter()
        .map(|request| request.head.value("x-tenant"))
        .collect();
    assert_eq!(values.len(), 2);
    assert_eq!(values[0], values[1], "a replay is the same request");
    assert!(values[0].unwrap().starts_with("acme "));
    let upgrade = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\nx_tenant: evil\r\n\r\n";
    assert_eq!(exchange(sidecar.address(), upgrade).status, 101);
    let head = upstream.last().head;
    assert!(head.value("x-tenant").unwrap().starts_with("acme "));
    assert!(!head.has("x_tenant"), "{head:?}");
}

#[test]
fn a_redirect_that_repeats_the_query_does_not_show_a_secret_of_the_api() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|request| {
        let location = format!("location: {}&x=1\r\n", request.head.target());
        answer("302 Found", &location, "")
    });
    let api = ApiFields {
        query: BTreeMap::from([("key".to_owned(), secret("s3cr+t"))]),
        ..ApiFields::default()
    };
    let sidecar = sidecar(&upstream, &tokens, api);
    for protocol in BOTH {
        let got = Ask::get("/go?a=1").told(protocol, sidecar.address());
        assert_eq!(got.value("location"), Some("/go?a=1&x=1"), "{protocol:?}");
        assert_eq!(upstream.last().head.target(), "/go?a=1&key=s3cr%2Bt");
    }
}

#[test]
fn a_value_that_is_missing_is_named_and_nothing_is_sent() {
    let (sidecar, upstream) = world(ApiFields {
        headers: vec![header("x-tenant", text("{tenant_id}"))],
        ..ApiFields::default()
    });
    let answer = sidecar.get("/");
    let problem = assert_problem(&answer, 503, "token-unavailable");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("tenant_id") && detail.contains("x-tenant"),
        "{detail}"
    );
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_client_cannot_send_a_field_of_the_api_as_a_trailer() {
    let (sidecar, upstream) = world(ApiFields {
        headers: vec![header("x-tenant", text("acme"))],
        ..ApiFields::default()
    });
    let request = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: x-tenant, x-sum\r\n\r\n1\r\na\r\n0\r\nx_tenant: evil\r\nx-tenant: evil\r\nx-sum: 1\r\n\r\n";
    assert_eq!(exchange(sidecar.address(), request).status, 200);
    let trailers = upstream.last().trailers;
    let names: Vec<_> = trailers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        !names.iter().any(|name| name.contains("tenant")),
        "{names:?}"
    );
}

#[test]
fn the_token_wins_over_a_field_of_the_api_of_its_name() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let api = ApiFields {
        headers: vec![header("authorization", text("Basic x"))],
        query: BTreeMap::from([("key".to_owned(), text("x"))]),
        ..ApiFields::default()
    };
    let sidecar = with_provider(&upstream, &tokens, "", api.clone());
    let head = upstream.head_through(sidecar.address(), "/", "");
    assert_eq!(head.values("authorization"), ["Bearer token-1"]);
    let sidecar = with_provider(&upstream, &tokens, "inject.query = \"key\"", api);
    let head = upstream.head_through(sidecar.address(), "/", "Authorization: evil\r\n");
    assert_eq!(head.target(), "/?key=token-1");
    assert_eq!(head.values("authorization"), ["Basic x"]);
}
