//! The TOML blocks, each checked by `bearward check`.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use toml::{Table, Value};

use super::page::{Block, Page};
use crate::engine::keys;

/// What a block may be. A diagram or an HTTP message is `text`.
const LANGUAGES: &[&str] = &[
    "toml", "sh", "text", "json", "yaml", "ini", "rust", "promql",
];

/// Checks every `toml` block of `page`.
pub(crate) fn check(page: &Page) -> Result<(), String> {
    let problems: Vec<String> = page
        .blocks_of("toml")
        .filter(|block| !block.is_not_run())
        .filter_map(|block| {
            let problem = check_block(block).err()?;
            Some(format!("{}:{}: {problem}", page.name, block.line))
        })
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("\n"))
    }
}

/// Checks that each block has a known language, and each comment a known form.
pub(crate) fn check_languages(pages: &[Page]) -> Result<(), String> {
    let mut problems = Vec::new();
    for page in pages {
        for block in &page.blocks {
            let at = format!("{}:{}", page.name, block.line);
            if !LANGUAGES.contains(&block.language.as_str()) {
                problems.push(format!(
                    "{at}: {:?} is not one of {LANGUAGES:?}",
                    block.language
                ));
            }
            let comment = block.comment.as_deref().unwrap_or("world:");
            let is_known = ["not run:", "checked with\n", "checked in ", "world:"]
                .iter()
                .any(|start| comment.starts_with(start));
            if !is_known {
                problems.push(format!(
                    "{at}: the comment {comment:?} before it means nothing"
                ));
            }
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("\n"))
    }
}

fn check_block(block: &Block) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let text = match completed(block)? {
        Some(table) => toml::to_string(&table).map_err(|error| error.to_string())?,
        None => block.text.clone(),
    };
    let text = in_folder(&text, folder.path())?;
    let file = folder.path().join("bearward.toml");
    fs::write(&file, &text).map_err(|error| error.to_string())?;
    let output = Command::new(env!("CARGO_BIN_EXE_bearward"))
        .args(["check", "-c"])
        .arg(&file)
        .env_clear()
        .env("HOME", folder.path())
        .envs(variables(&text))
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Err(format!(
        "{said}{}in\n{text}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// The block merged over what its comment adds; `None` where it is complete as it stands.
fn completed(block: &Block) -> Result<Option<Table>, String> {
    let comment = block.comment.as_deref().unwrap_or_default();
    let Some(rest) = comment.strip_prefix("checked ") else {
        return Ok(None);
    };
    let parse = |text: &str| text.parse::<Table>().map_err(|error| error.to_string());
    let mut own = parse(&block.text)?;
    let rest = match rest.strip_prefix("in ") {
        None => rest,
        Some(rest) => {
            let (path, rest) = rest.split_once(' ').ok_or("checked in TABLE with …")?;
            for key in path.rsplit('.') {
                own = Table::from_iter([(key.to_owned(), Value::Table(own))]);
            }
            rest
        }
    };
    let base = rest.strip_prefix("with").ok_or("checked with …")?;
    let mut table = parse(base)?;
    merge(&mut table, own);
    Ok(Some(table))
}

fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// The variables of `{ env = "NAME" }`.
pub(super) fn variables(text: &str) -> BTreeMap<String, String> {
    quoted_behind(text, "env = \"")
        .map(|name| {
            (
                name.to_owned(),
                format!("only-for-tests-{}", "a1b2c3d4".repeat(4)),
            )
        })
        .collect()
}

/// Creates each file that `text` names, below `folder`; returns `text` with absolute paths moved there.
pub(super) fn in_folder(text: &str, folder: &Path) -> Result<String, String> {
    let mut moved = text.to_owned();
    for start in ["file = \"", "cert = \"", "certificate = \"", "path = \"/"] {
        for found in quoted_behind(text, start) {
            let is_folder = start.starts_with("path");
            if is_folder && !text.contains("[store]\n") {
                continue;
            }
            let name = if is_folder {
                format!("/{found}")
            } else {
                found.to_owned()
            };
            let place = folder.join(name.trim_start_matches('/').replace('/', "_"));
            if name.starts_with('/') {
                let moved_name = place.display().to_string();
                moved = moved.replace(&format!("\"{name}\""), &format!("\"{moved_name}\""));
            }
            if !is_folder {
                write_private(&place, &content(&name))?;
            }
        }
    }
    Ok(moved)
}

fn content(name: &str) -> String {
    let ending = name.rsplit('.').next().unwrap_or_default();
    match ending {
        "json" => keys::fill(r#"{"private_key":"{rsa_pem_json}","private_key_id":"k1"}"#),
        "pem" | "key" if !name.contains("ca") => keys::fill("{rsa_pem}"),
        "pem" | "crt" => keys::fill("{certificate_pem}"),
        _ => format!("only-for-tests-{}", "a1b2c3d4".repeat(4)),
    }
}

fn quoted_behind<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(start)
        .filter_map(move |(at, _)| text[at + start.len()..].split('"').next())
}

pub(super) fn write_private(path: &Path, content: &str) -> Result<(), String> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    let written = fs::write(path, content)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)));
    written.map_err(|error| format!("{}: {error}", path.display()))
}
