//! The parameters of each grant.

use std::sync::Arc;

use super::*;
use crate::{
    clock::ManualClock,
    oauth::{api_context::ApiContext, fake},
    secret::LiveSecret,
};

fn list(grant: Grant<'_>, provider: &Provider) -> Result<Vec<String>, TokenRequestError> {
    let context = ApiContext::default();
    let variables = Variables::new(provider, &context);
    let parameters = grant.parameters(provider, &variables, &ManualClock::new())?;
    Ok(parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect())
}

fn all(grant: Grant<'_>, provider: &Provider) -> Vec<String> {
    list(grant, provider).unwrap()
}

#[test]
fn client_credentials_asks_for_its_scope() {
    let mut provider = fake::provider("http://127.0.0.1/token");
    assert_eq!(
        all(Grant::ClientCredentials, &provider),
        ["grant_type=client_credentials"]
    );
    provider.scope = Some("a b".into());
    assert_eq!(
        all(Grant::ClientCredentials, &provider),
        ["grant_type=client_credentials", "scope=a b"]
    );
}

#[test]
fn a_refresh_asks_for_the_same_scope_by_naming_none() {
    let mut provider = fake::provider("http://127.0.0.1/token");
    provider.scope = Some("a b".into());
    let grant = Grant::RefreshToken {
        refresh_token: &Secret::new("r"),
    };
    assert_eq!(
        all(grant, &provider),
        ["grant_type=refresh_token", "refresh_token=r"]
    );
}

#[test]
fn a_code_is_sent_with_the_redirect_uri_and_the_verifier() {
    let mut provider = fake::provider("http://127.0.0.1/token");
    provider.scope = Some("a b".into());
    let (code, verifier) = (Secret::new("c"), Secret::new("v"));
    let grant = |redirect_uri, code_verifier| Grant::AuthorizationCode {
        code: &code,
        redirect_uri,
        code_verifier,
    };
    assert_eq!(
        all(grant(Some("app://cb"), Some(&verifier)), &provider),
        [
            "grant_type=authorization_code",
            "code=c",
            "redirect_uri=app://cb",
            "code_verifier=v"
        ]
    );
    assert_eq!(
        all(grant(None, None), &provider),
        ["grant_type=authorization_code", "code=c"]
    );
}

#[test]
fn a_grant_of_the_vendors_own_is_sent_as_it_is() {
    let mut provider = fake::provider("http://127.0.0.1/token");
    provider.grant_type = GrantType::Other("account_credentials".into());
    provider.token_request.params = [("account_id".to_owned(), fake::text("7"))].into();
    let grant = Grant::without_login(&provider).unwrap();
    assert_eq!(
        all(grant, &provider),
        ["grant_type=account_credentials", "account_id=7"]
    );
    assert!(!grant.allows_refresh_token());
}

#[test]
fn the_grant_none_sends_no_grant_type() {
    let mut provider = fake::provider("http://127.0.0.1/token");
    provider.grant_type = GrantType::None;
    provider.scope = Some("s".into());
    let grant = Grant::without_login(&provider).unwrap();
    assert_eq!(all(grant, &provider), ["scope=s"]);
}

#[test]
fn a_password_is_sent_with_its_name() {
    let mut provider = fake::provider("http://127.0.0.1/token");
    provider.grant_type = GrantType::Password;
    let grant = Grant::Password;
    let error = list(grant, &provider).unwrap_err();
    assert!(error.to_string().contains("`username`"), "{error}");
    provider.username = Some("svc".into());
    provider.password = Some(Arc::new(LiveSecret::fixed(Secret::new("pw"))));
    provider.scope = Some("s".into());
    assert_eq!(
        all(grant, &provider),
        [
            "grant_type=password",
            "username=svc",
            "password=pw",
            "scope=s"
        ]
    );
}

#[test]
fn the_other_grants_have_their_registered_names() {
    let provider = fake::provider("http://127.0.0.1/token");
    assert_eq!(
        all(Grant::TokenExchange, &provider),
        ["grant_type=urn:ietf:params:oauth:grant-type:token-exchange"]
    );
    let device_code = &Secret::new("d");
    assert_eq!(
        all(Grant::DeviceCode { device_code }, &provider),
        [
            "grant_type=urn:ietf:params:oauth:grant-type:device_code",
            "device_code=d"
        ]
    );
    assert_eq!(
        Grant::JwtBearer.grant_type(),
        Some("urn:ietf:params:oauth:grant-type:jwt-bearer")
    );
}

#[test]
fn a_grant_without_login_follows_from_the_provider() {
    let mut provider = fake::provider("http://127.0.0.1/token");
    for grant_type in [
        GrantType::ClientCredentials,
        GrantType::Password,
        GrantType::JwtBearer,
        GrantType::TokenExchange,
        GrantType::None,
        GrantType::Other("x".into()),
        GrantType::AuthorizationCode,
        GrantType::RefreshToken,
        GrantType::DeviceCode,
    ] {
        provider.grant_type = grant_type;
        let grant = Grant::without_login(&provider);
        assert_eq!(grant.is_none(), provider.grant_type.needs_login());
        let same_name = |grant: Grant<'_>| grant.name() == provider.grant_type.as_str();
        assert!(grant.is_none_or(same_name), "{:?}", provider.grant_type);
    }
}

#[test]
fn debug_shows_no_secret() {
    let secret = Secret::new(fake::CANARY);
    let refresh = Grant::RefreshToken {
        refresh_token: &secret,
    };
    let exchange = Grant::AuthorizationCode {
        code: &secret,
        redirect_uri: None,
        code_verifier: Some(&secret),
    };
    let device = Grant::DeviceCode {
        device_code: &secret,
    };
    assert!(!format!("{refresh:?} {exchange:?} {device:?}").contains(fake::CANARY));
}

#[test]
fn additional_parameters_replace_others_of_their_name() {
    let mut provider = fake::provider("http://127.0.0.1/token");
    provider.token_request.params = [("grant_type", "urn:x"), ("audience", "api")]
        .map(|(name, value)| (name.to_owned(), fake::text(value)))
        .into();
    assert_eq!(
        all(Grant::ClientCredentials, &provider),
        ["grant_type=urn:x", "audience=api"]
    );
}

#[test]
fn a_variable_without_a_value_is_named() {
    let mut provider = fake::provider("http://127.0.0.1/token");
    provider.token_request.params = [("realm".to_owned(), fake::text("{realm_id}"))].into();
    let error = list(Grant::ClientCredentials, &provider).unwrap_err();
    assert!(error.to_string().contains("`realm_id`"), "{error}");
    assert_eq!(error.kind(), "setup");
}
