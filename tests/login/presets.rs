//! The four presets against the four vendors' dialects: every request from the consent to the third refresh.

use std::{collections::BTreeSet, sync::Arc};

use bearward::{
    clock::ManualClock,
    config,
    oauth::{
        api_context::ApiContext,
        authorization::{self, Attempt},
        endpoint::TokenEndpoint,
        grant::Grant,
        provider::{Provider, RevokedToken},
        response::Issued,
        revocation::{self, EndedLogin},
        sign_in::sign_in,
    },
    secret::Secret,
};
use http::Method;
use testkit::{
    authorization_server::{AuthorizationServer, Dialect, Options},
    client::send,
};

async fn vendor(dialect: Dialect, public: bool) -> AuthorizationServer {
    AuthorizationServer::start(Options {
        dialect,
        public,
        ..Options::default()
    })
    .await
    .unwrap()
}

/// A provider of a preset whose base URL is this server.
fn provider(server: &AuthorizationServer, preset: &str, rest: &str) -> Arc<Provider> {
    let base = server.base_url();
    let text = format!(
        "[providers.vendor]\npreset = \"{preset}\"\nbase_url = \"{base}\"\nclient_id = \"demo\"\n{rest}\n"
    );
    let (config, _) =
        config::parse(&text, "test", &|_| None).unwrap_or_else(|report| panic!("{report}"));
    config.providers[0].clone()
}

/// The provider that a documentation page configures, with this server as its base URL.
fn documented_provider(server: &AuthorizationServer, page: &str, preset: &str) -> Arc<Provider> {
    let shown = page
        .split_once("```toml\n")
        .unwrap()
        .1
        .split_once("```")
        .unwrap()
        .0;
    let mut lines: Vec<_> = shown
        .lines()
        .filter(|line| !line.starts_with("base_url"))
        .map(str::to_owned)
        .collect();
    let at = lines
        .iter()
        .position(|line| *line == format!("preset = \"{preset}\""))
        .expect("the page names its preset");
    lines.insert(at, format!("base_url = \"{}\"", server.base_url()));
    let environment = |name: &str| {
        Some(
            if name.ends_with("PASSWORD") {
                "demo-password"
            } else {
                "demo-client-secret"
            }
            .to_owned(),
        )
    };
    let (config, _) = config::parse(&lines.join("\n"), "page", &environment)
        .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(config.routes.len(), 1, "the page shows a route");
    config.providers[0].clone()
}

/// A server with the client of a documentation page.
async fn documented_server(
    dialect: Dialect,
    client_id: &str,
    scopes: &[&str],
) -> AuthorizationServer {
    let options = Options {
        dialect,
        public: dialect == Dialect::Feeling,
        client_id: client_id.into(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        email: "svc@example.com".into(),
        ..Options::default()
    };
    AuthorizationServer::start(options).await.unwrap()
}

#[tokio::test]
async fn the_page_of_every_vendor_leads_to_a_token() {
    let server = documented_server(Dialect::Hapn, "abc", &[]).await;
    let hapn = documented_provider(
        &server,
        include_str!("../../docs/providers/hapn.md"),
        "hapn",
    );
    endpoint(&hapn)
        .request(Grant::ClientCredentials, &ApiContext::default())
        .await
        .unwrap();

    let server = documented_server(Dialect::Happeo, "abc", &["profile", "channels:read"]).await;
    let happeo = documented_provider(
        &server,
        include_str!("../../docs/providers/happeo.md"),
        "happeo",
    );
    let issued = log_in(&server, &happeo).await;
    refresh_three_times(&server, &happeo, issued).await;

    let server = documented_server(Dialect::HappyrMatch, "abc", &["any"]).await;
    let happyrmatch = documented_provider(
        &server,
        include_str!("../../docs/providers/happyrmatch.md"),
        "happyrmatch",
    );
    let issued = log_in(&server, &happyrmatch).await;
    refresh_three_times(&server, &happyrmatch, issued).await;

    let page = include_str!("../../docs/providers/feeling.md");
    for headless in [false, true] {
        let server = documented_server(Dialect::Feeling, "0oabygpxgk9lXaMgF0h7", &["any"]).await;
        let feeling = documented_provider(&server, page, "feeling");
        let issued = if headless {
            sign_in(&endpoint(&feeling)).await.unwrap()
        } else {
            log_in(&server, &feeling).await
        };
        refresh_three_times(&server, &feeling, issued).await;
    }
}

const SECRET: &str = "client_secret = \"demo-client-secret\"\n";
const REDIRECT: &str = "redirect_uri = \"http://127.0.0.1:9/callback\"\n";

fn endpoint(provider: &Arc<Provider>) -> TokenEndpoint {
    TokenEndpoint::new(provider.clone(), Arc::new(ManualClock::new()))
}

/// Logs in as a browser does: consent redirect, callback, code exchange.
async fn log_in(server: &AuthorizationServer, provider: &Arc<Provider>) -> Issued {
    let redirect_uri = provider
        .authorization
        .as_ref()
        .unwrap()
        .redirect_uri
        .as_ref();
    let attempt = Attempt::new(provider, redirect_uri).unwrap();
    let url = attempt.url(provider).unwrap();
    let target = format!("{}?{}", url.path(), url.query().unwrap());
    let response = send(server.address(), "GET", &target, &[], "")
        .await
        .unwrap();
    assert_eq!(response.status, 302, "{response:?}");
    let code = attempt
        .read_pasted(provider, response.header("location"))
        .unwrap();
    authorization::exchange(&endpoint(provider), &attempt, &code)
        .await
        .unwrap()
}

fn refresh(refresh_token: &Secret) -> Grant<'_> {
    Grant::RefreshToken { refresh_token }
}

