//! `bearward presets`: the built-in providers.

use std::process::ExitCode;

use super::{fail, print};
use crate::config::{preset, presets};

/// List the built-in providers, or print the TOML of one.
#[derive(Debug, clap::Args)]
#[command(about = "List the built-in providers; with NAME print its TOML")]
pub(crate) struct Arguments {
    /// The provider to print
    name: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let Some(name) = &arguments.name else {
        let lines: String = presets()
            .iter()
            .map(|preset| format!("{:<12} {}\n", preset.name, preset.title()))
            .collect();
        return print(&lines, ExitCode::SUCCESS);
    };
    match preset(name) {
        Some(preset) => print(preset.text, ExitCode::SUCCESS),
        None => {
            let names: Vec<_> = presets().iter().map(|preset| preset.name).collect();
            fail(format!(
                "there is no preset {name:?}; built in are {}",
                names.join(", ")
            ))
        }
    }
}
