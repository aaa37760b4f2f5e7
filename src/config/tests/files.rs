//! The files under `config/` agree with the key table.

use std::{collections::BTreeMap, rc::Rc};

use toml::de::{DeTable, DeValue};

use super::{
    super::{
        diagnostics::Diagnostics,
        keys::{self, KeySpec, Kind},
        location::Location,
        schema,
        section::Section,
        sections::{self, BuildContext},
        table::TableParser,
        value::{parse_scalar, to_u64},
    },
    env, good, provider, route,
};

const REFERENCE: &str = include_str!("../../../config/reference.toml");
const SMALLEST: &str = include_str!("../../../config/bearward.toml");
const SCHEMA: &str = include_str!("../../../config/schema.json");

/// The reference, with the keys behind a comment sign uncommented.
fn whole_reference() -> String {
    let is_toml = |rest: &str| {
        let key = rest.split(" = ").next().unwrap_or_default();
        rest.starts_with('[')
            || (rest.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    };
    let line = |line: &'static str| {
        line.strip_prefix("# ")
            .filter(|rest| is_toml(rest))
            .unwrap_or(line)
    };
    REFERENCE
        .lines()
        .map(|text| format!("{}\n", line(text)))
        .collect()
}

/// Every key of `table` by its path as in [`keys::walk`].
fn collect<'a>(
    table: &'a DeTable<'a>,
    keys: &'static [KeySpec],
    path: &str,
    found: &mut BTreeMap<String, &'a DeValue<'a>>,
) {
    for (name, value) in table {
        let here = if path.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{path}.{}", name.get_ref())
        };
        match (
            keys::find(keys, name.get_ref()).map(|key| key.kind),
            value.get_ref(),
        ) {
            (Some(Kind::Table(inner) | Kind::StringOrTable(inner)), DeValue::Table(table)) => {
                collect(table, inner, &here, found);
            }
            (Some(Kind::NamedTables(inner) | Kind::Variables(inner)), DeValue::Table(tables)) => {
                for (_, value) in tables {
                    collect(
                        value.get_ref().as_table().unwrap(),
                        inner,
                        &format!("{here}.*"),
                        found,
                    );
                }
            }
            _ => {}
        }
        found.insert(here, value.get_ref());
    }
}

#[test]
fn the_reference_is_valid() {
    let (config, warnings) = good(REFERENCE);
    assert_eq!(warnings, [""; 0]);
    assert_eq!((config.providers.len(), config.routes.len()), (1, 1));
}

#[test]
fn the_reference_names_every_key_and_no_other() {
    let text = whole_reference();
    let table = DeTable::parse(&text).unwrap();
    let mut diagnostics = Diagnostics::default();
    let mut parser = TableParser {
        text: &text,
        is_valid: true,
        diagnostics: &mut diagnostics,
    };
    parser.parse(table.get_ref(), keys::ROOT, Location::new(0..0));
    assert!(
        diagnostics.is_empty(),
        "{}",
        diagnostics.into_report("reference.toml", None)
    );
    let mut found = BTreeMap::new();
    collect(table.get_ref(), keys::ROOT, "", &mut found);
    keys::walk(keys::ROOT, "", &mut |path, _| {
        assert!(found.contains_key(path), "{path} is not in the reference");
    });
}

#[test]
fn every_key_is_read_by_a_section() {
    let text = whole_reference();
    let document = DeTable::parse(&text).unwrap().into_inner();
    let mut diagnostics = Diagnostics::default();
    let mut parser = TableParser {
        text: &text,
        is_valid: true,
        diagnostics: &mut diagnostics,
    };
    let table = Rc::new(parser.parse(&document, keys::ROOT, Location::new(0..0)));
    let every_variable = |_: &str| Some("x".repeat(32));
    let mut context = BuildContext::new(&every_variable, None, diagnostics);
    let texts = typed_arena::Arena::new();
    sections::build(&Section::new(table.clone()), None, &texts, &mut context);
    // `inject.query` replaces these two.
    let replaced = ["header", "prefix"].map(|key| format!("providers.example.inject.{key}"));
    assert_eq!(table.unread_keys(), replaced);
}

#[test]
fn every_default_is_a_valid_value_of_its_key() {
    keys::walk(keys::ROOT, "", &mut |path, spec| {
        let Some(default) = spec.default else { return };
        let document = format!("value = {}", default());
        let table = DeTable::parse(&document).unwrap().into_inner();
        let value = table["value"].get_ref();
        let parsed = match value {
            DeValue::Array(_) => return,
            _ => parse_scalar(value, spec, &Location::new(0..0)),
        };
        assert!(parsed.is_ok(), "{path}: {:?}", parsed.err());
    });
}

#[test]
fn the_reference_shows_the_defaults() {
    let text = whole_reference();
    let table = DeTable::parse(&text).unwrap();
    let mut found = BTreeMap::new();
    collect(table.get_ref(), keys::ROOT, "", &mut found);
    keys::walk(keys::ROOT, "", &mut |path, key| {
        if let Some(default) = key.default {
            assert_eq!(to_json(found[path]), default(), "{path}");
        }
    });
}

