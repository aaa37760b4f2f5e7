//! The variables of a provider: declared by its preset or by itself, given a value in `vars`.

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::Regex;
use typed_arena::Arena;

use super::{
    diagnostics::{Diagnostic, Diagnostics},
    keys::{self, KeySpec, Variables},
    location::Location,
    parsed::{ParameterSource, ParsedTable, ParsedValue, VariableEntry},
    quote::quote,
    section::Section,
    spanned::Spanned,
    suggestion::nearest,
};
use crate::oauth::{
    template::{Template, is_variable_name},
    variables::BUILT_IN,
};

/// The values of a variable without a `pattern`.
pub(super) const DEFAULT_PATTERN: &str = "^[A-Za-z0-9-]+$";

/// The values of the variables in one provider's texts.
pub(super) struct ProviderVariables<'a> {
    values: BTreeMap<&'a str, &'a str>,
    texts: &'a Arena<String>,
}

impl<'a> ProviderVariables<'a> {
    /// Replaces the variables of `text` that have a value now.
    ///
    /// Where values of run time are permitted, the rest of the text stays a template.
    pub(super) fn replace(&self, permitted: Variables, text: &'a str) -> &'a str {
        if permitted == Variables::None || !text.contains(['{', '}']) {
            return text;
        }
        // An invalid text was reported.
        let Ok(template) = Template::parse(text) else {
            return text;
        };
        let replaced = template.substitute(|name| self.values.get(name).copied());
        if permitted == Variables::RunTime {
            return self.texts.alloc(replaced);
        }
        let rendered = Template::parse(&replaced)
            .ok()
            .and_then(|template| Some(template.render(|_| None).ok()?.into_owned()));
        self.texts.alloc(rendered.unwrap_or(replaced))
    }
}

/// Resolves the variables of the provider called `provider`, and reports what is wrong with them.
///
/// With an unknown preset, `is_complete` is false: then its variables are not known.
pub(super) fn resolve<'a>(
    provider: &str,
    section: &Section<'a>,
    texts: &'a Arena<String>,
    is_complete: bool,
    diagnostics: &mut Diagnostics,
) -> ProviderVariables<'a> {
    let mut resolver = Resolver {
        provider,
        section,
        uses: uses(section),
        values: BTreeMap::new(),
        diagnostics,
    };
    resolver.resolve();
    if is_complete {
        resolver.check_uses();
    }
    ProviderVariables {
        values: resolver.values,
        texts,
    }
}

/// A text with variables, and the key that it stands under.
struct Use<'a> {
    key: &'static KeySpec,
    text: Spanned<&'a str>,
}

struct Resolver<'r, 'a> {
    provider: &'r str,
    section: &'r Section<'a>,
    uses: Vec<Use<'a>>,
    values: BTreeMap<&'a str, &'a str>,
    diagnostics: &'r mut Diagnostics,
}

impl<'a> Resolver<'_, 'a> {
    fn resolve(&mut self) {
        let declared = declarations(self.section);
        let given = values(self.section);
        let used = self.used_names();
        for (name, declaration) in &declared {
            let choice_names = declaration.choices().flat_map(|(_, texts)| texts.iter());
            let is_used = used.contains(*name)
                || choice_names
                    .into_iter()
                    .any(|(text, _)| used.contains(*text));
            let value = given.iter().find(|(given, _)| given == name);
            match (value, declaration.text("default")) {
                (Some((_, value)), _) => self.set(name, Some(declaration), value),
                (None, Some(default)) => self.set(name, Some(declaration), &default),
                (None, None) if is_used => self.report_missing(name, declaration),
                (None, None) => {}
            }
        }
        for (name, value) in &given {
            if declared.iter().any(|(declared, _)| declared == name) {
                continue;
            }
            if used.contains(*name) {
                self.set(name, None, value);
            } else {
                let names: Vec<_> = declared.iter().map(|(name, _)| *name).collect();
                self.report_unknown(name, value, &names);
            }
        }
    }

    fn used_names(&self) -> BTreeSet<String> {
        let templates = self
            .uses
            .iter()
            .filter_map(|found| Template::parse(found.text.value).ok());
        templates
            .flat_map(|template| template.variables().to_vec())
            .collect()
    }

    fn set(
        &mut self,
        name: &'a str,
        declaration: Option<&Declaration<'a>>,
        value: &Spanned<&'a str>,
    ) {
        if let Err(error) = check_value(name, declaration, value) {
            self.diagnostics.push(error);
            return;
        }
        self.values.insert(name, value.value);
        let choices = declaration.into_iter().flat_map(Declaration::choices);
        for (choice, texts) in choices {
            if choice == value.value {
                let texts = texts.iter().map(|(name, text)| (*name, text.value));
                self.values.extend(texts);
            }
        }
    }

    fn report_missing(&mut self, name: &str, declaration: &Declaration<'a>) {
        let provider = self.provider;
        let description = declaration
            .text("description")
            .map_or("", |found| found.value);
        let example = match declaration.choices().next() {
            Some((choice, _)) => choice,
            None => declaration.text("example").map_or("…", |found| found.value),
        };
        let choices: Vec<_> = declaration.choices().map(|(choice, _)| choice).collect();
        let choices = match choices.is_empty() {
            true => String::new(),
            false => format!("; one of {}", choices.join(", ")),
        };
        self.diagnostics.push(self.section.error(
            format!("provider `{provider}` needs the variable `{name}`"),
            format!("add vars = {{ {name} = \"{example}\" }}: {description}{choices}"),
        ));
    }

    fn report_unknown(&mut self, name: &str, value: &Spanned<&str>, declared: &[&str]) {
        let hint = match nearest(name, declared.iter().copied()) {
            Some(similar) => format!("did you mean `{similar}`?"),
            None if declared.is_empty() => {
                format!("write {{{name}}} in an address or a parameter, or remove `{name}`")
            }
            None => format!("use one of {}", declared.join(", ")),
        };
        self.diagnostics.push(value.error(
            format!(
                "no text of provider `{}` has the variable {}",
                self.provider,
                quote(name)
            ),
            hint,
        ));
    }

    /// Reports texts whose variables are not known.
    fn check_uses(&mut self) {
        let captures: Vec<_> = self.section.named_sections("capture");
        let captures: Vec<_> = captures.iter().map(|(name, _)| *name).collect();
        let declared: Vec<_> = declarations(self.section)
            .iter()
            .flat_map(|(name, declaration)| {
                let texts = declaration.choices().flat_map(|(_, texts)| texts);
                let texts = texts.map(|(text, _)| *text).collect::<Vec<_>>();
                std::iter::once(*name).chain(texts)
            })
            .collect();
        let given: Vec<_> = values(self.section).iter().map(|(name, _)| *name).collect();
        for found in &self.uses {
            let checked = check_use(found, &declared, &given, &captures);
            if let Err(error) = checked {
                self.diagnostics.push(error);
            }
        }
    }
}

