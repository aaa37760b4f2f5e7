//! `bearward schema`: the JSON Schema of the configuration file.

use std::process::ExitCode;

use super::print;
use crate::config;

pub(super) const EXAMPLES: &str = "\
Examples:
  bearward schema > bearward.schema.json    for an editor that checks TOML files";

pub(crate) fn run() -> ExitCode {
    print(&format!("{:#}\n", config::schema()), ExitCode::SUCCESS)
}
