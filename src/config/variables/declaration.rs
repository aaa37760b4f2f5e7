//! The declarations of variables, and the values that `vars` gives them.

use std::rc::Rc;

use crate::config::{
    location::Location,
    parsed::{ParsedTable, ParsedValue, StringPairs, VariableEntry},
    section::Section,
    spanned::Spanned,
};

/// The declaration of a variable.
pub(super) struct Declaration<'a> {
    table: Rc<ParsedTable<'a>>,
    /// The place in the file that a message about it names.
    location: Location,
}

impl<'a> Declaration<'a> {
    pub(super) fn text(&self, key: &str) -> Option<Spanned<&'a str>> {
        match self.table.entry(key)?.value.as_ref()? {
            ParsedValue::String(value) => Some(Spanned {
                value,
                location: self.location.clone(),
            }),
            _ => None,
        }
    }

    /// Returns the choices of `values`, and the texts that each sets.
    pub(super) fn choices(&self) -> impl Iterator<Item = (&'a str, &StringPairs<'a>)> {
        let maps = match self
            .table
            .entry("values")
            .and_then(|entry| entry.value.as_ref())
        {
            Some(ParsedValue::StringMaps(maps)) => maps.as_slice(),
            _ => &[],
        };
        maps.iter().map(|(choice, texts)| (*choice, texts))
    }
}

pub(super) fn declarations<'a>(section: &Section<'a>) -> Vec<(&'a str, Declaration<'a>)> {
    let (file, preset) = section.tables();
    let mut found: Vec<(&'a str, Declaration<'a>)> = Vec::new();
    for (table, is_file) in [(file, true), (preset, false)] {
        for (name, entry) in entries(table) {
            let VariableEntry::Declaration(table) = entry else {
                continue;
            };
            if found.iter().any(|(known, _)| known == name) {
                continue;
            }
            let location = match is_file {
                true => table.location.clone(),
                false => section.location().clone(),
            };
            let table = table.clone();
            found.push((*name, Declaration { table, location }));
        }
    }
    found
}

pub(super) fn values<'a>(section: &Section<'a>) -> Vec<(&'a str, Spanned<&'a str>)> {
    let (file, _) = section.tables();
    let value = |(name, entry): &(&'a str, VariableEntry<'a>)| match entry {
        VariableEntry::Value(value) => Some((*name, value.clone())),
        VariableEntry::Declaration(_) => None,
    };
    entries(file).iter().filter_map(value).collect()
}

fn entries<'t, 'a>(table: Option<&'t ParsedTable<'a>>) -> &'t [(&'a str, VariableEntry<'a>)] {
    let entry = table.and_then(|table| table.entry("vars"));
    match entry.and_then(|entry| entry.value.as_ref()) {
        Some(ParsedValue::Variables(entries)) => entries,
        _ => &[],
    }
}
