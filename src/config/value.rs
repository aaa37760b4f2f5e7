//! Parses one value to the type that the key table gives it.

use toml::de::{DeInteger, DeTable, DeValue};

use super::{
    diagnostics::Diagnostic,
    keys::{KeySpec, Kind},
    location::Location,
    parsed::{ParsedValue, SecretSource},
    quote::quote,
    spanned::Spanned,
    suggestion::nearest,
    units::{format_size, parse_duration, parse_size},
};

/// The upper bound of [`Kind::Size`], 1 GiB.
const MAX_BOUNDED_SIZE: u64 = 1 << 30;
/// The two forms of a secret that [`Kind::Secret`] recommends.
const SECRET_FORMS: &str = "write { env = \"NAME\" } or { file = \"/path\" }";

/// Parses a value that holds no other values, or reports why it is invalid.
pub(super) fn parse_scalar<'a>(
    value: &'a DeValue<'a>,
    spec: &'static KeySpec,
    location: &Location,
) -> Result<ParsedValue<'a>, Diagnostic> {
    let name = spec.name;
    let error = |message, hint| Err(Diagnostic::error(location, message, hint));

    match (spec.kind, value) {
        (Kind::NonEmptyString, DeValue::String(text)) if text.is_empty() => error(
            format!("`{name}` is empty"),
            "give it a value, or remove the key".to_owned(),
        ),
        (Kind::NonEmptyString | Kind::String, DeValue::String(text)) => {
            Ok(ParsedValue::String(text))
        }
        (Kind::StringOrStrings, DeValue::String(text)) => {
            let location = location.clone();
            let value = text.as_ref();
            Ok(ParsedValue::Strings(vec![Spanned { value, location }]))
        }
        (Kind::Secret, DeValue::String(_) | DeValue::Table(_)) => match parse_secret(value) {
            Ok(source) => Ok(ParsedValue::Secret(source)),
            Err(fault) => error(format!("`{name}` {fault}"), SECRET_FORMS.to_owned()),
        },
        (Kind::Boolean, DeValue::Boolean(boolean)) => Ok(ParsedValue::Boolean(*boolean)),
        (Kind::Duration { allow_zero }, DeValue::String(text)) => match parse_duration(text) {
            Ok(duration) if duration.is_zero() && !allow_zero => error(
                format!("`{name}` must not be zero"),
                "use a longer duration, or remove the key to use the default".to_owned(),
            ),
            Ok(duration) => Ok(ParsedValue::Duration(duration)),
            Err(invalid) => error(
                format!("`{name}` = {} is not a duration", quote(text)),
                invalid.to_string(),
            ),
        },
        (Kind::SizeOrUnlimited, DeValue::String(text)) if text == "unlimited" => {
            Ok(ParsedValue::Unlimited)
        }
        (Kind::Size { .. } | Kind::SizeOrUnlimited, DeValue::String(text)) => {
            let (min, max) = match spec.kind {
                Kind::Size { min } => (min, MAX_BOUNDED_SIZE),
                _ => (0, u64::MAX),
            };
            match parse_size(text) {
                Ok(bytes) if (min..=max).contains(&bytes) => Ok(ParsedValue::Size(bytes)),
                Ok(_) => error(
                    format!("`{name}` = {} is out of range", quote(text)),
                    format!(
                        "use at least {} and at most {}",
                        format_size(min),
                        format_size(max)
                    ),
                ),
                Err(invalid) => error(
                    format!("`{name}` = {} is not a size", quote(text)),
                    invalid.to_string(),
                ),
            }
        }
        (Kind::IntegerOrAuto { .. }, DeValue::String(text)) if text == "auto" => {
            Ok(ParsedValue::Auto)
        }
        (
            Kind::Integer { min, max } | Kind::IntegerOrAuto { min, max },
            DeValue::Integer(integer),
        ) => match to_u64(integer).filter(|integer| (min..=max).contains(integer)) {
            Some(integer) => Ok(ParsedValue::Integer(integer)),
            None => error(
                format!("`{name}` is out of range"),
                format!("use at least {min} and at most {max}"),
            ),
        },
        (Kind::Choice(words), DeValue::String(text)) => {
            match words.iter().find(|word| *word == text) {
                Some(word) => Ok(ParsedValue::Choice(word)),
                None => error(
                    format!("`{name}` = {} is not a known value", quote(text)),
                    suggest_word(text, words),
                ),
            }
        }
        _ => Err(wrong_type(value, spec, location)),
    }
}

