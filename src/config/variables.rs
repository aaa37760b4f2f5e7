//! The variables of a provider: declared by its preset or by itself, given a value in `vars`.

mod declaration;
mod uses;

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::Regex;
use typed_arena::Arena;

use self::{
    declaration::{Declaration, declarations, values},
    uses::{Use, uses},
};
use super::{
    diagnostics::{Diagnostic, Diagnostics},
    keys::Variables,
    problem_code::ProblemCode,
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
        self.diagnostics.push(
            self.section
                .error(
                    format!("provider `{provider}` needs the variable `{name}`"),
                    match description {
                        "" => format!("add vars = {{ {name} = \"{example}\" }}{choices}"),
                        _ => format!(
                            "add vars = {{ {name} = \"{example}\" }}: {description}{choices}"
                        ),
                    },
                )
                .with_code(ProblemCode::UndefinedVariable),
        );
    }

    fn report_unknown(&mut self, name: &str, value: &Spanned<&str>, declared: &[&str]) {
        let hint = match nearest(name, declared.iter().copied()) {
            Some(similar) => format!("did you mean `{similar}`?"),
            None if declared.is_empty() => {
                format!("write {{{name}}} in an address or a parameter, or remove `{name}`")
            }
            None => format!("use one of {}", declared.join(", ")),
        };
        self.diagnostics.push(
            value
                .error(
                    format!(
                        "no text of provider `{}` has the variable {}",
                        self.provider,
                        quote(name)
                    ),
                    hint,
                )
                .with_code(ProblemCode::UndefinedVariable),
        );
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
        let has_scope = self.section.is_set("scope");
        for found in &self.uses {
            let checked = check_use(found, &declared, &given, &captures).and_then(|()| {
                if has_scope {
                    Ok(())
                } else {
                    check_scope(found)
                }
            });
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
        .with_code(ProblemCode::InvalidValue)
    })?;
    for name in template.variables() {
        let name = name.as_str();
        // A claim without the value of an optional variable is left out.
        let is_left_out = found.key.name == "claims" && template.is_optional(name);
        if is_left_out || declared.contains(&name) || given.contains(&name) {
            continue;
        }
        let is_run_time = BUILT_IN.contains(&name) || captures.contains(&name);
        if is_run_time && found.key.variables == Variables::RunTime {
            continue;
        }
        if is_run_time {
            return Err(text
                .error(
                    format!(
                        "`{key}` cannot have {{{name}}}, whose value is known at run time only"
                    ),
                    "write the text itself, or use a variable of `vars`",
                )
                .with_code(ProblemCode::UndefinedVariable));
        }
        let known = declared.iter().chain(captures).chain(&BUILT_IN).copied();
        return Err(text
            .error(
                format!(
                    "`{key}` has the variable {}, which has no value",
                    quote(name)
                ),
                match nearest(name, known) {
                    Some(similar) => format!("did you mean {{{similar}}}?"),
                    None => format!("add vars = {{ {name} = \"…\" }} to the provider"),
                },
            )
            .with_code(ProblemCode::UndefinedVariable));
    }
    Ok(())
}

/// Reports `{scope}` in a provider without a scope.
fn check_scope(found: &Use<'_>) -> Result<(), Diagnostic> {
    let Ok(template) = Template::parse(found.text.value) else {
        return Ok(());
    };
    let is_used = template.variables().iter().any(|name| name == "scope");
    if !is_used || template.is_optional("scope") {
        return Ok(());
    }
    Err(found
        .text
        .error(
            format!(
                "`{}` has {{scope}}, and the provider has no `scope`",
                found.key.name
            ),
            "add scope = \"…\" to the provider, or remove {scope}",
        )
        .with_code(ProblemCode::UndefinedVariable))
}

/// Checks a value against its choices or its pattern.
fn check_value(
    name: &str,
    declaration: Option<&Declaration<'_>>,
    value: &Spanned<&str>,
) -> Result<(), Diagnostic> {
    if !is_variable_name(name) {
        return Err(value
            .error(
                format!("{} is not the name of a variable", quote(name)),
                "use small letters, digits and `_`, and begin with a letter",
            )
            .with_code(ProblemCode::InvalidName));
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
        return Err(value
            .error(
                format!(
                    "the variable `{name}` = {} is not a choice",
                    quote(value.value)
                ),
                match nearest(value.value, choices.iter().copied()) {
                    Some(similar) => format!("did you mean \"{similar}\"?"),
                    None => format!("use one of {}", choices.join(", ")),
                },
            )
            .with_code(ProblemCode::InvalidVariable));
    }
    let pattern = declaration.and_then(|declaration| declaration.text("pattern"));
    let text = pattern
        .as_ref()
        .map_or(DEFAULT_PATTERN, |pattern| pattern.value);
    let Ok(regex) = Regex::new(&format!("^(?:{text})$")) else {
        let found = pattern.as_ref().unwrap_or(value);
        return Err(found
            .error(
                format!("the pattern of the variable `{name}` is not a regular expression"),
                "write it like pattern = \"^[A-Za-z0-9-]+$\"",
            )
            .with_code(ProblemCode::InvalidVariable));
    };
    // A brace would make a template of a value.
    if regex.is_match(value.value) && !value.value.contains(['{', '}']) {
        return Ok(());
    }
    let example = declaration.and_then(|declaration| declaration.text("example"));
    let example = example.map_or(String::new(), |example| {
        format!(", such as \"{}\"", example.value)
    });
    Err(value
        .error(
            format!(
                "the variable `{name}` = {} does not fit its pattern {text}",
                quote(value.value)
            ),
            format!("correct the value{example}"),
        )
        .with_code(ProblemCode::InvalidVariable))
}
