//! Tables and values of the file after parsing.

use std::{cell::Cell, rc::Rc, time::Duration};

use super::{keys::KeySpec, location::Location, spanned::Spanned};

/// A table with typed values.
pub(super) struct ParsedTable<'a> {
    /// The location of the table's header.
    pub(super) location: Location,
    /// The keys that the table may have.
    pub(super) specs: &'static [KeySpec],
    pub(super) entries: Vec<Entry<'a>>,
}

/// A known key that is set, even if its value is invalid.
pub(super) struct Entry<'a> {
    pub(super) name: &'static str,
    pub(super) location: Location,
    /// `None` if the value is invalid, which was reported.
    pub(super) value: Option<ParsedValue<'a>>,
    /// Whether a section has read the value. A test holds that every key is read.
    pub(super) was_read: Cell<bool>,
}

impl<'a> ParsedTable<'a> {
    /// Returns whether the key `name` is set, even to an invalid value.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }

    /// Reads the entry of the key `name`.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry<'a>> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        entry.was_read.set(true);
        Some(entry)
    }

    /// Returns the keys of this table and its tables that no section has read.
    #[cfg(test)]
    pub(super) fn unread_keys(&self) -> Vec<String> {
        let mut unread = Vec::new();
        for entry in &self.entries {
            if !entry.was_read.get() {
                unread.extend(entry.location.key().map(str::to_owned));
            }
            match &entry.value {
                Some(ParsedValue::Table(table)) => unread.extend(table.unread_keys()),
                Some(ParsedValue::NamedTables(tables)) => {
                    unread.extend(tables.iter().flat_map(|(_, table)| table.unread_keys()));
                }
                _ => {}
            }
        }
        unread
    }
}

/// A parsed value. Strings are borrowed from the document, so no secret is copied. There is no
/// `Debug`, since a string may hold a secret.
pub(super) enum ParsedValue<'a> {
    String(&'a str),
    Strings(Vec<Spanned<&'a str>>),
    Choice(&'static str),
    Boolean(bool),
    Integer(u64),
    /// From 0 to 1.
    Ratio(f64),
    Integers(Vec<u64>),
    /// `"auto"`, of [`Kind::IntegerOrAuto`].
    Auto,
    Duration(Duration),
    /// In bytes.
    Size(u64),
    /// `"unlimited"`, of [`Kind::SizeOrUnlimited`].
    Unlimited,
    Secret(SecretSource<'a>),
    /// `"never"`, of [`Kind::DurationOrNever`].
    Never,
    /// A string, a number or a boolean.
    Scalar(serde_json::Value),
    /// Parameters in the order of the file.
    Parameters(Vec<(&'a str, Spanned<ParameterSource<'a>>)>),
    /// Values and declarations of variables, in the order of the file.
    Variables(Vec<(&'a str, VariableEntry<'a>)>),
    /// Tables of strings by name, in the order of the file.
    StringMaps(Vec<(&'a str, StringPairs<'a>)>),
    /// Pairs in the order of the file.
    StringMap(StringPairs<'a>),
    Table(Rc<ParsedTable<'a>>),
    /// Tables by name in the order of the file.
    NamedTables(Vec<(&'a str, Rc<ParsedTable<'a>>)>),
}

/// The place that a secret is read from.
#[derive(Clone, Copy)]
pub(super) enum SecretSource<'a> {
    /// The secret itself.
    Inline(&'a str),
    /// The name of an environment variable.
    Env(&'a str),
    /// The path of a file.
    File(&'a str),
    /// A member of a JSON file.
    Member {
        /// The path of the file.
        file: &'a str,
        /// The JSON Pointer (RFC 6901).
        pointer: &'a str,
    },
}

/// Names and texts in the order of the file.
pub(super) type StringPairs<'a> = Vec<(&'a str, Spanned<&'a str>)>;

/// The value of a parameter.
#[derive(Clone)]
pub(super) enum ParameterSource<'a> {
    Text(&'a str),
    List(Vec<&'a str>),
    Secret(SecretSource<'a>),
}

/// An entry of `vars`.
#[derive(Clone)]
pub(super) enum VariableEntry<'a> {
    /// The value of a declared variable.
    Value(Spanned<&'a str>),
    /// A declaration.
    Declaration(Rc<ParsedTable<'a>>),
}

/// Returns the parameters under `name`.
pub(super) fn parameters_in<'t, 'a>(
    table: Option<&'t ParsedTable<'a>>,
    name: &str,
) -> &'t [(&'a str, Spanned<ParameterSource<'a>>)] {
    let entry = table.and_then(|table| table.entry(name));
    match entry.and_then(|entry| entry.value.as_ref()) {
        Some(ParsedValue::Parameters(parameters)) => parameters,
        _ => &[],
    }
}

/// Returns the pairs of strings under `name`.
pub(super) fn string_pairs<'t, 'a>(
    table: Option<&'t ParsedTable<'a>>,
    name: &str,
) -> &'t [(&'a str, Spanned<&'a str>)] {
    let entry = table.and_then(|table| table.entry(name));
    match entry.and_then(|entry| entry.value.as_ref()) {
        Some(ParsedValue::StringMap(pairs)) => pairs,
        _ => &[],
    }
}
