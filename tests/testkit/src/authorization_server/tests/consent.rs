//! Consent and authorization codes.

use super::*;

/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str =
    "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
const REDIRECT: &str = "redirect_uri=http://127.0.0.1:9/callback";

async fn authorize(server: &AuthorizationServer, query: &str) -> Response {
    send(
        server.address(),
        "GET",
        &format!("/oauth2/authorize?{query}"),
        &[],
        "",
    )
    .await
    .unwrap()
}

/// A parameter of the redirect.
fn sent(response: &Response, name: &str) -> Option<String> {
    assert_eq!(response.status, 302, "{response:?}");
    let url = url::Url::parse(response.header("location")).unwrap();
    url.query_pairs()
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}

async fn code(server: &AuthorizationServer) -> String {
    let query = format!("response_type=code&client_id=demo&{REDIRECT}&state=s&{CHALLENGE}");
    sent(&authorize(server, &query).await, "code").unwrap()
}

async fn exchange(server: &AuthorizationServer, code: &str, rest: &str) -> Response {
    let client = "client_id=demo&client_secret=demo-client-secret";
    post(
        server,
        &[],
        &format!("grant_type=authorization_code&code={code}&{client}&{rest}"),
    )
    .await
}

fn good() -> String {
    format!("{REDIRECT}&code_verifier={VERIFIER}")
}

#[tokio::test]
async fn a_code_is_good_for_the_client_that_asked_and_for_no_other_address_or_verifier() {
    let server = started().await;
    let ok = exchange(&server, &code(&server).await, &good()).await;
    assert_eq!(ok.status, 200, "{ok:?}");
    assert!(
        server
            .issued()
            .is_live(ok.json()["access_token"].as_str().unwrap())
    );
    assert!(ok.json()["refresh_token"].is_string());

    for rest in [
        REDIRECT.to_owned(),
        format!("code_verifier={VERIFIER}"),
        format!("redirect_uri=http://127.0.0.1:9/other&code_verifier={VERIFIER}"),
        format!("{REDIRECT}&code_verifier={VERIFIER}x"),
    ] {
        let refused = exchange(&server, &code(&server).await, &rest).await;
        assert_eq!(
            (refused.status, refused.json()["error"].as_str()),
            (400, Some("invalid_grant")),
            "{rest}"
        );
    }
    assert_eq!(
        exchange(&server, "made-up", &good()).await.json()["error"],
        "invalid_grant"
    );
    let stats = server.stats();
    assert_eq!((stats.consents, stats.exchanges, stats.reuses), (5, 1, 0));
}

