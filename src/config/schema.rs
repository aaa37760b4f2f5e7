//! The JSON Schema of the configuration file, for editors. It is derived from the key table.

use serde_json::{Map, Value, json};

use super::{
    keys::{self, KeySpec, Kind},
    preset::presets,
};

/// A secret that is the name of a variable instead, as `sections::secret` refuses it.
const LITERAL_VARIABLE: &str = r"^[$](\{[A-Za-z_][A-Za-z0-9_]*\}|[A-Z_][A-Z0-9_]*)$";

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
    let strings = || json!({ "type": "array", "items": text(spec) });
    match spec.kind {
        Kind::NonEmptyString if spec.name == "preset" => {
            json!({ "enum": presets().iter().map(|preset| preset.name).collect::<Vec<_>>() })
        }
        Kind::NonEmptyString if spec.format.is_some() => text(spec),
        Kind::NonEmptyString => json!({ "type": "string", "minLength": 1 }),
        Kind::String => text(spec),
        // An empty one is sent as an empty password.
        Kind::Secret if spec.name == "client_secret" => {
            json!({ "anyOf": [{ "$ref": "#/$defs/secret" }, { "const": "" }] })
        }
        Kind::Secret => json!({ "$ref": "#/$defs/secret" }),
        Kind::Duration { allow_zero: true } => json!({ "$ref": "#/$defs/duration" }),
        Kind::Duration { allow_zero: false } => json!({ "$ref": "#/$defs/positive_duration" }),
        Kind::Size { .. } => json!({ "$ref": "#/$defs/size" }),
        Kind::SizeOrUnlimited => {
            json!({ "anyOf": [{ "$ref": "#/$defs/size" }, { "const": "unlimited" }] })
        }
        Kind::Integer { min, max } => integer(min, max),
        Kind::Ratio => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::IntegerOrAuto { min, max } => {
            json!({ "anyOf": [{ "const": "auto" }, integer(min, max)] })
        }
        Kind::DurationOrNever => {
            json!({ "anyOf": [{ "$ref": "#/$defs/positive_duration" }, { "const": "never" }] })
        }
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Scalar => json!({ "type": ["string", "integer", "boolean"] }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Strings => strings(),
        Kind::StringOrStrings => json!({ "anyOf": [{ "type": "string" }, strings()] }),
        Kind::Integers { min, max } => json!({ "type": "array", "items": integer(min, max) }),
        Kind::StringMap => json!({ "type": "object", "additionalProperties": text(spec) }),
        Kind::StringMaps => json!({ "type": "object", "additionalProperties": string_map() }),
        Kind::Parameters { secrets } => parameters(spec, secrets),
        Kind::Variables(inner) => {
            let entry = json!({ "anyOf": [{ "type": "string" }, table(inner)] });
            json!({ "type": "object", "propertyNames": variable_name(), "additionalProperties": entry })
        }
        Kind::StringOrTable(inner) if spec.name == "proxy" => {
            let mut table = table(inner);
            table["required"] = json!(["url"]);
            table["dependentRequired"] =
                json!({ "username": ["password"], "password": ["username"] });
            json!({ "anyOf": [text(spec), table] })
        }
        Kind::StringOrTable(inner) => json!({ "anyOf": [text(spec), table(inner)] }),
        Kind::SecretOrMember => {
            json!({ "anyOf": [{ "$ref": "#/$defs/secret" }, { "$ref": "#/$defs/member" }] })
        }
        Kind::Table(inner) if spec.name == "client_certificate" => {
            let mut table = table(inner);
            table["required"] = json!(["cert", "key"]);
            table
        }
        Kind::Table(inner) => table(inner),
        Kind::NamedTables(inner) if spec.name == "capture" => {
            json!({ "type": "object", "propertyNames": variable_name(), "additionalProperties": table(inner) })
        }
        Kind::NamedTables(inner) => {
            let name = json!({ "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$" });
            json!({ "type": "object", "propertyNames": name, "additionalProperties": table(inner) })
        }
    }
}

/// Returns the schema of a text, with its format if the key has one.
fn text(spec: &KeySpec) -> Value {
    match spec.format {
        Some(format) => json!({ "type": "string", "pattern": format.pattern() }),
        None => json!({ "type": "string" }),
    }
}

fn string_map() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": "string" } })
}

