//! The authorization request and its callback.

use std::{collections::HashSet, sync::Arc};

use proptest::prelude::*;
use url::form_urlencoded;

use super::*;
use crate::{
    oauth::{
        error::{ErrorCode, ErrorDescription},
        fake,
        provider::{Capture, CaptureSource, HostList, ParameterValue},
        template::Template,
    },
    secret::LiveSecret,
};

/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn provider() -> Provider {
    fake::with_consent("https://as.example/token")
}

fn attempt() -> Attempt {
    Attempt {
        state: Secret::new("right"),
        code_verifier: Some(Secret::new(VERIFIER)),
        redirect_uri: Some("http://127.0.0.1:9900/callback".parse().unwrap()),
        redirect_uri_value: None,
    }
}

/// The code alone.
fn code(code: &str) -> Authorized {
    Authorized {
        code: Secret::new(code),
        captured: Captured::new(),
    }
}

fn pairs(url: &Url) -> Vec<String> {
    url.query_pairs()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

#[test]
fn the_authorization_request_has_every_parameter_once() {
    let mut provider = provider();
    provider.scope = Some("a b".into());
    let authorization = provider.authorization.as_mut().unwrap();
    authorization.endpoint = Some("https://as.example/authorize?tenant=7".parse().unwrap());
    authorization
        .params
        .insert("access_type".into(), fake::text("offline"));
    let url = attempt().url(&provider).unwrap();
    assert!(
        url.as_str()
            .starts_with("https://as.example/authorize?tenant=7&response_type=code&"),
        "{url}"
    );
    assert_eq!(
        pairs(&url)[1..],
        [
            "response_type=code",
            "client_id=client",
            "redirect_uri=http://127.0.0.1:9900/callback",
            "scope=a b",
            "state=right",
            &format!("code_challenge={CHALLENGE}"),
            "code_challenge_method=S256",
            "access_type=offline",
        ]
    );
    assert!(!url.as_str().contains(VERIFIER));
}

#[test]
fn the_redirect_uri_is_sent_unchanged() {
    for text in [
        "https://App.Example.com",
        "http://127.0.0.1:80/callback",
        "https://a.example/x/../cb",
        "myapp://callback",
    ] {
        let attempt = Attempt {
            redirect_uri: Some(text.parse().unwrap()),
            ..attempt()
        };
        let url = attempt.url(&provider()).unwrap();
        assert!(
            pairs(&url).contains(&format!("redirect_uri={text}")),
            "{url}"
        );
        let code = Secret::new("c");
        let Grant::AuthorizationCode { redirect_uri, .. } = attempt.grant(&code) else {
            panic!("another grant")
        };
        assert_eq!(
            redirect_uri,
            Some(text),
            "the server compares the two (RFC 6749 §4.1.3)"
        );
    }
}

#[test]
fn without_pkce_there_is_neither_challenge_nor_verifier() {
    let mut provider = provider();
    provider.authorization.as_mut().unwrap().pkce = false;
    let attempt = Attempt::new(&provider, None).unwrap();
    let url = attempt.url(&provider).unwrap();
    assert_eq!(
        pairs(&url),
        [
            "response_type=code",
            "client_id=client",
            &format!("state={}", attempt.state.expose())
        ]
    );
    let code = Secret::new("c");
    assert_eq!(
        attempt.grant(&code),
        Grant::AuthorizationCode {
            code: &code,
            redirect_uri: None,
            code_verifier: None
        }
    );
}

#[test]
fn without_an_authorization_endpoint_there_is_no_url() {
    let mut provider = provider();
    provider.authorization.as_mut().unwrap().endpoint = None;
    let error = attempt().url(&provider).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("`[providers.fake] authorization_endpoint` cannot be called"),
        "{text}"
    );
}