fn check_use(
    found: &Use<'_>,
    declared: &[&str],
    given: &[&str],
    captures: &[&str],
) -> Result<(), Diagnostic> {
    let (key, text) = (found.key.name, &found.text);
    let template = Template::parse(text.value).map_err(|_| {
        text.error(
            format!("a brace of `{key}` does not enclose the name of a variable"),
            r"write a variable like {tenant}, or the brace itself as \\{ in a TOML string",
        )
    })?;
    for name in template.variables() {
        let name = name.as_str();
        if declared.contains(&name) || given.contains(&name) {
            continue;
        }
        let is_run_time = BUILT_IN.contains(&name) || captures.contains(&name);
        if is_run_time && found.key.variables == Variables::RunTime {
            continue;
        }
        if is_run_time {
            return Err(text.error(
                format!("`{key}` cannot have {{{name}}}, whose value is known at run time only"),
                "write the text itself, or use a variable of `vars`",
            ));
        }
        let known = declared.iter().chain(captures).chain(&BUILT_IN).copied();
        return Err(text.error(
            format!(
                "`{key}` has the variable {}, which has no value",
                quote(name)
            ),
            match nearest(name, known) {
                Some(similar) => format!("did you mean {{{similar}}}?"),
                None => format!("add vars = {{ {name} = \"…\" }} to the provider"),
            },
        ));
    }
    Ok(())
}

/// Checks a value against its choices or its pattern.
fn check_value(
    name: &str,
    declaration: Option<&Declaration<'_>>,
    value: &Spanned<&str>,
) -> Result<(), Diagnostic> {
    if !is_variable_name(name) {
        return Err(value.error(
            format!("{} is not the name of a variable", quote(name)),
            "use small letters, digits and `_`, and begin with a letter",
        ));
    }
    let choices: Vec<_> = declaration
        .into_iter()
        .flat_map(Declaration::choices)
        .map(|(choice, _)| choice)
        .collect();
    if !choices.is_empty() {
        if choices.contains(&value.value) {
            return Ok(());
        }
        return Err(value.error(
            format!(
                "the variable `{name}` = {} is not a choice",
                quote(value.value)
            ),
            match nearest(value.value, choices.iter().copied()) {
                Some(similar) => format!("did you mean \"{similar}\"?"),
                None => format!("use one of {}", choices.join(", ")),
            },
        ));
    }
    let pattern = declaration.and_then(|declaration| declaration.text("pattern"));
    let text = pattern
        .as_ref()
        .map_or(DEFAULT_PATTERN, |pattern| pattern.value);
    let Ok(regex) = Regex::new(&format!("^(?:{text})$")) else {
        let found = pattern.as_ref().unwrap_or(value);
        return Err(found.error(
            format!("the pattern of the variable `{name}` is not a regular expression"),
            "write it like pattern = \"^[A-Za-z0-9-]+$\"",
        ));
    };
    // A brace would make a template of a value.
    if regex.is_match(value.value) && !value.value.contains(['{', '}']) {
        return Ok(());
    }
    let example = declaration.and_then(|declaration| declaration.text("example"));
    let example = example.map_or(String::new(), |example| {
        format!(", such as \"{}\"", example.value)
    });
    Err(value.error(
        format!(
            "the variable `{name}` = {} does not fit its pattern {text}",
            quote(value.value)
        ),
        format!("correct the value{example}"),
    ))
}

/// The declaration of a variable.
struct Declaration<'a> {
    table: std::rc::Rc<ParsedTable<'a>>,
    /// The place in the file that a message about it names.
    location: Location,
}

impl<'a> Declaration<'a> {
    fn text(&self, key: &str) -> Option<Spanned<&'a str>> {
        match self.table.entry(key)?.value.as_ref()? {
            ParsedValue::String(value) => Some(Spanned {
                value,
                location: self.location.clone(),
            }),
            _ => None,
        }
    }

    /// Returns the choices of `values`, and the texts that each sets.
    fn choices(&self) -> impl Iterator<Item = (&'a str, &Vec<(&'a str, Spanned<&'a str>)>)> {
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

fn declarations<'a>(section: &Section<'a>) -> Vec<(&'a str, Declaration<'a>)> {
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

fn values<'a>(section: &Section<'a>) -> Vec<(&'a str, Spanned<&'a str>)> {
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

/// Collects the texts with braces in the file's table, and in the preset's where the file does not override it.
fn uses<'a>(section: &Section<'a>) -> Vec<Use<'a>> {
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
