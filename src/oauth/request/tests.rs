//! Requests as they are sent.

use super::*;
use std::sync::Arc;

use crate::{
    clock::ManualClock,
    oauth::{api_context::ApiContext, fake, provider::ClientAuth, template::Template},
    secret::LiveSecret,
};

fn try_to_endpoint(
    provider: &Provider,
    grant: Grant<'_>,
) -> Result<PreparedRequest, TokenRequestError> {
    let url = provider.token_endpoint.as_ref().unwrap().as_fixed();
    let context = ApiContext::default();
    let source = RequestSource {
        provider,
        variables: &Variables::new(provider, &context),
        clock: &ManualClock::new(),
    };
    token_request(source, url.unwrap().clone(), grant)
}

fn to_endpoint(provider: &Provider, grant: Grant<'_>) -> PreparedRequest {
    try_to_endpoint(provider, grant).unwrap()
}

fn secret(text: &str) -> ParameterValue {
    ParameterValue::Secret(Arc::new(LiveSecret::fixed(Secret::new(text))))
}

fn list(texts: &[&str]) -> ParameterValue {
    let templates = texts.iter().map(|text| Template::parse(text).unwrap());
    ParameterValue::List(templates.collect())
}

fn text(prepared: &PreparedRequest) -> &str {
    std::str::from_utf8(&prepared.body).unwrap()
}

