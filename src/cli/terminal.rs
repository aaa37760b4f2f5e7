//! Text from elsewhere, made safe for a terminal.

/// Replaces control characters, which could steer a terminal or begin a line.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}