#[test]
fn no_two_attempts_share_a_secret() {
    let provider = provider();
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let attempt = Attempt::new(&provider, None).unwrap();
        for secret in [&attempt.state, attempt.code_verifier.as_ref().unwrap()] {
            assert!(seen.insert(secret.expose().to_owned()));
            assert_eq!(secret.expose().len(), 43);
            assert!(
                secret
                    .expose()
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            );
        }
    }
    for characters in 8..=128 {
        let attempt = Attempt::with_state_length(&provider, None, characters).unwrap();
        assert_eq!(attempt.state.expose().len(), characters);
    }
}

#[test]
fn debug_shows_neither_state_nor_verifier() {
    let shown = format!("{:?}", attempt());
    assert!(!shown.contains("right") && !shown.contains(VERIFIER));
}

#[test]
fn the_code_is_read_from_the_callback_of_this_attempt_alone() {
    let provider = provider();
    let read = |query: &str| attempt().read_callback(&provider, query);
    assert_eq!(
        read("code=a%2Fb+c&state=right&session_state=x"),
        Ok(code("a/b c"))
    );
    for forged in [
        "",
        "code=c",
        "code=c&state=",
        "code=c&state=wrong",
        "code=c&state=righ",
        "code=c&state=right%00",
    ] {
        assert_eq!(read(forged), Err(CallbackError::State), "{forged}");
    }
    // Not even an error of it is believed.
    assert_eq!(
        read("error=access_denied&error_description=call+me&state=wrong"),
        Err(CallbackError::State)
    );
}

#[test]
fn a_parameter_that_comes_twice_is_refused() {
    let provider = provider();
    for twice in [
        "code=c&state=right&code=d",
        "state=wrong&code=c&state=right",
        "code=c&state=right&c%6Fde=c",
    ] {
        assert_eq!(
            attempt().read_callback(&provider, twice),
            Err(CallbackError::Repeated),
            "{twice}"
        );
    }
}

#[test]
fn the_issuer_is_compared_in_full_where_it_is_known() {
    let mut provider = provider();
    provider.issuer = Some("https://api.example.com/realms/x".into());
    let read = |issuer: &str| {
        attempt().read_callback(&provider, &format!("code=c&state=right&iss={issuer}"))
    };
    for ours in ["https%3A%2F%2Fapi.example.com%2Frealms%2Fx", ""] {
        assert!(read(ours).is_ok(), "{ours}");
    }
    for other in [
        "https://evil.example",
        "https://api.example.com",
        "https://api.example.com/realms/y",
        "https://api.example.com/realms/x/",
        "http://api.example.com/realms/x",
        "https://as.example",
    ] {
        assert_eq!(read(other), Err(CallbackError::Issuer), "{other}");
    }
}

#[test]
fn the_issuer_is_not_compared_where_it_is_not_known() {
    // RFC 9207: the issuer may have another origin than both endpoints.
    let provider = provider();
    let query = "code=c&state=right&iss=https%3A%2F%2Fapi.example.com";
    assert_eq!(attempt().read_callback(&provider, query), Ok(code("c")));
}

#[test]
fn the_consent_has_lists_secrets_and_names_of_the_vendors_own() {
    let mut provider = provider();
    provider.scope = Some("a".into());
    let settings = provider.authorization.as_mut().unwrap();
    let resources = ["https://a", "https://b"].map(|text| Template::parse(text).unwrap());
    let secret = Arc::new(LiveSecret::fixed(Secret::new("s")));
    settings.params = [
        (
            "resource".to_owned(),
            ParameterValue::List(resources.into()),
        ),
        ("key".to_owned(), ParameterValue::Secret(secret)),
        ("nonce".to_owned(), fake::text("{client_id}")),
    ]
    .into();
    settings.rename = [("client_id".to_owned(), "client_key".to_owned())].into();
    settings.omit = vec!["scope".into(), "code_challenge_method".into()];
    assert_eq!(
        pairs(&attempt().url(&provider).unwrap()),
        [
            "response_type=code",
            "client_key=client",
            "redirect_uri=http://127.0.0.1:9900/callback",
            "state=right",
            &format!("code_challenge={CHALLENGE}"),
            "key=s",
            "nonce=client",
            "resource=https://a",
            "resource=https://b",
        ]
    );
}

