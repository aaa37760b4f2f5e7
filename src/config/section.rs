//! Typed access to one table of the file over the same table of a preset.
//!
//! A key that is absent, or whose invalid value was reported, reads as `None`.

use std::{rc::Rc, time::Duration};

use super::{
    diagnostics::Diagnostic,
    keys::{self, KeySpec, Kind},
    location::Location,
    parsed::{
        ParameterSource, ParsedTable, ParsedValue, SecretSource, parameters_in, string_pairs,
    },
    problem_code::ProblemCode,
    spanned::Spanned,
    variables::ProviderVariables,
};

/// A table of the file over the same table of a preset. An absent table reads as an empty one.
#[derive(Clone)]
pub(super) struct Section<'a> {
    specs: &'static [KeySpec],
    file: Option<Rc<ParsedTable<'a>>>,
    preset: Option<Rc<ParsedTable<'a>>>,
    location: Location,
    /// The values of the variables in its texts.
    variables: Option<Rc<ProviderVariables<'a>>>,
}

impl<'a> Section<'a> {
    /// The section of one table of the file.
    pub(super) fn new(table: Rc<ParsedTable<'a>>) -> Self {
        Self {
            specs: table.specs,
            location: table.location.clone(),
            file: Some(table),
            preset: None,
            variables: None,
        }
    }

    /// Adds the keys of `preset`, which the table's own keys override.
    pub(super) fn with_preset(self, preset: Rc<ParsedTable<'a>>) -> Self {
        Self {
            preset: Some(preset),
            ..self
        }
    }

    /// Replaces the variables in its texts by their values.
    pub(super) fn with_variables(self, variables: ProviderVariables<'a>) -> Self {
        Self {
            variables: Some(Rc::new(variables)),
            ..self
        }
    }

    /// Returns the table of the file and that of the preset.
    pub(super) fn tables(&self) -> (Option<&ParsedTable<'a>>, Option<&ParsedTable<'a>>) {
        (self.file.as_deref(), self.preset.as_deref())
    }

    /// Returns the location of the table's header.
    pub(super) fn location(&self) -> &Location {
        &self.location
    }

    /// An error at the table's header. Its code is that of a missing key.
    pub(super) fn error(&self, message: impl Into<String>, hint: impl Into<String>) -> Diagnostic {
        Diagnostic::error(&self.location, message, hint).with_code(ProblemCode::MissingKey)
    }

    /// A warning at the table's header.
    pub(super) fn warning(
        &self,
        code: ProblemCode,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::warning(code, &self.location, message, hint)
    }

    /// Returns whether the table is in the file, not only in the preset.
    pub(super) fn is_in_file(&self) -> bool {
        self.file.is_some()
    }

    /// Returns whether the file sets the key, even to an invalid value.
    pub(super) fn is_set_in_file(&self, name: &str) -> bool {
        self.file.as_ref().is_some_and(|table| table.is_set(name))
    }

    /// Returns whether the file or the preset sets the key, even to an invalid value.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Returns whether the file sets the key to an invalid value, which was reported, or misspells it.
    pub(super) fn is_invalid_in_file(&self, name: &str) -> bool {
        let entry = self.file.as_ref().and_then(|table| table.entry(name));
        entry.is_some_and(|entry| entry.value.is_none())
    }

