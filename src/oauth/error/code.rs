//! The `error` code of a response.

use std::{fmt, sync::Arc};

use zeroize::Zeroizing;

/// The length from which on a secret is looked for within a code. A shorter one is part of many words.
const MIN_SECRET_BYTES: usize = 4;

/// An `error` code: 1 to 64 characters of RFC 6749 §5.2's alphabet, harmless in any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorCode(Arc<str>);

impl ErrorCode {
    /// The maximum length in bytes.
    pub const MAX_BYTES: usize = 64;

    /// Parses a code; `None` if it is too long or has other characters.
    pub fn parse(text: &str) -> Option<Self> {
        is_error_text(text, Self::MAX_BYTES).then(|| Self(text.into()))
    }

    /// Creates the code that stands for one that cannot be shown.
    pub fn unknown() -> Self {
        Self("unknown_error".into())
    }

    /// Returns the code, or the unknown one in place of a code that holds one of the `secrets`.
    #[must_use]
    pub fn without_secrets(self, secrets: &[Zeroizing<String>]) -> Self {
        let holds = |secret: &Zeroizing<String>| {
            let (code, secret) = (self.as_str(), secret.as_str());
            code == secret || (secret.len() >= MIN_SECRET_BYTES && code.contains(secret))
        };
        match secrets.iter().any(holds) {
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

/// Whether a text is of the alphabet of errors (RFC 6749 §5.2), not empty, and at most `max_bytes` long.
fn is_error_text(text: &str, max_bytes: usize) -> bool {
    let is_allowed = |byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E);
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
        for bad in ["", "a\"b", "a\\b", "a\nb", "ä", &"a".repeat(65)] {
            assert_eq!(ErrorCode::parse(bad), None, "{bad:?}");
        }
    }
}