#[test]
fn an_empty_file_gets_the_defaults_of_the_reference() {
    let (told, _) = good(REFERENCE);
    let (silent, _) = good(&(provider("") + &route("provider = \"p\"")));
    assert_eq!(
        (
            told.admin,
            told.store,
            told.log,
            told.limits,
            told.drain,
            told.workers
        ),
        (
            silent.admin,
            silent.store,
            silent.log,
            silent.limits,
            silent.drain,
            silent.workers
        )
    );
    let (told, silent) = (&told.routes[0], &silent.routes[0]);
    assert_eq!(
        (told.timeouts, told.strip_path, &told.upgrade),
        (silent.timeouts, silent.strip_path, &silent.upgrade)
    );
    assert_eq!(told.upstream.http2, silent.upstream.http2);
    assert_eq!(told.guard.max_body, silent.guard.max_body);
    let (told, silent) = (
        told.provider.as_ref().unwrap(),
        silent.provider.as_ref().unwrap(),
    );
    assert_eq!(
        (&told.inject, &told.reauthorize_on),
        (&silent.inject, &silent.reauthorize_on)
    );
}

#[test]
fn an_empty_provider_gets_the_defaults_of_the_reference() {
    let (told, _) = good(REFERENCE);
    let (silent, _) = good(&(provider("") + &route("")));
    let (told, silent) = (&told.providers[0], &silent.providers[0]);
    assert_eq!(told.token_response, silent.token_response);
    let (told, silent) = (&told.token_request, &silent.token_request);
    assert_eq!(
        (told.method, told.encoding, told.timeout),
        (silent.method, silent.encoding, silent.timeout)
    );
    assert_eq!(told.omit_on_refresh, silent.omit_on_refresh);
}

#[test]
fn the_smallest_file_is_valid_once_its_secret_is_set() {
    let secret = |name: &str| {
        if name == "HAPN_CLIENT_SECRET" {
            Some("x".to_owned())
        } else {
            env(name)
        }
    };
    let (config, report) = super::parse(SMALLEST, "bearward.toml", &secret)
        .unwrap_or_else(|report| panic!("{report}"));
    assert!(report.problems().is_empty(), "{report}");
    assert_eq!(
        config.routes[0].upstream.fixed().unwrap().host,
        "api.iotgps.io"
    );
    assert_eq!(
        config.providers[0].server_id(),
        "https://auth.usehapn.com/oauth2/token"
    );
}

#[test]
fn the_schema_in_the_tree_is_the_one_that_is_printed() {
    let printed = format!("{:#}\n", schema());
    assert_eq!(
        printed, SCHEMA,
        "regenerate it: cargo run -- schema > config/schema.json"
    );
}

#[test]
fn the_schema_accepts_the_files_and_refuses_an_unknown_key() {
    let schema = schema();
    for text in [REFERENCE.to_owned(), SMALLEST.to_owned(), whole_reference()] {
        let table = DeTable::parse(&text).unwrap();
        let value = to_json(&DeValue::Table(table.into_inner()));
        validate(&value, &schema, &schema, "").unwrap();
    }
    for text in [
        "[admin]\nport = 1",
        "[log]\nformat = \"xml\"",
        "[limits]\nhead_fields = 0",
        "[admin]\nkey = {}",
    ] {
        let table = DeTable::parse(text).unwrap();
        let value = to_json(&DeValue::Table(table.into_inner()));
        assert!(validate(&value, &schema, &schema, "").is_err(), "{text}");
    }
}

/// A TOML value as JSON.
fn to_json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(integer) => to_u64(integer).into(),
        DeValue::Boolean(boolean) => (*boolean).into(),
        DeValue::Array(items) => items.iter().map(|item| to_json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let members = table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref())));
            serde_json::Value::Object(members.collect())
        }
        DeValue::Float(number) => number.as_str().parse::<f64>().unwrap().into(),
        DeValue::Datetime(_) => panic!("no key has this type"),
    }
}

/// Validates by the parts of JSON Schema that [`schema`] uses, except patterns.
fn validate(
    value: &serde_json::Value,
    schema: &serde_json::Value,
    root: &serde_json::Value,
    at: &str,
) -> Result<(), String> {
    use serde_json::Value;
    let fail = |why: &str| Err(format!("{at}: {why}"));
    if let Some(pointer) = schema["$ref"].as_str() {
        validate(
            value,
            root.pointer(&pointer[1..]).expect("a definition"),
            root,
            at,
        )?;
    }
    let fits = |options: &Vec<Value>| {
        options
            .iter()
            .any(|option| validate(value, option, root, at).is_ok())
    };
    if schema["anyOf"]
        .as_array()
        .is_some_and(|options| !fits(options))
    {
        return fail("none of the forms");
    }
    if schema["enum"]
        .as_array()
        .is_some_and(|words| !words.contains(value))
    {
        return fail("not one of the words");
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return fail("not the word");
    }
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some(other) => panic!("{other}"),
        None => true,
    };
    if !fits {
        return fail("another type");
    }
    if schema["minimum"]
        .as_f64()
        .is_some_and(|least| value.as_f64() < Some(least))
    {
        return fail("too small");
    }
    if schema["maximum"]
        .as_f64()
        .is_some_and(|most| value.as_f64() > Some(most))
    {
        return fail("too large");
    }
    for item in value
        .as_array()
        .into_iter()
        .flatten()
        .filter(|_| schema["items"].is_object())
    {
        validate(item, &schema["items"], root, at)?;
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if value.get(required.as_str().unwrap()).is_none() {
            return fail("a member is missing");
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        match (
            schema["properties"].get(name),
            &schema["additionalProperties"],
        ) {
            (Some(property), _) => validate(member, property, root, &at)?,
            (None, Value::Bool(false)) => return Err(format!("{at}: unknown")),
            (None, other) if other.is_object() => validate(member, other, root, &at)?,
            _ => {}
        }
    }
    Ok(())
}
