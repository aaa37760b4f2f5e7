//! Values in messages: quoted where they cannot hold a secret, masked elsewhere.

/// The text that replaces a value that may hold a secret.
pub(super) const MASK: &str = "***";

/// The longest value that is displayed, in bytes. A longer one may be a pasted credential.
const MAX_DISPLAYED: usize = 200;
/// The longest name of an environment variable, in bytes.
const MAX_VARIABLE_NAME: usize = 128;

/// Returns whether the value of a key that holds no secret can be displayed.
///
/// User information, a query or a fragment of a URL may hold a credential.
pub(super) fn is_safe_to_display(text: &str) -> bool {
    text.len() <= MAX_DISPLAYED
        && !text.contains(['@', '?', '#'])
        && !text.chars().any(char::is_control)
}

/// Returns `text` in quotation marks, masked unless it is safe to display.
pub(super) fn quote(text: &str) -> String {
    let shown = if is_safe_to_display(text) { text } else { MASK };
    format!("\"{shown}\"")
}

/// Returns whether `text` is a valid name of an environment variable.
pub(super) fn is_variable_name(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= MAX_VARIABLE_NAME
        && text.starts_with(|c: char| is_word(c) && !c.is_ascii_digit())
        && text.chars().all(is_word)
}

/// Returns whether the `env` or `file` of a secret can be displayed.
///
/// Lower-case names and bare words are masked, since they may be the secret itself.
pub(super) fn is_safe_secret_source(text: &str) -> bool {
    let is_variable = is_variable_name(text) && !text.contains(|c: char| c.is_ascii_lowercase());
    let is_path = ["/", "./", "../"]
        .iter()
        .any(|start| text.starts_with(start));
    is_variable || (is_path && is_safe_to_display(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_may_hold_a_credential_is_masked() {
        assert_eq!(
            quote("https://api.example.com/v1"),
            "\"https://api.example.com/v1\""
        );
        for text in [
            "https://user:canary@host",
            "https://host?key=canary",
            "https://host#canary",
            "can\nary",
        ] {
            assert_eq!(quote(text), "\"***\"");
        }
    }
}
