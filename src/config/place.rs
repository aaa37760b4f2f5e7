//! The places where a line or a stanza with a key of a provider takes effect.

use std::{collections::BTreeMap, ops::Range};

use toml::de::{DeTable, DeValue};

use super::{excerpt::Excerpts, quote::is_safe_to_display};

/// Members of inline tables whose texts may be credentials. Such a table is not repeated.
const CREDENTIAL_WORDS: [&str; 5] = ["key", "secret", "token", "password", "assertion"];

/// The keys below `[providers]`, by their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyPlaces(BTreeMap<Vec<String>, KeyEntry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyEntry {
    position: (usize, usize),
    form: KeyForm,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum KeyForm {
    /// A table with a head of its own, such as `[providers.x]`.
    Head,
    /// The parent of a table that has a head.
    Implicit,
    /// The parent of dotted keys.
    Dotted,
    /// A table in braces; its text up to the closing brace, if it is on one line and may be repeated.
    Inline(Option<String>),
    /// A value in such a table: the text of the table before it, and behind it.
    Member(String, String),
    /// Any other value.
    Value {
        /// Whether it ends on the line of its key.
        is_one_line: bool,
    },
}

/// The place of a key: its line, or the line of the table that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    target: Option<Target>,
}

/// The text around a value that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    before: String,
    after: String,
}

impl KeyPlace {
    /// Returns the line or stanza that gives the key a value, which is TOML; `None` if one line cannot do it.
    pub fn fix(&self, value: &str) -> Option<String> {
        let Target { before, after } = self.target.as_ref()?;
        Some(format!("{before}{value}{after}"))
    }
}

impl KeyPlaces {
    /// Reads the places from a text and its content.
    pub(super) fn new(text: &str, table: &DeTable<'_>) -> Self {
        let mut reader = Reader {
            text,
            lines: Excerpts::new(text, None),
            entries: BTreeMap::new(),
        };
        if let Some((name, value)) = table.get_key_value("providers") {
            reader.read(&mut vec![name.get_ref().to_string()], name, value);
        }
        Self(reader.entries)
    }

    /// Returns whether the file has the key.
    pub(super) fn contains(&self, path: &[&str]) -> bool {
        self.get(path).is_some()
    }

    /// Returns the place of a key, whether it is in the file or not.
    pub(super) fn of(&self, path: &[&str]) -> KeyPlace {
        if let Some(entry) = self.get(path) {
            let target = match &entry.form {
                KeyForm::Value { is_one_line: true } => self.line_target(path),
                KeyForm::Member(before, after) => self.member_target(path, before, after),
                _ => None,
            };
            return place(entry.position, target);
        }
        let parents = (1..path.len()).rev();
        let parent = parents
            .map(|length| &path[..length])
            .find_map(|parent| Some((parent, self.get(parent)?)));
        let Some((parent, entry)) = parent else {
            return place((1, 1), None);
        };
        let rest = &path[parent.len()..];
        match &entry.form {
            KeyForm::Head if is_provider(parent) && rest.len() > 1 => {
                place(entry.position, stanza(path))
            }
            KeyForm::Head => place(entry.position, line(rest)),
            KeyForm::Implicit => place(entry.position, stanza(path)),
            KeyForm::Dotted => {
                let head = self.head_of(parent);
                let position = head.map_or(entry.position, |(_, position)| position);
                let rest = head.and_then(|(length, _)| line(&path[length..]));
                place(position, rest)
            }
            KeyForm::Inline(Some(text)) => {
                let comma = if text.ends_with('{') { "" } else { "," };
                let opened = self.line_target(parent).map(|target| Target {
                    before: format!("{}{text}{comma} {} = ", target.before, dotted(rest)),
                    after: " }".to_owned(),
                });
                place(entry.position, opened)
            }
            KeyForm::Inline(None) | KeyForm::Member(..) | KeyForm::Value { .. } => {
                place(entry.position, None)
            }
        }
    }

    fn get(&self, path: &[&str]) -> Option<&KeyEntry> {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        self.0.get(&path)
    }

    /// The line of the table in braces that a key is in, with another value.
    fn member_target(&self, path: &[&str], before: &str, after: &str) -> Option<Target> {
        let (_, parent) = path.split_last()?;
        let line = self.line_target(parent)?;
        Some(Target {
            before: format!("{}{before}", line.before),
            after: after.to_owned(),
        })
    }