/// Returns the schema of parameters. A format is one of their names.
fn parameters(spec: &KeySpec, secrets: bool) -> Value {
    let texts = json!({ "type": "array", "minItems": 1, "items": { "type": "string" } });
    let mut forms = vec![json!({ "type": "string" }), texts];
    if secrets {
        forms.push(json!({ "$ref": "#/$defs/secret_source" }));
    }
    let mut table = json!({ "type": "object", "additionalProperties": { "anyOf": forms } });
    if let Some(format) = spec.format {
        table["propertyNames"] = json!({ "pattern": format.pattern() });
    }
    table
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
                { "type": "string", "minLength": 1, "not": { "pattern": LITERAL_VARIABLE }, "description": inline },
            ],
        },
        "member": {
            "type": "object",
            "additionalProperties": false,
            "required": ["file", "pointer"],
            "properties": {
                "file": { "type": "string", "minLength": 1, "description": "The path of a JSON file." },
                "pointer": { "type": "string", "pattern": "^/([^~]|~[01])*$", "description": "The JSON Pointer of the member." },
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
    use crate::config::literal_variable::literal_variable;

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
    fn the_schema_refuses_a_variable_that_is_taken_literally() {
        let pattern = &definitions()["secret"]["anyOf"][1]["not"]["pattern"];
        let pattern = Regex::new(pattern.as_str().unwrap()).unwrap();
        for text in [
            "$A_B", "${A_B}", "${a_b}", "$_", "$a", "$", "${A", "$A-B", "A", "${}", "$1",
        ] {
            let is_refused = literal_variable(text).is_some();
            assert_eq!(pattern.is_match(text), is_refused, "{text}");
        }
    }

    #[test]
    fn the_schema_refuses_what_check_refuses_for_one_key_alone() {
        let provider = "/properties/providers/additionalProperties/properties";
        let route = "/properties/routes/additionalProperties/properties";
        let at = |key: &str| format!("{provider}/{key}");
        let token_endpoint = at("token_endpoint");
        let redirect_uri = at("redirect_uri");
        let verify = at("verify");
        let access_token = at("token_response/properties/access_token");
        let error_map = at("token_response/properties/error_map/additionalProperties");
        let proxy = at("token_request/properties/proxy/anyOf/0");
        let api_hosts = at("api_base/anyOf/1/properties/allow/items");
        let prefix = at("inject/properties/prefix");
        let fields = at("api/properties/headers/propertyNames");
        let captures = at("capture/propertyNames");
        let host = format!("{route}/host");
        let path = format!("{route}/path");
        let rules = format!("{route}/allow/items");
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
            (&route_listen, "systemd:web", "systemd:"),
            (listen, "systemd:admin.socket", "systemd:a:b"),
            (&before, "5m", "0s"),
            (&upstream, "https://api.example/v1", "ftp://api.example"),
            (&upstream, "http://127.0.0.1:1", "https://u:p@api.example"),
            (&base_url, "https://{tenant}.example", "example.com"),
            (&base_url, "http://[::1]:1/x", "https://a.example/?x"),
            (
                &upstream,
                "https://a.example:65535",
                "https://a.example:65536",
            ),
            (&route_listen, "127.0.0.1:65535", "127.0.0.1:65536"),
            (&route_listen, "10.0.0.1:0", "300.0.0.1:80"),
            (
                &token_endpoint,
                "/oauth2/token?a=b",
                "ftp://as.example/token",
            ),
            (&token_endpoint, "token", "https://u:p@as.example/token"),
            (
                &token_endpoint,
                "https://{t}.as.example:{port}/t",
                "https://as.example/t#f",
            ),
            (
                &token_endpoint,
                "https://as.example:8443",
                "https://as.example:0/t",
            ),
            (&redirect_uri, "urn:ietf:wg:oauth:2.0:oob", "/callback"),
            (&redirect_uri, "com.app:/callback", "https://a.example/c#f"),
            (&verify, "GET /v1/me", "/v1/me"),
            (&access_token, "/a/~1b", "access_token"),
            (&access_token, "/", ""),
            (&error_map, "temporary", "expired_token"),
            (&error_map, "invalid_grant", "x"),
            (&proxy, "http://proxy.internal:3128", "proxy.internal:3128"),
            (&proxy, "http://proxy.internal/", "https://proxy.internal"),
            (&api_hosts, "*.example.com", "example.com:443"),
            (&api_hosts, "[::1]", "*"),
            (&prefix, "Token token=", " x"),
            (&fields, "x-api-key", "x api key"),
            (&captures, "realm_id", "realm-id"),
            (&host, "a.localhost", "a:80"),
            (&path, "/v1", "v1"),
            (&rules, "* /v1/**", "get /v1"),
        ] {
            assert!(permits(pointer, good), "{pointer}: {good}");
            assert!(!permits(pointer, bad), "{pointer}: {bad}");
        }
    }
}
