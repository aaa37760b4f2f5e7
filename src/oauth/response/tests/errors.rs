//! Errors as vendors write them.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::{
    oauth::provider::{BasicEncoding, HostList, MappedError, SuccessCondition},
    secret::LiveSecret,
};

fn kind(provider: &Provider, status: u16, body: &str) -> &'static str {
    match refreshed(provider, status, None, body.as_bytes()) {
        Ok(_) => "ok",
        Err(error) => error.kind(),
    }
}

fn mapping(error: &str, map: &[(&str, &str)]) -> TokenResponse {
    let mapped = |meaning: &str| match meaning {
        "temporary" => MappedError::Temporary,
        code => MappedError::Code(code.to_owned()),
    };
    TokenResponse {
        error: error.to_owned(),
        error_map: map
            .iter()
            .map(|(code, meaning)| ((*code).to_owned(), mapped(meaning)))
            .collect(),
        ..TokenResponse::default()
    }
}

#[test]
fn codes_of_vendors_for_an_ended_login_are_invalid_grant_on_a_refresh() {
    let provider = with_layout(TokenResponse::default());
    for (status, body) in [
        (
            400,
            r#"{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid"}"#,
        ),
        (200, r#"{"ok":false,"error":"invalid_refresh_token"}"#),
        (400, r#"{"error":"bad_refresh_token"}"#),
        (400, r#"{"error":"interaction_required"}"#),
        (401, r#"{"error":"login_required"}"#),
        (403, r#"{"error":"consent_required"}"#),
        (400, r#"{"error":{"code":"invalid_refresh_token"}}"#),
        (400, "error=invalid_refresh_token"),
    ] {
        assert_eq!(kind(&provider, status, body), "invalid_grant", "{body}");
    }
    let other = read(
        &fake::provider("http://127.0.0.1/"),
        Grant::ClientCredentials,
        400,
        None,
        br#"{"error":"login_required"}"#,
    );
    assert_eq!(other.unwrap_err().kind(), "rejected");
}

#[test]
fn a_status_beside_a_token_is_no_error() {
    let provider = with_layout(TokenResponse::default());
    let body = r#"{"access_token":"a","status":"approved","code":"x"}"#;
    assert_eq!(kind(&provider, 200, body), "ok");
}

#[test]
fn mapped_codes_have_the_meaning_that_the_map_gives() {
    let map = [
        ("token_dead", "invalid_grant"),
        ("10401", "invalid_client"),
        ("busy", "temporary"),
    ];
    let provider = with_layout(mapping("/response/errors/0/code", &map));
    let body = |code: &str| format!(r#"{{"response":{{"errors":[{{"code":{code}}}]}}}}"#);
    for (code, expected) in [
        ("\"token_dead\"", "invalid_grant"),
        ("10401", "invalid_client"),
        ("\"10401\"", "invalid_client"),
        ("\"busy\"", "temporary"),
        ("\"else\"", "rejected"),
    ] {
        for status in [200, 400, 401] {
            assert_eq!(
                kind(&provider, status, &body(code)),
                expected,
                "{status} {code}"
            );
        }
    }
    assert_eq!(
        kind(&provider, 400, r#"{"error":"invalid_scope"}"#),
        "invalid_scope"
    );
}

#[test]
fn a_temporary_error_is_no_refusal() {
    let provider = with_layout(mapping("/error", &[("invalid_request", "temporary")]));
    let error = refreshed(&provider, 400, None, br#"{"error":"invalid_request"}"#).unwrap_err();
    assert_eq!((error.refusal(), error.is_transient()), (None, true));
}

#[test]
fn a_success_satisfies_its_condition() {
    let condition = |pointer: &str, equals| {
        let mut layout = mapping(pointer, &[]);
        layout.success = Some(SuccessCondition {
            pointer: pointer.into(),
            equals,
        });
        with_layout(layout)
    };
    let ok = condition("/ok", json!(true));
    assert_eq!(kind(&ok, 200, r#"{"ok":true,"access_token":"a"}"#), "ok");
    assert_eq!(kind(&ok, 200, "ok=true&access_token=a"), "ok");
    for failed in [
        r#"{"ok":false,"access_token":"a"}"#,
        r#"{"access_token":"a"}"#,
        r#"{"ok":"no","access_token":"a"}"#,
    ] {
        assert_eq!(kind(&ok, 200, failed), "rejected", "{failed}");
    }
    let code = condition("/code", json!(0));
    assert_eq!(kind(&code, 200, r#"{"code":0,"access_token":"a"}"#), "ok");
    assert_eq!(
        kind(&code, 200, r#"{"code":503,"access_token":"a"}"#),
        "rejected"
    );
}

#[test]
fn an_iso_8859_1_response_is_read() {
    let body = b"{\"access_token\":\"a\",\"expires_in\":60,\"owner\":\"Jos\xE9\"}";
    for kind in [
        None,
        Some("application/json;charset=ISO-8859-1"),
        Some("application/json"),
    ] {
        let issued = response(200, kind, body).unwrap();
        assert_eq!(
            (issued.access_token.expose(), told(&issued).as_secs()),
            ("a", 60)
        );
    }
    let form = b"access_token=a&expires_in=60&owner=Jos\xE9";
    let kind = Some("application/x-www-form-urlencoded; charset=\"iso-8859-1\"");
    assert!(response(200, kind, form).is_ok());
    let utf16: Vec<u8> = "\u{FEFF}{\"access_token\":\"a\"}"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    assert!(response(200, None, &utf16).is_ok());
}

#[test]
fn a_description_goes_to_operators_without_our_secrets() {
    let provider = with_layout(TokenResponse::default());
    let text = format!("the-old-refresh-token of {} is\\nwrong", fake::CANARY);
    let body = format!(r#"{{"error":"invalid_grant","error_description":"{text}"}}"#);
    let error = refreshed(&provider, 400, None, body.as_bytes()).unwrap_err();
    assert_eq!(
        error.description_text(),
        Some("[redacted] of [redacted] is wrong")
    );
    assert!(!format!("{error} {error:?}").contains("wrong"));
}

#[test]
fn a_description_that_repeats_the_basic_credentials_is_shown_without_them() {
    let mut provider = with_layout(TokenResponse::default());
    provider.client_id = "id".into();
    provider.client_secret = Some(Arc::new(LiveSecret::fixed(Secret::new("s+t"))));
    for (encoding, credentials) in [
        (BasicEncoding::Rfc6749, "aWQ6cyUyQnQ="),
        (BasicEncoding::Raw, "aWQ6cyt0"),
    ] {
        provider.token_request.basic = encoding;
        let body = format!(
            r#"{{"error":"invalid_client","error_description":"no client Basic {credentials}"}}"#
        );
        let error = refreshed(&provider, 401, None, body.as_bytes()).unwrap_err();
        assert_eq!(error.description_text(), Some("no client Basic [redacted]"));
    }
}

fn with_base(append: &str) -> Provider {
    let mut provider = fake::with_consent("http://127.0.0.1/");
    provider.api_base = Some(ApiBase::Response {
        from: "/instance_url".into(),
        allow: HostList::new(["*.my.example.com", "127.0.0.1"]),
        append: append.into(),
    });
    provider
}

#[test]
fn the_api_base_is_taken_from_the_response_where_its_host_is_allowed() {
    for (told, append, base) in [
        (
            "https://acme.my.example.com",
            "/services",
            "https://acme.my.example.com/services",
        ),
        (
            "https://acme.my.example.com/",
            "/services",
            "https://acme.my.example.com/services",
        ),
        (
            "https://acme.my.example.com/x",
            "",
            "https://acme.my.example.com/x",
        ),
        ("acme.my.example.com", "", "https://acme.my.example.com/"),
        ("http://127.0.0.1:8080", "/v1", "http://127.0.0.1:8080/v1"),
    ] {
        let body = format!(r#"{{"access_token":"a","instance_url":"{told}"}}"#);
        let issued = refreshed(&with_base(append), 200, None, body.as_bytes()).unwrap();
        assert_eq!(issued.context.base.unwrap().as_str(), base);
    }
}

#[test]
fn an_api_base_of_another_host_is_refused_and_the_refresh_token_kept() {
    for told in [
        "\"https://evil.example\"",
        "\"https://my.example.com\"",
        "\"https://acme.my.example.com.evil.example\"",
        "\"https://acme.my.example.com@evil.example\"",
        "\"http://acme.my.example.com\"",
        "\"https://acme.my.example.com?x\"",
        "\"https://acme.my.example.com#x\"",
        "\"javascript:alert(1)\"",
        "\"\"",
        "7",
    ] {
        let body = format!(r#"{{"access_token":"a","refresh_token":"r2","instance_url":{told}}}"#);
        let error = refreshed(&with_base("/v1"), 200, None, body.as_bytes()).unwrap_err();
        assert_eq!(
            (error.kind(), error.refusal()),
            ("api_base", None),
            "{told}"
        );
        assert!(!error.to_string().contains("evil"), "{error}");
        assert_eq!(error.refresh_token(), Some(&Secret::new("r2")));
    }
}

#[test]
fn a_refresh_may_leave_the_api_base_out_and_a_login_may_not() {
    let (provider, body) = (with_base(""), br#"{"access_token":"a"}"#);
    let issued = refreshed(&provider, 200, None, body).unwrap();
    assert_eq!(issued.context.base, None);
    let code = Secret::new("c");
    let exchange = Grant::AuthorizationCode {
        code: &code,
        redirect_uri: None,
        code_verifier: None,
    };
    let error = read(&provider, exchange, 200, None, body).unwrap_err();
    assert_eq!(error.kind(), "api_base");
}

#[test]
fn a_code_that_cannot_be_shown_is_an_unknown_error() {
    let secret = format!("bad {}", fake::CANARY);
    for code in [
        "canary\\n",
        "ä",
        &"x".repeat(65),
        &secret,
        "the-old-refresh-token",
    ] {
        let body = format!(r#"{{"error":"{code}"}}"#);
        let provider = with_layout(TokenResponse::default());
        let error = refreshed(&provider, 400, None, body.as_bytes()).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("unknown_error") && !text.contains(code),
            "{text}"
        );
    }
}
