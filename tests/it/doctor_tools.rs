//! A configuration that `bearward doctor` examines, and the pasting of the lines that it suggests.

use std::{fs, path::PathBuf, process::Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    patience::PATIENCE,
    sidecar::{Process, command},
};

/// A configuration file and an environment.
pub struct Patient {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Patient {
    /// The provider `api` with these lines, and a file store that does not exist.
    pub fn new(lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let grant = match lines.contains("grant_type = ") {
            true => "",
            false => "grant_type = \"client_credentials\"\n",
        };
        let patient = Self {
            folder,
            environment: vec![("CLIENT_SECRET".into(), "the-client-secret".into())],
        };
        let store = patient.path("store");
        patient.write(&format!(
            "[store]\npath = {:?}\n\n[providers.api]\n{grant}{lines}\n",
            store.display().to_string()
        ));
        patient
    }

    /// One with the usual client, which gets its token at `endpoint`.
    pub fn at(endpoint: &str, lines: &str) -> Self {
        Self::new(&format!(
            "token_endpoint = {endpoint:?}\nclient_id = \"the-client\"\n\
             client_secret = {{ env = \"CLIENT_SECRET\" }}\n{lines}"
        ))
    }

    /// A variable of the environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Adds a text at the end of the file.
    pub fn with(self, text: &str) -> Self {
        let text = format!("{}\n{text}\n", self.text());
        self.write(&text);
        self
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The text of the configuration.
    pub fn text(&self) -> String {
        fs::read_to_string(self.path("bearward.toml")).expect("the configuration")
    }

    fn write(&self, text: &str) {
        fs::write(self.path("bearward.toml"), text).expect("a file");
    }

    /// Runs the doctor.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        let file = self.path("bearward.toml").display().to_string();
        let arguments = [&["doctor", "-c", &file], arguments].concat();
        let mut command = command(&arguments);
        command
            .env("HOME", self.folder.path())
            .envs(self.environment.iter().cloned());
        Process::spawn(&mut command).into_output(PATIENCE * 2)
    }

    /// Runs the doctor, whose JSON has to agree with its exit status.
    #[track_caller]
    pub fn examine(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--format", "json"], arguments].concat());
        let [out, err] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
        let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| {
            panic!("{error}: {out}{err}\n{}", self.text());
        });
        let code = if report["ok"] == true { 0 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{report:#}");
        report["providers"]["api"].clone()
    }

    /// Asserts that the only finding is of `kind`, and gives it.
    #[track_caller]
    pub fn finding(&self, kind: &str, arguments: &[&str]) -> Value {
        let report = self.examine(arguments);
        let findings = report["findings"].as_array().expect("findings");
        let kinds: Vec<_> = findings.iter().map(|one| &one["kind"]).collect();
        assert_eq!(kinds, [kind], "{report:#}\n{}", self.text());
        let finding = findings[0].clone();
        assert_eq!(
            finding["file"],
            self.path("bearward.toml").display().to_string(),
            "{finding}"
        );
        let line = finding["line"].as_u64().expect("a line");
        assert!((1..=self.text().lines().count() as u64).contains(&line));
        finding
    }

    /// Asserts that the only finding is of `kind`, and that its line mends the file.
    #[track_caller]
    pub fn assert_mended(&self, kind: &str, arguments: &[&str]) -> Value {
        let finding = self.finding(kind, arguments);
        self.paste(&finding);
        let report = self.examine(&[]);
        assert_eq!(
            report["ok"],
            true,
            "{finding:#}\n{report:#}\n{}",
            self.text()
        );
        finding
    }

    /// Pastes a suggestion: in place of the line with the same key, else behind it; a stanza at the end.
    #[track_caller]
    pub fn paste(&self, finding: &Value) {
        let fix = finding["fix"]
            .as_str()
            .unwrap_or_else(|| panic!("no fix: {finding:#}"));
        let text = self.text();
        let mut lines: Vec<&str> = text.lines().collect();
        if fix.starts_with('[') {
            lines.push(fix);
        } else {
            let index = finding["line"].as_u64().expect("a line") as usize - 1;
            let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
            match key(lines[index]) == key(fix) {
                true => lines[index] = fix,
                false => lines.insert(index + 1, fix),
            }
        }
        self.write(&(lines.join("\n") + "\n"));
    }
}
