//! The command line: one file a command below this one. Results go to standard output, diagnostics to standard error.

mod check;
mod configured;
mod demo;
mod login;
mod logout;
mod presets;
mod run;
mod schema;
pub mod status;
mod token;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// Bad usage or a bad configuration.
pub(crate) const BAD_INPUT: u8 = 2;

/// An authenticating reverse-proxy sidecar: obtains OAuth 2.0 tokens and puts them on every request it forwards.
#[derive(Debug, Parser)]
#[command(
    name = "bearward",
    version,
    propagate_version = false,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
    Check(check::Arguments),
    Status(status::Arguments),
    Login(login::Arguments),
    Logout(logout::Arguments),
    Token(token::Arguments),
    Presets(presets::Arguments),
    /// Print the JSON Schema of the configuration file
    Schema,
    Demo(demo::Arguments),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // With standard output closed there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(BAD_INPUT)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Login(arguments) => login::run(&arguments),
        Command::Logout(arguments) => logout::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Presets(arguments) => presets::run(&arguments),
        Command::Schema => schema::run(),
    }
}

/// Writes a result to standard output and ends with `status`; a reader that has seen enough is no failure.
pub(crate) fn print(text: &str, status: ExitCode) -> ExitCode {
    let mut output = io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("standard output: {error}"));
            ExitCode::FAILURE
        }
        _ => status,
    }
}

/// Writes a diagnostic to standard error.
pub(crate) fn complain(text: &str) {
    // With standard error closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "bearward: {text}");
}

/// Writes a longer diagnostic, such as the problems of a configuration, to standard error as it is.
pub(crate) fn print_diagnostic(text: &str) {
    // As above.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
