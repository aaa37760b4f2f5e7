//! Promises of `[providers.NAME]`: required keys, refused values and defaults.

use std::time::Duration;

use super::{bad, good, one_error, provider};
use crate::oauth::{
    fake,
    provider::{ClientAuth, Encoding, GrantType, Lifetime, Provider, TokenMethod},
};

fn built(text: &str) -> Provider {
    (*good(text).0.providers[0]).clone()
}

/// The only error of a provider with `more`, without its place and hint.
fn refused(more: &str) -> String {
    let error = one_error(&provider(more));
    error
        .split_once(": ")
        .unwrap()
        .1
        .split(';')
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn absent_keys_have_the_documented_defaults() {
    let provider = built(&provider(""));
    assert_eq!(provider.grant_type, GrantType::ClientCredentials);
    assert_eq!(provider.client_auth, ClientAuth::SecretBasic);
    assert_eq!(
        provider.client_secret.unwrap().current().expose(),
        "from-the-environment"
    );
    assert_eq!(
        (
            provider.scope,
            provider.refresh.before,
            provider.revocation_endpoint
        ),
        (None, None, None)
    );
    let request = provider.token_request;
    assert_eq!(
        (request.method, request.encoding, request.timeout),
        (TokenMethod::Post, Encoding::Form, Duration::from_secs(10))
    );
    assert_eq!(provider.token_response.access_token, "/access_token");
}

#[test]
fn every_key_reaches_its_owner() {
    let text = provider(
        "token_endpoint_auth_method = \"client_secret_post\"\nrevocation_endpoint = \"https://as.example/revoke\"\n\
         scope = [\"a\", \"b\"]\n[providers.p.token_request]\nencoding = \"json\"\nparams = { audience = \"https://api\" }\n\
         headers = { X-Api-Version = \"2\" }\nomit_on_refresh = [\"scope\"]\nscope_separator = \",\"\ntimeout = \"3s\"\n\
         proxy = \"http://proxy.internal:3128\"\n[providers.p.token_response]\naccess_token = \"/data/token\"\nexpires_in = \"\"\n\
         default_lifetime = \"1h\"\n[providers.p.refresh]\nbefore = \"5m\"\n",
    );
    let provider = built(&text);
    assert_eq!(provider.client_auth, ClientAuth::SecretPost);
    assert_eq!(provider.scope.as_deref(), Some("a,b"));
    assert_eq!(provider.refresh.before, Some(Duration::from_secs(300)));
    assert_eq!(provider.token_response.access_token, "/data/token");
    assert_eq!(provider.token_response.expires_in, "");
    assert_eq!(
        provider.token_response.default_lifetime,
        Some(Lifetime::For(Duration::from_secs(3600)))
    );
    let request = provider.token_request;
    assert_eq!(
        (request.encoding, request.timeout),
        (Encoding::Json, Duration::from_secs(3))
    );
    assert_eq!(request.params["audience"], fake::text("https://api"));
    assert_eq!(request.headers[0].0, "x-api-version");
    assert_eq!(request.headers[0].1, fake::text("2"));
    assert_eq!(request.omit_on_refresh, ["scope"]);
    assert_eq!(
        request.proxy.unwrap().url.as_str(),
        "http://proxy.internal:3128/"
    );
}

#[test]
fn a_scope_is_one_string_or_an_array() {
    assert_eq!(
        built(&provider("scope = \"a b\"")).scope.as_deref(),
        Some("a b")
    );
    assert_eq!(
        built(&provider("scope = [\"a\", \"b\"]")).scope.as_deref(),
        Some("a b")
    );
    assert_eq!(built(&provider("scope = []")).scope, None);
}

#[test]
fn a_grant_requires_its_keys() {
    let missing = |text: &str| {
        let report = bad(&format!("[providers.p]\n{text}\n"));
        let named =
            |problem: &super::super::Problem| problem.message.split('`').nth(3).map(str::to_owned);
        report
            .problems()
            .iter()
            .filter_map(named)
            .collect::<Vec<_>>()
    };
    assert_eq!(missing(""), ["grant_type", "token_endpoint", "client_id"]);
    assert_eq!(
        missing("grant_type = \"client_credentials\""),
        ["token_endpoint", "client_id"]
    );
    let code = "client_id = \"x\"\ntoken_endpoint = \"https://as.example/t\"\ngrant_type = \"authorization_code\"";
    assert_eq!(missing(code), ["authorization_endpoint"]);
    let refresh = "client_id = \"x\"\ntoken_endpoint = \"https://as.example/t\"\ngrant_type = \"refresh_token\"";
    assert_eq!(missing(refresh), ["refresh_token"]);
    let sign_in = format!(
        "[providers.p]\n{code}\n[providers.p.sign_in]\nendpoint = \"https://as.example/in\"\nemail = \"a\"\npassword = {{ env = \"SECRET\" }}"
    );
    assert!(built(&sign_in).authorization.unwrap().endpoint.is_none());
}

#[test]
fn without_a_secret_the_client_is_public() {
    let public = "[providers.p]\ngrant_type = \"client_credentials\"\ntoken_endpoint = \"https://as.example/t\"\nclient_id = \"x\"\n";
    let (config, warnings) = good(public);
    assert_eq!(config.providers[0].client_auth, ClientAuth::None);
    assert!(
        warnings
            .iter()
            .any(|warning| warning == "grant_type = \"client_credentials\" has no `client_secret`"),
        "{warnings:?}"
    );
    let (_, warnings) = good(&format!("{public}token_endpoint_auth_method = \"none\"\n"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let error = one_error(&format!(
        "{public}token_endpoint_auth_method = \"client_secret_basic\"\n"
    ));
    assert!(
        error.contains("`token_endpoint_auth_method` needs a `client_secret`"),
        "{error}"
    );
    let (config, warnings) = good(&provider("token_endpoint_auth_method = \"none\""));
    assert!(
        warnings
            .iter()
            .any(|warning| warning.starts_with("`client_secret` has no effect")),
        "{warnings:?}"
    );
    assert!(config.providers[0].client_secret.is_none());
}

#[test]
fn endpoints_are_absolute_or_below_the_base() {
    let with = |base: &str, endpoint: &str| {
        let text = format!("base_url = \"{base}\"\nrevocation_endpoint = \"{endpoint}\"");
        built(&provider(&text))
            .revocation_endpoint
            .unwrap()
            .as_str()
            .to_owned()
    };
    assert_eq!(
        with("https://as.example", "/revoke"),
        "https://as.example/revoke"
    );
    assert_eq!(
        with("https://as.example/tenant/", "/revoke"),
        "https://as.example/tenant/revoke"
    );
    assert_eq!(
        with("https://as.example/tenant", "revoke?x=1"),
        "https://as.example/tenant/revoke?x=1"
    );
    assert_eq!(
        with("https://as.example", "https://other.example/r"),
        "https://other.example/r"
    );
    assert_eq!(
        refused("revocation_endpoint = \"/revoke\""),
        "`revocation_endpoint` is relative, and there is no `base_url`"
    );
}

#[test]
fn an_endpoint_in_plain_text_is_refused_unless_local_or_permitted() {
    for local in [
        "http://127.0.0.1:1/r",
        "http://localhost/r",
        "http://[::1]:1/r",
        "http://127.9.9.9/r",
        "https://x.example/r",
    ] {
        built(&provider(&format!("revocation_endpoint = \"{local}\"")));
    }
    for remote in [
        "http://as.example/r",
        "http://10.0.0.1/r",
        "http://localhost.example/r",
        "http://[::2]/r",
    ] {
        let more = format!("revocation_endpoint = \"{remote}\"");
        assert!(refused(&more).contains("reached in plain text"), "{remote}");
        built(&provider(&format!("{more}\nallow_plaintext = true")));
    }
    assert!(
        refused("base_url = \"http://as.example\"\nrevocation_endpoint = \"/r\"")
            .contains("in plain text")
    );
}

#[test]
fn invalid_urls_are_refused() {
    for (more, wanted) in [
        (
            "revocation_endpoint = \"https://u:p@as.example/r\"",
            "has user information in it",
        ),
        (
            "revocation_endpoint = \"https://as.example/r#x\"",
            "has a fragment",
        ),
        (
            "revocation_endpoint = \"ftp://as.example/r\"",
            "is neither http:// nor https://",
        ),
        ("revocation_endpoint = \"https://\"", "is not a URL"),
        (
            "revocation_endpoint = \"https://as.example:99999/\"",
            "is not a URL",
        ),
        ("base_url = \"as.example\"", "is not a URL"),
        (
            "base_url = \"https://as.example/?x=1\"",
            "`base_url` has a query",
        ),
        ("redirect_uri = \"/callback\"", "is not an absolute URL"),
        (
            "redirect_uri = \"https://x.example/c#f\"",
            "is not an absolute URL",
        ),
        (
            "redirect_uri = \" https://x.example/c\"",
            "is not an absolute URL",
        ),
        (
            "token_request.proxy = \"socks5://proxy:1\"",
            "is neither http:// nor https://",
        ),
        (
            "token_request.proxy = \"http://proxy:1/path\"",
            "`proxy` has a path",
        ),
        (
            "token_request.ca_file = \"/no/such.pem\"",
            "`ca_file` = \"/no/such.pem\" cannot be used",
        ),
    ] {
        let refused = refused(more);
        assert!(refused.contains(wanted), "{more}: {refused}");
    }
    built(&provider("redirect_uri = \"myapp://callback\""));
}

#[test]
fn invalid_parameters_and_fields_are_refused() {
    for (more, wanted) in [
        (
            "token_request.headers = { \"a b\" = \"x\" }",
            "this is not the name of a header field",
        ),
        (
            "token_request.headers = { a = \"x\\r\\ny\" }",
            "the value of the header field `a` contains invalid characters",
        ),
        (
            "token_request.headers = { Host = \"x\" }",
            "bearward sets the header field `host` itself",
        ),
        (
            "token_request.headers = { authorization = \"x\" }",
            "already carries the client secret",
        ),
        (
            "token_request.params = { grant_type = \"x\" }",
            "bearward sets the parameter `grant_type` of token requests itself",
        ),
        (
            "scope = \"a\"\ntoken_request.params = { scope = \"b\" }",
            "bearward sets the parameter `scope` of token requests itself",
        ),
        (
            "token_request = { method = \"GET\", encoding = \"json\" }",
            "`encoding` does not fit method = \"GET\"",
        ),
        (
            "authorization.params = { state = \"x\" }",
            "bearward sets the parameter `state` of the authorization request itself",
        ),
        (
            "token_response.access_token = \"token\"",
            "\"token\" is not a JSON Pointer",
        ),
        (
            "token_response.access_token = \"/a~2\"",
            "\"/a~2\" is not a JSON Pointer",
        ),
        (
            "inject.header = \"transfer-encoding\"",
            "frames or routes requests",
        ),
        ("inject.header = \"Host\"", "frames or routes requests"),
        (
            "inject.header = \"x y\"",
            "is not the name of a header field",
        ),
        (
            "inject.prefix = \"a\\nb\"",
            "`prefix` contains characters that a header cannot have",
        ),
        (
            "inject = { query = \"t\", header = \"x\" }",
            "the token has one place only",
        ),
        (
            "inject.query = \"a&b\"",
            "is not the name of a query parameter",
        ),
        (
            "refresh.reauthorize_on = [200]",
            "`reauthorize_on` must contain integers from 400 to 599",
        ),
        (
            "refresh.reauthorize_on = [\"401\"]",
            "`reauthorize_on` must contain integers from 400 to 599",
        ),
        ("refresh.before = \"0s\"", "`before` must not be zero"),
    ] {
        let refused = refused(more);
        assert!(refused.contains(wanted), "{more}: {refused}");
    }
    // Some servers require `client_id` in the form beside HTTP Basic.
    built(&provider("token_request.params = { client_id = \"id\" }"));
}

#[test]
fn a_name_that_does_not_fit_a_label_or_a_file_is_refused() {
    for name in ["\"\"", "\"../x\"", "\"a b\"", "\".x\"", "\"a/b\"", "\"ü\""] {
        let text = provider("").replace("providers.p", &format!("providers.{name}"));
        assert!(
            one_error(&text).contains("this name cannot be used"),
            "{name}"
        );
    }
    built(&provider("").replace("providers.p", "providers.\"a.b-c_1\""));
}

#[test]
fn providers_come_in_the_order_of_the_file() {
    let text = provider("").replace("providers.p", "providers.z")
        + &provider("").replace("providers.p", "providers.a");
    let (config, _) = good(&text);
    let names: Vec<_> = config
        .providers
        .iter()
        .map(|provider| &*provider.name)
        .collect();
    assert_eq!(names, ["z", "a"]);
}

#[test]
fn parameters_that_may_be_secret_are_not_in_debug() {
    let debug = format!(
        "{:?}",
        built(&provider("token_request.params = { key = \"canary\" }"))
    );
    assert!(
        debug.contains("key") && !debug.contains("canary"),
        "{debug}"
    );
}

/// A provider that authenticates with an assertion, whose key is `file` and whose table has `more`.
fn with_key(file: &str, more: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vendors/keys");
    format!(
        "[providers.p]\ngrant_type = \"client_credentials\"\nclient_id = \"id\"\n\
         token_endpoint = \"https://as.example/token\"\n\
         token_endpoint_auth_method = \"private_key_jwt\"\n[providers.p.assertion]\n\
         key = {{ file = \"{folder}/{file}\" }}\n{more}\n"
    )
}

#[test]
fn a_key_that_does_not_fit_its_algorithm_is_an_error() {
    good(&with_key("only_for_tests_ec.pem", "alg = \"ES256\""));
    good(&with_key("only_for_tests_rsa.pem", ""));
    let error = one_error(&with_key("only_for_tests_ec.pem", "alg = \"RS256\""));
    assert!(
        error.starts_with("7:7 providers.p.assertion.key: `assertion.key` is"),
        "{error}"
    );
    assert!(error.contains("does not fit `assertion.alg`"), "{error}");
    let error = one_error(&with_key("only_for_tests_certificate.pem", ""));
    assert!(error.contains("`assertion.key`"), "{error}");
}

#[test]
fn an_assertion_of_a_shared_secret_has_no_other_key() {
    for key in ["key = { env = \"SECRET\" }", "file = \"ready.jwt\""] {
        let error = one_error(&provider(&format!(
            "token_endpoint_auth_method = \"client_secret_jwt\"\nassertion = {{ {key} }}"
        )));
        assert!(
            error.contains("conflicts with client_secret_jwt"),
            "{error}"
        );
    }
}

#[test]
fn a_ready_assertion_that_cannot_be_read_is_named() {
    let error = one_error(&provider(
        "token_endpoint_auth_method = \"private_key_jwt\"\nassertion = { file = \"/absent/jwt\" }",
    ));
    assert!(
        error.contains("the file \"/absent/jwt\" for `assertion.file` cannot be read"),
        "{error}"
    );
}

#[test]
fn a_missing_member_of_a_key_file_has_a_hint_of_its_own() {
    let error = one_error(&provider(
        "token_endpoint_auth_method = \"private_key_jwt\"\n\
         assertion = { key = { file = \"/absent/sa.json\", pointer = \"/private_key\" } }",
    ));
    assert!(error.contains("a `pointer` to a text in it"), "{error}");
}

#[test]
fn a_proxy_has_no_user_name_that_basic_authentication_cuts() {
    let error = one_error(&provider(
        "token_request.proxy = { url = \"http://proxy.example:1\", username = \"a:b\", \
         password = { env = \"SECRET\" } }",
    ));
    assert!(error.contains("`username` has a colon"), "{error}");
}

#[test]
fn a_grant_that_looks_misspelt_is_a_warning() {
    let text = provider("").replace("client_credentials", "client_credential");
    let (config, warnings) = good(&text);
    assert_eq!(
        config.providers[0].grant_type.as_str(),
        "client_credential",
        "any name is sent"
    );
    let is_named = |warning: &String| warning.contains("\"client_credential\" is sent as it is");
    assert!(warnings.iter().any(is_named), "{warnings:?}");
    let (_, warnings) = good(&provider("").replace("client_credentials", "account_credentials"));
    assert!(
        !warnings.iter().any(|warning| warning.contains("sent as")),
        "{warnings:?}"
    );
}

#[test]
fn a_field_of_the_api_cannot_stand_in_the_place_of_the_token() {
    for (place, field) in [
        ("", "headers = { Authorization = \"Basic x\" }"),
        ("", "default_headers = { authorization = \"Basic x\" }"),
        ("header = \"x-key\"", "headers = { X-Key = \"x\" }"),
        ("query = \"token\"", "query = { token = \"x\" }"),
    ] {
        let error = one_error(&provider(&format!(
            "[providers.p.inject]\n{place}\n[providers.p.api]\n{field}"
        )));
        assert!(error.contains("is the place of the token"), "{error}");
    }
    good(&provider(
        "[providers.p.inject]\nheader = \"x-key\"\n[providers.p.api]\n\
         headers = { authorization = { env = \"SECRET\" } }\nquery = { x-key = \"x\" }",
    ));
}

#[test]
fn a_token_type_that_is_never_accepted_is_an_error() {
    for kind in ["dpop", "MAC", "pop"] {
        let error = one_error(&provider(&format!(
            "token_response.token_types = [\"bearer\", \"{kind}\"]"
        )));
        assert!(error.contains("need a proof of possession"), "{error}");
    }
}

#[test]
fn a_token_exchange_without_a_subject_is_a_warning() {
    let text = provider("").replace("client_credentials", "token_exchange");
    let about = |text: &str| {
        let (_, warnings) = good(text);
        let about = warnings
            .iter()
            .filter(|text| text.contains("subject_token"));
        about.count()
    };
    assert_eq!(about(&text), 2);
    let params = "params = { subject_token = \"t\", subject_token_type = \"urn:t\" }";
    assert_eq!(about(&format!("{text}token_request = {{ {params} }}\n")), 0);
}
