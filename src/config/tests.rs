//! Promises of the configuration. Each test is named after one.

mod accidents;
mod files;
mod masking;
mod mistakes;
mod pages;
mod presets;
mod process;
mod properties;
mod providers;
mod routes;
mod secrets;
mod variables;
mod wild;

use super::{Config, Report, Severity, parse};

/// The environment variables of these tests.
fn env(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some("from-the-environment".into()),
        "EMPTY" => Some(String::new()),
        "HOME" => Some("/home/bearward".into()),
        _ => None,
    }
}

/// Parses a valid configuration. Returns it with its warnings.
fn good(text: &str) -> (Config, Vec<String>) {
    match parse(text, "test.toml", &env) {
        Ok((config, report)) => {
            assert!(
                report
                    .problems()
                    .iter()
                    .all(|problem| problem.severity == Severity::Warning),
                "{report}"
            );
            (
                config,
                report
                    .problems()
                    .iter()
                    .map(|problem| problem.message.clone())
                    .collect(),
            )
        }
        Err(report) => panic!("{report}"),
    }
}

/// Parses an invalid configuration. Returns the report.
fn bad(text: &str) -> Report {
    match parse(text, "test.toml", &env) {
        Ok((_, report)) => panic!("accepted with {report}\n{text}"),
        Err(report) => {
            assert!(!report.is_ok());
            report
        }
    }
}

/// Parses a configuration with exactly one error. Returns `line:column key: message; hint`.
fn one_error(text: &str) -> String {
    let report = bad(text);
    let errors: Vec<_> = report
        .problems()
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .collect();
    assert_eq!(errors.len(), 1, "{report}");
    let problem = errors[0];
    let key = problem.key.as_deref().unwrap_or("-");
    format!(
        "{}:{} {key}: {}; {}",
        problem.line, problem.column, problem.message, problem.hint
    )
}

/// A valid provider, with `more` in its table.
fn provider(more: &str) -> String {
    format!(
        "[providers.p]\ngrant_type = \"client_credentials\"\ntoken_endpoint = \"https://as.example/token\"\n\
         client_id = \"id\"\nclient_secret = {{ env = \"SECRET\" }}\n{more}\n"
    )
}

/// A valid route, with `more` in its table.
fn route(more: &str) -> String {
    format!("[routes.r]\nlisten = \"127.0.0.1:8080\"\nupstream = \"https://api.example\"\n{more}\n")
}