/// Parses a secret's source, or says what is wrong. The secret is not read yet, and never quoted.
fn parse_secret<'a>(value: &'a DeValue<'a>) -> Result<SecretSource<'a>, &'static str> {
    let table = match value {
        DeValue::String(text) if text.is_empty() => return Err("is empty"),
        DeValue::String(text) => return Ok(SecretSource::Inline(text)),
        DeValue::Table(table) => table,
        _ => return Err("must be a string or a table"),
    };
    let (source, value) = only_member(table).ok_or("must have exactly one source")?;
    let text = value
        .as_str()
        .filter(|text| !text.is_empty() && !text.contains('\0'));

    match (source, text) {
        ("env", Some(variable)) => Ok(SecretSource::Env(variable)),
        ("file", Some(path)) => Ok(SecretSource::File(path)),
        ("env" | "file", None) => Err("needs the name of a variable or the path of a file"),
        _ => Err("must come from `env` or `file`"),
    }
}

fn only_member<'a>(table: &'a DeTable<'a>) -> Option<(&'a str, &'a DeValue<'a>)> {
    let (name, value) = table.iter().next().filter(|_| table.len() == 1)?;
    Some((name.get_ref(), value.get_ref()))
}

fn suggest_word(text: &str, words: &'static [&'static str]) -> String {
    match nearest(text, words.iter().copied()) {
        Some(word) => format!("did you mean \"{word}\"?"),
        None => format!("use one of {}", listed(words)),
    }
}

/// Reports a value whose TOML type does not fit its key.
pub(super) fn wrong_type(value: &DeValue<'_>, spec: &KeySpec, location: &Location) -> Diagnostic {
    let (expected, hint) = expectation(spec);
    let message = format!("`{}` must be {expected}, not {}", spec.name, type_of(value));
    Diagnostic::error(location, message, hint)
}

/// Returns the expected type of a key, and a hint with an example.
fn expectation(spec: &KeySpec) -> (&'static str, String) {
    let name = spec.name;
    let default = spec.default.map(|default| default().to_string());
    let example = |value: &str| {
        let value = default.as_deref().unwrap_or(value);
        format!("write it like {name} = {value}")
    };
    match spec.kind {
        Kind::NonEmptyString | Kind::String => {
            ("a string", "put the value in quotation marks".to_owned())
        }
        Kind::Secret => ("a secret", SECRET_FORMS.to_owned()),
        Kind::Duration { .. } => ("a duration in quotation marks", example("\"10s\"")),
        Kind::Size { .. } => ("a size in quotation marks", example("\"64KiB\"")),
        Kind::SizeOrUnlimited => (
            "a size in quotation marks",
            format!("write it like {name} = \"10MiB\", or {name} = \"unlimited\""),
        ),
        Kind::Integer { min, max } => ("an integer", format!("use a number from {min} to {max}")),
        Kind::IntegerOrAuto { min, max } => (
            "\"auto\" or an integer",
            format!("use \"auto\", or a number from {min} to {max}"),
        ),
        Kind::Boolean => ("true or false", "remove the quotation marks".to_owned()),
        Kind::Choice(words) => ("a string", format!("use one of {}", listed(words))),
        Kind::Strings => (
            "an array of strings",
            format!("write it like {name} = [\"…\"]"),
        ),
        Kind::StringOrStrings => (
            "a string or an array of strings",
            format!("write it like {name} = \"…\""),
        ),
        Kind::Integers { min, .. } => ("an array of integers", example(&format!("[{min}]"))),
        Kind::StringMap => (
            "a table of strings",
            format!("write it like {name} = {{ name = \"value\" }}"),
        ),
        Kind::Table(_) => (
            "a table",
            format!("write [….{name}], and its keys below it"),
        ),
        Kind::NamedTables(_) => (
            "a table of tables",
            format!("write [{name}.NAME], and its keys below it"),
        ),
    }
}

fn listed(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    quoted.join(", ")
}

/// Returns the TOML type of `value`, with its article.
pub(super) fn type_of(value: &DeValue<'_>) -> &'static str {
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

/// Converts `integer`, unless it is negative or does not fit 64 bits.
pub(super) fn to_u64(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
