//! `bearward presets`: the built-in providers.

use std::{collections::BTreeMap, process::ExitCode};

use super::{fail, print};
use crate::config::{self, Preset, preset, presets};

const EXAMPLES: &str = "\
Examples:
  bearward presets            list all, with what each needs
  bearward presets happeo     print the TOML of one";

/// List the built-in providers, or print the TOML of one.
#[derive(Debug, clap::Args)]
#[command(
    about = "List the built-in providers; with NAME print its TOML",
    after_help = EXAMPLES
)]
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
            let names = presets().iter().map(|preset| preset.name);
            let next = match config::nearest(name, names) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => "`bearward presets` lists all".into(),
            };
            fail(format!("there is no preset {name:?}; {next}"))
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