    /// Returns a string.
    pub(super) fn string(&self, name: &str) -> Option<Spanned<&'a str>> {
        match self.value(name)? {
            (ParsedValue::String(value), location) => Some(Spanned {
                value: self.replaced(name, value),
                location,
            }),
            // The key may be a table too.
            (ParsedValue::Table(_), _) => None,
            _ => misread(name),
        }
    }

    /// Returns the strings of an array, or a single string where the key allows both.
    pub(super) fn strings(&self, name: &str) -> Option<Spanned<Vec<Spanned<&'a str>>>> {
        let (ParsedValue::Strings(strings), location) = self.value(name)? else {
            return misread(name);
        };
        let is_from_file = self.is_set_in_file(name);
        let strings = strings.iter().map(|string| Spanned {
            value: self.replaced(name, string.value),
            location: if is_from_file {
                string.location.clone()
            } else {
                location.clone()
            },
        });
        Some(Spanned {
            value: strings.collect(),
            location,
        })
    }

    /// Returns the value that stands for the key's word among `choices`.
    pub(super) fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let (ParsedValue::Choice(word), _) = self.value(name)? else {
            return misread(name);
        };
        let choice = choices.iter().find(|(choice, _)| choice == word);
        choice.map(|(_, value)| *value)
    }

    /// Returns `true` or `false`.
    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        match self.value(name)? {
            (ParsedValue::Boolean(boolean), _) => Some(*boolean),
            _ => misread(name),
        }
    }

    /// Returns a number from 0 to 1.
    pub(super) fn ratio(&self, name: &str) -> Option<f64> {
        match self.value(name)? {
            (ParsedValue::Ratio(ratio), _) => Some(*ratio),
            _ => misread(name),
        }
    }

    /// Returns an integer. `"auto"` gives `None`.
    pub(super) fn integer<T: TryFrom<u64>>(&self, name: &str) -> Option<T> {
        match self.value(name)? {
            (ParsedValue::Integer(integer), _) => T::try_from(*integer).ok(),
            (ParsedValue::Auto, _) => None,
            _ => misread(name),
        }
    }

    /// Returns an array of integers.
    pub(super) fn integers<T: TryFrom<u64>>(&self, name: &str) -> Option<Vec<T>> {
        let (ParsedValue::Integers(integers), _) = self.value(name)? else {
            return misread(name);
        };
        let converted = integers
            .iter()
            .filter_map(|integer| T::try_from(*integer).ok());
        Some(converted.collect())
    }

    /// Returns a duration.
    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        match self.value(name)? {
            (ParsedValue::Duration(duration), _) => Some(*duration),
            _ => misread(name),
        }
    }

    /// Returns a duration, or `None` in it for `"never"`.
    pub(super) fn duration_or_never(&self, name: &str) -> Option<Option<Duration>> {
        match self.value(name)? {
            (ParsedValue::Duration(duration), _) => Some(Some(*duration)),
            (ParsedValue::Never, _) => Some(None),
            _ => misread(name),
        }
    }

    /// Returns a string, a number or a boolean as JSON.
    pub(super) fn scalar(&self, name: &str) -> Option<serde_json::Value> {
        match self.value(name)? {
            (ParsedValue::Scalar(value), _) => Some(value.clone()),
            _ => misread(name),
        }
    }

    /// Returns parameters. The preset's come first, then the file's in order.
    pub(super) fn parameters(&self, name: &str) -> Vec<(&'a str, Spanned<ParameterSource<'a>>)> {
        let from_file = parameters_in(self.file.as_deref(), name);
        let is_overridden = |key: &str| from_file.iter().any(|(name, _)| *name == key);
        let from_preset = parameters_in(self.preset.as_deref(), name)
            .iter()
            .filter(|(key, _)| !is_overridden(key))
            .map(|(key, found)| {
                let location = self.location.member(name, self.location.span.clone());
                let value = found.value.clone();
                (*key, Spanned { value, location })
            });
        let all = from_preset.chain(from_file.iter().cloned());
        let replaced = |(key, found): (&'a str, Spanned<ParameterSource<'a>>)| {
            let value = match found.value {
                ParameterSource::Text(text) => ParameterSource::Text(self.replaced(name, text)),
                ParameterSource::List(texts) => ParameterSource::List(
                    texts.iter().map(|text| self.replaced(name, text)).collect(),
                ),
                secret @ ParameterSource::Secret(_) => secret,
            };
            let location = found.location;
            (key, Spanned { value, location })
        };
        all.map(replaced).collect()
    }

    /// Returns a size in bytes. `"unlimited"` gives `None`.
    pub(super) fn size<T: TryFrom<u64>>(&self, name: &str) -> Option<T> {
        match self.value(name)? {
            (ParsedValue::Size(bytes), _) => T::try_from(*bytes).ok(),
            (ParsedValue::Unlimited, _) => None,
            _ => misread(name),
        }
    }

    /// Returns the source of a secret.
    pub(super) fn secret(&self, name: &str) -> Option<Spanned<SecretSource<'a>>> {
        match self.value(name)? {
            (ParsedValue::Secret(source), location) => Some(Spanned {
                value: *source,
                location,
            }),
            _ => misread(name),
        }
    }

    /// Returns pairs of strings. The preset's come first, then the file's in order.
    pub(super) fn string_map(&self, name: &str) -> Vec<(&'a str, Spanned<&'a str>)> {
        let from_file = string_pairs(self.file.as_deref(), name);
        let is_overridden = |key: &str| from_file.iter().any(|(name, _)| *name == key);
        let from_preset = string_pairs(self.preset.as_deref(), name)
            .iter()
            .filter(|(key, _)| !is_overridden(key))
            .map(|(key, found)| {
                let location = self.location.member(name, self.location.span.clone());
                let value = found.value;
                (*key, Spanned { value, location })
            });
        from_preset.chain(from_file.iter().cloned()).collect()
    }

    /// Returns whether the key holds a table, in the file or in the preset.
    pub(super) fn has_table(&self, name: &str) -> bool {
        let (file, preset) = self.tables();
        let in_file = table_in(file, name).is_some();
        in_file || (!self.is_text_in_file(name) && table_in(preset, name).is_some())
    }

    /// Returns a table in this one.
    pub(super) fn section(&self, name: &str) -> Section<'a> {
        let file = table_in(self.file.as_deref(), name);
        let location = match &file {
            Some(table) => table.location.clone(),
            None => self.location.member(name, self.location.span.clone()),
        };
        let specs = match keys::find(self.specs, name).map(|spec| spec.kind) {
            Some(Kind::Table(inner) | Kind::StringOrTable(inner)) => inner,
            _ => &[],
        };
        Section {
            specs,
            file,
            preset: table_in(self.preset.as_deref(), name).filter(|_| !self.is_text_in_file(name)),
            location,
            variables: self.variables.clone(),
        }
    }

    /// Returns the named tables under `name`: the preset's first, each over the preset's of its name.
    pub(super) fn named_sections(&self, name: &str) -> Vec<(&'a str, Section<'a>)> {
        let from_file = named_tables_in(self.file.as_deref(), name);
        let from_preset = named_tables_in(self.preset.as_deref(), name);
        let find = |tables: &NamedTables<'a>, wanted: &str| {
            let found = tables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, table)| table.clone())
        };
        let only_in_file = from_file
            .iter()
            .filter(|(name, _)| find(from_preset, name).is_none());
        let all = from_preset.iter().chain(only_in_file);
        all.map(|(key, table)| {
            let file = find(from_file, key);
            let location = match &file {
                Some(table) => table.location.clone(),
                None => self.location.member(name, self.location.span.clone()),
            };
            let section = Section {
                specs: table.specs,
                file,
                preset: find(from_preset, key),
                location,
                variables: self.variables.clone(),
            };
            (*key, section)
        })
        .collect()
    }

    /// Returns whether the file has a text under `name`, which replaces a preset's table.
    fn is_text_in_file(&self, name: &str) -> bool {
        let entry = self.file.as_ref().and_then(|table| table.entry(name));
        entry.is_some_and(|entry| !matches!(entry.value, Some(ParsedValue::Table(_))))
    }

    /// Replaces the variables in a text of the key `name`.
    fn replaced(&self, name: &str, text: &'a str) -> &'a str {
        match (&self.variables, keys::find(self.specs, name)) {
            (Some(variables), Some(spec)) => variables.replace(spec.variables, text),
            _ => text,
        }
    }

    fn value(&self, name: &str) -> Option<(&ParsedValue<'a>, Location)> {
        let (value, location) = self.find(name)?;
        Some((value?, location))
    }

    /// Finds the key in the file, else in the preset. A preset's value is located at the table's
    /// header.
    fn find(&self, name: &str) -> Option<(Option<&ParsedValue<'a>>, Location)> {
        debug_assert!(
            keys::find(self.specs, name).is_some(),
            "`{name}` is not in the key table"
        );
        if let Some(entry) = self.file.as_ref().and_then(|table| table.entry(name)) {
            return Some((entry.value.as_ref(), entry.location.clone()));
        }
        let entry = self.preset.as_ref()?.entry(name)?;
        let location = self.location.member(name, self.location.span.clone());
        Some((entry.value.as_ref(), location))
    }
}

/// Fails a test that reads a key by another type than its own.
fn misread<T>(name: &str) -> Option<T> {
    debug_assert!(false, "`{name}` has another type in the key table");
    None
}

fn table_in<'a>(table: Option<&ParsedTable<'a>>, name: &str) -> Option<Rc<ParsedTable<'a>>> {
    match table?.entry(name)?.value.as_ref()? {
        ParsedValue::Table(inner) => Some(inner.clone()),
        _ => None,
    }
}

type NamedTables<'a> = [(&'a str, Rc<ParsedTable<'a>>)];

fn named_tables_in<'t, 'a>(table: Option<&'t ParsedTable<'a>>, name: &str) -> &'t NamedTables<'a> {
    let entry = table.and_then(|table| table.entry(name));
    match entry.and_then(|entry| entry.value.as_ref()) {
        Some(ParsedValue::NamedTables(tables)) => tables,
        _ => &[],
    }
}
