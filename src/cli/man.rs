//! `bearward man`: the manual pages, for those who make packages.

use std::process::ExitCode;

use clap_mangen::Man;

use super::{BAD_INPUT, fail, print, print_error};

/// Print the manual page of bearward, or of one of its commands, in roff
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The command; without it, the page is that of bearward
    command: Option<String>,
}

pub(super) fn run(arguments: &Arguments, mut command: clap::Command) -> ExitCode {
    command.build();
    let page = match &arguments.command {
        None => command,
        Some(name) => match command.find_subcommand(name) {
            Some(found) => found.clone(),
            None => {
                print_error(&format!(
                    "there is no command {name:?}; `bearward --help` lists them"
                ));
                return ExitCode::from(BAD_INPUT);
            }
        },
    };
    let mut roff = Vec::new();
    match Man::new(page).render(&mut roff) {
        Ok(()) => print(&String::from_utf8_lossy(&roff), ExitCode::SUCCESS),
        Err(error) => fail(error),
    }
}
