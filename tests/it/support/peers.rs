//! Real servers from npm, started by `node` out of `tests/peers`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{patience::until, sidecar::Process};

/// A peer and the line by which it told where it is.
pub struct Peer {
    /// That line.
    pub told: Value,
    _process: Process,
}

impl Peer {
    /// Starts `tests/peers/SCRIPT` on any free port.
    ///
    /// # Panics
    /// What it needs is not installed: a test that cannot run has not passed.
    #[track_caller]
    pub fn start(script: &str, environment: &[(&str, &str)]) -> Self {
        let folder = folder();
        assert!(
            folder.join("node_modules").is_dir(),
            "tests/peers/node_modules is missing: run `npm ci` in tests/peers (`make test` does), with node installed"
        );
        let mut command = Command::new("node");
        command
            .arg(folder.join(script))
            .arg("0")
            .current_dir(&folder)
            .envs(environment.iter().copied());
        let mut process = Process::spawn(&mut command);
        let told = until(&format!("the first line of {script}"), || {
            if let Some(status) = process.ended() {
                panic!("{script} ended with {status}:\n{}", process.stderr());
            }
            let written = process.stdout();
            let (line, _) = written.split_once('\n')?;
            Some(
                serde_json::from_str(line)
                    .unwrap_or_else(|error| panic!("{script} wrote {line:?}: {error}")),
            )
        });
        Self {
            told,
            _process: process,
        }
    }

    /// A member of the line, by its JSON Pointer.
    #[track_caller]
    pub fn text(&self, pointer: &str) -> &str {
        let value = self.told.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("no {pointer} in {}", self.told))
    }
}

/// The text of a file in `tests/peers/node_modules`.
#[track_caller]
pub fn file(path: &str) -> String {
    let path = folder().join("node_modules").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: run `npm ci` in tests/peers (`make test` does)",
            path.display()
        )
    })
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}
