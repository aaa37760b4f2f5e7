//! `bearward check`: reads and validates the configuration, opens no socket, lists every problem.

use std::{path::PathBuf, process::ExitCode};

use super::{BAD_INPUT, Format, print};
use crate::config::{self, Report};

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
        Ok((config, report)) => {
            let counted = [
                counted(config.providers.len(), "provider"),
                counted(config.routes.len(), "route"),
            ];
            (report, format!("ok, {}", counted.join(", ")))
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