#[test]
fn a_name_is_sent_instead_of_the_address_of_the_callback() {
    let mut provider = provider();
    let settings = provider.authorization.as_mut().unwrap();
    settings.redirect_uri_value = Some("Acme-PRD-1".into());
    settings.params = [("back".to_owned(), fake::text("{redirect_uri}"))].into();
    let uri = settings.redirect_uri.clone().unwrap();
    let attempt = Attempt::new(&provider, Some(&uri)).unwrap();
    let sent = pairs(&attempt.url(&provider).unwrap());
    for parameter in ["redirect_uri=Acme-PRD-1", "back=Acme-PRD-1"] {
        assert!(sent.contains(&parameter.to_owned()), "{sent:?}");
    }
    let code = Secret::new("c");
    let Grant::AuthorizationCode { redirect_uri, .. } = attempt.grant(&code) else {
        unreachable!()
    };
    assert_eq!(redirect_uri, Some("Acme-PRD-1"));
    assert_eq!(attempt.redirect_uri(), Some(&uri), "the listener stays");
}

#[test]
fn a_consent_with_a_missing_variable_is_not_started() {
    let mut provider = provider();
    let settings = provider.authorization.as_mut().unwrap();
    settings.params = [("realm".to_owned(), fake::text("{realm}"))].into();
    let error = attempt().url(&provider).unwrap_err();
    assert!(error.to_string().contains("variable `realm`"), "{error}");
}

#[test]
fn parameters_of_the_callback_are_captured() {
    let mut provider = provider();
    provider.captures = vec![Capture {
        name: "realm_id".into(),
        source: CaptureSource::Callback("realmId".into()),
        allow: HostList::default(),
    }];
    let read = |query: &str| attempt().read_callback(&provider, query);
    let authorized = read("code=c&state=right&realmId=4711").unwrap();
    assert_eq!(authorized.captured["realm_id"], "4711");
    for without in [
        "code=c&state=right",
        "code=c&state=right&realmId=",
        "code=c&state=right&realmId=a%0Ab",
    ] {
        let error = read(without).unwrap_err();
        assert!(error.to_string().contains("`capture.realm_id`"), "{error}");
    }
    let pasted = attempt().read_pasted(&provider, "c").unwrap_err();
    assert!(pasted.to_string().contains("the whole address"), "{pasted}");
}

#[test]
fn a_denial_is_reported_with_its_code_alone() {
    let provider = provider();
    let read = |query: &str| attempt().read_callback(&provider, query).unwrap_err();
    let denied = read("error=access_denied&error_description=not+today&state=right");
    assert_eq!(
        denied,
        CallbackError::Denied {
            code: ErrorCode::parse("access_denied"),
            description: ErrorDescription::new("not today", &[])
        }
    );
    let expected = "the authorization server refused the login with the error \"access_denied\"";
    assert_eq!(
        denied.to_string(),
        expected,
        "the server's own words are for a page, and not for a log"
    );
    let long = format!("error={}&state=right", "a".repeat(1000));
    let rude = "error=a%0Ab&error_description=%1B%0A&state=right&code=c";
    for unspeakable in [&long, rude] {
        assert_eq!(
            read(unspeakable),
            CallbackError::Denied {
                code: None,
                description: None
            }
        );
    }
}

