//! Texts of the configuration with variables in braces, such as `https://{tenant}.example.com`.

use std::borrow::Cow;

use leon::{Item, RenderError, Values};
use thiserror::Error;

/// A text with variables in braces. `\{` stands for a brace.
///
/// A variable whose name ends with `?` is optional: without a value it leaves nothing behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    text: String,
    variables: Vec<String>,
}

/// A text whose braces do not enclose the name of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("its braces do not enclose the name of a variable")]
pub struct InvalidTemplate;

/// A variable without a value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the variable `{0}` has no value")]
pub struct MissingVariable(pub String);

impl Template {
    /// Parses a text. One without braces stands for itself.
    ///
    /// # Errors
    /// A brace is not closed, or does not enclose a name.
    pub fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        let mut variables = Vec::new();
        if has_braces(text) {
            let template = leon::Template::parse(text).map_err(|_| InvalidTemplate)?;
            for name in template.keys() {
                let bare = name.strip_suffix('?').unwrap_or(name);
                if !is_variable_name(bare) {
                    return Err(InvalidTemplate);
                }
                variables.push(bare.to_owned());
            }
        }
        Ok(Self {
            text: text.to_owned(),
            variables,
        })
    }

    /// Returns the text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the names of the variables, in order, without their `?`.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// Returns whether the variable `name` is written with a `?` wherever it stands.
    pub fn is_optional(&self, name: &str) -> bool {
        has_braces(&self.text) && !self.parsed().keys().any(|key| key == &name)
    }

    /// Replaces the variables that `value` knows, and leaves the others in their braces.
    pub fn substitute<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> String {
        if !has_braces(&self.text) {
            return self.text.clone();
        }
        let mut text = String::with_capacity(self.text.len());
        for item in self.parsed().items.iter() {
            match item {
                Item::Text(literal) => push_escaped(&mut text, literal),
                Item::Key(name) => match value(name.strip_suffix('?').unwrap_or(name)) {
                    Some(value) => push_escaped(&mut text, value),
                    None => {
                        text.push('{');
                        text.push_str(name);
                        text.push('}');
                    }
                },
            }
        }
        text
    }

    fn parsed(&self) -> leon::Template<'_> {
        leon::Template::parse(&self.text)
            .unwrap_or_else(|_| unreachable!("the text was parsed before"))
    }

    /// Returns whether an optional variable has no value.
    pub fn lacks_optional<'v>(&self, value: impl Fn(&str) -> Option<Cow<'v, str>>) -> bool {
        let lacks = |key: &&str| {
            key.strip_suffix('?')
                .is_some_and(|name| value(name).is_none())
        };
        has_braces(&self.text) && self.parsed().keys().any(lacks)
    }

    /// Replaces the variables by their values, which `value` returns.
    ///
    /// # Errors
    /// A variable that is not optional has no value.
    pub fn render<'v>(
        &self,
        value: impl Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Result<Cow<'_, str>, MissingVariable> {
        if !has_braces(&self.text) {
            return Ok(Cow::Borrowed(&self.text));
        }
        let rendered = self.parsed().render(&VariableValues(value));
        rendered.map(Cow::Owned).map_err(|error| match error {
            RenderError::MissingKey(name) => MissingVariable(name),
            RenderError::Io(_) => unreachable!("a buffer in memory takes every byte"),
        })
    }
}

/// Returns whether `name` is one of a variable: small letters, digits and `_`, a letter first.
pub fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Appends text so that it stands for itself in a template.
fn push_escaped(text: &mut String, literal: &str) {
    for character in literal.chars() {
        if matches!(character, '{' | '}' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
}

fn has_braces(text: &str) -> bool {
    text.contains(['{', '}'])
}

struct VariableValues<F>(F);

impl<'v, F: Fn(&str) -> Option<Cow<'v, str>>> Values for VariableValues<F> {
    fn get_value(&self, key: &str) -> Option<Cow<'_, str>> {
        // Owned, since the trait ties the value to `self` and not to `'v`.
        let value = |name| (self.0)(name).map(|value| Cow::Owned(value.into_owned()));
        match key.strip_suffix('?') {
            Some(name) => Some(value(name).unwrap_or_default()),
            None => value(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> Result<String, MissingVariable> {
        let value = |name: &str| (name == "tenant").then_some(Cow::Borrowed("acme"));
        let template = Template::parse(text).unwrap();
        template.render(value).map(Cow::into_owned)
    }

    #[test]
    fn variables_are_replaced_by_their_values() {
        assert_eq!(
            render("https://{tenant}.example/{tenant}").as_deref(),
            Ok("https://acme.example/acme")
        );
        assert_eq!(render(r"a\b").as_deref(), Ok(r"a\b"));
        assert_eq!(render(r"\{tenant\}").as_deref(), Ok("{tenant}"));
    }

    #[test]
    fn a_substitution_leaves_unknown_variables_and_escapes() {
        let value = |name: &str| (name == "tenant").then_some("a{c");
        let substituted = |text: &str| Template::parse(text).unwrap().substitute(value);
        let text = substituted(r"\{x\}-{tenant}-{realm?}-{uuid}");
        assert_eq!(text, r"\{x\}-a\{c-{realm?}-{uuid}");
        assert_eq!(substituted(r"a\b"), r"a\b");
        assert_eq!(
            render(&text.replace("{uuid}", "")).as_deref(),
            Ok("{x}-a{c--")
        );
    }

    #[test]
    fn a_missing_variable_is_named_unless_it_is_optional() {
        assert_eq!(
            render("{tenant}-{realm}"),
            Err(MissingVariable("realm".into()))
        );
        assert_eq!(render("{tenant}{realm?}").as_deref(), Ok("acme"));
    }

    #[test]
    fn braces_enclose_names_only() {
        for text in ["{", "}", "{}", "{a b}", r#"{"a":1}"#, "{A}", "{1}", "{a??}"] {
            assert_eq!(Template::parse(text), Err(InvalidTemplate), "{text}");
        }
    }
}
