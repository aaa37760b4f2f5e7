//! The JSON Schema of the configuration file, for editors; read off the table of keys.

use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

use super::{
    keys::{self, Key, Kind},
    preset::presets,
    raw::integer,
};

/// The schema (JSON Schema 2020-12) of the whole file.
pub fn schema() -> Value {
    let mut schema = table(keys::ROOT);
    if let Some(members) = schema.as_object_mut() {
        members.insert(
            "$schema".into(),
            "https://json-schema.org/draft/2020-12/schema".into(),
        );
        members.insert("title".into(), "bearward".into());
        members.insert(
            "description".into(),
            "The configuration of bearward, an authenticating reverse-proxy sidecar.".into(),
        );
        members.insert("$defs".into(), definitions());
    }
    schema
}

fn table(keys: &'static [Key]) -> Value {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| (key.name.to_owned(), property(key)))
        .collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn property(key: &'static Key) -> Value {
    let mut schema = of_kind(key);
    if let Some(members) = schema.as_object_mut() {
        members.insert("description".into(), key.doc.into());
        if let Some(default) = key.default {
            members.insert("default".into(), value(default));
        }
    }
    schema
}

fn of_kind(key: &'static Key) -> Value {
    let texts = || json!({ "type": "array", "items": { "type": "string" } });
    match key.kind {
        Kind::Text if key.name == "preset" => {
            json!({ "enum": presets().iter().map(|preset| preset.name).collect::<Vec<_>>() })
        }
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Any => json!({ "type": "string" }),
        Kind::Secret => json!({ "$ref": "#/$defs/secret" }),
        Kind::Duration { .. } => json!({ "$ref": "#/$defs/duration" }),
        Kind::Size { .. } => json!({ "$ref": "#/$defs/size" }),
        Kind::SizeOrUnlimited => {
            json!({ "anyOf": [{ "$ref": "#/$defs/size" }, { "const": "unlimited" }] })
        }
        Kind::Number { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::AutoOr { least, most } => {
            json!({ "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": least, "maximum": most }] })
        }
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Texts => texts(),
        Kind::TextOrTexts => json!({ "anyOf": [{ "type": "string" }, texts()] }),
        Kind::Numbers { least, most } => {
            json!({ "type": "array", "items": { "type": "integer", "minimum": least, "maximum": most } })
        }
        Kind::Pairs => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Table(inner) => table(inner),
        Kind::Tables(inner) => {
            let name = json!({ "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$" });
            json!({ "type": "object", "propertyNames": name, "additionalProperties": table(inner) })
        }
    }
}

fn definitions() -> Value {
    let source = |place: &str, doc: &str| {
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": [place],
            "properties": { place: { "type": "string", "minLength": 1, "description": doc } },
        })
    };
    json!({
        "secret": {
            "anyOf": [
                source("env", "The name of an environment variable that holds the secret."),
                source("file", "The path of a file that holds the secret; read again when it changes."),
                { "type": "string", "minLength": 1, "description": "The secret itself; better kept elsewhere." },
            ],
        },
        "duration": { "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" },
        "size": { "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" },
    })
}

/// A TOML value of the table of keys as JSON.
fn value(text: &str) -> Value {
    let document = format!("value = {text}");
    let table = DeTable::parse_recoverable(&document).0.into_inner();
    table
        .get("value")
        .map_or(Value::Null, |value| to_json(value.get_ref()))
}

pub(super) fn to_json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => integer(number).into(),
        DeValue::Boolean(switch) => (*switch).into(),
        DeValue::Array(items) => items.iter().map(|item| to_json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let members = table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref())));
            Value::Object(members.collect())
        }
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .map_or(Value::Null, Value::from),
        DeValue::Datetime(time) => time.to_string().into(),
    }
}
