//! Signing in over real sockets.

use std::{collections::BTreeMap, sync::Arc};

use super::*;
use crate::{
    clock::ManualClock,
    oauth::{
        fake::{self, CANARY, Reply, TokenServer},
        provider::{Capture, CaptureSource, ClientAuth, Encoding, HostList},
    },
    secret::{LiveSecret, Secret},
};

/// A code and a token at once; `STATE` stands for what was sent.
const BOTH: &str = r#"{"authorization_code":"c0de","expires_in":300,"access_token":"a","refresh_token":"r","state":"STATE"}"#;

/// Replies with the state of the request.
fn reply(status: u16, body: &str) -> Reply {
    let body = body.to_owned();
    Reply::by(move |request| {
        let after = ["\"state\":\"", "state="]
            .iter()
            .find_map(|before| Some(request.split_once(before)?.1));
        let state: String = after.unwrap_or_default().chars().take(10).collect();
        Reply::response(status, "", &body.replace("STATE", &state))
    })
}

fn provider(server: &TokenServer, encoding: Encoding) -> Provider {
    let mut provider = fake::with_consent(&server.url());
    provider.client_secret = None;
    provider.client_auth = ClientAuth::None;
    let authorization = provider.authorization.as_mut().unwrap();
    authorization.code_parameter = "authorization_code".into();
    authorization.endpoint = None;
    provider.sign_in = Some(SignIn {
        endpoint: server.url().replace("/token", "/sign-in").parse().unwrap(),
        email: "svc@example.com".into(),
        password: Arc::new(LiveSecret::fixed(Secret::new(CANARY))),
        encoding,
        state_length: 10,
    });
    provider
}

async fn signed_in(provider: Provider) -> Result<Issued, TokenRequestError> {
    sign_in(&TokenEndpoint::new(
        Arc::new(provider),
        Arc::new(ManualClock::new()),
    ))
    .await
}

async fn fault(status: u16, body: &str) -> TokenRequestError {
    let server = TokenServer::start(reply(status, body)).await;
    let error = signed_in(provider(&server, Encoding::Json))
        .await
        .unwrap_err();
    assert!(!format!("{error} {error:?}").contains(CANARY));
    assert_eq!(server.count(), 1, "no code, no exchange");
    error
}

/// The names and values that were sent, whatever the encoding.
fn sent(request: &str, encoding: Encoding) -> BTreeMap<String, String> {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let query = head
        .split(' ')
        .nth(1)
        .unwrap()
        .split_once('?')
        .map_or("", |(_, query)| query);
    match encoding {
        Encoding::Json => serde_json::from_str(body).unwrap(),
        Encoding::Form => url::form_urlencoded::parse(body.as_bytes())
            .into_owned()
            .collect(),
        Encoding::Query => url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
    }
}

#[tokio::test]
async fn a_sign_in_sends_the_account_and_exchanges_the_code() {
    for encoding in [Encoding::Json, Encoding::Form, Encoding::Query] {
        let server = TokenServer::start(reply(200, BOTH)).await;
        let issued = signed_in(provider(&server, encoding)).await.unwrap();
        assert_eq!(
            (issued.access_token.expose(), issued.refresh_token),
            ("a", Some(Secret::new("r")))
        );

        let requests = server.requests();
        assert!(requests[0].starts_with("POST /sign-in"), "{}", requests[0]);
        assert!(!requests[0].contains("authorization:"));
        let parameters = sent(&requests[0], encoding);
        let names: Vec<_> = parameters.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "client_id",
                "code_challenge",
                "code_challenge_method",
                "email",
                "password",
                "redirect_uri",
                "response_type",
                "state"
            ]
        );
        assert_eq!(
            (&*parameters["email"], &*parameters["password"]),
            ("svc@example.com", CANARY)
        );
        assert_eq!(
            (
                parameters["state"].len(),
                &*parameters["code_challenge_method"]
            ),
            (10, "S256")
        );

        let exchange = sent(&requests[1], Encoding::Form);
        assert_eq!(
            (&*exchange["code"], &*exchange["client_id"]),
            ("c0de", "client")
        );
        let challenge =
            crate::oauth::authorization::challenge(&Secret::new(&*exchange["code_verifier"]));
        assert_eq!(challenge, parameters["code_challenge"]);
        assert_eq!(requests.len(), 2);
    }
}

