//! Parses one value to the type that the key table gives it.

use std::time::Duration;

use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::{
    diagnostics::Diagnostic,
    keys::{Format, KeySpec, Kind},
    location::Location,
    parsed::{ParameterSource, ParsedValue, SecretSource},
    problem_code::ProblemCode,
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
    let parsed = match (spec.kind, value) {
        (Kind::NonEmptyString, DeValue::String(text)) if text.is_empty() => Err(Invalid {
            fault: "is empty".to_owned(),
            hint: "give it a value, or remove the key".to_owned(),
        }),
        (Kind::NonEmptyString | Kind::String, DeValue::String(text)) => {
            Ok(ParsedValue::String(text))
        }
        (Kind::StringOrStrings, DeValue::String(text)) => {
            let location = location.clone();
            let value = text.as_ref();
            Ok(ParsedValue::Strings(vec![Spanned { value, location }]))
        }
        // RFC 6749 §2.3.1 permits an empty client secret.
        (Kind::Secret, DeValue::String(text))
            if text.is_empty() && spec.name == "client_secret" =>
        {
            Ok(ParsedValue::Secret(SecretSource::Inline(text)))
        }
        (Kind::Secret, DeValue::String(_) | DeValue::Table(_)) => {
            parse_secret(value).map(ParsedValue::Secret)
        }
        (Kind::SecretOrMember, DeValue::Table(table)) if table.contains_key("pointer") => {
            parse_member(table).map(ParsedValue::Secret)
        }
        (Kind::SecretOrMember, DeValue::String(_) | DeValue::Table(_)) => {
            parse_secret(value).map(ParsedValue::Secret)
        }
        (Kind::StringOrTable(_), DeValue::String(text)) if text.is_empty() => Err(Invalid {
            fault: "is empty".to_owned(),
            hint: "give it a value, or remove the key".to_owned(),
        }),
        (Kind::StringOrTable(_), DeValue::String(text)) => Ok(ParsedValue::String(text)),
        (Kind::DurationOrNever, DeValue::String(text)) if text == "never" => Ok(ParsedValue::Never),
        (Kind::DurationOrNever, DeValue::String(text)) => {
            parse_bounded_duration(text, false).map(ParsedValue::Duration)
        }
        (Kind::Scalar, DeValue::String(text)) => Ok(ParsedValue::Scalar(text.as_ref().into())),
        (Kind::Scalar, DeValue::Boolean(boolean)) => Ok(ParsedValue::Scalar((*boolean).into())),
        (Kind::Scalar, DeValue::Integer(integer)) => parse_number(integer).map(ParsedValue::Scalar),
        (Kind::Boolean, DeValue::Boolean(boolean)) => Ok(ParsedValue::Boolean(*boolean)),
        (Kind::Duration { allow_zero }, DeValue::String(text)) => {
            parse_bounded_duration(text, allow_zero).map(ParsedValue::Duration)
        }
        (Kind::Size { min }, DeValue::String(text)) => {
            parse_bounded_size(text, min, MAX_BOUNDED_SIZE).map(ParsedValue::Size)
        }
        (Kind::SizeOrUnlimited, DeValue::String(text)) if text == "unlimited" => {
            Ok(ParsedValue::Unlimited)
        }
        (Kind::SizeOrUnlimited, DeValue::String(text)) => {
            parse_bounded_size(text, 0, u64::MAX).map(ParsedValue::Size)
        }
        (Kind::IntegerOrAuto { .. }, DeValue::String(text)) if text == "auto" => {
            Ok(ParsedValue::Auto)
        }
        (
            Kind::Integer { min, max } | Kind::IntegerOrAuto { min, max },
            DeValue::Integer(integer),
        ) => parse_bounded_integer(integer, min, max).map(ParsedValue::Integer),
        (Kind::Ratio, DeValue::Float(number)) => {
            parse_ratio(number.as_str()).map(ParsedValue::Ratio)
        }
        (Kind::Ratio, DeValue::Integer(number)) => {
            parse_ratio(number.as_str()).map(ParsedValue::Ratio)
        }
        (Kind::Choice(words), DeValue::String(text)) => {
            parse_choice(text, words).map(ParsedValue::Choice)
        }
        _ => return Err(wrong_type(value, spec, location)),
    };
    parsed.map_err(|Invalid { fault, hint }| {
        Diagnostic::error(location, format!("`{}` {fault}", spec.name), hint)
    })
}

