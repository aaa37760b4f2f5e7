//! What token endpoints answer: read leniently where it does no harm, and never believed where it would.

use std::time::{Duration, SystemTime};

use crate::support::{
    client::get,
    problem::assert_problem,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::{TokenEndpoint, error_response, json_response, token_response},
    upstream::Upstream,
    wire::{Answer, answer, ok},
};

/// A sidecar whose token endpoint always answers `bytes`; the upstream answers all.
#[track_caller]
fn with_answer(bytes: Vec<u8>, provider: &str) -> (Sidecar, TokenEndpoint, Upstream) {
    let tokens = TokenEndpoint::start(move |_, _| bytes.clone());
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin())
        .provider(provider)
        .start();
    (sidecar, tokens, upstream)
}

#[track_caller]
fn assert_used(bytes: Vec<u8>, provider: &str, token: &str) {
    let shown = String::from_utf8_lossy(&bytes).into_owned();
    let (sidecar, _tokens, upstream) = with_answer(bytes, provider);
    assert_eq!(sidecar.get("/").status, 200, "{shown}");
    assert_eq!(
        upstream.last().head.value("authorization"),
        Some(format!("Bearer {token}").as_str()),
        "{shown}"
    );
}

/// The answer to a caller when the token endpoint answers `bytes`; nothing may reach the upstream.
#[track_caller]
fn refused(bytes: Vec<u8>, provider: &str) -> Answer {
    let shown = String::from_utf8_lossy(&bytes)
        .chars()
        .take(300)
        .collect::<String>();
    let (sidecar, _tokens, upstream) = with_answer(bytes, provider);
    let answer = sidecar.get("/");
    assert_eq!(
        upstream.connections(),
        0,
        "a request went out without a token, after {shown}"
    );
    assert!(
        !answer.text().contains("described-by-the-server"),
        "{}",
        answer.text()
    );
    answer
}

#[track_caller]
fn assert_unavailable(bytes: Vec<u8>) {
    let shown = String::from_utf8_lossy(&bytes)
        .chars()
        .take(300)
        .collect::<String>();
    let answer = refused(bytes, "");
    let body = assert_problem(&answer, 503, "token-unavailable");
    assert_eq!(body["provider"], "api", "{shown}");
    assert_eq!(body["route"], "api", "{shown}");
    let seconds: u64 = answer
        .head
        .value("retry-after")
        .expect("Retry-After")
        .parse()
        .expect("seconds");
    assert!(
        (1..=300).contains(&seconds),
        "Retry-After: {seconds}, after {shown}"
    );
}

#[test]
fn members_are_found_by_json_pointers() {
    let lines = "token_response.access_token = \"/data/0/to~1ken\"\ntoken_response.expires_in = \"/data/0/ttl\"";
    let body = r#"{"access_token": "wrong", "data": [{"to/ken": "right", "ttl": 60}]}"#;
    assert_used(json_response("200 OK", body), lines, "right");
}

