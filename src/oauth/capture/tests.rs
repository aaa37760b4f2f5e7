//! Captures from the API, over real sockets.

use std::sync::Arc;

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    oauth::{
        fake::{self, CANARY, Reply, TokenServer},
        provider::{Capture, HostList, Lifetime},
    },
    secret::Secret,
};

fn issued() -> Issued {
    Issued {
        access_token: Secret::new(CANARY),
        lifetime: Lifetime::Never,
        refresh_token: None,
        refresh_lifetime: None,
        requested_at: ManualClock::new().now(),
        context: ApiContext::default(),
    }
}

fn from_api(name: &str, url: &str, pointer: &str) -> Capture {
    let allow = HostList::new(["127.0.0.1"]);
    Capture {
        name: name.into(),
        source: CaptureSource::Get {
            url: Box::new(EndpointUrl::template(url, allow).unwrap()),
            pointer: pointer.into(),
        },
        allow: HostList::default(),
    }
}

async fn completed(provider: Provider, captured: Captured) -> Result<Captured, TokenRequestError> {
    let endpoint = TokenEndpoint::new(Arc::new(provider), Arc::new(ManualClock::new()));
    let issued = complete(&endpoint, issued(), captured).await;
    issued.map(|issued| issued.context.captured)
}

#[tokio::test]
async fn a_value_is_read_by_one_get_with_the_new_token() {
    let body = r#"[{"id":7,"tenantId":"t-1"}]"#;
    let server = TokenServer::start(Reply::response(200, "", body)).await;
    let mut provider = fake::provider(&server.url());
    let url = server.url().replace("/token", "/connections");
    provider.captures = vec![
        from_api("tenant_id", &url, "/0/tenantId"),
        from_api("id", &format!("{url}/{{tenant_id}}/{{realm}}"), "/0/id"),
    ];
    provider.api.default_headers = vec![
        (http::header::ACCEPT, fake::text("text/x")),
        (http::header::ETAG, fake::text("{unknown}")),
    ];
    let captured = [("realm".to_owned(), "r/1".to_owned())];
    let captured = completed(provider, captured.into()).await.unwrap();
    assert_eq!(captured["tenant_id"], "t-1");
    assert_eq!(captured["id"], "7");
    assert_eq!(captured["realm"], "r/1");

    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[0].starts_with("GET /connections HTTP/1.1\r\n"));
    assert!(requests[0].contains(&format!("authorization: Bearer {CANARY}\r\n")));
    assert!(requests[0].contains("accept: text/x\r\n"));
    assert!(!requests[0].contains("etag"));
    assert!(requests[1].starts_with("GET /connections/t-1/r%2F1 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_missing_value_is_an_error_that_names_the_capture() {
    let server = TokenServer::start(Reply::Hangup).await;
    let mut provider = fake::provider(&server.url());
    provider.captures = vec![from_api("tenant_id", &server.url(), "/0/tenantId")];
    for body in [
        "[]",
        "no JSON",
        r#"[{"tenantId":null}]"#,
        r#"[{"tenantId":""}]"#,
        r#"[{"tenantId":{}}]"#,
        r#"[{"tenantId":"a\nb"}]"#,
    ] {
        server.reply(Reply::response(200, "", body));
        let error = completed(provider.clone(), Captured::new()).await;
        let text = error.unwrap_err().to_string();
        assert!(
            text.starts_with("`[providers.fake] capture` (http://127.0.0.1:"),
            "{text}"
        );
        assert!(
            text.contains("`[providers.fake.capture] tenant_id`"),
            "{text}"
        );
        assert!(!text.contains(CANARY), "{text}");
    }
    server.reply(Reply::response(403, "", ""));
    let error = completed(provider, Captured::new()).await.unwrap_err();
    assert_eq!(error.kind(), "rejected");
}

#[tokio::test]
async fn a_value_never_leads_to_a_host_that_is_not_allowed() {
    let server = TokenServer::start(Reply::Hangup).await;
    let mut provider = fake::provider(&server.url());
    let allow = HostList::new(["*.api.example"]);
    let base = EndpointUrl::template("https://{shop}.api.example", allow).unwrap();
    provider.api_base = Some(ApiBase::Url(base));
    let captured = |shop: &str| -> Captured { [("shop".to_owned(), shop.to_owned())].into() };
    assert!(completed(provider.clone(), captured("acme")).await.is_ok());
    for evil in ["evil.example/", "evil.example#", "x@evil.example?"] {
        let error = completed(provider.clone(), captured(evil)).await;
        let text = error.unwrap_err().to_string();
        assert!(
            text.starts_with("`[providers.fake] api_base` cannot be called"),
            "{text}"
        );
    }
    assert_eq!(server.count(), 0);
}