/// An invalid value of a known key.
struct Invalid {
    /// The fault. It follows the name of the key in the message.
    fault: String,
    hint: String,
}

fn parse_bounded_duration(text: &str, allow_zero: bool) -> Result<Duration, Invalid> {
    match parse_duration(text) {
        Ok(duration) if duration.is_zero() && !allow_zero => Err(Invalid {
            fault: "must not be zero".to_owned(),
            hint: "use a longer duration, or remove the key to use the default".to_owned(),
        }),
        Ok(duration) => Ok(duration),
        Err(invalid) => Err(Invalid {
            fault: format!("= {} is not a duration", quote(text)),
            hint: invalid.to_string(),
        }),
    }
}

fn parse_bounded_size(text: &str, min: u64, max: u64) -> Result<u64, Invalid> {
    match parse_size(text) {
        Ok(bytes) if (min..=max).contains(&bytes) => Ok(bytes),
        Ok(_) => Err(Invalid {
            fault: format!("= {} is out of range", quote(text)),
            hint: format!(
                "use at least {} and at most {}",
                format_size(min),
                format_size(max)
            ),
        }),
        Err(invalid) => Err(Invalid {
            fault: format!("= {} is not a size", quote(text)),
            hint: invalid.to_string(),
        }),
    }
}

fn parse_bounded_integer(integer: &DeInteger<'_>, min: u64, max: u64) -> Result<u64, Invalid> {
    let integer = to_u64(integer).filter(|integer| (min..=max).contains(integer));
    integer.ok_or_else(|| Invalid {
        fault: "is out of range".to_owned(),
        hint: format!("use at least {min} and at most {max}"),
    })
}

fn parse_ratio(text: &str) -> Result<f64, Invalid> {
    let number = text.parse().ok();
    let ratio = number.filter(|number| (0.0..=1.0).contains(number));
    ratio.ok_or_else(|| Invalid {
        fault: "is out of range".to_owned(),
        hint: "use a number from 0 to 1: 0.1 is a tenth".to_owned(),
    })
}

/// Parses an integer of 64 bits with its sign.
fn parse_number(integer: &DeInteger<'_>) -> Result<serde_json::Value, Invalid> {
    let number = i64::from_str_radix(integer.as_str(), integer.radix());
    number.map(Into::into).map_err(|_| Invalid {
        fault: "is out of range".to_owned(),
        hint: "use an integer of 64 bits".to_owned(),
    })
}

fn parse_choice(text: &str, words: &'static [&'static str]) -> Result<&'static str, Invalid> {
    let word = words.iter().find(|word| **word == text);
    word.copied().ok_or_else(|| Invalid {
        fault: format!("= {} is not a known value", quote(text)),
        hint: match nearest(text, words.iter().copied()) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => format!("use one of {}", listed(words)),
        },
    })
}

/// Parses the secret `name` of a table of parameters.
pub(super) fn parse_secret_parameter<'a>(
    name: &str,
    value: &'a DeValue<'a>,
    location: &Location,
) -> Result<SecretSource<'a>, Diagnostic> {
    parse_secret(value).map_err(|Invalid { fault, hint }| {
        Diagnostic::error(location, format!("`{name}` {fault}"), hint)
            .with_code(ProblemCode::WrongType)
    })
}

/// Parses several values of one parameter.
pub(super) fn parse_texts<'a>(
    name: &str,
    items: &'a DeArray<'a>,
    location: &Location,
) -> Result<ParameterSource<'a>, Diagnostic> {
    let texts: Option<Vec<_>> = items.iter().map(|item| item.get_ref().as_str()).collect();
    match texts {
        Some(texts) if !texts.is_empty() => Ok(ParameterSource::List(texts)),
        _ => Err(Diagnostic::error(
            location,
            format!("`{name}` must have one string or more in its array"),
            "put each item in quotation marks",
        )
        .with_code(ProblemCode::WrongType)),
    }
}

