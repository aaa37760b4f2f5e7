//! The cookie that binds a login to the browser in which it started (RFC 6265).

use http::{HeaderMap, HeaderValue, header};

use super::LOGIN_TIMEOUT;
use crate::secret::Secret;

/// The cookie of one login. Each has a name of its own, so that logins in two tabs do not end each other.
#[derive(Clone, Debug)]
pub struct LoginCookie {
    name: String,
    path: String,
}

impl LoginCookie {
    /// The cookie of the login with `state`, for callbacks at `path` and below.
    pub fn new(state: &Secret, path: &str) -> Self {
        Self {
            name: format!("bearward-login-{}", state.fingerprint()),
            path: path.to_owned(),
        }
    }

    /// The `Set-Cookie` with `value`, for [`LOGIN_TIMEOUT`]; `secure` where the browser returns over TLS.
    pub fn set(&self, value: &Secret, secure: bool) -> Option<HeaderValue> {
        self.header(value.expose(), LOGIN_TIMEOUT.as_secs(), secure)
    }

    /// The `Set-Cookie` that deletes it.
    pub fn clear(&self) -> Option<HeaderValue> {
        self.header("", 0, false)
    }

    fn header(&self, value: &str, age: u64, secure: bool) -> Option<HeaderValue> {
        // `Lax` and not `Strict`: the browser returns by a navigation that starts at the authorization server.
        let secure = if secure { "; Secure" } else { "" };
        let Self { name, path } = self;
        let text =
            format!("{name}={value}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
        let mut header = HeaderValue::try_from(text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    /// Whether the browser that sent `headers` holds the cookie with `value`.
    pub fn is_held_in(&self, headers: &HeaderMap, value: &Secret) -> bool {
        let fields = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|field| field.to_str().ok());
        let mut pairs = fields
            .flat_map(|field| field.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, candidate)| name == self.name && value.matches(candidate.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(cookies: &[&str]) -> bool {
        let headers = cookies
            .iter()
            .map(|cookie| (header::COOKIE, cookie.parse().unwrap()))
            .collect();
        // The first 8 digits of the SHA-256 of "abc".
        LoginCookie::new(&Secret::new("abc"), "/callback")
            .is_held_in(&headers, &Secret::new("value"))
    }

    #[test]
    fn it_is_kept_from_scripts_and_other_sites_and_other_paths() {
        let cookie = LoginCookie::new(&Secret::new("abc"), "/callback");
        let set = |secure| {
            cookie
                .set(&Secret::new("value"), secure)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        };
        let expected =
            "bearward-login-ba7816bf=value; Path=/callback; Max-Age=600; HttpOnly; SameSite=Lax";
        assert_eq!(set(false), expected);
        assert_eq!(set(true), format!("{expected}; Secure"));
        assert!(
            cookie
                .clear()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("bearward-login-ba7816bf=; Path=/callback; Max-Age=0;")
        );
    }

    #[test]
    fn it_is_found_among_others() {
        assert!(held(&["a=b; bearward-login-ba7816bf=value; c"]));
        assert!(held(&[
            "a=b",
            "bearward-login-ba7816bf=other;bearward-login-ba7816bf=value"
        ]));
        for cookies in [
            &[][..],
            &["bearward-login-ba7816bf="],
            &["bearward-login-00000000=value"],
            &["value"],
        ] {
            assert!(!held(cookies), "{cookies:?}");
        }
    }
}
