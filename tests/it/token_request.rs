//! How a token is asked for: RFC 6749 to the letter, and each way in which a vendor may deviate from it.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::support::{
    setup::{SECRET, Setup},
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{Request, ok},
};

/// A client whose both halves hold what Basic authentication needs encoded.
const AWKWARD_CLIENT: &str = "client_id = \"id with:colon\"\nclient_secret = { env = \"AWKWARD\" }";
const AWKWARD_SECRET: &str = "s3cr:t/+ %26é=&";

/// The first token request of a sidecar with `client` and further `provider` lines; an empty `client` is the usual one.
#[track_caller]
fn first_request(client: &str, provider: &str) -> Request {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let mut setup = Setup::new(&tokens, upstream.origin())
        .provider(provider)
        .environment("AWKWARD", AWKWARD_SECRET);
    if !client.is_empty() {
        setup = setup.client(client);
    }
    let sidecar = setup.start();
    assert_eq!(sidecar.get("/").status, 200);
    assert_eq!(
        upstream.last().head.value("authorization"),
        Some("Bearer token-1")
    );
    assert_eq!(tokens.count(), 1, "one token is one request");
    tokens.first()
}

fn form(text: &[u8]) -> BTreeMap<String, String> {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(text).into_owned().collect();
    let map: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(
        map.len(),
        pairs.len(),
        "no parameter may come twice (RFC 6749 §3.2): {pairs:?}"
    );
    map
}

fn query(request: &Request) -> BTreeMap<String, String> {
    form(
        request
            .head
            .target()
            .split_once('?')
            .map_or("", |(_, query)| query)
            .as_bytes(),
    )
}

fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn basic_encodes_both_halves_before_they_are_joined() {
    let request = first_request(AWKWARD_CLIENT, "");
    let credentials = request
        .head
        .value("authorization")
        .and_then(|value| value.strip_prefix("Basic "))
        .unwrap();
    let credentials = String::from_utf8(BASE64_STANDARD.decode(credentials).unwrap()).unwrap();
    let (id, secret) = credentials.split_once(':').unwrap();
    for half in [id, secret] {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~*+%".contains(&byte);
        assert!(
            half.bytes().all(plain),
            "{half} is not form-encoded (RFC 6749 §2.3.1)"
        );
    }
    let decode = |half: &str| form(format!("half={half}").as_bytes())["half"].clone();
    assert_eq!(decode(id), "id with:colon");
    assert_eq!(decode(secret), AWKWARD_SECRET);
}

#[test]
fn basic_is_the_default_with_a_secret_and_keeps_it_out_of_the_body() {
    let request = first_request("", "scope = \"devices.read devices.write\"");
    assert_eq!(request.head.start, "POST /token HTTP/1.1");
    assert_eq!(
        request.head.value("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert!(
        request
            .head
            .value("authorization")
            .is_some_and(|value| value.starts_with("Basic "))
    );
    let mut body = form(&request.body);
    body.remove("client_id");
    assert_eq!(
        body,
        map([
            ("grant_type", "client_credentials"),
            ("scope", "devices.read devices.write")
        ])
    );
}

#[test]
fn post_puts_the_credentials_into_the_body_alone() {
    let request = first_request(
        AWKWARD_CLIENT,
        "token_endpoint_auth_method = \"client_secret_post\"",
    );
    assert!(!request.head.has("authorization"), "{:?}", request.head);
    let wanted = [
        ("grant_type", "client_credentials"),
        ("client_id", "id with:colon"),
        ("client_secret", AWKWARD_SECRET),
    ];
    assert_eq!(form(&request.body), map(wanted));
}

#[test]
fn a_client_without_a_secret_names_itself_and_proves_nothing() {
    let request = first_request("client_id = \"public\"", "");
    assert!(!request.head.has("authorization"), "{:?}", request.head);
    assert_eq!(
        form(&request.body),
        map([
            ("grant_type", "client_credentials"),
            ("client_id", "public")
        ])
    );
}

#[test]
fn get_puts_the_parameters_into_the_query() {
    let lines =
        "token_endpoint_auth_method = \"client_secret_post\"\ntoken_request.method = \"GET\"";
    let request = first_request("", lines);
    assert_eq!(request.head.method(), "GET");
    assert!(
        request.head.target().starts_with("/token?"),
        "{}",
        request.head.target()
    );
    let wanted = [
        ("grant_type", "client_credentials"),
        ("client_id", "legacy-service"),
        ("client_secret", SECRET),
    ];
    assert_eq!(query(&request), map(wanted));
    assert_eq!(request.body, b"");
}

#[test]
fn post_with_the_parameters_in_the_query_has_an_empty_body() {
    let lines =
        "token_endpoint_auth_method = \"client_secret_post\"\ntoken_request.encoding = \"query\"";
    let request = first_request("", lines);
    assert_eq!(request.head.method(), "POST");
    let wanted = [
        ("grant_type", "client_credentials"),
        ("client_id", "legacy-service"),
        ("client_secret", SECRET),
    ];
    assert_eq!(query(&request), map(wanted));
    assert_eq!(request.body, b"");
}

#[test]
fn a_query_that_the_endpoint_has_already_is_kept() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let setup = Setup::new(&tokens, upstream.origin()).provider("token_request.method = \"GET\"");
    let text = setup
        .text()
        .replace(&tokens.url(), &format!("{}?tenant=a%20b", tokens.url()));
    let address = {
        let (file, environment) = setup.write();
        std::fs::write(&file, text).unwrap();
        crate::support::sidecar::run_to_end(
            &["token", "api", "-c", file.to_str().unwrap()],
            &environment,
        )
    };
    assert!(
        address.status.success(),
        "{}",
        String::from_utf8_lossy(&address.stderr)
    );
    let query = query(&tokens.first());
    assert_eq!(query["tenant"], "a b");
    assert_eq!(query["grant_type"], "client_credentials");
}

