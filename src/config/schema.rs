//! The JSON Schema of the configuration file, for editors. It is derived from the key table.

use serde_json::{Map, Value, json};

use super::{
    keys::{self, KeySpec, Kind},
    preset::presets,
};

/// Returns the JSON Schema (2020-12) of the whole file.
pub fn schema() -> Value {
    let mut schema = table(keys::ROOT);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "bearward".into();
    schema["description"] =
        "The configuration of bearward, an authenticating reverse-proxy sidecar.".into();
    schema["$defs"] = definitions();
    schema
}

fn table(specs: &'static [KeySpec]) -> Value {
    let properties: Map<String, Value> = specs
        .iter()
        .map(|spec| (spec.name.to_owned(), property(spec)))
        .collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn property(spec: &'static KeySpec) -> Value {
    let mut schema = value(spec);
    schema["description"] = spec.description.into();
    if let Some(default) = spec.default {
        schema["default"] = default();
    }
    schema
}

fn value(spec: &'static KeySpec) -> Value {
    let strings = || json!({ "type": "array", "items": { "type": "string" } });
    match spec.kind {
        Kind::NonEmptyString if spec.name == "preset" => {
            json!({ "enum": presets().iter().map(|preset| preset.name).collect::<Vec<_>>() })
        }
        Kind::NonEmptyString => json!({ "type": "string", "minLength": 1 }),
        Kind::String => json!({ "type": "string" }),
        Kind::Secret => json!({ "$ref": "#/$defs/secret" }),
        Kind::Duration { .. } => json!({ "$ref": "#/$defs/duration" }),
        Kind::Size { .. } => json!({ "$ref": "#/$defs/size" }),
        Kind::SizeOrUnlimited => {
            json!({ "anyOf": [{ "$ref": "#/$defs/size" }, { "const": "unlimited" }] })
        }
        Kind::Integer { min, max } => integer(min, max),
        Kind::IntegerOrAuto { min, max } => {
            json!({ "anyOf": [{ "const": "auto" }, integer(min, max)] })
        }
        Kind::DurationOrNever => {
            json!({ "anyOf": [{ "$ref": "#/$defs/duration" }, { "const": "never" }] })
        }
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Strings => strings(),
        Kind::StringOrStrings => json!({ "anyOf": [{ "type": "string" }, strings()] }),
        Kind::Integers { min, max } => json!({ "type": "array", "items": integer(min, max) }),
        Kind::StringMap => string_map(),
        Kind::StringMaps => json!({ "type": "object", "additionalProperties": string_map() }),
        Kind::Parameters { secrets } => parameters(secrets),
        Kind::Variables(inner) => {
            let entry = json!({ "anyOf": [{ "type": "string" }, table(inner)] });
            json!({ "type": "object", "propertyNames": variable_name(), "additionalProperties": entry })
        }
        Kind::StringOrTable(inner) => {
            json!({ "anyOf": [{ "type": "string", "minLength": 1 }, table(inner)] })
        }
        Kind::SecretOrMember => {
            json!({ "anyOf": [{ "$ref": "#/$defs/secret" }, { "$ref": "#/$defs/member" }] })
        }
        Kind::Table(inner) => table(inner),
        Kind::NamedTables(inner) => {
            let name = json!({ "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$" });
            json!({ "type": "object", "propertyNames": name, "additionalProperties": table(inner) })
        }
    }
}

fn string_map() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": "string" } })
}

fn parameters(secrets: bool) -> Value {
    let texts = json!({ "type": "array", "minItems": 1, "items": { "type": "string" } });
    let mut forms = vec![json!({ "type": "string" }), texts];
    if secrets {
        forms.push(json!({ "$ref": "#/$defs/secret_source" }));
    }
    json!({ "type": "object", "additionalProperties": { "anyOf": forms } })
}

fn variable_name() -> Value {
    json!({ "pattern": "^[a-z][a-z0-9_]*$" })
}

fn integer(min: u64, max: u64) -> Value {
    json!({ "type": "integer", "minimum": min, "maximum": max })
}

fn definitions() -> Value {
    let source = |name: &str, description: &str| {
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": [name],
            "properties": {
                name: { "type": "string", "minLength": 1, "description": description },
            },
        })
    };
    let variable = "The name of an environment variable that holds the secret.";
    let file = "The path of a file that holds the secret. It is read again when it changes.";
    let inline = "The secret itself. Prefer `env` or `file`.";
    json!({
        "secret_source": { "anyOf": [source("env", variable), source("file", file)] },
        "secret": {
            "anyOf": [
                { "$ref": "#/$defs/secret_source" },
                { "type": "string", "minLength": 1, "description": inline },
            ],
        },
        "member": {
            "type": "object",
            "additionalProperties": false,
            "required": ["file", "pointer"],
            "properties": {
                "file": { "type": "string", "minLength": 1, "description": "The path of a JSON file." },
                "pointer": { "type": "string", "pattern": "^/", "description": "The JSON Pointer of the member." },
            },
        },
        "duration": { "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" },
        "size": { "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" },
    })
}
