//! The claims of an access token, if it is a JWT (RFC 9068). Nothing verifies it, and it decides nothing.

use std::time::{Duration, SystemTime};

use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::stamp;
use crate::{oauth::error::ErrorDescription, secret::Secret};

/// Longer tokens are not read, in bytes.
const MAX_TOKEN: usize = 32 * 1024;

/// The audiences that are shown.
const MAX_AUDIENCES: usize = 8;

/// The claims of a token that operators look for. Their texts are printable, bounded, and without our secrets.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::admin) struct TokenClaims {
    pub(in crate::admin) issuer: Option<String>,
    pub(in crate::admin) subject: Option<String>,
    pub(in crate::admin) audience: Vec<String>,
    pub(in crate::admin) scope: Option<String>,
    #[serde(serialize_with = "stamp")]
    pub(in crate::admin) expires_at: Option<SystemTime>,
}

/// The claims as they come: any of them may have any type.
#[derive(Deserialize)]
struct RawClaims {
    iss: Option<Value>,
    sub: Option<Value>,
    aud: Option<Value>,
    scope: Option<Value>,
    /// The scope as some authorization servers name it.
    scp: Option<Value>,
    exp: Option<Value>,
}

impl TokenClaims {
    /// Reads the claims of `token`, without the `secrets` in them; `None` if it is no JWT or says nothing.
    pub(super) fn read(token: &Secret, secrets: &[Zeroizing<String>]) -> Option<Self> {
        let token = token.expose();
        if token.len() > MAX_TOKEN {
            return None;
        }
        let claims: RawClaims = insecure_decode_claims(token).ok()?;
        // A claim has the rules of any other text of an authorization server.
        let clean = |text: &str| {
            let shown = ErrorDescription::new(text, secrets)?;
            Some(shown.as_str().to_owned())
        };
        let text = |value: Option<Value>| match value? {
            Value::String(text) => clean(&text),
            Value::Number(number) => clean(&number.to_string()),
            Value::Array(texts) => {
                let texts: Vec<_> = texts.iter().filter_map(Value::as_str).collect();
                clean(&texts.join(" "))
            }
            _ => None,
        };
        let audience = match claims.aud {
            Some(Value::Array(texts)) => texts,
            other => other.into_iter().collect(),
        };
        let audience = audience.into_iter().take(MAX_AUDIENCES);
        let read = Self {
            issuer: text(claims.iss),
            subject: text(claims.sub),
            audience: audience.filter_map(|one| text(Some(one))).collect(),
            scope: text(claims.scope.or(claims.scp)),
            expires_at: claims.exp.as_ref().and_then(instant),
        };
        (read != Self::default()).then_some(read)
    }
}

/// Reads a NumericDate (RFC 7519 §2).
fn instant(value: &Value) -> Option<SystemTime> {
    let since_1970 = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since_1970)
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;

    fn jwt(claims: &Value) -> Secret {
        let [header, claims] = [&json!({"alg": "RS256"}), claims]
            .map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        Secret::new(format!("{header}.{claims}.c2lnbmF0dXJl"))
    }

    fn read(claims: &Value) -> Option<TokenClaims> {
        TokenClaims::read(&jwt(claims), &[Zeroizing::new("canary-secret".into())])
    }

    #[test]
    fn a_jwt_tells_whom_it_is_for_and_until_when() {
        let claims = read(&json!({
            "iss": "https://as.example", "sub": "client-1", "aud": ["api", "reports"],
            "scope": "devices.read", "exp": 1_795_294_800,
        }))
        .unwrap();
        assert_eq!(claims.issuer.as_deref(), Some("https://as.example"));
        assert_eq!(claims.subject.as_deref(), Some("client-1"));
        assert_eq!(claims.audience, ["api", "reports"]);
        assert_eq!(claims.scope.as_deref(), Some("devices.read"));
        let expires = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_294_800));
        assert_eq!(claims.expires_at, expires);
        let other = read(&json!({"aud": "api", "scp": ["a", "b"]})).unwrap();
        assert_eq!(other.audience, ["api"]);
        assert_eq!(other.scope.as_deref(), Some("a b"));
    }

    #[test]
    fn no_token_breaks_the_status_or_floods_it() {
        for claims in [
            json!({}),
            json!({"exp": "tomorrow", "aud": {"a": 1}, "iss": [], "sub": null}),
            json!({"exp": 1e300, "other": "x"}),
            json!([]),
        ] {
            assert_eq!(read(&claims), None, "{claims}");
        }
        for token in ["", "opaque", "a.b", "a.b.c", "..", "a.e30.c", "a.!.c"] {
            assert_eq!(TokenClaims::read(&Secret::new(token), &[]), None, "{token}");
        }
        let long = "x".repeat(3000);
        let claims =
            read(&json!({"sub": long, "aud": vec![&long; 100][..1], "scope": long})).unwrap();
        assert!(serde_json::to_string(&claims).unwrap().len() < 2000);
        let many: Vec<_> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(
            read(&json!({"aud": many})).unwrap().audience.len(),
            MAX_AUDIENCES
        );
        assert_eq!(read(&json!({"sub": "x".repeat(MAX_TOKEN)})), None);
    }

    #[test]
    fn a_secret_in_a_claim_is_not_shown() {
        let claims = read(&json!({"sub": "canary-secret", "aud": ["a canary-secret"]})).unwrap();
        assert!(!format!("{claims:?}").contains("canary"), "{claims:?}");
    }
}