#[test]
fn a_form_is_posted_by_default() {
    let mut provider = fake::provider("https://as.example/token");
    provider.scope = Some("a b&c".into());
    let request = to_endpoint(&provider, Grant::ClientCredentials);
    assert_eq!(request.method, Method::POST);
    assert_eq!(request.url.as_str(), "https://as.example/token");
    assert_eq!(
        request.headers[CONTENT_TYPE],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(request.headers[ACCEPT], "application/json");
    assert_eq!(
        request.headers[USER_AGENT],
        concat!("bearward/", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(
        text(&request),
        "grant_type=client_credentials&scope=a+b%26c"
    );
}

#[test]
fn json_is_an_object_of_strings() {
    let mut provider = fake::provider("https://as.example/token");
    provider.token_request.encoding = Encoding::Json;
    provider.client_auth = ClientAuth::SecretPost;
    let request = to_endpoint(&provider, Grant::ClientCredentials);
    assert_eq!(request.headers[CONTENT_TYPE], "application/json");
    let value: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        value,
        serde_json::json!({"grant_type": "client_credentials", "client_id": "client", "client_secret": fake::CANARY})
    );
}

#[test]
fn a_get_adds_the_parameters_to_the_query() {
    let mut provider = fake::provider("https://as.example/token?tenant=7");
    provider.token_request.method = TokenMethod::Get;
    let request = to_endpoint(&provider, Grant::ClientCredentials);
    assert_eq!(request.method, Method::GET);
    assert_eq!(
        request.url.as_str(),
        "https://as.example/token?tenant=7&grant_type=client_credentials"
    );
    assert!(request.body.is_empty());
    assert!(!request.headers.contains_key(CONTENT_TYPE));
}

#[test]
fn a_post_may_have_its_parameters_in_the_query() {
    let mut provider = fake::provider("https://as.example/token");
    provider.token_request.encoding = Encoding::Query;
    let request = to_endpoint(&provider, Grant::ClientCredentials);
    assert_eq!(request.method, Method::POST);
    assert_eq!(request.url.query(), Some("grant_type=client_credentials"));
    assert!(request.body.is_empty());
}

#[test]
fn omitted_parameters_are_left_out_of_their_grant_alone() {
    let mut provider = fake::provider("https://as.example/token");
    provider.client_auth = ClientAuth::None;
    provider.token_request.omit_on_refresh = vec!["client_id".into()];
    provider.token_request.omit_on_exchange = vec!["redirect_uri".into()];
    let secret = Secret::new("s");
    let refresh = to_endpoint(
        &provider,
        Grant::RefreshToken {
            refresh_token: &secret,
        },
    );
    assert_eq!(text(&refresh), "grant_type=refresh_token&refresh_token=s");
    let exchange = Grant::AuthorizationCode {
        code: &secret,
        redirect_uri: Some("app://cb"),
        code_verifier: None,
    };
    assert_eq!(
        text(&to_endpoint(&provider, exchange)),
        "grant_type=authorization_code&code=s&client_id=client"
    );
    let credentials = to_endpoint(&provider, Grant::ClientCredentials);
    assert_eq!(
        text(&credentials),
        "grant_type=client_credentials&client_id=client"
    );
}

#[test]
fn configured_headers_replace_the_defaults() {
    let mut provider = fake::provider("https://as.example/token");
    provider.token_request.headers = vec![
        (ACCEPT, fake::text("text/plain")),
        (
            http::HeaderName::from_static("x-api-version"),
            fake::text("2"),
        ),
    ];
    let request = to_endpoint(&provider, Grant::ClientCredentials);
    assert_eq!(
        request.headers.get_all(ACCEPT).iter().collect::<Vec<_>>(),
        ["text/plain"]
    );
    assert_eq!(request.headers["x-api-version"], "2");
}

#[test]
fn debug_shows_no_secret() {
    let mut provider = fake::provider("https://as.example/token");
    provider.token_request.method = TokenMethod::Get;
    provider.client_auth = ClientAuth::SecretPost;
    let request = to_endpoint(&provider, Grant::ClientCredentials);
    assert!(request.url.as_str().contains(fake::CANARY));
    assert!(!format!("{request:?}").contains(fake::CANARY));
}

#[test]
fn an_array_repeats_its_parameter() {
    let mut provider = fake::provider("https://as.example/token");
    let resources = list(&["https://a", "https://b"]);
    provider.token_request.params = [("resource".to_owned(), resources)].into();
    let request = to_endpoint(&provider, Grant::ClientCredentials);
    assert_eq!(
        text(&request),
        "grant_type=client_credentials&resource=https%3A%2F%2Fa&resource=https%3A%2F%2Fb"
    );
    provider.token_request.encoding = Encoding::Query;
    let request = to_endpoint(&provider, Grant::ClientCredentials);
    assert!(
        request
            .url
            .as_str()
            .ends_with("&resource=https%3A%2F%2Fa&resource=https%3A%2F%2Fb")
    );
    provider.token_request.encoding = Encoding::Json;
    let request = to_endpoint(&provider, Grant::ClientCredentials);
    let value: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        value["resource"],
        serde_json::json!(["https://a", "https://b"])
    );
}

#[test]
fn secrets_go_into_parameters_and_headers_that_are_marked_sensitive() {
    let mut provider = fake::provider("https://as.example/token");
    provider.token_request.params = [("key".to_owned(), secret("s1"))].into();
    let name = HeaderName::from_static("x-api-key");
    provider.token_request.headers = vec![
        (name.clone(), secret("s2")),
        (AUTHORIZATION, secret("Basic raw")),
    ];
    let request = to_endpoint(&provider, Grant::ClientCredentials);
    assert_eq!(text(&request), "grant_type=client_credentials&key=s1");
    assert_eq!(request.headers[&name], "s2");
    assert_eq!(request.headers[AUTHORIZATION], "Basic raw");
    assert!(request.headers[&name].is_sensitive());
    assert!(!format!("{:?}", request.headers).contains("s2"));
}

#[test]
fn parameters_have_the_vendors_names_and_some_are_left_out() {
    let mut provider = fake::provider("https://as.example/token");
    provider.client_auth = ClientAuth::SecretPost;
    let settings = &mut provider.token_request;
    settings.rename = [("client_id".to_owned(), "client_key".to_owned())].into();
    settings.omit = vec!["grant_type".into()];
    let request = to_endpoint(&provider, Grant::ClientCredentials);
    assert_eq!(
        text(&request),
        format!("client_key=client&client_secret={}", fake::CANARY)
    );
}

#[test]
fn each_phase_has_parameters_of_its_own() {
    let mut provider = fake::with_consent("https://as.example/token");
    provider.client_auth = ClientAuth::None;
    provider.scope = Some("a".into());
    let settings = &mut provider.token_request;
    settings.params = [("audience".to_owned(), fake::text("all"))].into();
    settings.params_on_refresh = [
        ("audience".to_owned(), fake::text("refresh")),
        ("redirect_uri".to_owned(), fake::text("{redirect_uri}")),
    ]
    .into();
    settings.params_on_exchange = [("scope".to_owned(), fake::text("{scope}"))].into();
    let token = Secret::new("s");
    let refresh = Grant::RefreshToken {
        refresh_token: &token,
    };
    let exchange = Grant::AuthorizationCode {
        code: &token,
        redirect_uri: None,
        code_verifier: None,
    };
    assert_eq!(
        text(&to_endpoint(&provider, refresh)),
        "grant_type=refresh_token&refresh_token=s&audience=refresh\
         &redirect_uri=http%3A%2F%2F127.0.0.1%3A9900%2Fcallback&client_id=client"
    );
    assert_eq!(
        text(&to_endpoint(&provider, exchange)),
        "grant_type=authorization_code&code=s&audience=all&scope=a&client_id=client"
    );
}

#[test]
fn a_missing_variable_sends_nothing_in_parameters_and_headers() {
    let mut provider = fake::provider("https://as.example/token");
    provider.token_request.headers = vec![(ACCEPT, fake::text("{realm}"))];
    let error = try_to_endpoint(&provider, Grant::ClientCredentials).unwrap_err();
    assert!(error.to_string().contains("variable `realm`"), "{error}");
    provider.token_request.headers = vec![(ACCEPT, secret("two\nlines"))];
    let error = try_to_endpoint(&provider, Grant::ClientCredentials).unwrap_err();
    assert_eq!(error.kind(), "setup");
}
