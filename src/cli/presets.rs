//! `bearward presets`: the built-in providers.

use std::{collections::BTreeMap, process::ExitCode};

use super::{fail, print};
use crate::config::{Preset, preset, presets};

/// List the built-in providers, or print the TOML of one.
#[derive(Debug, clap::Args)]
#[command(about = "List the built-in providers; with NAME print its TOML")]
pub(crate) struct Arguments {
    /// The provider to print
    name: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let Some(name) = &arguments.name else {
        return print(&list(), ExitCode::SUCCESS);
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

/// Lists the presets by group, each with its title and what an operator needs for it.
fn list() -> String {
    let mut groups: BTreeMap<&str, Vec<&Preset>> = BTreeMap::new();
    for preset in presets() {
        groups
            .entry(&preset.about().group)
            .or_default()
            .push(preset);
    }
    let mut text = String::new();
    for (group, presets) in groups {
        text.push_str(&format!("{group}\n"));
        for preset in presets {
            let about = preset.about();
            text.push_str(&format!("  {:<28} {}\n", preset.name, about.title));
            text.push_str(&format!("  {:<28}   needs {}\n", "", about.needs));
        }
        text.push('\n');
    }
    text.push_str("`bearward presets NAME` prints one of them with its variables.\n");
    text
}
