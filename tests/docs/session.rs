//! The commands of a page, run in the order of the page by one bash.
//!
//! - A TOML block whose first line is `# bearward.toml`, or a path that ends so, is that file for the commands below it.
//! - `bearward run` runs on, and what follows is another terminal. Another `bearward run` ends the one before. At the end it gets
//!   SIGTERM, and has to end with 0.
//! - Every command has to succeed. `curl` fails for a status of 400 and more.
//! - `NAME=…` is the variable's value in the fake, and the path of a URL that ends in `/…` is that of the fake's API.
//! - Addresses on this machine keep their meaning, and have ports of the test. Configurations get the proxy that leads to the fake.
//! - `bearward login` finds a browser, in which a person agrees. With `--paste`, the person pastes the address.
//! - `cargo run --release --` is the binary that was built for the test; `cargo install` only with the options of this project.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use regex_lite::{Captures, Regex};

use super::{page::Page, world::Staging};
use crate::engine::program::until;

/// The functions that stand for a terminal, a browser and a person.
const PRELUDE: &str = include_str!("prelude.sh");

/// The seconds that a page's commands may take, on a machine that has other things to do.
const SESSION_TIMEOUT: Duration = Duration::from_secs(240);

/// A fake for pages whose commands need no vendor of their own.
const DEFAULT_WORLD: &str = "example";

/// Runs every `sh` block of `page` that no comment excludes.
pub(crate) fn run(page: &Page, root: &Path) -> Result<(), String> {
    let is_command = |block: &&super::page::Block| block.language == "sh" && !block.is_not_run();
    if !page.blocks.iter().any(|block| is_command(&block)) {
        return Ok(());
    }
    let mut configurations = Vec::new();
    let mut script = String::new();
    for block in &page.blocks {
        if is_command(&block) {
            script.push_str(&format!(
                "at='{}:{}'\n{}\n",
                page.name, block.line, block.text
            ));
        } else if let Some(path) = file_of(&block.text).filter(|_| block.language == "toml") {
            let number = configurations.len();
            script.push_str(&format!(
                "configure \"$folder/block-{number}.toml\" '{path}'\n"
            ));
            configurations.push((path.to_owned(), block.text.clone()));
        }
    }
    let world = page.world.as_deref().or(page.vendor());
    let staging = Staging::new(world.unwrap_or(DEFAULT_WORLD), &configurations, root)?;
    let script = format!("{PRELUDE}\n{}\nfinish\n", filled(&script, &staging)?);
    let output = bash(&script, &staging)?;
    let mismatches = staging.fake.mismatches();
    if mismatches.is_empty() {
        output
    } else {
        Err(format!(
            "{}\n{}",
            mismatches.join("\n"),
            output.err().unwrap_or_default()
        ))
    }
}

/// The path in the first line of a configuration.
fn file_of(text: &str) -> Option<&str> {
    let path = text.lines().next()?.strip_prefix("# ")?;
    path.ends_with("bearward.toml").then_some(path)
}

/// The commands with values for what a page leaves open.
fn filled(script: &str, staging: &Staging) -> Result<String, String> {
    let fixture = staging.fake.fixture();
    let assigned = Regex::new(r"([A-Z][A-Z0-9_]*)=('?)[^\s']*…'?").expect("a valid expression");
    let mut unknown = Vec::new();
    let script = assigned.replace_all(script, |found: &Captures<'_>| {
        let value = fixture
            .environment
            .get(&found[1])
            .or(fixture.exports.get(&found[1]))
            .cloned();
        let value = value.unwrap_or_else(|| {
            unknown.push(found[1].to_owned());
            String::new()
        });
        format!("{}='{}'", &found[1], value.replace('\'', r"'\''"))
    });
    if !unknown.is_empty() {
        return Err(format!("the fake has no value of {unknown:?}"));
    }
    let path = fixture.api.send.split(' ').nth(1).unwrap_or("/");
    let script = script.replace("/…", path);
    let script = script.replace("/etc/bearward", "$folder/etc/bearward");
    Ok(staging.place_text(&script))
}

fn bash(script: &str, staging: &Staging) -> Result<Result<(), String>, String> {
    let folder = staging.folder.path();
    let said = folder.join("session.log");
    let log = std::fs::File::create(&said).map_err(|error| error.to_string())?;
    let errors = log.try_clone().map_err(|error| error.to_string())?;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = Command::new("bash")
        .args(["-c", script])
        .env_clear()
        .env(
            "PATH",
            format!("{}:{path}", folder.join("programs").display()),
        )
        .env("HOME", folder.join("home"))
        .env("folder", folder)
        .env("proxy", staging.proxy())
        .env("admin", staging.place_text("127.0.0.1:9900"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("bash: {error}"))?;
    let since = std::time::Instant::now();
    let ended = loop {
        let waited = until("the end of the commands", || {
            Ok(!matches!(child.try_wait(), Ok(None)))
        });
        if waited.is_ok() || since.elapsed() > SESSION_TIMEOUT {
            break waited;
        }
    };
    if ended.is_err() {
        // Bash's own traps end what it has started.
        let _ = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let said = std::fs::read_to_string(&said).unwrap_or_default();
    if ended.is_ok() && status.success() {
        return Ok(Ok(()));
    }
    Ok(Err(format!("{status}, {ended:?}:\n{said}")))
}
