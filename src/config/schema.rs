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
        Kind::NonEmptyString => match pattern(spec) {
            Some(pattern) => json!({ "type": "string", "pattern": pattern }),
            None => json!({ "type": "string", "minLength": 1 }),
        },
        Kind::String => json!({ "type": "string" }),
        Kind::Secret => json!({ "$ref": "#/$defs/secret" }),
        Kind::Duration { allow_zero: true } => json!({ "$ref": "#/$defs/duration" }),
        Kind::Duration { allow_zero: false } => json!({ "$ref": "#/$defs/positive_duration" }),
        Kind::Size { .. } => json!({ "$ref": "#/$defs/size" }),
        Kind::SizeOrUnlimited => {
            json!({ "anyOf": [{ "$ref": "#/$defs/size" }, { "const": "unlimited" }] })
        }
        Kind::Integer { min, max } => integer(min, max),
        Kind::IntegerOrAuto { min, max } => {
            json!({ "anyOf": [{ "const": "auto" }, integer(min, max)] })
        }
        Kind::DurationOrNever => {
            json!({ "anyOf": [{ "$ref": "#/$defs/positive_duration" }, { "const": "never" }] })
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

/// Returns the pattern of a text that has a format of its own.
fn pattern(spec: &KeySpec) -> Option<String> {
    /// A level in any case, with or without a target before it.
    const DIRECTIVE: &str = "([A-Za-z0-9_:-]+=)?([Oo][Ff]{2}|[Ee][Rr]{2}[Oo][Rr]|[Ww][Aa][Rr][Nn]|\
                             [Ii][Nn][Ff][Oo]|[Dd][Ee][Bb][Uu][Gg]|[Tt][Rr][Aa][Cc][Ee])";
    const LISTEN: &str = "unix:/.*|localhost:[0-9]{1,5}|[0-9]{1,3}([.][0-9]{1,3}){3}:[0-9]{1,5}|\
                          \\[[0-9A-Fa-f:.]+(%[0-9]+)?\\]:[0-9]{1,5}";
    /// No user information, fragment or blank.
    const URL: &str = "[Hh][Tt]{2}[Pp][Ss]?:/*[^/?#@\\s]+([/?][^#\\s]*)?";
    match spec.name {
        "level" => Some(format!("^\\s*{DIRECTIVE}(\\s*,\\s*{DIRECTIVE})*\\s*$")),
        // The admin listener alone has a default, and can be turned off.
        "listen" if spec.default.is_some() => Some(format!("^(off|{LISTEN})$")),
        "listen" => Some(format!("^({LISTEN})$")),
        "upstream" => Some(format!("^{URL}$")),
        // A variable may hold the scheme and the host.
        "base_url" | "issuer" => Some(format!("^({URL}|[{{].*)$")),
        _ => None,
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
        "positive_duration": { "type": "string", "pattern": "^0*[1-9][0-9]*(ms|s|m|h|d)$" },
        "duration": { "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" },
        "size": { "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" },
    })
}

#[cfg(test)]
mod tests {
    use regex_lite::Regex;

    use super::*;

    /// Returns whether the schema permits `text` for the key at `pointer`.
    fn permits(pointer: &str, text: &str) -> bool {
        let schema = schema();
        let mut key = schema.pointer(pointer).unwrap();
        if let Some(reference) = key["$ref"].as_str() {
            key = schema.pointer(reference.trim_start_matches('#')).unwrap();
        }
        let pattern = key["pattern"].as_str().unwrap();
        Regex::new(pattern).unwrap().is_match(text)
    }

    #[test]
    fn the_schema_refuses_what_check_refuses_for_one_key_alone() {
        let provider = "/properties/providers/additionalProperties/properties";
        let route = "/properties/routes/additionalProperties/properties";
        let level = "/properties/log/properties/level";
        let listen = "/properties/admin/properties/listen";
        let before = format!("{provider}/refresh/properties/before");
        let upstream = format!("{route}/upstream");
        let route_listen = format!("{route}/listen");
        let base_url = format!("{provider}/base_url");
        for (pointer, good, bad) in [
            (level, "info", "loud"),
            (level, "bearward::oauth=debug, INFO", "a=b"),
            (listen, "off", "localhost"),
            (listen, "[::1]:9900", "127.0.0.1"),
            (&route_listen, "localhost:8080", "off"),
            (&route_listen, "unix:/run/x.sock", "unix:x.sock"),
            (&before, "5m", "0s"),
            (&upstream, "https://api.example/v1", "ftp://api.example"),
            (&upstream, "http://127.0.0.1:1", "https://u:p@api.example"),
            (&base_url, "https://{tenant}.example", "example.com"),
        ] {
            assert!(permits(pointer, good), "{pointer}: {good}");
            assert!(!permits(pointer, bad), "{pointer}: {bad}");
        }
    }
}