#[tokio::test]
async fn a_verifier_to_a_consent_without_a_challenge_is_refused() {
    let server = started().await;
    let response = authorize(
        &server,
        &format!("response_type=code&client_id=demo&{REDIRECT}"),
    )
    .await;
    let refused = exchange(&server, &sent(&response, "code").unwrap(), &good()).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_code_that_is_used_twice_revokes_its_tokens() {
    let server = started().await;
    let code = code(&server).await;
    let first = exchange(&server, &code, &good()).await.json();
    assert_eq!(
        exchange(&server, &code, &good()).await.json()["error"],
        "invalid_grant"
    );
    assert!(
        !server
            .issued()
            .is_live(first["access_token"].as_str().unwrap())
    );
    assert_eq!(server.stats().reuses, 1);
}

#[tokio::test]
async fn a_code_expires() {
    let clock = Clock::default();
    let options = Options {
        clock: clock.clone(),
        ..Options::default()
    };
    let server = AuthorizationServer::start(options).await.unwrap();
    let code = code(&server).await;
    clock.advance(Duration::from_secs(300));
    assert_eq!(
        exchange(&server, &code, &good()).await.json()["error"],
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_redirect_goes_back_with_the_state_and_the_issuer() {
    let server = started().await;
    let query = format!("response_type=code&client_id=demo&{REDIRECT}&state=a%26b");
    let response = authorize(&server, &query).await;
    assert_eq!(sent(&response, "state").as_deref(), Some("a&b"));
    assert_eq!(sent(&response, "iss").as_deref(), Some(server.base_url()));
    let response = authorize(&server, &query.replace("=code", "=token")).await;
    assert_eq!(
        sent(&response, "error").as_deref(),
        Some("unsupported_response_type")
    );
    assert_eq!(sent(&response, "state").as_deref(), Some("a&b"));
    let response = authorize(
        &server,
        &format!("{query}&code_challenge=x&code_challenge_method=plain"),
    )
    .await;
    assert_eq!(sent(&response, "error").as_deref(), Some("invalid_request"));
    let response = authorize(&server, &format!("{query}&scope=all")).await;
    assert_eq!(sent(&response, "error").as_deref(), Some("invalid_scope"));
}

#[tokio::test]
async fn no_redirect_leads_to_an_address_that_is_not_the_clients() {
    let server = started().await;
    for query in [
        "response_type=code&client_id=other&redirect_uri=http://127.0.0.1:9/callback",
        "response_type=code&client_id=demo&redirect_uri=https://evil.example/",
        "response_type=code&client_id=demo&redirect_uri=http://127.0.0.1.evil.example/",
        "response_type=code&client_id=demo&redirect_uri=javascript:alert(1)",
        "response_type=code&client_id=demo&redirect_uri=callback",
        "response_type=code&client_id=demo",
    ] {
        let response = authorize(&server, query).await;
        assert_eq!(
            (response.status, response.header("location")),
            (400, ""),
            "{query}"
        );
    }
    let redirect_uris = vec!["app://one".to_owned(), "https://app.example/two".to_owned()];
    let server = AuthorizationServer::start(Options {
        redirect_uris,
        ..Options::default()
    })
    .await
    .unwrap();
    let response = authorize(&server, "response_type=code&client_id=demo").await;
    assert!(
        response.header("location").starts_with("app://one?code="),
        "{response:?}"
    );
    let response = authorize(
        &server,
        "response_type=code&client_id=demo&redirect_uri=https://app.example/two",
    )
    .await;
    assert!(
        response
            .header("location")
            .starts_with("https://app.example/two?code="),
        "{response:?}"
    );
    assert_eq!(
        authorize(
            &server,
            &format!("response_type=code&client_id=demo&{REDIRECT}")
        )
        .await
        .status,
        400
    );
}

#[tokio::test]
async fn where_there_is_a_page_its_buttons_decide() {
    let options = Options {
        consent_page: ConsentPage::Shown,
        ..Options::default()
    };
    let server = AuthorizationServer::start(options).await.unwrap();
    let query = format!("response_type=code&client_id=demo&{REDIRECT}&state=s&scope=devices.read");
    let page = authorize(&server, &query).await;
    assert_eq!((page.status, page.header("location")), (200, ""));
    assert!(
        page.body.contains("<li>devices.read</li>") && page.body.contains("id=\"allow\""),
        "{}",
        page.body
    );
    assert_eq!(server.stats().consents, 0);
    let press = async |body: &str| {
        send(
            server.address(),
            "POST",
            &format!("/oauth2/authorize?{query}"),
            &[FORM],
            body,
        )
        .await
        .unwrap()
    };
    assert_eq!(
        sent(&press("decision=deny").await, "error").as_deref(),
        Some("access_denied")
    );
    assert_eq!(
        sent(&press("").await, "error").as_deref(),
        Some("access_denied")
    );
    assert!(sent(&press("decision=allow").await, "code").is_some());
    assert_eq!(server.stats().consents, 1);
}

#[tokio::test]
async fn a_public_client_brings_a_challenge_and_never_a_secret() {
    let server = AuthorizationServer::start(Options {
        public: true,
        ..Options::default()
    })
    .await
    .unwrap();
    let response = authorize(
        &server,
        &format!("response_type=code&client_id=demo&{REDIRECT}"),
    )
    .await;
    assert_eq!(sent(&response, "error").as_deref(), Some("invalid_request"));
    let with_secret = exchange(&server, &code(&server).await, &good()).await;
    assert_eq!(
        (with_secret.status, with_secret.json()["error"].as_str()),
        (401, Some("invalid_client"))
    );
    let body = format!(
        "grant_type=authorization_code&code={}&client_id=demo&{}",
        code(&server).await,
        good()
    );
    assert_eq!(post(&server, &[], &body).await.status, 200);
    let refused = post(&server, &[], "grant_type=client_credentials&client_id=demo").await;
    assert_eq!(refused.json()["error"], "unauthorized_client");
}
