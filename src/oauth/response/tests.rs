//! Responses with and without a usable token.

use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::oauth::fake;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn response(
    status: u16,
    kind: Option<&'static str>,
    body: &[u8],
) -> Result<Issued, TokenRequestError> {
    let layout = fake::provider("http://127.0.0.1/").token_response;
    response_at(status, kind, body, &layout)
}

fn response_at(
    status: u16,
    kind: Option<&'static str>,
    body: &[u8],
    layout: &TokenResponse,
) -> Result<Issued, TokenRequestError> {
    let mut headers = HeaderMap::new();
    if let Some(kind) = kind {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    read_token(
        StatusCode::from_u16(status).unwrap(),
        &headers,
        body,
        layout,
        true,
        NOW,
    )
}

fn fault(status: u16, body: &str) -> Fault {
    response(status, None, body.as_bytes())
        .unwrap_err()
        .fault()
        .clone()
}

fn seconds(body: &str) -> f64 {
    response(200, None, body.as_bytes())
        .unwrap()
        .lifetime
        .as_secs_f64()
}

#[test]
fn an_ordinary_response_holds_its_token() {
    let body = br#"{"access_token":"abc","token_type":"Bearer","expires_in":3600,"scope":"x","refresh_token":"r"}"#;
    for status in [200, 201] {
        let issued = response(status, Some("application/json"), body).unwrap();
        assert_eq!(issued.access_token.expose(), "abc");
        assert_eq!(issued.lifetime, Duration::from_secs(3600));
    }
}

#[test]
fn a_valid_refresh_token_is_returned() {
    let read = |body: &str| response(200, None, body.as_bytes()).map(|issued| issued.refresh_token);
    let with = |member: &str| format!(r#"{{"access_token":"abc","refresh_token":{member}}}"#);
    assert_eq!(read(&with("\"r e\"")), Ok(Some(Secret::new("r e"))));
    assert_eq!(
        read("access_token=abc&refresh_token=r"),
        Ok(Some(Secret::new("r")))
    );
    for none in ["null", "\"\""] {
        assert_eq!(read(&with(none)), Ok(None), "{none}");
    }
    assert_eq!(read(r#"{"access_token":"abc"}"#), Ok(None));
    let long = format!("\"{}\"", "r".repeat(MAX_REFRESH_TOKEN_BYTES));
    assert!(read(&with(&long)).is_ok_and(|token| token.is_some()));
    let too_long = format!("\"{}\"", "r".repeat(MAX_REFRESH_TOKEN_BYTES + 1));
    for bad in ["7", "{}", "\"a\\nb\"", "\"\\u0000\"", "\"ä\"", &too_long] {
        let error = read(&with(bad)).unwrap_err();
        assert!(
            matches!(error.fault(), Fault::NotAToken(why) if why.contains("refresh token")),
            "{bad}"
        );
    }

    let mut layout = fake::provider("http://127.0.0.1/").token_response;
    layout.refresh_token = "/data/next".into();
    let body = br#"{"access_token":"abc","refresh_token":"no","data":{"next":"r"}}"#;
    assert_eq!(
        response_at(200, None, body, &layout).unwrap().refresh_token,
        Some(Secret::new("r"))
    );
}

#[test]
fn client_credentials_ignore_a_refresh_token() {
    let layout = fake::provider("http://127.0.0.1/").token_response;
    for member in ["\"r\"", "7", "\"\\n\""] {
        let body = format!(r#"{{"access_token":"abc","refresh_token":{member}}}"#);
        let issued = read_token(
            StatusCode::OK,
            &HeaderMap::new(),
            body.as_bytes(),
            &layout,
            false,
            NOW,
        )
        .unwrap();
        assert_eq!(issued.refresh_token, None);
    }
}

#[test]
fn a_lifetime_may_be_written_in_many_ways() {
    for (written, read) in [
        ("60", 60.0),
        ("60.5", 60.5),
        ("\"60\"", 60.0),
        ("\" 60.5 \"", 60.5),
        ("0", 1.0),
        ("-5", 1.0),
        ("1e9", 86400.0),
        ("99999999999999999999999", 86400.0),
        ("null", 300.0),
        ("true", 300.0),
        ("\"soon\"", 300.0),
        ("\"inf\"", 300.0),
        ("\"NaN\"", 300.0),
        ("\"\"", 300.0),
        ("[60]", 300.0),
        ("{}", 300.0),
    ] {
        let body = format!(r#"{{"access_token":"a","expires_in":{written}}}"#);
        assert_eq!(seconds(&body), read, "{written}");
    }
    assert_eq!(seconds(r#"{"access_token":"a"}"#), 300.0);
}

#[test]
fn a_number_beyond_a_float_costs_only_itself() {
    for written in ["1e999", "-1E+999", "[1e400, {\"x\": 2e999}]"] {
        let body = format!(
            r#"{{"access_token":"a\"1e999","expires_in":{written},"refresh_token":"r 1e999,"}}"#
        );
        let issued = response(200, None, body.as_bytes()).unwrap();
        assert_eq!(issued.access_token.expose(), "a\"1e999", "{written}");
        assert_eq!(
            issued.refresh_token.unwrap().expose(),
            "r 1e999,",
            "{written}"
        );
        assert_eq!(issued.lifetime, DEFAULT_LIFETIME, "{written}");
    }
    assert!(
        response(200, None, br#"{"access_token":"a","expires_in":1e999"#).is_err(),
        "what is broken stays so"
    );
}

#[test]
fn the_configured_lifetime_stands_in_for_a_missing_one() {
    let mut layout = fake::provider("http://127.0.0.1/").token_response;
    layout.default_lifetime = Some(Lifetime::For(Duration::from_secs(3600)));
    let missing = response_at(200, None, br#"{"access_token":"a"}"#, &layout).unwrap();
    assert_eq!(missing.lifetime, Duration::from_secs(3600));
    let given = response_at(
        200,
        None,
        br#"{"access_token":"a","expires_in":60}"#,
        &layout,
    )
    .unwrap();
    assert_eq!(given.lifetime, Duration::from_secs(60));
}

#[test]
fn only_bearer_tokens_are_accepted() {
    for good in [r#""bearer""#, r#""BEARER""#, "null"] {
        assert!(
            response(
                200,
                None,
                format!(r#"{{"access_token":"a","token_type":{good}}}"#).as_bytes()
            )
            .is_ok()
        );
    }
    for bad in [r#""mac""#, r#""DPoP""#, r#""""#, "7", "{}"] {
        let body = format!(r#"{{"access_token":"a","token_type":{bad}}}"#);
        assert_eq!(
            fault(200, &body),
            Fault::NotAToken("its token_type is not Bearer"),
            "{bad}"
        );
    }
}

#[test]
fn pointers_select_the_members() {
    let mut layout = fake::provider("http://127.0.0.1/").token_response;
    layout.access_token = "/data/tokens/0/value".into();
    layout.expires_in = "/data/ttl".into();
    let body = br#"{"data":{"tokens":[{"value":"abc","token_type":"bearer"}],"ttl":"90"}}"#;
    let issued = response_at(200, None, body, &layout).unwrap();
    assert_eq!(
        (issued.access_token.expose(), issued.lifetime.as_secs()),
        ("abc", 90)
    );
    let other_type = br#"{"data":{"tokens":[{"value":"abc","token_type":"mac"}]}}"#;
    assert!(response_at(200, None, other_type, &layout).is_err());
}

#[test]
fn a_form_is_read_as_a_response() {
    let body = b"access_token=a%2Bb&token_type=bearer&expires_in=60";
    for kind in [
        Some("application/x-www-form-urlencoded; charset=utf-8"),
        Some("text/plain"),
        None,
    ] {
        let issued = response(200, kind, body).unwrap();
        assert_eq!(
            (issued.access_token.expose(), issued.lifetime.as_secs()),
            ("a+b", 60)
        );
    }
    let error = response(200, None, b"error=invalid_client&error_description=x").unwrap_err();
    assert_eq!(error.refusal(), Some(TokenRefusal::InvalidClient));
}

#[test]
fn a_response_without_a_usable_token_is_refused() {
    for body in [
        "",
        "null",
        "[]",
        "\"abc\"",
        "{}",
        "abc",
        r#"{"access_token":""}"#,
        r#"{"access_token":null}"#,
        r#"{"access_token":7}"#,
        r#"{"access_token":{"a":1}}"#,
        r#"{"access_token":"a b"}"#,
        r#"{"access_token":"a\r\nx: y"}"#,
        r#"{"access_token":"ä"}"#,
        r#"{"access_token":"a\u0000"}"#,
        r#"{"access_token":"a"#,
        "<html><a href=\"?access_token=abc&x=y\">sign in</a></html>",
        "<!doctype html>access_token=abc",
    ] {
        assert!(matches!(fault(200, body), Fault::NotAToken(_)), "{body:?}");
        let page = response(200, Some("text/html"), body.as_bytes()).unwrap_err();
        assert_eq!(page.kind(), "not_a_token", "{body:?}");
    }
}

#[test]
fn an_error_of_the_rfc_refuses_the_client() {
    for code in [
        "invalid_client",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "invalid_grant",
    ] {
        let body =
            format!(r#"{{"error":"{code}","error_description":"canary","access_token":"a"}}"#);
        for status in [200, 400, 401, 403] {
            let error = response(status, None, body.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), code);
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }
}

#[test]
fn a_client_error_without_such_an_error_is_the_servers_fault() {
    for body in [
        "",
        "<html>",
        r#"{"message":"canary"}"#,
        r#"{"error":{"code":"canary"}}"#,
        "{\"error\":\"canary\n\"}",
    ] {
        let error = response(401, None, body.as_bytes()).unwrap_err();
        assert_eq!(
            error.fault(),
            &Fault::Rejected {
                status: 401,
                code: None
            },
            "{body:?}"
        );
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
    let error = response(400, None, br#"{"error":"slow_down"}"#).unwrap_err();
    assert_eq!((error.refusal(), error.is_transient()), (None, true));
    assert!(error.to_string().contains("slow_down"));
}

#[test]
fn an_empty_error_beside_a_token_is_ignored() {
    for none in ["null", "\"\"", "false"] {
        assert!(
            response(
                200,
                None,
                format!(r#"{{"access_token":"a","error":{none}}}"#).as_bytes()
            )
            .is_ok()
        );
    }
}

#[test]
fn server_errors_limits_and_redirects_have_distinct_faults() {
    let refusal = r#"{"error":"invalid_client"}"#;
    assert_eq!(fault(429, refusal), Fault::Limited);
    assert_eq!(fault(500, refusal), Fault::Server(500));
    assert_eq!(fault(302, refusal), Fault::Redirect(302));
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let layout = fake::provider("http://127.0.0.1/").token_response;
    for (text, expected) in [
        ("7", Some(7)),
        (" 7 ", Some(7)),
        ("99999999999999999999999999", Some(u64::from(u32::MAX))),
        ("Thu, 01 Jan 1970 00:01:30 GMT", Some(90)),
        ("-1", None),
        ("soon", None),
        ("", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
        let error = read_token(
            StatusCode::SERVICE_UNAVAILABLE,
            &headers,
            b"",
            &layout,
            true,
            NOW,
        )
        .unwrap_err();
        assert_eq!(
            error.retry_after(),
            expected.map(Duration::from_secs),
            "{text:?}"
        );
    }
}

proptest! {
    #[test]
    fn whatever_comes_nothing_but_a_sendable_token_gets_through(
        status in 100u16..600, body in prop::collection::vec(any::<u8>(), 0..200)
    ) {
        if let Ok(issued) = response(status, None, &body) {
            prop_assert!((200..300).contains(&status));
            prop_assert!(HeaderValue::from_str(issued.access_token.expose()).is_ok());
            prop_assert!((MIN_LIFETIME..=MAX_LIFETIME).contains(&issued.lifetime));
        }
    }

    #[test]
    fn any_token_is_read_whole_or_refused(token in "\\PC{0,40}", expires_in in any::<f64>()) {
        let body = serde_json::json!({"access_token": token, "expires_in": expires_in}).to_string();
        let sendable = !token.is_empty() && token.bytes().all(|byte| (0x21..=0x7E).contains(&byte));
        match response(200, None, body.as_bytes()) {
            Ok(issued) => {
                prop_assert!(sendable);
                prop_assert_eq!(issued.access_token.expose(), token);
                prop_assert!((MIN_LIFETIME..=MAX_LIFETIME).contains(&issued.lifetime));
            }
            Err(_) => prop_assert!(!sendable),
        }
    }

    #[test]
    fn an_error_shows_only_its_code(description in "[a-z]{12,30}", code in "\\PC{0,80}") {
        let body = serde_json::json!({"error": code, "error_description": description, "x": description}).to_string();
        if let Err(error) = response(400, None, body.as_bytes()) {
            let shown = format!("{error} {error:?}");
            prop_assert!(!shown.contains(&description) || code.contains(&description));
            prop_assert!(error.to_string().len() < 160);
        }
    }
}
