//! The terminal: its colours, and text from elsewhere, made safe for it.

use std::{fmt::Write, io::IsTerminal};

use clap::builder::styling::{AnsiColor, Style};

use crate::config::environment;

/// Whether text in colours may go to `stream`: it is a terminal that has them, and `NO_COLOR` is not set.
pub(super) fn shows_colours(stream: &impl IsTerminal) -> bool {
    let is_set = |name| environment(name).is_some_and(|value| !value.is_empty());
    let is_dumb = environment("TERM").is_none_or(|term| term == "dumb");
    stream.is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

/// The style of a provider's state, plain unless `is_coloured`.
pub(super) fn state_style(state: &str, is_coloured: bool) -> Style {
    let colour = match state {
        _ if !is_coloured => return Style::new(),
        "ready" => AnsiColor::Green,
        "pending" | "failing" => AnsiColor::Yellow,
        _ => AnsiColor::Red,
    };
    colour.on_default()
}

/// Replaces characters that could steer a terminal, begin a line, or hide or reorder the text around them.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|character| match is_unsafe(character) {
            true => char::REPLACEMENT_CHARACTER,
            false => character,
        })
        .collect()
}

/// Escapes such characters in a JSON text, whose value stays the same (RFC 8259 §7).
pub(super) fn printable_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        // Between the values of a valid text stand blanks, and no others of these characters.
        if !is_unsafe(character) || matches!(character, '\n' | '\r' | '\t') {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a String does not fail.
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

/// Whether a character is a control, is not seen, or changes the direction of text (Unicode UAX #9).
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str =
        "a\u{1b}[2Jb\u{9b}c\u{202e}d\u{2066}e\u{200f}f\u{61c}g\u{feff}h\u{e0041}i\r\n";

    #[test]
    fn nothing_steers_a_terminal_or_reorders_its_text() {
        let shown = printable(HOSTILE);
        assert!(!shown.chars().any(is_unsafe), "{shown:?}");
        assert_eq!(
            shown.replace(char::REPLACEMENT_CHARACTER, "?"),
            "a?[2Jb?c?d?e?f?g?h?i??"
        );
        assert_eq!(printable("Zoë: שלום, 漢字 – ok"), "Zoë: שלום, 漢字 – ok");
    }

    #[test]
    fn json_keeps_its_value_and_steers_no_terminal() {
        let value = serde_json::json!({ "a": HOSTILE, "b": ["ë", 1] });
        let shown = printable_json(&value.to_string());
        assert!(!shown.chars().any(is_unsafe), "{shown:?}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }
}
