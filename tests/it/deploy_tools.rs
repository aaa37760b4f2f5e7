//! What the tests of the deployment files share: the files, as data, and `bearward check` on what is in them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::sidecar::run_to_end;

/// The path of a file of the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of a file of the project.
#[track_caller]
pub fn text(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML file.
#[track_caller]
pub fn documents(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"))
}

/// A configuration where its secrets and its store are.
pub struct Deployed {
    text: String,
    environment: Vec<(String, String)>,
    folder: TempDir,
}

impl Deployed {
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            environment: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Sets a variable of the environment to something long enough for a key.
    pub fn variable(mut self, name: &str) -> Self {
        self.environment.push((name.to_owned(), "0".repeat(64)));
        self
    }

    /// Puts a folder of the test in the place of `mounted`, with `files` in it.
    #[track_caller]
    pub fn mount<'a>(
        mut self,
        mounted: &str,
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Self {
        assert!(
            self.text.contains(mounted),
            "nothing names {mounted}: {}",
            self.text
        );
        let folder = self.folder.path().join(mounted.trim_start_matches('/'));
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes).unwrap();
        }
        self.text = self.text.replace(mounted, folder.to_str().unwrap());
        self
    }

    /// The configuration as a table.
    #[track_caller]
    pub fn table(&self) -> toml::Table {
        self.text.parse().unwrap()
    }

    /// Checks it, which must find no error and no warning.
    #[track_caller]
    pub fn passes(&self) {
        let file = self.folder.path().join("bearward.toml");
        fs::write(&file, &self.text).unwrap();
        let Output {
            status,
            stdout,
            stderr,
        } = run_to_end(&["check", "-c", file.to_str().unwrap()], &self.environment);
        let (stdout, stderr) = (
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr),
        );
        assert!(status.success(), "{stdout}{stderr}");
        assert!(!stderr.contains("warning"), "{stderr}");
    }
}
