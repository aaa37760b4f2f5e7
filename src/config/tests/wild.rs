//! Promises of the keys for authorization servers that deviate from the RFCs: what is wrong is named at its line.

use std::fs;

use super::{
    super::{Severity, load},
    env, good, one_error, provider,
};
use crate::oauth::{
    fake,
    provider::{ApiBase, GrantType, Lifetime, ParameterValue},
};

const RSA: &str = include_str!("../../../tests/vendors/keys/only_for_tests_rsa.pem");
const EC: &str = include_str!("../../../tests/vendors/keys/only_for_tests_ec.pem");

/// The messages of a configuration in a folder with keys.
fn messages(more: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rsa.pem"), RSA).unwrap();
    fs::write(folder.path().join("ec.pem"), EC).unwrap();
    fs::write(folder.path().join("text.pem"), "no key\n").unwrap();
    let path = folder.path().join("bearward.toml");
    fs::write(&path, provider(more)).unwrap();
    let report = match load(&path, &env) {
        Ok((_, report)) | Err(report) => report,
    };
    let problems = report.problems().iter();
    let errors = problems.filter(|problem| problem.severity == Severity::Error);
    errors.map(|problem| problem.message.clone()).collect()
}

#[test]
fn any_grant_name_is_one() {
    let text = provider("").replace("client_credentials", "account_credentials");
    let grant = &good(&text).0.providers[0].grant_type;
    assert_eq!(*grant, GrantType::Other("account_credentials".into()));
}

#[test]
fn an_array_is_a_parameter_with_several_values() {
    let text = provider("token_request.params = { resource = [\"https://a\", \"https://b\"] }");
    let params = &good(&text).0.providers[0].token_request.params;
    let texts: Vec<_> = params["resource"].texts().collect();
    assert_eq!(texts, ["https://a", "https://b"]);
}

