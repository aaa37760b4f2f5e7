//! The first reading of a file: unknown keys, wrong types and malformed values, all of them.

use std::rc::Rc;

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    excerpt::MASK,
    keys::{self, Key, Kind},
    raw::{At, integer, join},
    report::Drafts,
    value::{self, nearest, quote},
};

/// What the first reading needs to know of the text.
#[derive(Clone, Copy)]
pub(super) struct Checker<'a> {
    pub(super) text: &'a str,
    /// Whether it is valid TOML, so that a key is meant as a key.
    pub(super) is_valid: bool,
}

impl Checker<'_> {
    /// Compares `table` with `keys` and reports what does not fit.
    pub(super) fn table(
        self,
        table: &DeTable<'_>,
        keys: &'static [Key],
        path: &Rc<str>,
        drafts: &mut Drafts,
    ) {
        for (name, value) in table {
            let at = At::new(name.span(), path, name.get_ref());
            match keys::find(keys, name.get_ref()) {
                Some(key) => {
                    let place = At::new(value.span(), path, key.name);
                    self.check(value.get_ref(), key, &place, &at, path, drafts);
                }
                None => self.unknown(name, keys, path, drafts),
            }
        }
    }

    /// An unknown key is named where it can only be meant as one: a value that slipped into its place may be a secret.
    fn unknown(
        self,
        name: &Spanned<DeString<'_>>,
        keys: &'static [Key],
        path: &Rc<str>,
        drafts: &mut Drafts,
    ) {
        let span = name.span();
        let name = name.get_ref().as_ref();
        let guess = guess(name, keys, path);
        let is_bare = self.is_valid && self.text.get(span.clone()) == Some(name);
        let shown = if (is_bare || guess.is_some()) && value::is_presentable(name) {
            name
        } else {
            MASK
        };
        let hint = guess.unwrap_or_else(|| {
            format!(
                "known here: {}",
                keys::names(keys).collect::<Vec<_>>().join(", ")
            )
        });
        drafts.error(
            &At::new(span, path, shown),
            format!("unknown key `{shown}`"),
            hint,
        );
    }

    /// Compares one value with its key.
    fn check(
        self,
        value: &DeValue<'_>,
        key: &'static Key,
        at: &At,
        name: &At,
        path: &Rc<str>,
        drafts: &mut Drafts,
    ) {
        match (key.kind, value) {
            (Kind::Text, DeValue::String(text)) if text.is_empty() => {
                drafts.error(
                    at,
                    format!("`{}` is empty", key.name),
                    "give it a value, or leave the key out",
                );
            }
            (Kind::Text | Kind::Any | Kind::TextOrTexts, DeValue::String(_))
            | (Kind::Switch, DeValue::Boolean(_)) => {}
            (Kind::Secret, DeValue::String(_) | DeValue::Table(_)) => {
                secret(value, key, at, drafts)
            }
            (Kind::Duration { zero }, DeValue::String(text)) => match value::duration(text) {
                Ok(time) if !zero && time.is_zero() => {
                    drafts.error(
                        at,
                        format!("`{}` may not be zero", key.name),
                        "leave the key out for the default",
                    );
                }
                Ok(_) => {}
                Err(hint) => drafts.error(at, format!("{} is not a time", quote(text)), hint),
            },
            (Kind::SizeOrUnlimited, DeValue::String(text)) if text == "unlimited" => {}
            (Kind::Size { .. } | Kind::SizeOrUnlimited, DeValue::String(text)) => {
                let (least, most) = if let Kind::Size { least } = key.kind {
                    (least, 1 << 30)
                } else {
                    (0, u64::MAX)
                };
                match value::size(text) {
                    Ok(bytes) if bytes < least || bytes > most => {
                        let hint = format!(
                            "it has to be at least {least}B and at most {}GiB",
                            most >> 30
                        );
                        drafts.error(
                            at,
                            format!("{} is no sensible `{}`", quote(text), key.name),
                            hint,
                        );
                    }
                    Ok(_) => {}
                    Err(hint) => drafts.error(at, format!("{} is not a size", quote(text)), hint),
                }
            }
            (Kind::AutoOr { .. }, DeValue::String(text)) if text == "auto" => {}
            (
                Kind::Number { least, most } | Kind::AutoOr { least, most },
                DeValue::Integer(number),
            ) => {
                if !integer(number).is_some_and(|number| (least..=most).contains(&number)) {
                    let hint = format!("it has to be at least {least} and at most {most}");
                    drafts.error(at, format!("`{}` is out of bounds", key.name), hint);
                }
            }
            (Kind::Choice(words), DeValue::String(text)) => {
                if !words.contains(&text.as_ref()) {
                    let hint = nearest(text, words.iter().copied()).map_or_else(
                        || format!("one of {}", listed(words)),
                        |word| format!("did you mean \"{word}\"?"),
                    );
                    drafts.error(
                        at,
                        format!("{} is not a known `{}`", quote(text), key.name),
                        hint,
                    );
                }
            }
            (Kind::Texts | Kind::TextOrTexts, DeValue::Array(items)) => {
                for item in items.iter().filter(|item| !item.get_ref().is_str()) {
                    let at = at.moved(item.span());
                    drafts.error(
                        &at,
                        format!("`{}` holds strings alone", key.name),
                        "put it in quotation marks",
                    );
                }
            }
            (Kind::Numbers { least, most }, DeValue::Array(items)) => {
                for item in items {
                    let number = item.get_ref().as_integer().and_then(integer);
                    if !number.is_some_and(|number| (least..=most).contains(&number)) {
                        let hint = format!(
                            "each has to be at least {least} and at most {most}, as in [401]"
                        );
                        let at = at.moved(item.span());
                        drafts.error(
                            &at,
                            format!("`{}` holds something else than these integers", key.name),
                            hint,
                        );
                    }
                }
            }
            (Kind::Pairs, DeValue::Table(pairs)) => {
                for (name, value) in pairs.iter().filter(|(_, value)| !value.get_ref().is_str()) {
                    let at = At::new(value.span(), &join(path, key.name), name.get_ref());
                    let message = format!(
                        "`{}` holds strings alone, this is {}",
                        key.name,
                        article(value.get_ref())
                    );
                    drafts.error(&at, message, "put the value in quotation marks");
                }
            }
            (Kind::Table(inner), DeValue::Table(own)) => {
                self.table(own, inner, &join(path, key.name), drafts)
            }
            (Kind::Tables(inner), DeValue::Table(tables)) => {
                let path = join(path, key.name);
                for (name, value) in tables {
                    let at = At::new(name.span(), &path, name.get_ref());
                    match value.get_ref() {
                        DeValue::Table(own) => {
                            self.table(own, inner, &join(&path, name.get_ref()), drafts)
                        }
                        other => {
                            let message = format!("expected a table, found {}", article(other));
                            drafts.error(
                                &at,
                                message,
                                format!("write [{}.NAME] and its keys below it", key.name),
                            );
                        }
                    }
                }
            }
            (_, DeValue::Table(_)) if !matches!(key.kind, Kind::Secret) => {
                mistyped(value, key, name, drafts)
            }
            _ => mistyped(value, key, at, drafts),
        }
    }
}

