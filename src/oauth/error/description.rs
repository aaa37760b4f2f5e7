//! The `error_description` of a response, for operators.

use std::{fmt, sync::Arc};

use url::form_urlencoded;
use zeroize::Zeroizing;

/// The length from which on a secret is looked for within another text. A shorter one is part of many words.
pub(super) const MIN_SECRET_BYTES: usize = 4;

/// The text in place of a secret of ours.
const REDACTED: &str = "[redacted]";

/// An `error_description` (RFC 6749 §5.2): printable, bounded, and without secrets of ours.
///
/// It is for operators, and never for clients. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorDescription(Arc<str>);

impl ErrorDescription {
    /// The maximum length in characters.
    pub const MAX_CHARS: usize = 300;

    /// Cleans a text from a response, and replaces the `secrets` in it; `None` if nothing is left.
    pub fn new(text: &str, secrets: &[Zeroizing<String>]) -> Option<Self> {
        let printable: String = text
            .chars()
            .filter(|&char| !is_invisible(char))
            .map(|char| if char.is_control() { ' ' } else { char })
            .collect();
        let clean: String = without(printable, secrets)
            .trim()
            .chars()
            .take(Self::MAX_CHARS)
            .collect();
        (!clean.is_empty()).then(|| Self(clean.into()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ErrorDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorDescription(…)")
    }
}

/// The secrets that are not empty, as they are and as a form encodes them.
pub(super) fn forms(secrets: &[Zeroizing<String>]) -> impl Iterator<Item = Zeroizing<String>> {
    let secrets = secrets.iter().filter(|secret| !secret.is_empty());
    secrets.flat_map(|secret| {
        let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        [secret.clone(), Zeroizing::new(encoded)]
    })
}

/// Returns whether a text holds one of the `secrets`, in whatever form.
pub(super) fn holds(text: &str, secrets: &[Zeroizing<String>]) -> bool {
    forms(secrets).any(|form| form.len() >= MIN_SECRET_BYTES && text.contains(form.as_str()))
}

/// Replaces the secrets, as they are and as a form encodes them.
fn without(mut text: String, secrets: &[Zeroizing<String>]) -> String {
    let mut forms: Vec<_> = forms(secrets).collect();
    // A secret may be part of another.
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    for form in forms {
        if text.contains(form.as_str()) {
            text = text.replace(form.as_str(), REDACTED);
        }
    }
    text
}

/// Whether a character is not seen, or changes the direction of the text around it.
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, secrets: &[&str]) -> Option<String> {
        let secrets: Vec<_> = secrets
            .iter()
            .map(|secret| Zeroizing::new((*secret).to_owned()))
            .collect();
        ErrorDescription::new(text, &secrets).map(|shown| shown.as_str().to_owned())
    }

    #[test]
    fn a_description_is_printable_and_bounded() {
        assert_eq!(
            shown("a\nb\u{1b}[31m\u{202e}c", &[]).as_deref(),
            Some("a b [31mc")
        );
        assert_eq!(shown(&"ä".repeat(400), &[]).unwrap().chars().count(), 300);
        for nothing in ["", " \n", "\u{200b}"] {
            assert_eq!(shown(nothing, &[]), None, "{nothing:?}");
        }
    }

    #[test]
    fn secrets_are_replaced_in_each_form() {
        let text = "the secret a b+c (a+b%2Bc) of a b is wrong";
        assert_eq!(
            shown(text, &["a b", "a b+c", ""]).as_deref(),
            Some("the secret [redacted] ([redacted]) of [redacted] is wrong")
        );
    }

    #[test]
    fn a_secret_hidden_by_control_characters_is_found() {
        let canary = "canary9f8e7d6c";
        let text = "x".repeat(295) + "can\u{200b}ary9f8e7d6c";
        assert!(!shown(&text, &[canary]).unwrap().contains("can"));
    }
}