#[tokio::test]
async fn a_wrong_state_ends_the_sign_in() {
    for state in ["\"wrong\"", "7", "\"\""] {
        let error = fault(
            200,
            &format!(r#"{{"authorization_code":"c","state":{state}}}"#),
        )
        .await;
        assert_eq!(
            error.fault(),
            &Fault::NotACode("its state belongs to another sign-in")
        );
    }
}

#[tokio::test]
async fn a_missing_state_ends_the_sign_in() {
    for state in ["", r#","state":null"#] {
        let error = fault(200, &format!(r#"{{"authorization_code":"c"{state}}}"#)).await;
        assert_eq!(error.fault(), &Fault::NotACode("it has no state"));
    }
}

#[tokio::test]
async fn a_missing_code_ends_the_sign_in() {
    for body in [
        r#"{"state":"STATE"}"#,
        r#"{"state":"STATE","authorization_code":7}"#,
        r#"{"state":"STATE","authorization_code":""}"#,
        r#"{"state":"STATE","code":"\n"}"#,
        "<html>",
        "[]",
    ] {
        let error = fault(200, body).await;
        assert!(
            matches!(error.fault(), Fault::NotACode(_)),
            "{body}: {error:?}"
        );
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn a_refusal_differs_from_an_outage() {
    for (status, body) in [
        (401, ""),
        (400, r#"{"error":"invalid_grant"}"#),
        (403, "{}"),
        (200, r#"{"error":"locked"}"#),
    ] {
        let error = fault(status, body).await;
        assert!(error.needs_change(), "{status} {body}");
        assert!(error.to_string().contains("refused the sign-in"), "{error}");
        assert_eq!(
            error.refusal(),
            None,
            "the client is not refused, its account is"
        );
    }
    for status in [302, 408, 429, 500, 503] {
        let error = fault(status, "").await;
        assert!(!error.needs_change(), "{status}");
        assert!(
            error
                .to_string()
                .starts_with("`[providers.fake.sign_in] endpoint` (http://"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn without_an_account_nothing_is_sent() {
    let server = TokenServer::start(reply(200, BOTH)).await;
    let error = signed_in(fake::with_consent(&server.url()))
        .await
        .unwrap_err();
    assert!(matches!(error.fault(), Fault::Setup(_)));
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_sign_in_sends_the_default_redirect_uri_when_none_is_configured() {
    let server = TokenServer::start(reply(200, BOTH)).await;
    let mut provider = provider(&server, Encoding::Json);
    let authorization = provider.authorization.as_mut().unwrap();
    authorization.redirect_uri = None;
    authorization.default_redirect_uri = Some("http://127.0.0.1:7/callback".parse().unwrap());
    signed_in(provider).await.unwrap();
    let requests = server.requests();
    for (request, encoding) in [
        (&requests[0], Encoding::Json),
        (&requests[1], Encoding::Form),
    ] {
        assert_eq!(
            sent(request, encoding)["redirect_uri"],
            "http://127.0.0.1:7/callback"
        );
    }
}

#[tokio::test]
async fn a_sign_in_captures_members_of_its_response() {
    let body = BOTH.replace("\"expires_in\"", "\"realmId\":\"r7\",\"expires_in\"");
    let captures = vec![Capture {
        name: "realm_id".into(),
        source: CaptureSource::Callback("realmId".into()),
        allow: HostList::default(),
    }];
    let server = TokenServer::start(reply(200, &body)).await;
    let mut provider = provider(&server, Encoding::Json);
    provider.captures = captures;
    let issued = signed_in(provider.clone()).await.unwrap();
    assert_eq!(issued.context.captured["realm_id"], "r7");
    server.reply(reply(200, BOTH));
    let error = signed_in(provider).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`[providers.fake.capture] realm_id`"),
        "{error}"
    );
}
