//! `bearward doctor`: it names the cause of a failure, and the line that mends it.

use std::{fs, os::unix::fs::PermissionsExt, thread, time::Duration};

use serde_json::Value;

use crate::{
    doctor_tools::Patient,
    support::{
        forward_proxy::Proxy,
        token_endpoint::{TokenEndpoint, error_response, json_response, token_response},
        upstream::Upstream,
        wire::{Request, answer},
    },
};

/// A server that issues a token for a request that `is_right`, and else sends `refusal`.
fn server(
    is_right: impl Fn(&Request) -> bool + Send + Sync + 'static,
    refusal: impl Into<Vec<u8>>,
) -> TokenEndpoint {
    let refusal = refusal.into();
    TokenEndpoint::start(move |request, _| match is_right(request) {
        true => token_response("an-issued-token", 3600),
        false => refusal.clone(),
    })
}

fn body(request: &Request) -> String {
    String::from_utf8_lossy(&request.body).into_owned()
}

fn invalid_request(description: &str) -> Vec<u8> {
    let body = format!(r#"{{"error":"invalid_request","error_description":"{description}"}}"#);
    json_response("400 Bad Request", &body)
}

#[test]
fn a_redirect_is_replaced_by_its_target() {
    let server = server(
        |request| request.head.target() == "/v2/token",
        answer("307 Temporary Redirect", "Location: /v2/token\r\n", ""),
    );
    Patient::at(&server.url(), "").assert_mended("redirect", &[]);
}

#[test]
fn a_login_page_in_place_of_the_token_endpoint_is_named_by_its_title() {
    let page = answer(
        "200 OK",
        "Content-Type: text/html\r\n",
        "<!doctype html><html><title>Sign in to Example</title></html>",
    );
    let server = TokenEndpoint::start(move |request, _| {
        let has_grant = body(request).contains("grant_type");
        match request.head.target() {
            "/oauth2/token" if has_grant => token_response("t", 60),
            "/oauth2/token" => error_response("400 Bad Request", "invalid_request"),
            _ => page.clone(),
        }
    });
    let finding = Patient::at(&server.url(), "").assert_mended("not_a_token", &[]);
    assert!(
        finding["message"]
            .to_string()
            .contains("Sign in to Example"),
        "{finding}"
    );
}

#[test]
fn a_token_in_another_member_is_found() {
    let server = TokenEndpoint::start(|_, _| {
        json_response("200 OK", r#"{"ok":true,"data":{"token":"abc-secret"}}"#)
    });
    let patient = Patient::at(&server.url(), "");
    let finding = patient.assert_mended("not_a_token", &[]);
    assert_eq!(
        finding["fix"],
        "[providers.api.token_response]\naccess_token = \"/data/token\""
    );
    assert!(!patient.examine(&[]).to_string().contains("abc-secret"));
}

#[test]
fn a_slow_server_gets_more_time() {
    let server = TokenEndpoint::start(|_, _| {
        thread::sleep(Duration::from_secs(2));
        token_response("late", 60)
    });
    let lines = "[providers.api.token_request]\ntimeout = \"500ms\"";
    Patient::at(&server.url(), lines).assert_mended("timeout", &[]);
}

#[test]
fn a_missing_audience_is_the_one_that_the_server_names_or_the_api() {
    let accepts =
        |request: &Request| body(request).contains("audience=https%3A%2F%2Fapi.example.com");
    let text = r#"{"error":"access_denied","error_description":"audience is required"}"#;
    let refusal = json_response("403 Forbidden", text);
    let by_api = server(accepts, refusal);
    let lines = "api_base = \"https://api.example.com\"\ntoken_request.params = { tenant = \"t\" }";
    Patient::at(&by_api.url(), lines).assert_mended("audience", &[]);
    let by_name = server(
        accepts,
        invalid_request("missing audience, for example https://api.example.com."),
    );
    Patient::at(&by_name.url(), "").assert_mended("audience", &[]);
}

#[test]
fn scopes_with_commas_are_written_as_an_array() {
    let server = server(
        |request| body(request).contains("scope=read+write"),
        error_response("400 Bad Request", "invalid_scope"),
    );
    let finding = Patient::at(&server.url(), "scope = \"read,write\"").assert_mended("scope", &[]);
    assert_eq!(finding["fix"], "scope = [\"read\", \"write\"]");
}

#[test]
fn a_scope_that_the_client_may_not_have_is_left_out() {
    let server = server(
        |request| body(request).ends_with("scope=read"),
        json_response(
            "400 Bad Request",
            r#"{"error":"invalid_scope","error_description":"The scope 'admin' is not allowed"}"#,
        ),
    );
    let finding =
        Patient::at(&server.url(), "scope = [\"read\", \"admin\"]").assert_mended("scope", &[]);
    assert_eq!(finding["fix"], "scope = \"read\"");
}

#[test]
fn a_server_that_says_nothing_gets_the_other_encoding() {
    let server = server(
        |request| body(request).starts_with('{'),
        json_response("400 Bad Request", r#"{"message":"Bad Request"}"#),
    );
    Patient::at(&server.url(), "").assert_mended("parameters", &[]);
}

#[test]
fn credentials_in_a_body_of_json_are_not_seen_by_a_server_of_forms() {
    let server = server(
        |request| body(request).contains("client_secret=the-client-secret"),
        error_response("401 Unauthorized", "invalid_client"),
    );
    let lines = "token_endpoint_auth_method = \"client_secret_post\"\n\
        token_request = { encoding = \"json\" }";
    let patient = Patient::at(&server.url(), lines);
    let finding = patient.assert_mended("client_authentication", &[]);
    assert_eq!(finding["fix"], "token_request = { encoding = \"form\" }");
}

#[test]
fn a_form_for_a_server_of_json_is_named() {
    let server = server(
        |request| body(request).starts_with('{'),
        invalid_request("Unexpected token g in JSON at position 0"),
    );
    Patient::at(&server.url(), "").assert_mended("client_authentication", &[]);
}

#[test]
fn another_method_is_the_one_that_the_server_allows() {
    let server = server(
        |request| request.head.method() == "GET",
        answer("405 Method Not Allowed", "Allow: GET\r\n", ""),
    );
    Patient::at(&server.url(), "").assert_mended("parameters", &[]);
}

#[test]
fn detection_finds_a_method_and_an_encoding_together_and_prints_the_stanza() {
    let server = server(
        |request| body(request).starts_with('{') && body(request).contains("\"client_secret\""),
        error_response("401 Unauthorized", "invalid_client"),
    );
    let patient = Patient::at(&server.url(), "");
    let output = patient.run(&["--detect"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let stanza = "[providers.api]\n    token_endpoint_auth_method = \"client_secret_post\"\n    \
        [providers.api.token_request]\n    encoding = \"json\"";
    assert!(text.contains(stanza), "{text}");
    let report = patient.examine(&["--detect"]);
    let findings = report["findings"].as_array().expect("findings");
    assert_eq!(findings.len(), 2, "{report:#}");
    for finding in findings {
        assert_eq!(finding["kind"], "client_authentication");
        patient.paste(finding);
    }
    assert_eq!(patient.examine(&[])["ok"], true, "{}", patient.text());
}

#[test]
fn detection_finds_http_basic_with_a_raw_secret() {
    let server = server(
        // the-client:a b+c/, not form-encoded.
        |request| request.head.value("authorization") == Some("Basic dGhlLWNsaWVudDphIGIrYy8="),
        error_response("401 Unauthorized", "invalid_client"),
    );
    let patient = Patient::at(&server.url(), "").environment("CLIENT_SECRET", "a b+c/");
    let finding = patient.assert_mended("client_authentication", &["--detect"]);
    assert_eq!(
        finding["fix"],
        "[providers.api.token_request]\nbasic = \"raw\""
    );
}

#[test]
fn without_detection_the_token_request_is_made_once() {
    let server = server(
        |_| false,
        error_response("401 Unauthorized", "invalid_client"),
    );
    let patient = Patient::at(&server.url(), "");
    let report = patient.examine(&[]);
    let exchanges = report["exchanges"].as_array().expect("exchanges");
    let to_token = |one: &&Value| one["request"]["method"] == "POST";
    assert_eq!(exchanges.iter().filter(to_token).count(), 1, "{report:#}");
}

#[test]
fn a_clock_that_differs_is_named_though_the_token_came() {
    let response = token_response("t", 60);
    let text = String::from_utf8(response).expect("a text");
    let dated = text.replacen("\r\n", "\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\n", 1);
    let server = TokenEndpoint::start(move |_, _| dated.clone().into_bytes());
    let finding = Patient::at(&server.url(), "").finding("clock", &[]);
    assert!(
        finding["message"].to_string().contains("ahead"),
        "{finding}"
    );
}

#[test]
fn failures_of_the_server_are_its_own() {
    for (status, kind) in [
        ("429 Too Many Requests", "rate_limited"),
        ("503 Service Unavailable", "server_error"),
    ] {
        let server = server(|_| false, answer(status, "", "busy"));
        let patient = Patient::at(&server.url(), "");
        patient.finding(kind, &[]);
        assert!(patient.examine(&[]).to_string().contains("busy"));
    }
}

#[test]
fn a_host_name_that_is_not_found_is_named() {
    let patient = Patient::at("https://as.invalid/token", "");
    let finding = patient.finding("dns", &[]);
    assert!(finding["message"].to_string().contains("as.invalid"));
}

#[test]
fn a_proxy_of_the_environment_is_suggested_where_nothing_is_reached() {
    let certificates = crate::support::certificates::private_authority(&["as.invalid"]);
    let server =
        Upstream::answering_over_tls(certificates.server, |_| token_response("proxied", 60));
    let proxy = Proxy::start(None);
    let address = format!("http://{}", proxy.address());
    let port = server.address().port();
    let patient = Patient::at(&format!("https://as.invalid:{port}/token"), "")
        .environment("HTTPS_PROXY", &address);
    let ca = patient.path("ca.pem");
    fs::write(&ca, certificates.ca_pem).expect("a file");
    let stanza = format!(
        "[providers.api.token_request]\nca_file = {:?}",
        ca.display().to_string()
    );
    patient.with(&stanza).assert_mended("proxy", &[]);
}

#[test]
fn a_proxy_that_wants_credentials_is_named() {
    let certificates = crate::support::certificates::private_authority(&["localhost"]);
    let server =
        Upstream::answering_over_tls(certificates.server, |_| token_response("proxied", 60));
    let proxy = Proxy::demanding_credentials();
    let patient = Patient::at(&format!("{}/token", server.origin()), "")
        .environment("HTTPS_PROXY", &format!("http://svc@{}", proxy.address()))
        .environment("PROXY_PASSWORD", "pa:ss");
    let ca = patient.path("ca.pem");
    fs::write(&ca, certificates.ca_pem).expect("a file");
    let stanza = format!(
        "[providers.api.token_request]\nca_file = {:?}\nproxy = \"http://{}\"",
        ca.display().to_string(),
        proxy.address()
    );
    patient.with(&stanza).assert_mended("proxy", &[]);
}

/// A route of the provider to `origin`.
fn route(origin: &str) -> String {
    format!(
        "[routes.api]\nlisten = \"127.0.0.1:0\"\nupstream = \"{origin}/base\"\nprovider = \"api\""
    )
}

#[test]
fn the_api_is_called_as_a_route_would_call_it() {
    let tokens = TokenEndpoint::issuing("an-issued-token");
    let api = Upstream::answering(|request| match request.head.value("authorization") {
        Some("Bearer an-issued-token") => answer("200 OK", "", "{}"),
        _ => answer("401 Unauthorized", "WWW-Authenticate: Bearer\r\n", ""),
    });
    let lines = "verify = \"GET /v1/me?x=1\"\napi.headers = { x-tenant = \"acme\" }\n\
        [providers.api.inject]\nprefix = \"Token \"";
    let patient = Patient::at(&tokens.url(), lines).with(&route(&api.origin()));
    let finding = patient.assert_mended("api", &[]);
    assert_eq!(finding["fix"], "prefix = \"Bearer \"");
    let head = api.last().head;
    assert_eq!(head.target(), "/base/v1/me?x=1");
    assert_eq!(head.value("x-tenant"), Some("acme"));
    let report = patient.examine(&[]);
    assert!(
        !report.to_string().contains("an-issued-token"),
        "{report:#}"
    );
    assert_eq!(report["exchanges"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_scope_that_the_api_wants_is_added() {
    let tokens = TokenEndpoint::start(|request, _| {
        let is_wide = body(request).contains("devices.write");
        token_response(if is_wide { "wide" } else { "narrow" }, 60)
    });
    let api = Upstream::answering(|request| match request.head.value("authorization") {
        Some("Bearer wide") => answer("200 OK", "", "{}"),
        _ => answer(
            "403 Forbidden",
            "WWW-Authenticate: Bearer error=\"insufficient_scope\", scope=\"devices.write\"\r\n",
            "",
        ),
    });
    let lines = format!(
        "verify = \"GET /v1/me\"\nscope = \"devices.read\"\napi_base = {:?}",
        api.origin()
    );
    let finding = Patient::at(&tokens.url(), &lines).assert_mended("api", &[]);
    assert_eq!(
        finding["fix"],
        "scope = [\"devices.read\", \"devices.write\"]"
    );
}

/// A provider that needs a login, at a server that refuses requests without parameters.
fn login(server: &TokenEndpoint) -> Patient {
    let lines = format!(
        "grant_type = \"authorization_code\"\nauthorization_endpoint = {:?}",
        server.url()
    );
    Patient::at(&server.url(), &lines)
}

#[test]
fn a_login_that_is_missing_is_named_with_the_command_to_run() {
    let server = TokenEndpoint::start(|_, _| error_response("400 Bad Request", "invalid_request"));
    let patient = Patient::at(
        &server.url(),
        "grant_type = \"refresh_token\"\nrefresh_token = { env = \"REFRESH_TOKEN\" }",
    )
    .environment("REFRESH_TOKEN", "never-sent");
    assert_eq!(patient.examine(&[])["ok"], true);
    let requests = patient.examine(&[]).to_string();
    assert!(
        !requests.contains("never-sent") && !requests.contains("redacted"),
        "{requests}"
    );
    assert!(!patient.path("store").exists(), "a folder was made");

    let page = TokenEndpoint::start(|_, _| answer("200 OK", "", "a page to sign in"));
    let finding = login(&page).finding("login", &[]);
    assert!(
        finding["message"]
            .to_string()
            .contains("bearward login api"),
        "{finding}"
    );
}

#[test]
fn a_login_that_has_ended_is_named_and_the_store_is_left_alone() {
    let page = TokenEndpoint::start(|_, _| answer("200 OK", "", "a page to sign in"));
    let patient = login(&page);
    let store = patient.path("store");
    fs::create_dir(&store).expect("a folder");
    fs::set_permissions(&store, PermissionsExt::from_mode(0o700)).expect("a mode");
    let record = store.join("api.json");
    let text = r#"{"version":1,"provider":"api","refresh_token":"kept-secret","refused":true}"#;
    fs::write(&record, text).expect("a file");
    fs::set_permissions(&record, PermissionsExt::from_mode(0o600)).expect("a mode");
    let finding = patient.finding("login", &[]);
    assert!(
        finding["message"].to_string().contains("has ended"),
        "{finding}"
    );
    let files = fs::read_dir(&store).expect("a folder").count();
    assert_eq!(files, 1, "the doctor left a file behind");
    assert_eq!(fs::read_to_string(&record).expect("a file"), text);

    fs::set_permissions(&store, PermissionsExt::from_mode(0o755)).expect("a mode");
    let finding = patient.finding("store", &[]);
    assert!(
        finding["message"].to_string().contains("chmod 0700"),
        "{finding}"
    );
}

#[test]
fn a_password_that_is_refused_is_that_of_the_account() {
    let server = server(
        |_| false,
        error_response("400 Bad Request", "invalid_grant"),
    );
    let lines =
        "grant_type = \"password\"\nusername = \"svc\"\npassword = { env = \"ACCOUNT_PASSWORD\" }";
    let patient = Patient::at(&server.url(), lines).environment("ACCOUNT_PASSWORD", "hush-hush");
    patient.finding("login", &[]);
    assert!(!patient.examine(&[]).to_string().contains("hush-hush"));
}

#[test]
fn secrets_are_shown_by_their_fingerprints_in_each_format() {
    let server = server(
        |_| false,
        json_response(
            "400 Bad Request",
            r#"{"error":"invalid_request","error_description":"bad secret the-client-secret","id_token":"x.y.z"}"#,
        ),
    );
    let patient = Patient::at(
        &server.url(),
        "token_endpoint_auth_method = \"client_secret_post\"",
    );
    let text = patient.run(&[]).stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    let json = patient.examine(&[]).to_string();
    for shown in [&text, &json] {
        // sha256("the-client-secret")
        assert!(shown.contains("[redacted f9a45542]"), "{shown}");
        assert!(
            !shown.contains("the-client-secret") && !shown.contains("x.y.z"),
            "{shown}"
        );
    }
    assert!(!text.contains('\u{1b}'), "colours without a terminal");
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{text}");
}

#[test]
fn a_provider_that_is_not_there_and_a_bad_file_are_mistakes_of_usage() {
    let patient = Patient::at("https://as.invalid/token", "");
    let output = patient.run(&["apo"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("did you mean \"api\"?"), "{text}");
    let patient = patient.with("surprise = 1");
    assert_eq!(patient.run(&[]).status.code(), Some(2));
}