/// Refreshes three times, each time with the newest refresh token.
async fn refresh_three_times(
    server: &AuthorizationServer,
    provider: &Arc<Provider>,
    mut issued: Issued,
) {
    for _ in 0..3 {
        let refresh_token = issued.refresh_token.unwrap();
        issued = endpoint(provider)
            .request(refresh(&refresh_token), &ApiContext::default())
            .await
            .unwrap();
        assert!(server.issued().is_live(issued.access_token.expose()));
        assert_ne!(issued.refresh_token.as_ref(), Some(&refresh_token));
    }
    let stats = server.stats();
    assert_eq!(
        (
            stats.exchanges,
            stats.refreshes,
            stats.reuses,
            stats.refused
        ),
        (1, 3, 0, 0)
    );
}

/// Checks the method, the parameter names and the place of the parameters of four token requests.
fn assert_sent(server: &AuthorizationServer, method: Method, exchange: &[&str], refresh: &[&str]) {
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    for (number, request) in requests.iter().enumerate() {
        let names: Vec<_> = request
            .parameters()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let unique: BTreeSet<_> = names.iter().map(String::as_str).collect();
        let expected = if number == 0 { exchange } else { refresh };
        assert_eq!(unique, expected.iter().copied().collect::<BTreeSet<_>>());
        assert_eq!(names.len(), unique.len(), "no name is repeated");
        assert_eq!(request.method, method);
        assert!(!request.headers.contains_key("authorization"));
        let (query, form) = (request.target.contains('?'), !request.body.is_empty());
        assert_eq!(
            (query, form),
            if method == Method::GET {
                (true, false)
            } else {
                (false, true)
            }
        );
    }
}

#[tokio::test]
async fn hapn_sends_a_form_of_three() {
    let server = vendor(Dialect::Hapn, false).await;
    let provider = provider(&server, "hapn", SECRET);
    let issued = endpoint(&provider)
        .request(Grant::ClientCredentials, &ApiContext::default())
        .await
        .unwrap();
    assert!(server.issued().is_live(issued.access_token.expose()));
    assert_eq!(issued.refresh_token, None);
    let request = server.requests().remove(0);
    assert_eq!(
        (&request.method, &*request.target),
        (&Method::POST, "/oauth2/token")
    );
    let mut names: Vec<_> = request
        .parameters()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    names.sort();
    assert_eq!(names, ["client_id", "client_secret", "grant_type"]);
}

#[tokio::test]
async fn happeo_proves_its_key_with_and_without_a_secret() {
    for public in [false, true] {
        let server = vendor(Dialect::Happeo, public).await;
        let secret = if public { "" } else { SECRET };
        let provider = provider(
            &server,
            "happeo",
            &format!("{secret}{REDIRECT}scope = [\"devices.read\"]"),
        );
        let issued = log_in(&server, &provider).await;
        refresh_three_times(&server, &provider, issued).await;
        let mut exchange = vec![
            "grant_type",
            "client_id",
            "redirect_uri",
            "code",
            "code_verifier",
        ];
        let mut refresh = vec!["grant_type", "client_id", "refresh_token"];
        if !public {
            exchange.push("client_secret");
            refresh.push("client_secret");
        }
        assert_sent(&server, Method::POST, &exchange, &refresh);
    }
}