    /// The line of a key that is in the file; `None` within braces.
    fn line_target(&self, path: &[&str]) -> Option<Target> {
        let (length, _) = self.head_of(path)?;
        line(&path[length..])
    }

    /// The length of the path of the table with a head that holds a key, and its position; `None` within braces.
    fn head_of(&self, path: &[&str]) -> Option<(usize, (usize, usize))> {
        for length in (1..path.len()).rev() {
            let entry = self.get(&path[..length])?;
            match entry.form {
                KeyForm::Head => return Some((length, entry.position)),
                KeyForm::Dotted => {}
                _ => return None,
            }
        }
        None
    }
}

fn place((line, column): (usize, usize), target: Option<Target>) -> KeyPlace {
    KeyPlace {
        line,
        column,
        target,
    }
}

const fn is_provider(path: &[&str]) -> bool {
    path.len() == 2
}

fn line(path: &[&str]) -> Option<Target> {
    Some(Target {
        before: format!("{} = ", dotted(path)),
        after: String::new(),
    })
}

/// A stanza with the head of the table right below the provider.
fn stanza(path: &[&str]) -> Option<Target> {
    let (head, rest) = path.split_at_checked(3)?;
    let (head, rest) = match rest {
        [] => path.split_at(2),
        _ => (head, rest),
    };
    Some(Target {
        before: format!("[{}]\n{} = ", dotted(head), dotted(rest)),
        after: String::new(),
    })
}

fn dotted(path: &[&str]) -> String {
    let parts: Vec<String> = path.iter().map(|part| key(part)).collect();
    parts.join(".")
}

/// A bare key, or a quoted one.
fn key(text: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    match !text.is_empty() && text.bytes().all(is_bare) {
        true => text.to_owned(),
        false => text_value(text),
    }
}

/// Returns a text as a TOML value.
pub fn text_value(text: &str) -> String {
    // A text of JSON is one of TOML, but for the one control character that JSON does not escape.
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{7f}', "\\u007f")
}

/// The walk over a document.
struct Reader<'t> {
    text: &'t str,
    lines: Excerpts<'t>,
    entries: BTreeMap<Vec<String>, KeyEntry>,
}

impl Reader<'_> {
    fn read(
        &mut self,
        path: &mut Vec<String>,
        name: &toml::Spanned<toml::de::DeString<'_>>,
        value: &toml::Spanned<DeValue<'_>>,
    ) {
        let form = self.form(name.span().start, value);
        let start = match form {
            KeyForm::Head => value.span().start,
            _ => name.span().start,
        };
        let position = self.lines.position(start);
        let table = value.span();
        let is_repeatable = matches!(form, KeyForm::Inline(Some(_)));
        self.entries
            .insert(path.clone(), KeyEntry { position, form });
        for (name, value) in value.get_ref().as_table().into_iter().flatten() {
            path.push(name.get_ref().to_string());
            self.read(path, name, value);
            if is_repeatable && !value.get_ref().is_table() {
                let position = self.lines.position(name.span().start);
                let form = self.member(&table, &value.span());
                self.entries
                    .insert(path.clone(), KeyEntry { position, form });
            }
            path.pop();
        }
    }

    fn member(&self, table: &Range<usize>, value: &Range<usize>) -> KeyForm {
        let text = |range: Range<usize>| self.text.get(range).unwrap_or_default().to_owned();
        KeyForm::Member(text(table.start..value.start), text(value.end..table.end))
    }

    fn form(&self, name: usize, value: &toml::Spanned<DeValue<'_>>) -> KeyForm {
        let span = value.span();
        let text = self.text.get(span.clone()).unwrap_or_default();
        let Some(table) = value.get_ref().as_table() else {
            let text = self.text.get(name..span.end).unwrap_or_default();
            return KeyForm::Value {
                is_one_line: !text.contains('\n'),
            };
        };
        let line_start = self.text[..name.min(self.text.len())]
            .rfind('\n')
            .map_or(0, |end| end + 1);
        let is_in_head = self.text[line_start..].trim_start().starts_with('[');
        match text.chars().next() {
            Some('{') => {
                let inner = text.strip_suffix('}').map(str::trim_end);
                let inner = inner.filter(|inner| !inner.contains('\n') && is_harmless(table));
                KeyForm::Inline(inner.map(|inner| inner.trim_end_matches(',').to_owned()))
            }
            Some('[') => KeyForm::Head,
            _ if is_in_head => KeyForm::Implicit,
            _ => KeyForm::Dotted,
        }
    }
}

