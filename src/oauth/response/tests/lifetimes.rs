//! Lifetimes as servers write them, and the defaults where they write none.

use super::*;
use crate::oauth::provider::{ExpiresInUnit, SignIn};

/// 2026-11-28T20:00:00Z.
const WALL: u64 = 1_795_896_000;

fn read_at_wall(layout: &TokenResponse, body: &str) -> Issued {
    let provider = with_layout(layout.clone());
    let refresh_token = Secret::new("r");
    let grant = Grant::RefreshToken {
        refresh_token: &refresh_token,
    };
    let sent = RequestTime {
        boot: NOW.boot,
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(WALL),
    };
    let headers = HeaderMap::new();
    read_token(
        StatusCode::OK,
        &headers,
        body.as_bytes(),
        &provider,
        grant,
        sent,
    )
    .unwrap()
}

fn exchanged(provider: &Provider, body: &str) -> Issued {
    let code = Secret::new("c");
    let grant = Grant::AuthorizationCode {
        code: &code,
        redirect_uri: None,
        code_verifier: None,
    };
    read(provider, grant, 200, None, body.as_bytes()).unwrap()
}

#[test]
fn a_lifetime_is_counted_from_the_request_and_may_be_in_milliseconds() {
    let layout = TokenResponse {
        expires_in_unit: ExpiresInUnit::Milliseconds,
        ..TokenResponse::default()
    };
    let issued = read_at_wall(&layout, r#"{"access_token":"a","expires_in":"7200000"}"#);
    assert_eq!(told(&issued), Duration::from_secs(7200));
    assert_eq!(issued.requested_at, NOW.boot);
}

#[test]
fn an_absolute_expiry_is_rfc_3339_or_seconds_or_milliseconds() {
    let layout = TokenResponse {
        expires_at: Some("/expires_at".into()),
        ..TokenResponse::default()
    };
    for written in [
        r#""2026-11-28T21:00:00Z""#,
        r#""2026-11-28T22:00:00+01:00""#,
        r#""2026-11-28 21:00:00Z""#,
        r#""2026-11-28T21:00:00.000""#,
        "1795899600",
        r#""1795899600""#,
        "1795899600.0",
        "1795899600000",
    ] {
        let body = format!(r#"{{"access_token":"a","expires_at":{written},"expires_in":60}}"#);
        let issued = read_at_wall(&layout, &body);
        assert_eq!(told(&issued).as_secs(), 3600, "{written}");
    }
    for senseless in ["null", "0", "\"soon\"", "1795890000", "true"] {
        let body = format!(r#"{{"access_token":"a","expires_at":{senseless},"expires_in":60}}"#);
        let issued = read_at_wall(&layout, &body);
        assert_eq!(told(&issued).as_secs(), 60, "{senseless}");
    }
}

#[test]
fn without_a_lifetime_a_token_is_good_for_five_minutes_if_another_can_be_had_and_else_for_ever() {
    for none in [
        "",
        r#","expires_in":0"#,
        r#","expires_in":-1"#,
        r#","expires_in":"0""#,
    ] {
        let body = format!(r#"{{"access_token":"a"{none}}}"#);
        let mut provider = fake::with_consent("http://127.0.0.1/");
        assert_eq!(
            exchanged(&provider, &body).lifetime,
            Lifetime::Never,
            "{none}"
        );

        let renewable = format!(r#"{{"access_token":"a","refresh_token":"r"{none}}}"#);
        assert_eq!(told(&exchanged(&provider, &renewable)), DEFAULT_LIFETIME);
        let refreshed = refreshed(&provider, 200, None, body.as_bytes()).unwrap();
        assert_eq!(told(&refreshed), DEFAULT_LIFETIME);

        provider.sign_in = Some(SignIn {
            endpoint: "http://127.0.0.1/sign-in".parse().unwrap(),
            email: "a@b.example".into(),
            password: std::sync::Arc::new(crate::secret::LiveSecret::fixed(Secret::new("pw"))),
            encoding: SignIn::DEFAULT_ENCODING,
            state_length: SignIn::DEFAULT_STATE_LENGTH,
        });
        assert_eq!(told(&exchanged(&provider, &body)), DEFAULT_LIFETIME);

        let client = fake::provider("http://127.0.0.1/");
        let issued = read(
            &client,
            Grant::ClientCredentials,
            200,
            None,
            body.as_bytes(),
        );
        assert_eq!(told(&issued.unwrap()), DEFAULT_LIFETIME);
    }
}

#[test]
fn the_configured_default_may_be_long_or_never() {
    for configured in [
        Lifetime::For(Duration::from_secs(90 * 24 * 3600)),
        Lifetime::Never,
    ] {
        let layout = TokenResponse {
            default_lifetime: Some(configured),
            ..TokenResponse::default()
        };
        for none in ["", r#","expires_in":0"#] {
            let body = format!(r#"{{"access_token":"a"{none}}}"#);
            let issued = response_at(200, None, body.as_bytes(), &layout).unwrap();
            assert_eq!(issued.lifetime, configured, "{none}");
        }
    }
}

#[test]
fn a_refresh_tokens_lifetime_is_read_and_zero_is_unknown() {
    let layout = TokenResponse {
        refresh_expires_in: Some("/x_refresh_token_expires_in".into()),
        ..TokenResponse::default()
    };
    for (written, seconds) in [
        ("8726400", Some(8_726_400)),
        ("\"1800\"", Some(1800)),
        ("\"2026-11-28T21:00:00Z\"", Some(3600)),
        ("0", None),
        ("null", None),
        ("-1", None),
    ] {
        let body = format!(r#"{{"access_token":"a","x_refresh_token_expires_in":{written}}}"#);
        let issued = read_at_wall(&layout, &body);
        assert_eq!(
            issued.refresh_lifetime,
            seconds.map(Duration::from_secs),
            "{written}"
        );
    }
}