#[test]
fn the_description_of_a_denial_is_printable_bounded_and_without_secrets() {
    let mut provider = provider();
    provider.client_secret = Some(Arc::new(LiveSecret::fixed(Secret::new("canary-secret"))));
    let described = |text: &str| {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("error", "access_denied")
            .append_pair("error_description", text)
            .append_pair("state", "right")
            .finish();
        let error = attempt().read_callback(&provider, &query).unwrap_err();
        error.description().map(|text| text.as_str().to_owned())
    };
    assert_eq!(
        described("Zugriff \"für\"\n dich\u{202e}").as_deref(),
        Some("Zugriff \"für\"  dich")
    );
    assert_eq!(described(&"ä".repeat(400)).unwrap().chars().count(), 300);
    assert_eq!(
        described(&format!("canary-secret of right with {VERIFIER}")).as_deref(),
        Some("[redacted] of [redacted] with [redacted]")
    );
    let denied = attempt().read_callback(&provider, "error=canary-secret&state=right");
    assert!(!denied.unwrap_err().to_string().contains("canary"));
}

#[test]
fn the_code_may_have_another_name() {
    let mut provider = provider();
    provider.authorization.as_mut().unwrap().code_parameter = "authorization_code".into();
    let read = |query: &str| attempt().read_callback(&provider, query);
    assert_eq!(read("authorization_code=c&state=right"), Ok(code("c")));
    assert_eq!(read("code=c&state=right"), Ok(code("c")));
    assert_eq!(
        read("code=d&authorization_code=c&state=right"),
        Ok(code("c"))
    );
    assert_eq!(read("state=right&code="), Err(CallbackError::NoCode));
}

#[test]
fn an_invalid_code_is_refused() {
    let provider = provider();
    for (code, expected) in [
        ("%0A".to_owned(), CallbackError::NotACode),
        ("%C3%A4".to_owned(), CallbackError::NotACode),
        ("%00".to_owned(), CallbackError::NotACode),
        ("c".repeat(8 * 1024 + 1), CallbackError::NotACode),
        ("c".repeat(16 * 1024), CallbackError::TooLong),
    ] {
        let read = attempt().read_callback(&provider, &format!("state=right&code={code}"));
        assert_eq!(read, Err(expected), "{} bytes", code.len());
    }
}

#[test]
fn the_address_its_query_or_the_code_alone_can_be_pasted() {
    let provider = provider();
    let read = |text: &str| attempt().read_pasted(&provider, text);
    for whole in [
        "myapp://callback?code=4/0A&state=right",
        "  http://127.0.0.1:9900/callback?state=right&code=4%2F0A#_=_\r\n",
        "?code=4/0A&state=right",
        "state=right&code=4/0A",
        "myapp:callback?state=right&code=4/0A",
        "4/0A\n",
    ] {
        assert_eq!(read(whole), Ok(code("4/0A")), "{whole}");
    }
    for bare in ["abc==", "a:b"] {
        assert_eq!(read(bare), Ok(code(bare)));
    }
    for (text, error) in [
        ("myapp://callback?code=c&state=wrong", CallbackError::State),
        ("https://as.example/consent", CallbackError::State),
        ("code=c", CallbackError::State),
        ("", CallbackError::NoCode),
        ("no code here", CallbackError::NotACode),
    ] {
        assert_eq!(read(text), Err(error), "{text}");
    }
    assert_eq!(read(&"c".repeat(20_000)), Err(CallbackError::TooLong));
}

proptest! {
    #[test]
    fn only_the_right_state_gives_a_code(
        query in "((code|state|iss|error|x)=[a-z%0-9+é]{0,8}&?){0,6}",
        noise in any::<String>(),
    ) {
        let provider = provider();
        for query in [query, noise] {
            let brings_it = url::form_urlencoded::parse(query.as_bytes())
                .filter(|(name, _)| name == "state")
                .eq([("state".into(), "right".into())]);
            let read = attempt().read_callback(&provider, &query);
            prop_assert!(read.is_err() || brings_it, "{query}");
            if let Ok(Authorized { code, .. }) = attempt().read_pasted(&provider, &query) {
                prop_assert!(!code.expose().is_empty() && code.expose().bytes().all(|byte| (0x20..=0x7E).contains(&byte)));
            }
        }
    }
}