/// Whether no text in a table can be a credential.
fn is_harmless(table: &DeTable<'_>) -> bool {
    let is_reference =
        table.len() == 1 && (table.contains_key("env") || table.contains_key("file"));
    is_reference
        || table.iter().all(|(name, value)| {
            let name = name.get_ref().to_ascii_lowercase();
            let is_suspect = CREDENTIAL_WORDS.iter().any(|word| name.contains(word));
            match value.get_ref() {
                DeValue::Table(table) => is_harmless(table),
                DeValue::String(text) => !is_suspect && is_safe_to_display(text),
                _ => !is_suspect,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fix(text: &str, path: &[&str]) -> (usize, Option<String>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        assert!(errors.is_empty(), "{errors:?}");
        let full: Vec<&str> = ["providers"].iter().chain(path).copied().collect();
        let place = KeyPlaces::new(text, table.get_ref()).of(&full);
        (place.line, place.fix("\"v\""))
    }

    const FILE: &str = "[admin]\nlisten = \"off\"\n\n[providers.a]\nclient_id = \"x\"\n\
        scope = [\n \"a\",\n]\ntoken_request.method = \"GET\"\n\n[providers.a.token_response]\n\
        error = \"/e\"\n[providers.b.token_request]\nparams = { a = \"1\" }\n[providers.b]\n\
        client_id = \"y\"\n[providers.c]\ntoken_request = { params = { key = \"s\" } }\n";

    #[test]
    fn a_key_in_the_file_is_replaced_on_its_line() {
        let (line, fix) = fix(FILE, &["a", "client_id"]);
        assert_eq!((line, fix.as_deref()), (5, Some("client_id = \"v\"")));
    }

    #[test]
    fn a_missing_key_goes_behind_the_head_of_its_table() {
        let found = fix(FILE, &["a", "audience"]);
        assert_eq!(found, (4, Some("audience = \"v\"".into())));
        let found = fix(FILE, &["b", "scope"]);
        assert_eq!(found, (15, Some("scope = \"v\"".into())));
        let found = fix(FILE, &["a", "token_response", "access_token"]);
        assert_eq!(found, (11, Some("access_token = \"v\"".into())));
    }

    #[test]
    fn a_missing_table_is_a_stanza_of_its_own() {
        let found = fix(FILE, &["b", "inject", "prefix"]);
        assert_eq!(
            found,
            (15, Some("[providers.b.inject]\nprefix = \"v\"".into()))
        );
    }

    #[test]
    fn dotted_keys_and_inline_tables_are_continued() {
        let found = fix(FILE, &["a", "token_request", "encoding"]);
        assert_eq!(found, (4, Some("token_request.encoding = \"v\"".into())));
        let found = fix(FILE, &["b", "token_request", "params", "audience"]);
        let params = "params = { a = \"1\", audience = \"v\" }";
        assert_eq!(found, (14, Some(params.into())));
        let found = fix(FILE, &["b", "token_request", "params", "a"]);
        assert_eq!(found, (14, Some("params = { a = \"v\" }".into())));
        let inline = "[providers.d]\ntoken_request = { timeout = \"5s\", method = \"GET\" }\n";
        let found = fix(inline, &["d", "token_request", "timeout"]);
        let timeout = "token_request = { timeout = \"v\", method = \"GET\" }";
        assert_eq!(found, (2, Some(timeout.into())));
        let found = fix(inline, &["d", "token_request", "params", "audience"]);
        let params =
            "token_request = { timeout = \"5s\", method = \"GET\", params.audience = \"v\" }";
        assert_eq!(found, (2, Some(params.into())));
    }

    #[test]
    fn what_one_line_cannot_do_has_no_fix() {
        assert_eq!(fix(FILE, &["a", "scope"]), (6, None));
        assert_eq!(fix(FILE, &["c", "token_request", "encoding"]), (18, None));
        // A table that may hold a credential is not repeated.
        let path = ["c", "token_request", "params", "audience"];
        assert_eq!(fix(FILE, &path), (18, None));
    }
}