#[test]
fn parameters_and_fields_may_be_secrets() {
    let text = provider(
        "token_request.params = { key = { env = \"SECRET\" } }\ntoken_request.headers = { x-key = { env = \"SECRET\" } }",
    );
    let (config, warnings) = good(&text);
    let request = &config.providers[0].token_request;
    for value in [&request.params["key"], &request.headers[0].1] {
        let ParameterValue::Secret(secret) = value else {
            panic!("{value:?}");
        };
        assert_eq!(secret.current().expose(), "from-the-environment");
    }
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn blanks_around_a_secret_are_removed_with_a_warning() {
    let environment = |name: &str| (name == "SECRET").then(|| " s3cret\r\n".to_owned());
    let (config, report) = super::parse(&provider(""), "test.toml", &environment).unwrap();
    let secret = config.providers[0].client_secret.as_ref().unwrap();
    assert_eq!(secret.current().expose(), "s3cret");
    let messages: Vec<_> = report
        .problems()
        .iter()
        .map(|problem| &problem.message)
        .collect();
    assert!(
        messages
            .iter()
            .any(|message| message.contains("`SECRET` for `client_secret` has blanks")),
        "{messages:?}"
    );
}

#[test]
fn a_secret_of_blanks_alone_is_empty() {
    let environment = |name: &str| (name == "SECRET").then(|| "\u{FEFF}\n".to_owned());
    let report = super::parse(&provider(""), "test.toml", &environment).unwrap_err();
    assert!(
        report
            .to_string()
            .contains("`SECRET` for `client_secret` is empty"),
        "{report}"
    );
}

#[test]
fn only_a_client_secret_may_be_empty() {
    let text = provider("").replace("{ env = \"SECRET\" }", "\"\"");
    assert_eq!(
        good(&text).0.providers[0]
            .client_secret
            .as_ref()
            .unwrap()
            .current()
            .expose(),
        ""
    );
    let error = one_error(&provider("refresh_token = \"\""));
    assert!(error.contains("`refresh_token` is empty"), "{error}");
}

#[test]
fn an_empty_pointer_to_the_access_token_is_refused() {
    let error = one_error(&provider("token_response.access_token = \"\""));
    assert!(error.contains("`access_token` is empty"), "{error}");
}

#[test]
fn lifetimes_may_be_never() {
    let text = provider("token_response.default_lifetime = \"never\"");
    let response = &good(&text).0.providers[0].token_response;
    assert_eq!(response.default_lifetime, Some(Lifetime::Never));
}

#[test]
fn an_error_code_means_one_of_rfc_6749() {
    let error = one_error(&provider(
        "token_response.error_map = { dead = \"invalid_grnt\" }",
    ));
    assert!(error.contains("did you mean \"invalid_grant\"?"), "{error}");
    good(&provider(
        "token_response.error_map = { dead = \"invalid_grant\", busy = \"temporary\" }",
    ));
}

#[test]
fn an_api_base_from_the_response_needs_its_list_of_hosts() {
    let error = one_error(&provider("api_base = { from = \"/instance_url\" }"));
    assert!(
        error.contains("`api_base` needs `from` and `allow`"),
        "{error}"
    );
    let text = provider(
        "api_base = { from = \"/instance_url\", allow = [\"*.example.com\"], append = \"/v1/\" }",
    );
    let base = good(&text).0.providers[0].api_base.clone();
    assert!(
        matches!(&base, Some(ApiBase::Response { from, append, .. }) if from == "/instance_url" && append == "/v1"),
        "{base:?}"
    );
}

#[test]
fn a_key_that_does_not_fit_is_named_with_the_assertion() {
    const METHOD: &str = "token_endpoint_auth_method = \"private_key_jwt\"\n";
    let with = |assertion: &str| messages(&format!("{METHOD}{assertion}"));
    assert_eq!(
        with("assertion = { key = { file = \"rsa.pem\" } }"),
        [""; 0]
    );
    assert_eq!(
        with("assertion = { key = { file = \"ec.pem\" }, alg = \"ES256\" }"),
        [""; 0]
    );
    let wrong = [
        "assertion = { key = { file = \"ec.pem\" }, alg = \"RS256\" }",
        "assertion = { key = { file = \"rsa.pem\" }, alg = \"ES256\" }",
        "assertion = { key = { file = \"text.pem\" } }",
    ];
    for assertion in wrong {
        let messages = with(assertion);
        assert!(
            messages.len() == 1 && messages[0].contains("assertion.key"),
            "{assertion}: {messages:?}"
        );
    }
    assert_eq!(with(""), ["`assertion` has neither `key` nor `file`"]);
    assert_eq!(
        with("assertion = { key = { file = \"rsa.pem\" }, alg = \"RS265\" }"),
        ["`alg` = \"RS265\" is not a known value"]
    );
}

#[test]
fn a_client_certificate_that_cannot_be_used_is_named() {
    let messages =
        messages("client_certificate = { cert = \"text.pem\", key = { file = \"rsa.pem\" } }");
    assert!(
        messages.len() == 1 && messages[0].contains("`client_certificate.cert`"),
        "{messages:?}"
    );
    let error = one_error(&provider(
        "token_endpoint_auth_method = \"tls_client_auth\"",
    ));
    assert!(error.contains("needs a `client_certificate`"), "{error}");
}

#[test]
fn a_proxy_has_both_credentials_or_none() {
    let error = one_error(&provider(
        "token_request.proxy = { url = \"http://proxy:3128\", username = \"svc\" }",
    ));
    assert!(
        error.contains("only one of `username` and `password`"),
        "{error}"
    );
    let error = one_error(&provider("token_request.proxy = \"https://proxy:3128\""));
    assert!(error.contains("is not http://"), "{error}");
    let text = provider(
        "token_request.proxy = { url = \"http://proxy:3128\", username = \"svc\", password = { env = \"SECRET\" } }",
    );
    let proxy = good(&text).0.providers[0]
        .token_request
        .proxy
        .clone()
        .unwrap();
    assert_eq!(proxy.credentials.unwrap().username, "svc");
}

#[test]
fn fields_that_frame_a_request_are_refused_for_the_api() {
    for field in [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "x-bearward-key",
    ] {
        let error = one_error(&provider(&format!("api.headers = {{ {field} = \"x\" }}")));
        assert!(error.contains(field), "{error}");
    }
    let text = provider("api.headers = { x-tenant = \"{client_id}\" }");
    let api = &good(&text).0.providers[0].api;
    assert_eq!(api.headers[0].1, fake::text("{client_id}"));
}

#[test]
fn a_capture_has_one_source() {
    for source in [
        "",
        "callback = \"a\"\nget = \"https://a.example\"\npointer = \"/a\"\n",
    ] {
        let error = one_error(&provider(&format!("[providers.p.capture.a]\n{source}")));
        assert!(
            error.contains("either from `callback` or from `get`"),
            "{error}"
        );
    }
    let error = one_error(&provider(
        "[providers.p.capture.a]\nget = \"https://a.example\"\n",
    ));
    assert!(error.contains("`get` has no `pointer`"), "{error}");
}

#[test]
fn discovery_replaces_endpoints() {
    let text = provider("issuer = \"https://as.example\"")
        .replace("token_endpoint = \"https://as.example/token\"\n", "");
    let provider = &good(&text).0.providers[0];
    assert_eq!(provider.server_id(), "https://as.example");
    let error = one_error(&super::provider("issuer = \"http://as.example\""));
    assert!(error.contains("`issuer` is on another machine"), "{error}");
}
