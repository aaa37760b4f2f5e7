//! Parses the tables of a file against the key table, in one walk.
//!
//! Unknown keys, wrong types and malformed values are all reported here. The rest of the
//! configuration sees typed values only, through [`Section`](super::section::Section).

use std::{cell::Cell, rc::Rc};

use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::{
    diagnostics::{Diagnostic, Diagnostics},
    keys::{self, KeySpec, Kind},
    literal_variable::warn_of_literal_variable,
    location::Location,
    parsed::{Entry, ParameterSource, ParsedTable, ParsedValue, VariableEntry},
    problem_code::ProblemCode,
    quote::{MASK, is_safe_to_display},
    spanned::Spanned,
    suggestion::{nearest, suggest_key},
    value::{parse_scalar, parse_secret_parameter, parse_texts, to_u64, type_of, wrong_type},
};

/// Parses tables, and collects the diagnostics.
pub(super) struct TableParser<'t, 'd> {
    /// The text that the tables come from.
    pub(super) text: &'t str,
    /// Whether the text is valid TOML. Then a bare key is meant as a key.
    pub(super) is_valid: bool,
    pub(super) diagnostics: &'d mut Diagnostics,
}

impl TableParser<'_, '_> {
    /// Parses `table`, whose header is at `location`, to the types of `specs`.
    pub(super) fn parse<'a>(
        &mut self,
        table: &'a DeTable<'a>,
        specs: &'static [KeySpec],
        location: Location,
    ) -> ParsedTable<'a> {
        let mut entries = Vec::with_capacity(table.len());
        let mut misspelt = Vec::new();
        for (name, value) in table {
            match keys::find(specs, name.get_ref()) {
                Some(spec) => {
                    let header = location.member(spec.name, name.span());
                    entries.push(self.parse_entry(value, spec, header));
                }
                None => {
                    self.report_unknown_key(name, specs, &location);
                    misspelt.extend(nearest(name.get_ref(), keys::names(specs)));
                }
            }
        }
        // The key that is meant is not missing, too.
        for name in misspelt {
            if !entries.iter().any(|entry: &Entry<'_>| entry.name == name) {
                entries.push(Entry {
                    name,
                    location: location.clone(),
                    value: None,
                    was_read: Cell::new(true),
                });
            }
        }
        ParsedTable {
            location,
            specs,
            entries,
        }
    }

    fn parse_entry<'a>(
        &mut self,
        value: &'a toml::Spanned<DeValue<'a>>,
        spec: &'static KeySpec,
        header: Location,
    ) -> Entry<'a> {
        // The span of a table is that of its header, or of everything between its braces.
        let is_table =
            value.get_ref().is_table() && !matches!(spec.kind, Kind::Secret | Kind::SecretOrMember);
        let location = if is_table {
            header
        } else {
            header.at_item(value.span())
        };
        let parsed = self.parse_value(value.get_ref(), spec, &location);
        if parsed.is_ok() {
            let warning = warn_of_literal_variable(value.get_ref(), spec, &location);
            warning
                .into_iter()
                .for_each(|warning| self.diagnostics.push(warning));
        }
        Entry {
            name: spec.name,
            value: self.diagnostics.ok_or_push(parsed),
            location,
            was_read: Cell::new(false),
        }
    }

    fn parse_value<'a>(
        &mut self,
        value: &'a DeValue<'a>,
        spec: &'static KeySpec,
        location: &Location,
    ) -> Result<ParsedValue<'a>, Diagnostic> {
        match (spec.kind, value) {
            (Kind::Table(inner) | Kind::StringOrTable(inner), DeValue::Table(table)) => {
                let table = self.parse(table, inner, location.clone());
                Ok(ParsedValue::Table(Rc::new(table)))
            }
            (Kind::NamedTables(inner), DeValue::Table(tables)) => {
                Ok(self.parse_named_tables(tables, spec, inner, location))
            }
            (Kind::Strings | Kind::StringOrStrings, DeValue::Array(items)) => {
                Ok(self.parse_strings(items, spec, location))
            }
            (Kind::Integers { min, max }, DeValue::Array(items)) => {
                Ok(self.parse_integers(items, spec, min, max, location))
            }
            (Kind::StringMap, DeValue::Table(pairs)) => {
                Ok(self.parse_string_map(pairs, spec, location))
            }
            (Kind::StringMaps, DeValue::Table(maps)) => {
                Ok(self.parse_string_maps(maps, spec, location))
            }
            (Kind::Parameters { secrets }, DeValue::Table(pairs)) => {
                Ok(self.parse_parameters(pairs, spec, secrets, location))
            }
            (Kind::Variables(inner), DeValue::Table(entries)) => {
                Ok(self.parse_variables(entries, inner, location))
            }
            (
                Kind::Table(_)
                | Kind::NamedTables(_)
                | Kind::Strings
                | Kind::Integers { .. }
                | Kind::StringMap
                | Kind::StringMaps
                | Kind::Parameters { .. }
                | Kind::Variables(_),
                other,
            ) => Err(wrong_type(other, spec, location)),
            _ => parse_scalar(value, spec, location),
        }
    }

    fn parse_named_tables<'a>(
        &mut self,
        tables: &'a DeTable<'a>,
        spec: &'static KeySpec,
        inner: &'static [KeySpec],
        location: &Location,
    ) -> ParsedValue<'a> {
        let mut parsed = Vec::with_capacity(tables.len());
        for (name, value) in tables {
            let location = location.member(name.get_ref(), name.span());
            match value.get_ref() {
                DeValue::Table(table) => {
                    let table = self.parse(table, inner, location);
                    parsed.push((name.get_ref().as_ref(), Rc::new(table)));
                }
                other => self.diagnostics.push(
                    Diagnostic::error(
                        &location,
                        format!("expected a table, found {}", type_of(other)),
                        format!("write [{}.NAME], and its keys below it", spec.name),
                    )
                    .with_code(ProblemCode::WrongType),
                ),
            }
        }
        parsed.sort_by_key(|(_, table)| table.location.span.start);
        ParsedValue::NamedTables(parsed)
    }

    fn parse_strings<'a>(
        &mut self,
        items: &'a DeArray<'a>,
        spec: &'static KeySpec,
        location: &Location,
    ) -> ParsedValue<'a> {
        let mut strings = Vec::with_capacity(items.len());
        for item in items {
            let location = location.at_item(item.span());
            match item.get_ref().as_str() {
                Some(value) => strings.push(Spanned { value, location }),
                None => self.diagnostics.push(
                    Diagnostic::error(
                        &location,
                        format!("`{}` must contain strings only", spec.name),
                        "put the item in quotation marks",
                    )
                    .with_code(ProblemCode::WrongType),
                ),
            }
        }
        ParsedValue::Strings(strings)
    }

    fn parse_integers<'a>(
        &mut self,
        items: &'a DeArray<'a>,
        spec: &'static KeySpec,
        min: u64,
        max: u64,
        location: &Location,
    ) -> ParsedValue<'a> {
        let default = spec.default.map(|default| default().to_string());
        let example = default.unwrap_or_else(|| format!("[{min}]"));
        let mut integers = Vec::with_capacity(items.len());
        for item in items {
            let integer = item.get_ref().as_integer().and_then(to_u64);
            match integer.filter(|integer| (min..=max).contains(integer)) {
                Some(integer) => integers.push(integer),
                None => self.diagnostics.push(
                    Diagnostic::error(
                        &location.at_item(item.span()),
                        format!("`{}` must contain integers from {min} to {max}", spec.name),
                        format!("write it like {} = {example}", spec.name),
                    )
                    .with_code(ProblemCode::WrongType),
                ),
            }
        }
        ParsedValue::Integers(integers)
    }

    fn parse_string_map<'a>(
        &mut self,
        pairs: &'a DeTable<'a>,
        spec: &'static KeySpec,
        location: &Location,
    ) -> ParsedValue<'a> {
        let mut strings = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            match value.get_ref().as_str() {
                Some(text) => strings.push((
                    name.get_ref().as_ref(),
                    Spanned {
                        value: text,
                        location: location.at_item(name.span()),
                    },
                )),
                None => self.diagnostics.push(
                    Diagnostic::error(
                        &location.member(name.get_ref(), value.span()),
                        format!(
                            "`{}` must contain strings only, not {}",
                            spec.name,
                            type_of(value.get_ref())
                        ),
                        "put the value in quotation marks",
                    )
                    .with_code(ProblemCode::WrongType),
                ),
            }
        }
        strings.sort_by_key(|(_, found)| found.location.span.start);
        ParsedValue::StringMap(strings)
    }

    fn parse_string_maps<'a>(
        &mut self,
        maps: &'a DeTable<'a>,
        spec: &'static KeySpec,
        location: &Location,
    ) -> ParsedValue<'a> {
        let mut parsed = Vec::with_capacity(maps.len());
        for (name, value) in maps {
            let location = location.member(name.get_ref(), name.span());
            match value.get_ref() {
                DeValue::Table(pairs) => {
                    if let ParsedValue::StringMap(pairs) =
                        self.parse_string_map(pairs, spec, &location)
                    {
                        parsed.push((name.get_ref().as_ref(), pairs));
                    }
                }
                other => self.diagnostics.push(wrong_type(other, spec, &location)),
            }
        }
        ParsedValue::StringMaps(parsed)
    }

    fn parse_parameters<'a>(
        &mut self,
        pairs: &'a DeTable<'a>,
        spec: &'static KeySpec,
        secrets: bool,
        location: &Location,
    ) -> ParsedValue<'a> {
        let mut parameters = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let name_location = location.at_item(name.span());
            let name = name.get_ref().as_ref();
            let member = location.member(name, value.span());
            let source = match value.get_ref() {
                DeValue::String(text) => Ok(ParameterSource::Text(text)),
                DeValue::Array(items) => parse_texts(name, items, &member),
                table @ DeValue::Table(_) if secrets => {
                    parse_secret_parameter(name, table, &member).map(ParameterSource::Secret)
                }
                other => Err(Diagnostic::error(
                    &member,
                    format!(
                        "`{}` must contain strings or arrays of strings, not {}",
                        spec.name,
                        type_of(other)
                    ),
                    "put the value in quotation marks",
                )
                .with_code(ProblemCode::WrongType)),
            };
            if let Some(value) = self.diagnostics.ok_or_push(source) {
                let location = name_location;
                parameters.push((name, Spanned { value, location }));
            }
        }
        parameters.sort_by_key(|(_, found)| found.location.span.start);
        ParsedValue::Parameters(parameters)
    }

    fn parse_variables<'a>(
        &mut self,
        entries: &'a DeTable<'a>,
        specs: &'static [KeySpec],
        location: &Location,
    ) -> ParsedValue<'a> {
        let mut variables = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            let header = location.member(name.get_ref(), name.span());
            let entry = match value.get_ref() {
                DeValue::String(text) => VariableEntry::Value(Spanned {
                    value: text.as_ref(),
                    location: header.at_item(value.span()),
                }),
                DeValue::Table(table) => {
                    VariableEntry::Declaration(Rc::new(self.parse(table, specs, header)))
                }
                other => {
                    self.diagnostics.push(
                        Diagnostic::error(
                            &header,
                            format!("a variable must be a string, not {}", type_of(other)),
                            "put the value in quotation marks",
                        )
                        .with_code(ProblemCode::WrongType),
                    );
                    continue;
                }
            };
            variables.push((name.get_ref().as_ref(), entry));
        }
        ParsedValue::Variables(variables)
    }

    /// Reports an unknown key. The name is masked unless it is clearly a key: a misplaced value may
    /// be a secret.
    fn report_unknown_key(
        &mut self,
        name: &toml::Spanned<DeString<'_>>,
        specs: &'static [KeySpec],
        table: &Location,
    ) {
        let span = name.span();
        let name = name.get_ref().as_ref();
        let suggestion = suggest_key(name, specs, table.key().unwrap_or_default());
        let is_bare = self.is_valid && self.text.get(span.clone()) == Some(name);
        let is_clearly_a_key = is_bare || suggestion.is_some();
        let shown = if is_clearly_a_key && is_safe_to_display(name) {
            name
        } else {
            MASK
        };

        let hint = suggestion.unwrap_or_else(|| {
            let known: Vec<_> = keys::names(specs).collect();
            format!("use one of {}", known.join(", "))
        });
        self.diagnostics.push(
            Diagnostic::error(
                &table.member(shown, span),
                format!("unknown key `{shown}`"),
                hint,
            )
            .with_code(ProblemCode::UnknownKey),
        );
    }
}