#[test]
fn a_type_in_any_case_or_none_at_all_is_bearer() {
    assert_used(
        json_response(
            "200 OK",
            r#"{"access_token":"t","token_type":"bEARER","expires_in":60}"#,
        ),
        "",
        "t",
    );
    assert_used(
        json_response("200 OK", r#"{"access_token":"t","expires_in":60}"#),
        "",
        "t",
    );
}

#[test]
fn every_type_that_needs_no_proof_of_possession_is_used() {
    let used = |body: &str| assert_used(json_response("200 OK", body), "", "AT-1");
    used(r#"{"access_token":"AT-1","token_type":"Application Access Token","expires_in":"1799"}"#);
    for kind in ["BearerToken", "jwt-bearer", "bot", ""] {
        used(&format!(
            r#"{{"access_token":"AT-1","token_type":"{kind}","expires_in":60}}"#
        ));
    }
    assert_used(
        json_response(
            "200 OK",
            r#"{"ok":true,"token_type":"bot","authed_user":{"access_token":"AT-1","token_type":"user"}}"#,
        ),
        "token_response.access_token = \"/authed_user/access_token\"",
        "AT-1",
    );
}

#[test]
fn a_response_in_iso_8859_1_is_read() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json;charset=ISO-8859-1\r\nconnection: close\r\n";
    let body = b"{\"access_token\":\"t\",\"expires_in\":60,\"owner\":\"Jos\xE9\"}";
    let mut response = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
    response.extend_from_slice(body);
    assert_used(response, "", "t");
}

#[test]
fn created_is_a_success_and_forms_are_read() {
    assert_used(
        json_response("201 Created", r#"{"access_token":"t","expires_in":60}"#),
        "",
        "t",
    );
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    assert_used(
        answer(
            "200 OK",
            form,
            "access_token=a%2Fb&token_type=bearer&expires_in=60",
        ),
        "",
        "a/b",
    );
}

#[test]
fn a_refresh_token_that_nobody_asked_for_is_ignored() {
    let body = r#"{"access_token":"t","expires_in":60,"refresh_token":"unasked"}"#;
    let (sidecar, _tokens, _upstream) = with_answer(json_response("200 OK", body), "");
    sidecar.wait_until_ready();
    assert_eq!(
        sidecar.status()["providers"]["api"]["has_refresh_token"],
        false
    );
}

#[test]
fn a_lifetime_may_be_a_string_or_a_fraction() {
    for lifetime in ["7200", "\"7200\"", "7200.5", "\"7200.0\""] {
        let body = format!(r#"{{"access_token":"t","expires_in":{lifetime}}}"#);
        assert_lifetime(&body, "", Duration::from_secs(7200));
    }
}

#[test]
fn no_lifetime_or_a_senseless_one_means_the_default() {
    for member in [
        "",
        r#","expires_in":null"#,
        r#","expires_in":"soon""#,
        r#","expires_in":{}"#,
        r#","expires_in":0"#,
        r#","expires_in":-1"#,
        r#","expires_in":"0""#,
        r#","expires_in":1e30"#,
    ] {
        let body = format!(r#"{{"access_token":"t"{member}}}"#);
        assert_lifetime(&body, "", Duration::from_secs(300));
        assert_lifetime(
            &body,
            "token_response.default_lifetime = \"1h\"",
            Duration::from_secs(3600),
        );
    }
}

#[test]
fn a_long_lifetime_is_used_as_told() {
    let year = Duration::from_secs(31_536_000);
    let body = r#"{"access_token":"t","expires_in":31536000}"#;
    assert_lifetime(body, "", year);
    assert_lifetime(
        r#"{"access_token":"t"}"#,
        "token_response.default_lifetime = \"365d\"",
        year,
    );
}

#[test]
fn a_token_without_a_lifetime_is_requested_once() {
    for lifetime in ["0", "-1", "\"0\""] {
        let body = format!(r#"{{"access_token":"AT-1","expires_in":{lifetime}}}"#);
        let (sidecar, tokens, _upstream) = with_answer(json_response("200 OK", &body), "");
        sidecar.wait_until_ready();
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(sidecar.get("/").status, 200);
        assert_eq!(tokens.count(), 1, "{lifetime}");
    }
}

#[track_caller]
fn assert_lifetime(body: &str, provider: &str, lifetime: Duration) {
    let before = SystemTime::now();
    let (sidecar, _tokens, _upstream) = with_answer(json_response("200 OK", body), provider);
    sidecar.wait_until_ready();
    let status = sidecar.status();
    let expires_at = status["providers"]["api"]["expires_at"]
        .as_str()
        .unwrap_or_else(|| panic!("{status}"));
    let expires_at = humantime::parse_rfc3339(expires_at).unwrap();
    // Times are shown in whole seconds.
    let second = Duration::from_secs(1);
    assert!(expires_at + second >= before + lifetime, "{body}: {status}");
    assert!(
        expires_at <= SystemTime::now() + lifetime + second,
        "{body}: {status}"
    );
}

#[test]
fn a_refused_client_is_told_with_the_code_of_the_refusal() {
    for error in [
        "invalid_client",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    ] {
        let status = if error == "invalid_client" {
            "401 Unauthorized"
        } else {
            "400 Bad Request"
        };
        let answer = refused(error_response(status, error), "");
        let body = assert_problem(&answer, 502, "token-refused");
        assert_eq!(body["error"], error);
        assert_eq!(body["provider"], "api");
    }
}

#[test]
fn a_refusal_is_not_asked_for_again_and_again() {
    let (sidecar, tokens, _upstream) =
        with_answer(error_response("401 Unauthorized", "invalid_client"), "");
    for _ in 0..20 {
        assert_problem(&sidecar.get("/"), 502, "token-refused");
    }
    assert_eq!(
        tokens.count(),
        1,
        "a refusing server is asked again after a minute at the earliest"
    );
    assert_eq!(sidecar.status()["providers"]["api"]["state"], "refused");
}

#[test]
fn an_error_in_a_success_is_an_error() {
    let body = r#"{"error":"invalid_scope","access_token":"t","error_description":"described-by-the-server"}"#;
    let answer = refused(json_response("200 OK", body), "");
    assert!(matches!(answer.status, 502 | 503), "{answer:?}");
}

#[test]
fn an_internal_error_of_the_server_means_unavailable() {
    assert_unavailable(json_response(
        "500 Internal Server Error",
        r#"{"message":"described-by-the-server"}"#,
    ));
    assert_unavailable(answer("503 Service Unavailable", "", ""));
}

#[test]
fn a_page_is_not_a_token() {
    let html = "<html><body>Sign in, described-by-the-server</body></html>";
    assert_unavailable(answer("200 OK", "content-type: text/html\r\n", html));
    assert_unavailable(answer("404 Not Found", "content-type: text/html\r\n", html));
}

#[test]
fn another_type_of_token_is_not_used() {
    assert_unavailable(json_response(
        "200 OK",
        r#"{"access_token":"t","token_type":"mac","expires_in":60}"#,
    ));
    assert_unavailable(json_response(
        "200 OK",
        r#"{"access_token":"t","token_type":"DPoP","expires_in":60}"#,
    ));
}

#[test]
fn an_empty_or_missing_token_is_not_used() {
    for body in [
        r#"{"access_token":""}"#,
        r#"{"expires_in":60}"#,
        r#"{"access_token":7}"#,
        "[]",
        "",
        "{",
    ] {
        assert_unavailable(json_response("200 OK", body));
    }
}

#[test]
fn a_token_that_would_break_the_head_never_reaches_the_upstream() {
    for token in [
        "a\\r\\nx-evil: 1",
        "a\\nb",
        "a\\u0000b",
        "a\\u007fb",
        "\\r\\n",
    ] {
        assert_unavailable(json_response(
            "200 OK",
            &format!(r#"{{"access_token":"{token}","expires_in":60}}"#),
        ));
    }
}

#[test]
fn an_answer_without_end_is_not_read_to_its_end() {
    let filler = "x".repeat(1100 * 1024);
    let body = format!(r#"{{"access_token":"t","expires_in":60,"filler":"{filler}"}}"#);
    assert_unavailable(json_response("200 OK", &body));
}

#[test]
fn what_is_not_http_means_unavailable() {
    assert_unavailable(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec());
}

#[test]
fn a_redirect_is_never_followed() {
    let other = TokenEndpoint::issuing("stolen");
    let location = format!("location: {}\r\n", other.url());
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        assert_unavailable(answer(status, &location, ""));
    }
    assert_eq!(
        other.count(),
        0,
        "the client's secret went to another address"
    );
}

#[test]
fn a_limit_is_respected_as_long_as_it_says() {
    let tokens = TokenEndpoint::start(|_, number| match number {
        0 => answer("429 Too Many Requests", "retry-after: 60\r\n", ""),
        _ => token_response("t", 3600),
    });
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start();
    let answer = get(sidecar.address(), "/");
    assert_problem(&answer, 503, "token-unavailable");
    let seconds: u64 = answer
        .head
        .value("retry-after")
        .expect("Retry-After")
        .parse()
        .expect("seconds");
    assert!((50..=61).contains(&seconds), "Retry-After: {seconds}");
    for _ in 0..10 {
        assert_problem(&sidecar.get("/"), 503, "token-unavailable");
    }
    assert_eq!(tokens.count(), 1, "asked again before the limit was over");
}
