//! `bearward check`: reads and validates the configuration, opens no socket, lists every problem.

use std::{path::PathBuf, process::ExitCode};

use super::{BAD_INPUT, Format, print};
use crate::{
    config::{self, Config, Problem, ProblemCode, Report, Severity},
    token::store::{self, FileError, StoreError},
};

const EXAMPLES: &str = "\
Examples:
  bearward check -c bearward.toml
  bearward check -c bearward.toml --format json

The exit status is 0 if the configuration can be used, and 2 if not. Warnings do
not change it.";

/// Check the configuration: list every problem with file, line, column and a hint.
#[derive(Debug, clap::Args)]
#[command(
    about = "Check the configuration and list every problem",
    after_help = EXAMPLES
)]
pub(crate) struct Arguments {
    /// The configuration; else $BEARWARD_CONFIG, ./bearward.toml, /etc/bearward/bearward.toml
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The format of the problems
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let path = config::find(arguments.config.as_deref(), &config::environment);
    let (report, summary) = match config::load(&path, &config::environment) {
        Ok((config, mut report)) => {
            if let Some(problem) = store_problem(&config) {
                report.push(problem);
            }
            let counted = [
                counted(config.providers.len(), "provider"),
                counted(config.routes.len(), "route"),
            ];
            let state = if report.is_ok() { "ok" } else { "not usable" };
            (report, format!("{state}, {}", counted.join(", ")))
        }
        Err(report) => (report, "not usable".to_owned()),
    };
    let status = if report.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(BAD_INPUT)
    };
    let text = match arguments.format {
        Format::Json => format!("{:#}\n", report.to_json()),
        Format::Text => format!("{report}{}: {summary}{}\n", path.display(), counts(&report)),
    };
    print(&text, status)
}

/// Returns why `run` could not open the store.
///
/// The service may run as another user than this command: what depends on the user is a warning.
fn store_problem(config: &Config) -> Option<Problem> {
    let error = match config.uses_store() {
        true => store::examine(&config.store).err()?,
        false => return None,
    };
    let depends_on_user = matches!(
        &error,
        StoreError::Folder {
            error: FileError::Io(_) | FileError::ForeignOwner { .. },
            ..
        } | StoreError::File {
            error: FileError::ForeignOwner { .. },
            ..
        } | StoreError::Io { .. }
    );
    let severity = if depends_on_user {
        Severity::Warning
    } else {
        Severity::Error
    };
    let hint = match depends_on_user {
        true => "check as the user that bearward runs as, or name another folder in [store] path",
        false => "correct this, or name another folder in [store] path",
    };
    let (key, code) = (Some("store"), ProblemCode::StoreUnusable);
    Some(config.problem((severity, code), key, error.to_string(), hint))
}

/// `, 2 errors, 1 warning`, without the counts that are zero.
fn counts(report: &Report) -> String {
    [(report.errors(), "error"), (report.warnings(), "warning")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, noun)| format!(", {}", counted(count, noun)))
        .collect()
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
