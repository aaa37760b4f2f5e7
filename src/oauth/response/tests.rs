//! Responses with and without a usable token.

mod errors;
mod lifetimes;

use http::{HeaderValue, header::CONTENT_TYPE};
use proptest::prelude::*;

use super::*;
use crate::oauth::{error::TokenRefusal, fake};

const NOW: RequestTime = RequestTime {
    boot: BootInstant::from_boot(Duration::from_secs(7)),
    wall: SystemTime::UNIX_EPOCH,
};

/// A provider that lives on refresh tokens, with this layout.
fn with_layout(layout: TokenResponse) -> Provider {
    Provider {
        token_response: layout,
        ..fake::with_consent("http://127.0.0.1/")
    }
}

/// Reads the response to a refresh.
fn refreshed(
    provider: &Provider,
    status: u16,
    kind: Option<&'static str>,
    body: &[u8],
) -> Result<Issued, TokenRequestError> {
    let refresh_token = Secret::new("the-old-refresh-token");
    let grant = Grant::RefreshToken {
        refresh_token: &refresh_token,
    };
    read(provider, grant, status, kind, body)
}

fn read(
    provider: &Provider,
    grant: Grant<'_>,
    status: u16,
    kind: Option<&'static str>,
    body: &[u8],
) -> Result<Issued, TokenRequestError> {
    let mut headers = HeaderMap::new();
    if let Some(kind) = kind {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    let status = StatusCode::from_u16(status).unwrap();
    read_token(status, &headers, body, provider, grant, NOW)
}

fn told(issued: &Issued) -> Duration {
    match issued.lifetime {
        Lifetime::For(lifetime) => lifetime,
        Lifetime::Never => panic!("it never expires"),
    }
}

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
    refreshed(&with_layout(layout.clone()), status, kind, body)
}

fn fault(status: u16, body: &str) -> Fault {
    response(status, None, body.as_bytes())
        .unwrap_err()
        .fault()
        .clone()
}

fn seconds(body: &str) -> f64 {
    told(&response(200, None, body.as_bytes()).unwrap()).as_secs_f64()
}

#[test]
fn an_ordinary_response_holds_its_token() {
    let body = br#"{"access_token":"abc","token_type":"Bearer","expires_in":3600,"scope":"x","refresh_token":"r"}"#;
    for status in [200, 201] {
        let issued = response(status, Some("application/json"), body).unwrap();
        assert_eq!(issued.access_token.expose(), "abc");
        assert_eq!(told(&issued), Duration::from_secs(3600));
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
fn grants_without_a_login_ignore_a_refresh_token() {
    let provider = fake::provider("http://127.0.0.1/");
    let grants = [
        Grant::ClientCredentials,
        Grant::JwtBearer,
        Grant::Password,
        Grant::Other("account_credentials"),
    ];
    for member in ["\"r\"", "7", "\"\\n\""] {
        let body = format!(r#"{{"access_token":"abc","refresh_token":{member}}}"#);
        for grant in grants {
            let issued = read(&provider, grant, 200, None, body.as_bytes()).unwrap();
            assert_eq!(issued.refresh_token, None);
        }
    }
}

#[test]
fn a_lifetime_may_be_written_in_many_ways() {
    for (written, read) in [
        ("60", 60.0),
        ("60.5", 60.5),
        ("\"60\"", 60.0),
        ("\" 60.5 \"", 60.5),
        ("0.5", 1.0),
        ("7776000", 7_776_000.0),
        ("1e9", 1e9),
        ("0", 300.0),
        ("\"0\"", 300.0),
        ("-1", 300.0),
        ("\"-1\"", 300.0),
        ("99999999999999999999999", 300.0),
        ("1e30", 300.0),
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
            issued.refresh_token.as_ref().unwrap().expose(),
            "r 1e999,",
            "{written}"
        );
        assert_eq!(told(&issued), DEFAULT_LIFETIME, "{written}");
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
    assert_eq!(told(&missing), Duration::from_secs(3600));
    let given = response_at(
        200,
        None,
        br#"{"access_token":"a","expires_in":60}"#,
        &layout,
    )
    .unwrap();
    assert_eq!(told(&given), Duration::from_secs(60));
}

#[test]
fn every_type_is_accepted_but_those_that_need_a_proof_of_possession() {
    let with_type = |kind: &str| format!(r#"{{"access_token":"a","token_type":{kind}}}"#);
    for good in [
        r#""bearer""#,
        r#""BEARER""#,
        r#""Application Access Token""#,
        r#""BearerToken""#,
        r#""jwt-bearer""#,
        r#""bot""#,
        r#""""#,
        "null",
        "7",
        "{}",
    ] {
        assert!(
            response(200, None, with_type(good).as_bytes()).is_ok(),
            "{good}"
        );
    }
    for bad in [r#""mac""#, r#""DPoP""#, r#""PoP""#] {
        let fault = fault(200, &with_type(bad));
        assert!(
            matches!(fault, Fault::NotAToken(why) if why.contains("proof of possession")),
            "{bad}"
        );
    }
}

#[test]
fn the_type_beside_a_nested_token_is_its_own() {
    let mut layout = TokenResponse {
        access_token: "/authed_user/access_token".into(),
        ..TokenResponse::default()
    };
    let read = |layout: &TokenResponse, own: &str| {
        let body = format!(
            r#"{{"ok":true,"token_type":"bot","authed_user":{{"access_token":"u","token_type":"{own}"}}}}"#
        );
        response_at(200, None, body.as_bytes(), layout)
    };
    assert!(read(&layout, "user").is_ok());
    assert!(read(&layout, "dpop").is_err());
    layout.token_types = TokenTypes::Only(vec!["User".into()]);
    assert!(read(&layout, "user").is_ok());
    assert!(read(&layout, "bot").is_err());
}

#[test]
fn configured_types_narrow_those_that_are_accepted() {
    let layout = TokenResponse {
        token_types: TokenTypes::Only(vec!["bearer".into(), "dpop".into()]),
        ..TokenResponse::default()
    };
    let read = |kind: &str| {
        let body = format!(r#"{{"access_token":"a"{kind}}}"#);
        response_at(200, None, body.as_bytes(), &layout)
    };
    assert!(read(r#","token_type":"Bearer""#).is_ok() && read("").is_ok());
    for bad in [r#","token_type":"bot""#, r#","token_type":"dpop""#] {
        assert!(read(bad).is_err(), "{bad}");
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
        (issued.access_token.expose(), told(&issued).as_secs()),
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
            (issued.access_token.expose(), told(&issued).as_secs()),
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
    let provider = fake::provider("http://127.0.0.1/");
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
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let grant = Grant::ClientCredentials;
        let error = read_token(status, &headers, b"", &provider, grant, NOW).unwrap_err();
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
            prop_assert!((MIN_LIFETIME..=MAX_LIFETIME).contains(&told(&issued)));
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
                prop_assert!((MIN_LIFETIME..=MAX_LIFETIME).contains(&told(&issued)));
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
