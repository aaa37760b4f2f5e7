//! The built-in providers, as their vendors' documentation describes them.

use std::time::Duration;

use super::{good, one_error};
use crate::oauth::provider::{ClientAuth, Encoding, GrantType, Lifetime, Provider, TokenMethod};

fn with(preset: &str, more: &str) -> Provider {
    let text = format!("[providers.p]\npreset = \"{preset}\"\nclient_id = \"id\"\n{more}\n");
    let (config, _) = good(&text);
    (*config.providers[0]).clone()
}

const SECRET: &str = "client_secret = { env = \"SECRET\" }";

#[test]
fn hapn_is_client_credentials_in_the_form() {
    let hapn = with("hapn", SECRET);
    assert_eq!(hapn.grant_type, GrantType::ClientCredentials);
    assert_eq!(hapn.client_auth, ClientAuth::SecretPost);
    assert_eq!(hapn.server_id(), "https://auth.usehapn.com/oauth2/token");
    assert_eq!(hapn.authorization, None);
}

#[test]
fn happeo_is_authorization_code_with_pkce() {
    let happeo = with("happeo", SECRET);
    assert_eq!(
        (happeo.grant_type.clone(), happeo.client_auth),
        (GrantType::AuthorizationCode, ClientAuth::SecretPost)
    );
    let authorization = happeo.authorization.clone().unwrap();
    assert!(authorization.pkce);
    assert_eq!(
        authorization.endpoint.unwrap().as_str(),
        "https://login.happeo.com/oauth/authorize"
    );
    assert_eq!(happeo.server_id(), "https://login.happeo.com/oauth/token");
}

#[test]
fn happyrmatch_is_authorization_code_without_pkce() {
    let happyrmatch = with("happyrmatch", SECRET);
    assert!(!happyrmatch.authorization.as_ref().unwrap().pkce);
    assert_eq!(
        happyrmatch.token_response.default_lifetime,
        Some(Lifetime::For(Duration::from_secs(7200)))
    );
    assert_eq!(
        happyrmatch.server_id(),
        "https://api.happyrmatch.com/oauth/token"
    );
}

#[test]
fn feeling_requests_tokens_with_get_from_the_operators_host() {
    let feeling = with("feeling", "base_url = \"https://feeling.example/api\"");
    assert_eq!(feeling.server_id(), "https://feeling.example/api/token");
    assert_eq!(feeling.client_auth, ClientAuth::None);
    assert_eq!(
        (feeling.token_request.method, feeling.token_request.encoding),
        (TokenMethod::Get, Encoding::Query)
    );
    assert_eq!(feeling.token_request.omit_on_refresh, ["client_id"]);
    assert_eq!(
        feeling.authorization.unwrap().code_parameter,
        "authorization_code"
    );
    assert_eq!(feeling.sign_in, None);
    let error = one_error("[providers.p]\npreset = \"feeling\"\nclient_id = \"id\"\n");
    assert!(
        error.starts_with("1:12 providers.p: provider `p` has no `base_url`"),
        "{error}"
    );
}

#[test]
fn feeling_signs_in_if_the_file_sets_an_account() {
    let account = "base_url = \"https://f.example\"\n[providers.p.sign_in]\nemail = \"a@b.c\"\npassword = { env = \"SECRET\" }";
    let sign_in = with("feeling", account).sign_in.unwrap();
    assert_eq!(sign_in.endpoint.as_str(), "https://f.example/sign-in");
    assert_eq!(
        (sign_in.state_length, sign_in.encoding),
        (10, Encoding::Json)
    );
    let error = one_error(
        "[providers.p]\npreset = \"feeling\"\nclient_id = \"id\"\nbase_url = \"https://f.example\"\n\
         sign_in = { email = \"a@b.c\" }\n",
    );
    assert!(error.contains("`sign_in` has no `password`"), "{error}");
}

#[test]
fn base_url_moves_a_preset_to_another_host() {
    for name in ["feeling", "hapn", "happeo", "happyrmatch"] {
        let provider = with(name, "base_url = \"http://127.0.0.1:9000\"");
        assert_eq!(
            provider
                .token_endpoint
                .as_ref()
                .unwrap()
                .as_fixed()
                .unwrap()
                .host_str(),
            Some("127.0.0.1"),
            "{name}"
        );
        let authorization = provider
            .authorization
            .and_then(|authorization| authorization.endpoint);
        assert!(
            authorization.is_none_or(|url| url.as_fixed().unwrap().port() == Some(9000)),
            "{name}"
        );
    }
}

#[test]
fn each_key_of_the_file_overrides_the_same_key_of_the_preset() {
    let text = "base_url = \"https://f.example\"\ntoken_endpoint = \"https://other.example/t\"\n\
                [providers.p.token_request]\nmethod = \"POST\"\nencoding = \"json\"\n";
    let feeling = with("feeling", text);
    assert_eq!(feeling.server_id(), "https://other.example/t");
    assert_eq!(
        (feeling.token_request.method, feeling.token_request.encoding),
        (TokenMethod::Post, Encoding::Json)
    );
    assert_eq!(
        feeling.token_request.omit_on_refresh,
        ["client_id"],
        "of the preset still"
    );
}

#[test]
fn without_a_secret_the_client_is_public_even_with_a_preset() {
    assert_eq!(with("happeo", "").client_auth, ClientAuth::None);
    let error = one_error(
        "[providers.p]\npreset = \"happeo\"\nclient_id = \"id\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n",
    );
    assert!(
        error.contains("`token_endpoint_auth_method` needs a `client_secret`"),
        "{error}"
    );
}

#[test]
fn an_unknown_preset_is_reported_once() {
    let error = one_error("[providers.p]\npreset = \"hapnn\"\nclient_id = \"id\"\n");
    assert_eq!(
        error,
        "2:10 providers.p.preset: there is no preset \"hapnn\"; did you mean \"hapn\"?"
    );
}