#[test]
fn json_is_an_object_of_strings() {
    let lines = "token_endpoint_auth_method = \"client_secret_post\"\ntoken_request.encoding = \"json\"\n\
                 token_request.params = { audience = \"https://api\" }";
    let request = first_request("", lines);
    let kind = request.head.value("content-type").unwrap();
    assert!(kind.starts_with("application/json"), "{kind}");
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    let wanted = serde_json::json!({
        "grant_type": "client_credentials",
        "client_id": "legacy-service",
        "client_secret": SECRET,
        "audience": "https://api",
    });
    assert_eq!(body, wanted);
}

#[test]
fn extra_parameters_and_fields_are_added() {
    let lines = "token_request.params = { audience = \"https://api/?a=b&c\", resource = \"ä\" }\n\
                 token_request.headers = { \"x-api-version\" = \"2\" }";
    let request = first_request("", lines);
    let body = form(&request.body);
    assert_eq!(body["audience"], "https://api/?a=b&c");
    assert_eq!(body["resource"], "ä");
    assert_eq!(request.head.value("x-api-version"), Some("2"));
}

#[test]
fn a_post_whose_parameters_are_in_its_query_says_that_it_has_no_body() {
    let request = first_request("", "token_request.encoding = \"query\"");
    assert_eq!(request.head.method(), "POST");
    assert!(
        request
            .head
            .target()
            .contains("grant_type=client_credentials"),
        "{:?}",
        request.head
    );
    // Some servers answer 411 otherwise (RFC 9110 §8.6).
    assert_eq!(
        request.head.value("content-length"),
        Some("0"),
        "{:?}",
        request.head
    );
    assert!(!request.head.has("transfer-encoding"), "{:?}", request.head);
}

#[test]
fn scopes_of_an_array_are_joined_by_the_separator() {
    let request = first_request("", "scope = [\"read\", \"write\"]");
    assert_eq!(form(&request.body)["scope"], "read write");
    let request = first_request(
        "",
        "scope = [\"read\", \"write\"]\ntoken_request.scope_separator = \",\"",
    );
    assert_eq!(form(&request.body)["scope"], "read,write");
}

#[test]
fn no_scope_is_asked_for_unless_configured() {
    let request = first_request("", "");
    assert!(!form(&request.body).contains_key("scope"));
}

#[test]
fn what_refreshes_leave_out_stays_in_the_client_credentials_grant() {
    let lines = "token_endpoint_auth_method = \"client_secret_post\"\ntoken_request.omit_on_refresh = [\"client_id\"]";
    let request = first_request("", lines);
    assert_eq!(form(&request.body)["client_id"], "legacy-service");
}

#[test]
fn an_endpoint_may_be_relative_to_the_base_url() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let base = tokens.url().replace("/token", "");
    let setup = Setup::new(&tokens, upstream.origin()).provider(&format!("base_url = \"{base}\""));
    let text = setup.text().replace(&tokens.url(), "/oauth2/token");
    let (file, environment) = setup.write();
    std::fs::write(&file, text).unwrap();
    let output = crate::support::sidecar::run_to_end(
        &["token", "api", "-c", file.to_str().unwrap()],
        &environment,
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(tokens.first().head.target(), "/oauth2/token");
}

#[test]
fn a_proxy_is_used_where_configured_and_only_there() {
    let proxy = TokenEndpoint::issuing("through-the-proxy");
    let systems = TokenEndpoint::issuing("through-the-systems-proxy");
    let upstream = Upstream::answering(|_| ok("fine"));
    let origin = |endpoint: &TokenEndpoint| endpoint.url().trim_end_matches("/token").to_owned();
    let with_systems_proxy = |setup: Setup| {
        ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
            .into_iter()
            .fold(setup, |setup, name| {
                setup.environment(name, &origin(&systems))
            })
    };

    let lines = format!(
        "allow_plaintext = true\ntoken_request.proxy = \"{}\"",
        origin(&proxy)
    );
    let setup = Setup::new(&proxy, upstream.origin())
        .token_endpoint("http://tokens.invalid/token")
        .provider(&lines);
    let sidecar = with_systems_proxy(setup).start_ready();
    assert_eq!(sidecar.get("/").status, 200);
    assert_eq!(proxy.first().head.target(), "http://tokens.invalid/token");
    assert_eq!(
        upstream.last().head.value("authorization"),
        Some("Bearer through-the-proxy")
    );

    let direct = TokenEndpoint::issuing("direct");
    let sidecar = with_systems_proxy(Setup::new(&direct, upstream.origin())).start_ready();
    assert_eq!(sidecar.get("/").status, 200);
    assert_eq!(
        upstream.last().head.value("authorization"),
        Some("Bearer direct")
    );
    assert_eq!(systems.count(), 0, "the system's proxy was used");
}

#[test]
fn a_grant_of_the_vendors_own_needs_no_login() {
    for (grant_type, sent) in [
        ("account_credentials", Some("account_credentials")),
        ("none", None),
    ] {
        let tokens = TokenEndpoint::issuing("token-1");
        let upstream = Upstream::answering(|_| ok("fine"));
        let sidecar = Setup::new(&tokens, upstream.origin())
            .grant_type(grant_type)
            .provider("token_request.params = { account_id = \"A-7\" }")
            .start();
        assert_eq!(sidecar.get("/").status, 200);
        let request = form(&tokens.first().body);
        assert_eq!(request.get("grant_type").map(String::as_str), sent);
        assert_eq!(request["account_id"], "A-7");
    }
}
