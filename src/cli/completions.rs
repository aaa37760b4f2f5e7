//! `bearward completions`: the completions of the command line, for a shell.

use std::process::ExitCode;

use clap::ValueEnum;
use clap_complete::{generate, shells};

use super::print;

const EXAMPLES: &str = "\
Examples:
  bearward completions bash >> ~/.bashrc
  bearward completions zsh > ~/.zfunc/_bearward    with ~/.zfunc in $fpath
  bearward completions fish > ~/.config/fish/completions/bearward.fish

Start a new shell to use them.";

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// A shell that completions are written for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn run(arguments: &Arguments, mut command: clap::Command) -> ExitCode {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    match arguments.shell {
        Shell::Bash => generate(shells::Bash, &mut command, name, &mut script),
        Shell::Zsh => generate(shells::Zsh, &mut command, name, &mut script),
        Shell::Fish => generate(shells::Fish, &mut command, name, &mut script),
    }
    print(&String::from_utf8_lossy(&script), ExitCode::SUCCESS)
}