fn mistyped(value: &DeValue<'_>, key: &Key, at: &At, drafts: &mut Drafts) {
    let (expected, hint) = expectation(key);
    drafts.error(
        at,
        format!(
            "`{}` has to be {expected}, this is {}",
            key.name,
            article(value)
        ),
        hint,
    );
}

/// A secret's form; its value is read later, and quoted never.
fn secret(value: &DeValue<'_>, key: &Key, at: &At, drafts: &mut Drafts) {
    const FORMS: &str = "write { env = \"NAME\" } or { file = \"/path\" }";
    let fault = match value {
        DeValue::String(text) if text.is_empty() => "is empty",
        DeValue::String(_) => return,
        DeValue::Table(source) if source.len() == 1 => match source.iter().next() {
            Some((place, value)) if place.get_ref() == "env" || place.get_ref() == "file" => {
                match value.get_ref().as_str() {
                    Some(text) if !text.is_empty() && !text.contains('\0') => return,
                    _ => "needs the name of a variable or a path as a string",
                }
            }
            _ => "comes from neither `env` nor `file`",
        },
        _ => "has to come from one place",
    };
    drafts.error(at, format!("`{}` {fault}", key.name), FORMS);
}

/// What a key wants, and how to write it.
fn expectation(key: &Key) -> (&'static str, String) {
    let example = |text: &str| format!("as in {} = {text}", key.name);
    match key.kind {
        Kind::Text | Kind::Any => ("a string", "put it in quotation marks".to_owned()),
        Kind::Secret => (
            "a secret",
            "write { env = \"NAME\" } or { file = \"/path\" }".to_owned(),
        ),
        Kind::Duration { .. } => (
            "a time in quotation marks",
            example(key.default.unwrap_or("\"10s\"")),
        ),
        Kind::Size { .. } | Kind::SizeOrUnlimited => {
            ("a size in quotation marks", example("\"64KiB\""))
        }
        Kind::Number { least, most } => ("an integer", format!("from {least} to {most}")),
        Kind::AutoOr { least, most } => (
            "\"auto\" or an integer",
            format!("\"auto\", or from {least} to {most}"),
        ),
        Kind::Switch => ("true or false", "without quotation marks".to_owned()),
        Kind::Choice(words) => ("a string", format!("one of {}", listed(words))),
        Kind::Texts => ("an array of strings", example("[\"…\"]")),
        Kind::TextOrTexts => ("a string or an array of strings", example("\"…\"")),
        Kind::Numbers { .. } => (
            "an array of integers",
            example(key.default.unwrap_or("[401]")),
        ),
        Kind::Pairs => ("a table of strings", example("{ name = \"value\" }")),
        Kind::Table(_) => (
            "a table",
            format!("write [….{}] and its keys below it", key.name),
        ),
        Kind::Tables(_) => (
            "a table of tables",
            format!("write [{}.NAME] and its keys below it", key.name),
        ),
    }
}

/// What an unknown key was meant to be: the table below this one that has it, the nearest key here, or any table that
/// has it.
fn guess(name: &str, keys: &'static [Key], path: &str) -> Option<String> {
    let belongs = |keys, path: &str| {
        let mut found = None;
        keys::walk(keys, path, &mut |here, key| {
            if key.name == name && found.is_none() {
                found = here
                    .rsplit_once('.')
                    .map(|(table, _)| table.replace('*', "NAME"));
            }
        });
        found.map(|table| format!("`{name}` belongs under [{table}]"))
    };
    let near = || nearest(name, keys::names(keys)).map(|meant| format!("did you mean `{meant}`?"));
    belongs(keys, path)
        .or_else(near)
        .or_else(|| belongs(keys::ROOT, ""))
}

fn listed(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("\"{word}\""))
        .collect::<Vec<_>>()
        .join(", ")
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
