//! The reference of configuration keys, compared with the schema that the key table generates.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use regex_lite::Regex;
use serde_json::Value;

/// A key of a table of the page.
struct Row {
    line: usize,
    /// The tables that the section's heading names, with `*` for a name of the operator's.
    tables: Vec<String>,
    keys: Vec<String>,
    default: String,
}

impl Row {
    /// The paths that `key` may have here.
    fn paths(&self, key: &str) -> Vec<String> {
        let anywhere = ["", "providers.*", "routes.*", "providers.*.vars.*"].map(str::to_owned);
        let tables = self.tables.iter().chain(&anywhere);
        tables
            .map(|table| format!("{table}.{key}").trim_start_matches('.').to_owned())
            .collect()
    }
}

/// Checks that the page has every key of the schema, no other, and the same defaults.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let name = "docs/configuration.md";
    let page = fs::read_to_string(root.join(name)).map_err(|error| error.to_string())?;
    let schema = keys_of_schema()?;
    let rows = rows(&page);
    let mut problems = Vec::new();
    let mut documented = BTreeSet::new();
    for row in &rows {
        for key in &row.keys {
            let found = row
                .paths(key)
                .into_iter()
                .find(|path| schema.contains_key(path));
            let Some(path) = found else {
                problems.push(format!("{name}:{}: there is no key `{key}`", row.line));
                continue;
            };
            let default = schema[&path].as_ref().filter(|_| row.keys.len() == 1);
            if let Some(default) = default
                && row.default.starts_with('`')
                && row.default.matches('`').count() == 2
                && row.default.trim_matches('`') != default.as_str()
            {
                problems.push(format!(
                    "{name}:{}: the default of `{path}` is `{default}`",
                    row.line
                ));
            }
            documented.insert(path);
        }
    }
    for path in schema.keys() {
        // A table is documented by its keys.
        let is_table = schema
            .keys()
            .any(|other| other.starts_with(&format!("{path}.")));
        let last = path.rsplit('.').next().unwrap_or_default();
        // Alone, or in an example such as `{ status = 200, … }`.
        let is_named = [format!("`{last}`"), format!(" {last} = ")]
            .iter()
            .any(|name| page.contains(name));
        if !is_table && !documented.contains(path) && !is_named {
            problems.push(format!("{name}: `{path}` is missing"));
        }
    }
    if rows.len() < 50 {
        problems.push("hardly any key was found: the reading of the page is broken".to_owned());
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("\n"))
    }
}

/// The rows of tables whose first column is `key`.
fn rows(page: &str) -> Vec<Row> {
    let span = Regex::new("`([^`]+)`").expect("a valid expression");
    let spans = |text: &str| -> Vec<String> {
        span.captures_iter(text)
            .map(|found| found[1].to_owned())
            .collect()
    };
    let name = Regex::new("[A-Z]{3,}").expect("a valid expression");
    let mut tables = Vec::new();
    let mut is_of_keys = false;
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(page.lines()) {
        if text.starts_with('#') {
            let named = spans(text).into_iter().filter(|span| span.starts_with('['));
            tables = named
                .map(|span| {
                    let table = span.trim_matches(['[', ']']).to_owned();
                    name.replace_all(&table, "*").into_owned()
                })
                .collect();
        } else if !text.starts_with('|') {
            is_of_keys = false;
        } else if text.starts_with("| key |") {
            is_of_keys = true;
        } else if is_of_keys && !text.starts_with("| ---") {
            let mut cells = text.trim_matches('|').split('|').map(str::trim);
            rows.push(Row {
                line,
                tables: tables.clone(),
                keys: spans(cells.next().unwrap_or_default()),
                default: cells.next().unwrap_or_default().to_owned(),
            });
        }
    }
    rows
}

/// Each key by its path, with its default as TOML.
fn keys_of_schema() -> Result<BTreeMap<String, Option<String>>, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_bearward"))
        .arg("schema")
        .output()
        .map_err(|error| error.to_string())?;
    let schema: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let mut keys = BTreeMap::new();
    collect(&schema, "", &mut keys);
    Ok(keys)
}

fn collect(schema: &Value, path: &str, keys: &mut BTreeMap<String, Option<String>>) {
    let below = |name: &str| format!("{path}.{name}").trim_start_matches('.').to_owned();
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            let default = property.get("default").map(Value::to_string);
            keys.insert(below(name), default);
            collect(property, &below(name), keys);
        }
    }
    if schema["additionalProperties"].is_object() {
        collect(&schema["additionalProperties"], &below("*"), keys);
    }
    for variant in ["anyOf", "oneOf"] {
        for schema in schema[variant].as_array().into_iter().flatten() {
            collect(schema, path, keys);
        }
    }
}
