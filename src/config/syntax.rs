//! Parses the text as TOML. Messages of syntax errors quote nothing from the file.

use std::collections::HashSet;

use toml::de::DeTable;

use super::{
    diagnostics::{Diagnostic, Diagnostics},
    foreign_format::{ForeignFormat, recognize},
    keys::{self, Kind},
    location::Location,
    problem_code::ProblemCode,
};

/// The maximum number of syntax errors that are reported. Later ones are mostly echoes of the
/// first.
const MAX_REPORTED: usize = 20;
/// The maximum number of syntax errors that are looked at.
const MAX_EXAMINED: usize = 1000;

/// The beginnings of the parser's messages about a malformed number, boolean or date.
const SCALAR_ERRORS: [&str; 6] = [
    "invalid float",
    "invalid integer",
    "invalid boolean",
    "invalid date",
    "invalid time",
    "invalid offset",
];

/// The readable part of a text.
pub(super) struct Document<'a> {
    pub(super) table: DeTable<'a>,
    /// Whether the text is valid TOML.
    pub(super) is_valid: bool,
    /// The offsets at which lines with a syntax error begin.
    pub(super) broken_lines: HashSet<usize>,
    /// Whether every syntax error concerns one line only. Then the other lines can be checked.
    pub(super) is_checkable: bool,
}

/// Parses `text`, and reports each line with a syntax error.
pub(super) fn parse<'a>(text: &'a str, diagnostics: &mut Diagnostics) -> Document<'a> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut broken_lines = HashSet::new();
    let mut is_checkable = errors.len() <= MAX_REPORTED;
    let foreign = (!errors.is_empty()).then(|| recognize(text)).flatten();
    if let Some(format) = foreign {
        diagnostics.push(foreign_file(text, format));
        return Document {
            table: table.into_inner(),
            is_valid: false,
            broken_lines,
            is_checkable: false,
        };
    }

    for error in errors.iter().take(MAX_EXAMINED) {
        let span = error.span().unwrap_or(0..0);
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let location = Location::new(start..span.end.max(start));
        let mut advice = advise(error.message());
        if let Some(hint) = advise_on_word(text, start) {
            advice.hint = hint;
        }
        is_checkable &= advice.concerns_one_line;
        if broken_lines.len() < MAX_REPORTED && broken_lines.insert(line_start(text, start)) {
            let message = format!("this is not valid TOML: {}", error.message());
            diagnostics.push(
                Diagnostic::error(&location, message, advice.hint)
                    .with_code(ProblemCode::InvalidToml),
            );
        }
    }

    Document {
        table: table.into_inner(),
        is_valid: errors.is_empty(),
        broken_lines,
        is_checkable,
    }
}

/// Returns the offset at which the line of `offset` begins.
pub(super) fn line_start(text: &str, offset: usize) -> usize {
    text[..text.floor_char_boundary(offset)]
        .rfind('\n')
        .map_or(0, |line_break| line_break + 1)
}

/// The one problem of a file in another format.
fn foreign_file(text: &str, format: ForeignFormat) -> Diagnostic {
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with('#');
    let mut lines = text.split_inclusive('\n');
    let first = lines.by_ref().find(is_content).unwrap_or_default();
    let rest: usize = lines.map(str::len).sum();
    let indent = first.len() - first.trim_start().len();
    let start = text.len() - rest - first.len() + indent;
    Diagnostic::error(
        &Location::new(start..start),
        format!("this looks like {format}, and the configuration is TOML"),
        "write a table as [providers.hapn], and below it key = \"value\"; `bearward presets hapn` \
         prints an example",
    )
    .with_code(ProblemCode::AnotherFormat)
}

/// Returns a hint for a word such as `yes` at `offset`, which other formats have for a boolean.
fn advise_on_word(text: &str, offset: usize) -> Option<String> {
    let word: String = text[offset..]
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    let value = match word.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => true,
        "no" | "off" | "false" => false,
        _ => return None,
    };
    let line = &text[line_start(text, offset)..offset];
    let key = line.trim().trim_end_matches('=').trim_end();
    let name = key.rsplit('.').next().unwrap_or_default();
    let mut is_switch = false;
    keys::walk(keys::ROOT, "", &mut |_, spec| {
        is_switch |= spec.name == name && matches!(spec.kind, Kind::Boolean);
    });
    is_switch.then(|| format!("TOML writes true or false: {name} = {value}"))
}

/// A hint for a syntax error.
struct Advice {
    hint: String,
    /// Whether the lines below the error are readable.
    concerns_one_line: bool,
}

fn advise(message: &str) -> Advice {
    let one_line = |hint: &str| Advice {
        hint: hint.to_owned(),
        concerns_one_line: true,
    };
    let many_lines = |hint: &str| Advice {
        hint: hint.to_owned(),
        concerns_one_line: false,
    };

    if message.starts_with("duplicate key") {
        one_line("remove one of the two; a key or table may be written only once")
    } else if message.starts_with("string values must be quoted") {
        one_line("put the value in quotation marks")
    } else if message.starts_with("key with no value") {
        // The parser stops here, so that all later keys seem to be missing.
        many_lines("write key = value")
    } else if message.starts_with("invalid basic string")
        || message.starts_with("invalid literal string")
    {
        one_line("end the string on the same line, with the quotation mark that it begins with")
    } else if message.starts_with("unexpected key or value") {
        one_line("write one key and one value per line")
    } else if SCALAR_ERRORS.iter().any(|start| message.starts_with(start)) {
        one_line("if this is a string, put it in quotation marks")
    } else if message.contains("array") {
        many_lines("write an array like [\"a\", \"b\"]")
    } else if message.contains("inline table") {
        many_lines("write an inline table like { key = \"value\" }")
    } else {
        many_lines("write a key like key = \"value\", and a table header like [name]")
    }
}
