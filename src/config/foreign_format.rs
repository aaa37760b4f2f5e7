//! Recognizes a file in another format than TOML, which would otherwise have an error in each line.

use std::fmt;

/// A format that configurations are often written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForeignFormat {
    Binary,
    Ini,
    Json,
    Markup,
    Yaml,
}

impl fmt::Display for ForeignFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Binary => "a binary file",
            Self::Ini => "an INI file or a list of variables",
            Self::Json => "JSON",
            Self::Markup => "XML or HTML",
            Self::Yaml => "YAML",
        })
    }
}

/// The look of a line, by its beginning.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// A table, or a key with a value that begins as in TOML.
    Toml,
    /// `key = value`, with the value not in quotation marks.
    Bare,
    /// `key:`, or an item of a list.
    Yaml,
    /// A comment of INI.
    Semicolon,
    /// Nothing, a comment, a header in brackets, or the middle of a value.
    Other,
}

/// Returns the format of `text`, which is not valid TOML, if it looks like another one.
pub(super) fn recognize(text: &str) -> Option<ForeignFormat> {
    let text = text.trim_start_matches('\u{feff}');
    if text.contains('\0') {
        return Some(ForeignFormat::Binary);
    }
    match text.trim_start().chars().next() {
        Some('{') => return Some(ForeignFormat::Json),
        Some('<') => return Some(ForeignFormat::Markup),
        _ => {}
    }

    let count = |kind: Line| text.lines().filter(|line| classify(line) == kind).count();
    let toml = count(Line::Toml);
    let bare = count(Line::Bare);
    if count(Line::Yaml) > toml + bare {
        return Some(ForeignFormat::Yaml);
    }
    let is_ini = count(Line::Semicolon) > 0 || bare >= 3;
    (toml == 0 && is_ini).then_some(ForeignFormat::Ini)
}

fn classify(line: &str) -> Line {
    let line = line.trim();
    if line.starts_with("- ") || line == "---" {
        return Line::Yaml;
    }
    if line.starts_with(';') {
        return Line::Semicolon;
    }
    let is_in_key = |c: char| c.is_alphanumeric() || "_-.\"' ".contains(c);
    let end = line.find(|c| !is_in_key(c)).unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    if key.trim().is_empty() {
        return Line::Other;
    }
    if let Some(value) = rest.strip_prefix('=') {
        let value = value.trim_start();
        let is_toml = value.starts_with(['"', '\'', '[', '{']);
        let is_bare = value.starts_with(|c: char| c.is_alphabetic() || "$/".contains(c))
            && !value.starts_with("true")
            && !value.starts_with("false");
        return match (is_toml, is_bare) {
            (true, _) => Line::Toml,
            (_, true) => Line::Bare,
            _ => Line::Other,
        };
    }
    match rest.strip_prefix(':') {
        Some(value) if value.is_empty() || value.starts_with(' ') => Line::Yaml,
        _ => Line::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_are_told_apart() {
        for (text, wanted) in [
            ("{ \"providers\": {} }", Some(ForeignFormat::Json)),
            ("\u{feff}\n{\n\"log\": 1}", Some(ForeignFormat::Json)),
            ("<?xml version=\"1.0\"?>\n", Some(ForeignFormat::Markup)),
            ("log:\n  level: info\n", Some(ForeignFormat::Yaml)),
            ("---\nroutes:\n- a\n", Some(ForeignFormat::Yaml)),
            (
                "# c\nurl: https://a.example?x=\"1\"\n",
                Some(ForeignFormat::Yaml),
            ),
            (
                "[log]\n; a comment\nlevel = info\n",
                Some(ForeignFormat::Ini),
            ),
            ("A=abc\nB=$A\nC=/x\n", Some(ForeignFormat::Ini)),
            ("ELF\0\0", Some(ForeignFormat::Binary)),
        ] {
            assert_eq!(recognize(text), wanted, "{text}");
        }
    }

    #[test]
    fn toml_with_mistakes_is_still_toml() {
        for text in [
            "",
            "[routes.r]\nlisten: \"127.0.0.1:8080\"\nupstream = \"https://a.example\"\n",
            "[routes.r]\nlisten = 127.0.0.1:8080\nupstream = https://a.example\npath = \"/v1\"\n",
            "[log]\nlevel = info\n",
            "[providers.p]\nscope = [\n  \"a:b\",\n  \"c: d\",\n]\nallow_plaintext = yes\n",
        ] {
            assert_eq!(recognize(text), None, "{text}");
        }
    }
}
