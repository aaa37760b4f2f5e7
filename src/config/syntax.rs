//! From text to TOML: errors of the language itself, told in words that quote nothing from the file.

use std::collections::HashSet;

use toml::{Spanned, de::DeTable};

use super::{raw::At, report::Drafts};

/// The most errors of syntax that are reported; what follows is seldom more than their echo.
const MOST: usize = 20;

/// How the parser begins its words on a single value that is none.
const SCALARS: [&str; 6] = [
    "invalid float",
    "invalid integer",
    "invalid boolean",
    "invalid date",
    "invalid time",
    "invalid offset",
];

/// What could be read of a text.
pub(super) struct Document<'a> {
    pub(super) table: Spanned<DeTable<'a>>,
    /// Whether it is valid TOML.
    pub(super) is_valid: bool,
    /// Where the lines begin that are no TOML.
    pub(super) broken: HashSet<usize>,
    /// Whether its errors leave the rest readable, so that it can be checked as well.
    pub(super) is_whole: bool,
}

/// Reads `text` and reports each line that is no TOML.
pub(super) fn parse<'a>(text: &'a str, drafts: &mut Drafts) -> Document<'a> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut broken = HashSet::new();
    let mut is_whole = true;
    let is_valid = errors.is_empty();
    for error in errors.iter().take(1000) {
        let span = error.span().unwrap_or(0..0);
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let (message, hint, contained) = explain(error.message());
        is_whole &= contained;
        if broken.len() < MOST && broken.insert(line(text, start)) {
            drafts.error(&At::position(start..span.end.max(start)), message, hint);
        }
    }
    Document {
        table,
        is_valid,
        broken,
        is_whole: is_whole && errors.len() <= MOST,
    }
}

/// Where the line begins that `at` is in.
pub(super) fn line(text: &str, at: usize) -> usize {
    text[..text.floor_char_boundary(at)]
        .rfind('\n')
        .map_or(0, |at| at + 1)
}

/// The message and a hint for an error of the parser, and whether it concerns one line alone.
fn explain(message: &str) -> (String, &'static str, bool) {
    let (hint, contained) = if message.starts_with("duplicate key") {
        (
            "a key or table may be written once only; remove one of the two",
            true,
        )
    } else if message.starts_with("string values must be quoted") {
        ("put the value in quotation marks", true)
    } else if message.starts_with("key with no value") {
        // The parser gives up here, so that whatever follows would seem to be missing.
        ("a line is written: key = value", false)
    } else if message.starts_with("invalid basic string")
        || message.starts_with("invalid literal string")
    {
        (
            "a string ends with the quotation mark it began with, on the same line",
            true,
        )
    } else if message.starts_with("unexpected key or value") {
        ("one key and one value a line", true)
    } else if SCALARS.iter().any(|scalar| message.starts_with(scalar)) {
        (
            "if this is meant as a string, put it in quotation marks",
            true,
        )
    } else if message.contains("array") {
        ("an array is written [\"a\", \"b\"]", false)
    } else if message.contains("inline table") {
        ("an inline table is written { key = \"value\" }", false)
    } else {
        (
            "a line is written: key = \"value\", a table begins with [name]",
            false,
        )
    };
    (format!("this is not TOML: {message}"), hint, contained)
}