#[tokio::test]
async fn happyrmatch_knows_no_proof_key() {
    for public in [false, true] {
        let server = vendor(Dialect::HappyrMatch, public).await;
        let secret = if public { "" } else { SECRET };
        let provider = provider(&server, "happyrmatch", &format!("{secret}{REDIRECT}"));
        let issued = log_in(&server, &provider).await;
        refresh_three_times(&server, &provider, issued).await;
        let mut exchange = vec!["grant_type", "client_id", "redirect_uri", "code"];
        let mut refresh = vec!["grant_type", "client_id", "refresh_token"];
        if !public {
            exchange.push("client_secret");
            refresh.push("client_secret");
        }
        assert_sent(&server, Method::POST, &exchange, &refresh);
        let consent = server.requests_to("/oauth/authorize").remove(0);
        assert_eq!(consent.parameter("code_challenge"), None);
    }
}

const FEELING_EXCHANGE: [&str; 4] = ["grant_type", "client_id", "code", "code_verifier"];
const FEELING_REFRESH: [&str; 2] = ["grant_type", "refresh_token"];

#[tokio::test]
async fn feeling_gets_everything_in_the_query_and_little_to_refresh() {
    let server = vendor(Dialect::Feeling, true).await;
    let provider = provider(&server, "feeling", "redirect_uri = \"myapp://callback\"");
    let issued = log_in(&server, &provider).await;
    refresh_three_times(&server, &provider, issued).await;
    assert_sent(&server, Method::GET, &FEELING_EXCHANGE, &FEELING_REFRESH);
}

#[tokio::test]
async fn feeling_signs_in_without_a_browser() {
    let server = vendor(Dialect::Feeling, true).await;
    let account = "redirect_uri = \"myapp://callback\"\n[providers.vendor.sign_in]\nemail = \"demo@example.com\"\n";
    let provider = |password: &str| {
        provider(
            &server,
            "feeling",
            &format!("{account}password = \"{password}\""),
        )
    };
    let right = provider("demo-password");
    let issued = sign_in(&endpoint(&right)).await.unwrap();
    refresh_three_times(&server, &right, issued).await;
    assert_sent(&server, Method::GET, &FEELING_EXCHANGE, &FEELING_REFRESH);
    assert_eq!(
        (
            server.stats().sign_ins,
            server.requests_to("/authorize").len()
        ),
        (1, 0)
    );

    let error = sign_in(&endpoint(&provider("wrong"))).await.unwrap_err();
    assert!(error.needs_change());
    assert!(
        error
            .to_string()
            .contains("refused the sign-in with the error \"invalid_credentials\""),
        "{error}"
    );
}

#[tokio::test]
async fn a_login_by_the_rfc_checks_the_issuer_and_ends_by_revocation() {
    let server = vendor(Dialect::Rfc, false).await;
    let text = format!(
        "[providers.vendor]\ngrant_type = \"authorization_code\"\nclient_id = \"demo\"\n{SECRET}{REDIRECT}\
         token_endpoint = \"{}\"\nauthorization_endpoint = \"{}\"\nrevocation_endpoint = \"{}\"\n",
        server.token_endpoint(),
        server.authorization_endpoint().unwrap(),
        server.revocation_endpoint().unwrap(),
    );
    let (config, _) =
        config::parse(&text, "test", &|_| None).unwrap_or_else(|report| panic!("{report}"));
    let provider = config.providers[0].clone();
    let issued = log_in(&server, &provider).await;
    let refresh_token = issued.refresh_token.unwrap();
    assert_eq!(
        revocation::revoke(
            &endpoint(&provider),
            &EndedLogin {
                refresh_token: Some(refresh_token.clone()),
                ..EndedLogin::default()
            }
        )
        .await,
        Ok(Some(RevokedToken::RefreshToken))
    );
    assert!(!server.issued().is_live(issued.access_token.expose()));
    let refused = endpoint(&provider)
        .request(refresh(&refresh_token), &ApiContext::default())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), "invalid_grant");
}

#[tokio::test]
async fn a_request_without_a_response_may_have_been_received() {
    let server = vendor(Dialect::HappyrMatch, false).await;
    let provider = provider(&server, "happyrmatch", &format!("{SECRET}{REDIRECT}"));
    let refresh_token = log_in(&server, &provider).await.refresh_token.unwrap();
    server.drop_responses(1);
    let lost = endpoint(&provider)
        .request(refresh(&refresh_token), &ApiContext::default())
        .await
        .unwrap_err();
    assert!(lost.may_have_been_received());
    let refused = endpoint(&provider)
        .request(refresh(&refresh_token), &ApiContext::default())
        .await
        .unwrap_err();
    assert!(!refused.may_have_been_received());
    assert_eq!(
        (refused.kind(), server.stats().reuses),
        ("invalid_grant", 1)
    );
}