/// Parses a secret's source. The secret is not read yet, and never quoted.
fn parse_secret<'a>(value: &'a DeValue<'a>) -> Result<SecretSource<'a>, Invalid> {
    let invalid = |fault: &str| Invalid {
        fault: fault.to_owned(),
        hint: SECRET_FORMS.to_owned(),
    };
    let table = match value {
        DeValue::String(text) if text.is_empty() => return Err(invalid("is empty")),
        DeValue::String(text) => return Ok(SecretSource::Inline(text)),
        DeValue::Table(table) => table,
        _ => return Err(invalid("must be a string or a table")),
    };
    let (source, value) =
        only_member(table).ok_or_else(|| invalid("must have exactly one source"))?;
    let text = value
        .as_str()
        .filter(|text| !text.is_empty() && !text.contains('\0'));

    match (source, text) {
        ("env", Some(variable)) => Ok(SecretSource::Env(variable)),
        ("file", Some(path)) => Ok(SecretSource::File(path)),
        ("env" | "file", None) => Err(invalid(
            "needs the name of a variable or the path of a file",
        )),
        _ => Err(invalid("must come from `env` or `file`")),
    }
}

/// Parses a member of a JSON file: `{ file = "…", pointer = "/…" }`.
fn parse_member<'a>(table: &'a DeTable<'a>) -> Result<SecretSource<'a>, Invalid> {
    let text = |name: &str| table.get(name)?.get_ref().as_str();
    match (text("file"), text("pointer")) {
        (Some(file), Some(pointer))
            if table.len() == 2 && !file.is_empty() && pointer.starts_with('/') =>
        {
            Ok(SecretSource::Member { file, pointer })
        }
        _ => Err(Invalid {
            fault: "must name a JSON file and a pointer into it".to_owned(),
            hint: "write { file = \"key.json\", pointer = \"/private_key\" }".to_owned(),
        }),
    }
}

fn only_member<'a>(table: &'a DeTable<'a>) -> Option<(&'a str, &'a DeValue<'a>)> {
    let (name, value) = table.iter().next().filter(|_| table.len() == 1)?;
    Some((name.get_ref(), value.get_ref()))
}

/// Reports a value whose TOML type does not fit its key.
pub(super) fn wrong_type(value: &DeValue<'_>, spec: &KeySpec, location: &Location) -> Diagnostic {
    let (expected, mut hint) = expectation(spec);
    if let (Kind::Boolean, DeValue::String(text)) = (spec.kind, value)
        && matches!(text.as_ref(), "true" | "false")
    {
        "remove the quotation marks".clone_into(&mut hint);
    }
    let is_address = matches!(spec.format, Some(Format::Listen | Format::ListenOrOff));
    if let DeValue::Integer(port) = value
        && is_address
    {
        hint = format!("write {} = \"127.0.0.1:{}\"", spec.name, port.as_str());
    }
    let message = format!("`{}` must be {expected}, not {}", spec.name, type_of(value));
    Diagnostic::error(location, message, hint).with_code(ProblemCode::WrongType)
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
        Kind::Ratio => (
            "a number",
            "use a number from 0 to 1: 0.1 is a tenth".to_owned(),
        ),
        Kind::IntegerOrAuto { min, max } => (
            "\"auto\" or an integer",
            format!("use \"auto\", or a number from {min} to {max}"),
        ),
        Kind::DurationOrNever => (
            "a duration in quotation marks",
            format!("write it like {name} = \"1h\", or {name} = \"never\""),
        ),
        Kind::Scalar => (
            "a string, an integer or a boolean",
            format!("write it like {name} = true"),
        ),
        Kind::SecretOrMember => (
            "a secret",
            format!("{SECRET_FORMS}, or {{ file = \"key.json\", pointer = \"/…\" }}"),
        ),
        Kind::StringOrTable(_) => (
            "a string or a table",
            format!("write it like {name} = \"…\""),
        ),
        Kind::StringMaps => (
            "a table of tables",
            format!("write [….{name}.CHOICE], and its texts below it"),
        ),
        Kind::Parameters { .. } => (
            "a table of parameters",
            format!("write it like {name} = {{ name = \"value\" }}"),
        ),
        Kind::Variables(_) => (
            "a table of variables",
            format!("write it like {name} = {{ tenant = \"acme\" }}"),
        ),
        Kind::Boolean => (
            "true or false",
            format!("write {name} = true or {name} = false"),
        ),
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
