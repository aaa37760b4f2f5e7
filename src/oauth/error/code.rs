//! The `error` code of a response.

use std::{fmt, sync::Arc};

use zeroize::Zeroizing;

use super::description::{MIN_SECRET_BYTES, forms};

/// The length from which on a code that is part of a secret counts as one.
const MIN_PART_BYTES: usize = 8;

/// An `error` code: 1 to 64 characters of RFC 6749 §5.2's alphabet without the blank, harmless in any text.
///
/// The RFC allows a blank. No registered code has one, and a text that has one is a sentence, not a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorCode(Arc<str>);

impl ErrorCode {
    /// The maximum length in bytes.
    pub const MAX_BYTES: usize = 64;

    /// Parses a code; `None` if it is too long or has other characters.
    pub fn parse(text: &str) -> Option<Self> {
        is_code(text, Self::MAX_BYTES).then(|| Self(text.into()))
    }

    /// Creates the code that stands for one that cannot be shown.
    pub fn unknown() -> Self {
        Self("unknown_error".into())
    }

    /// Returns the code, or the unknown one in place of a code that holds one of the `secrets`.
    #[must_use]
    pub fn without_secrets(self, secrets: &[Zeroizing<String>]) -> Self {
        let holds = |secret: Zeroizing<String>| {
            let (code, secret) = (self.as_str(), secret.as_str());
            code == secret
                || (secret.len() >= MIN_SECRET_BYTES && code.contains(secret))
                || (code.len() >= MIN_PART_BYTES && secret.contains(code))
        };
        match forms(secrets).any(holds) {
            true => Self::unknown(),
            false => self,
        }
    }

    /// Returns the code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text is of the alphabet of codes, not empty, and at most `max_bytes` long.
fn is_code(text: &str, max_bytes: usize) -> bool {
    let is_allowed = |byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
    (1..=max_bytes).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// Returns ` with the error "…"`, or an empty text without a code.
pub(in crate::oauth) fn quoted(code: Option<&ErrorCode>) -> String {
    code.map_or_else(String::new, |code| format!(" with the error \"{code}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_bounded_in_length_and_alphabet() {
        assert!(ErrorCode::parse("invalid_client").is_some());
        assert!(ErrorCode::parse(&"a".repeat(64)).is_some());
        for bad in [
            "",
            "a\"b",
            "a\\b",
            "a\nb",
            "a b",
            " a",
            "ä",
            &"a".repeat(65),
        ] {
            assert_eq!(ErrorCode::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_code_that_holds_a_secret_or_is_a_part_of_one_is_not_shown() {
        let secrets = [Zeroizing::new("canary/9f8e7d6c".to_owned())];
        let shown = |code: &str| {
            let code = ErrorCode::parse(code).unwrap().without_secrets(&secrets);
            code.as_str().to_owned()
        };
        for code in [
            "canary/9f8e7d6c",
            "unknown_token:canary/9f8e7d6c",
            "unknown_token:canary%2F9f8e7d6c",
            "canary/9f8e",
        ] {
            assert_eq!(shown(code), "unknown_error", "{code}");
        }
        for code in ["slow_down", "canary", "invalid_canary"] {
            assert_eq!(shown(code), code);
        }
    }
}
