//! The texts of a provider that have variables.

use crate::config::{
    keys::{self, KeySpec, Variables},
    location::Location,
    parsed::{ParameterSource, ParsedTable, ParsedValue},
    section::Section,
    spanned::Spanned,
};

/// A text with variables, and the key that it stands under.
pub(super) struct Use<'a> {
    pub(super) key: &'static KeySpec,
    pub(super) text: Spanned<&'a str>,
}

/// Collects the texts with braces in the file's table, and in the preset's where the file does not override it.
pub(super) fn uses<'a>(section: &Section<'a>) -> Vec<Use<'a>> {
    let (file, preset) = section.tables();
    let mut found = Vec::new();
    if let Some(file) = file {
        collect(file, None, None, &mut found);
    }
    if let Some(preset) = preset {
        collect(preset, file, Some(section.location()), &mut found);
    }
    found
}

/// Collects the texts of `table` that `over` does not replace. All are located at `header`, if there is one.
fn collect<'a>(
    table: &ParsedTable<'a>,
    over: Option<&ParsedTable<'a>>,
    header: Option<&Location>,
    found: &mut Vec<Use<'a>>,
) {
    for entry in &table.entries {
        let Some(key) = keys::find(table.specs, entry.name) else {
            continue;
        };
        let over = over.and_then(|over| over.entries.iter().find(|other| other.name == entry.name));
        let over_value = over.and_then(|over| over.value.as_ref());
        let mut push = |text: &'a str, location: &Location| {
            if key.variables != Variables::None && text.contains(['{', '}']) {
                let location = header.unwrap_or(location).clone();
                let value = text;
                found.push(Use {
                    key,
                    text: Spanned { value, location },
                });
            }
        };
        let is_replaced = |name: &str| match over_value {
            Some(ParsedValue::Parameters(own)) => own.iter().any(|(own, _)| *own == name),
            Some(ParsedValue::StringMap(own)) => own.iter().any(|(own, _)| *own == name),
            _ => false,
        };
        match &entry.value {
            Some(ParsedValue::Table(inner)) => {
                let over = match over_value {
                    Some(ParsedValue::Table(over)) => Some(&**over),
                    Some(_) => continue,
                    None => None,
                };
                collect(inner, over, header, found);
            }
            Some(ParsedValue::NamedTables(tables)) => {
                for (name, inner) in tables {
                    let over = match over_value {
                        Some(ParsedValue::NamedTables(over)) => over
                            .iter()
                            .find(|(own, _)| own == name)
                            .map(|(_, table)| &**table),
                        _ => None,
                    };
                    collect(inner, over, header, found);
                }
            }
            Some(ParsedValue::Parameters(parameters)) => {
                for (name, parameter) in parameters {
                    match &parameter.value {
                        _ if is_replaced(name) => {}
                        ParameterSource::Text(text) => push(text, &parameter.location),
                        ParameterSource::List(texts) => {
                            texts
                                .iter()
                                .for_each(|text| push(text, &parameter.location));
                        }
                        ParameterSource::Secret(_) => {}
                    }
                }
            }
            Some(ParsedValue::StringMap(pairs)) => {
                for (name, text) in pairs {
                    if !is_replaced(name) {
                        push(text.value, &text.location);
                    }
                }
            }
            Some(ParsedValue::Strings(texts)) if over.is_none() => {
                texts
                    .iter()
                    .for_each(|text| push(text.value, &text.location));
            }
            Some(ParsedValue::String(text)) if over.is_none() => push(text, &entry.location),
            _ => {}
        }
    }
}
