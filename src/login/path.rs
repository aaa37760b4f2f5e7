//! The paths of a login on the admin listener.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

/// The path at which the admin listener receives callbacks.
pub const CALLBACK_PATH: &str = "/callback";

/// Everything but the unreserved characters (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The path at which a login at `provider` starts: `/login/NAME`.
pub fn login_path(provider: &str) -> String {
    format!("/login/{}", path_segment(provider))
}

/// The path at which the admin listener receives the callbacks of one provider: `/callback/NAME`.
///
/// A `redirect_uri` of its own for each authorization server defends against a mix-up (RFC 9700 §4.4).
fn provider_callback_path(provider: &str) -> String {
    format!("{CALLBACK_PATH}/{}", path_segment(provider))
}

/// Whether a login at `provider` may return to `path` on the admin listener.
pub fn is_callback_path(path: &str, provider: &str) -> bool {
    path == CALLBACK_PATH || path == provider_callback_path(provider)
}

/// `text` as one segment of a path, percent-encoded.
pub fn path_segment(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_encoded_segment_decodes_to_its_text(text in ".*") {
            let encoded = path_segment(&text).to_string();
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
            prop_assert!(encoded.bytes().all(is_allowed));
            prop_assert_eq!(percent_decode_str(&encoded).decode_utf8().unwrap(), text);
        }
    }
}
