//! The refresh token of a response that cannot be read otherwise.
//!
//! The authorization server has spent the one before, so that this one must not be lost with the rest.

use regex_lite::Regex;
use zeroize::Zeroizing;

use super::refresh_token;
use crate::secret::Secret;

/// Finds the member that `pointer` names (RFC 6901), wherever it stands in a damaged JSON text.
///
/// A member whose value is not whole is not found.
pub(super) fn find(body: &[u8], pointer: &str) -> Option<Secret> {
    let name = pointer.rsplit('/').next()?;
    // The bytes that are no UTF-8 are in another member: a refresh token is ASCII.
    let text = Zeroizing::new(String::from_utf8_lossy(body).into_owned());
    let member = format!(
        r#""{}"\s*:\s*("(?:[^"\\]|\\.)*")"#,
        regex_lite::escape(name)
    );
    let found = Regex::new(&member).ok()?.captures(&text)?;
    // A raw line break or tab, which JSON forbids, is not a part of a token.
    let value = found.get(1)?.as_str().replace(['\n', '\r', '\t'], "");
    let mut value = serde_json::from_str(&Zeroizing::new(value)).ok()?;
    refresh_token(Some(&mut value)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_whatever_is_wrong_beside_it() {
        for body in [
            &br#"{"access_token":"a","refresh_token":"r2","note":"a raw	tab"}"#[..],
            br#"{"access_token":"a","refresh_token":"r2","note":"\ud800"}"#,
            br#"{"expires_in":NaN,"refresh_token" : "r2"}"#,
            b"{\"name\":\"Zo\xEB\x00\",\"refresh_token\":\"r2\"}",
            br#"{"refresh_token":"r2"} // the end"#,
            br#"{"refresh_token":"r2","id_token":"cut of"#,
            br#"<p>{"refresh_token":"r\u0032"}"#,
            br#"{"a":1,"a":{"refresh_token":"r2\n"},}"#,
            b"{\"refresh_token\":\"r2\n\"}",
        ] {
            let found = find(body, "/refresh_token");
            let shown = String::from_utf8_lossy(body);
            assert_eq!(found.as_ref().map(Secret::expose), Some("r2"), "{shown}");
        }
    }

    #[test]
    fn half_a_token_and_another_member_are_not_taken_for_it() {
        for body in [
            r#"{"refresh_token":"r2"#,
            r#"{"refresh_token":null,"x"#,
            r#"{"refresh_token_expires_in":"1"#,
            r#"{"old_refresh_token":"r1"#,
            "",
        ] {
            assert_eq!(find(body.as_bytes(), "/refresh_token"), None, "{body}");
        }
    }
}
