//! The command line: one file a command below this one. Results go to standard output, diagnostics to standard error.

mod admin_client;
mod check;
mod completions;
mod configured;
mod control_thread;
mod demo;
mod doctor;
mod login;
mod logout;
mod man;
mod presets;
mod reload;
mod run;
mod schema;
mod sidecar_address;
mod status;
mod terminal;
mod token;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// The exit status for bad usage and for a bad configuration.
pub(crate) const BAD_INPUT: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  bearward demo                     try it without a configuration
  bearward presets                  list the vendors that are built in
  bearward check -c bearward.toml   find the mistakes in a configuration
  bearward doctor                   find out why there is no token
  bearward login happeo             log in where a person has to
  bearward run -c bearward.toml     run the sidecar
  bearward status                   see how it is

`bearward COMMAND --help` has more for each command.";

/// An authenticating reverse-proxy sidecar: obtains OAuth 2.0 tokens and puts them on every request it forwards.
#[derive(Debug, Parser)]
#[command(
    name = "bearward",
    // The name in usage lines, whatever the file is called.
    bin_name = "bearward",
    version,
    propagate_version = false,
    arg_required_else_help = true,
    after_help = EXAMPLES
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
    Check(check::Arguments),
    Doctor(doctor::Arguments),
    Status(status::Arguments),
    Login(login::Arguments),
    Logout(logout::Arguments),
    Token(token::Arguments),
    Reload(reload::Arguments),
    Presets(presets::Arguments),
    /// Print the JSON Schema of the configuration file
    #[command(after_help = schema::EXAMPLES)]
    Schema,
    Completions(completions::Arguments),
    #[command(hide = true)]
    Man(man::Arguments),
    Demo(demo::Arguments),
}

/// The format in which a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Parses the arguments of the process and runs their command.
pub fn main() -> ExitCode {
    let matches = Arguments::command().try_get_matches();
    let arguments = match matches.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => return print_usage(&error),
    };
    match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Login(arguments) => login::run(&arguments),
        Command::Logout(arguments) => logout::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Reload(arguments) => reload::run(&arguments),
        Command::Presets(arguments) => presets::run(&arguments),
        Command::Schema => schema::run(),
        Command::Completions(arguments) => completions::run(&arguments, Arguments::command()),
        Command::Man(arguments) => man::run(&arguments, Arguments::command()),
    }
}

/// Prints a help that was asked for, or a usage error, and returns its exit status.
fn print_usage(error: &clap::Error) -> ExitCode {
    let text = error.render();
    let text_for = |is_coloured| match is_coloured {
        true => text.ansi().to_string(),
        false => text.to_string(),
    };
    match error.use_stderr() {
        true => {
            print_diagnostic(&text_for(terminal::shows_colours(&io::stderr())));
            ExitCode::from(BAD_INPUT)
        }
        false => print(
            &text_for(terminal::shows_colours(&io::stdout())),
            ExitCode::SUCCESS,
        ),
    }
}

/// Writes a result to standard output and returns `status`. A reader that closed the pipe is no failure.
pub(crate) fn print(text: &str, status: ExitCode) -> ExitCode {
    let mut output = io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            print_error(&format!("standard output: {error}"));
            ExitCode::FAILURE
        }
        _ => status,
    }
}

/// Writes one line, `bearward: TEXT`, to standard error. The text may hold words of another server.
pub(crate) fn print_error(text: &str) {
    let text = terminal::printable(text);
    // With standard error closed, the exit status says it.
    let _ = writeln!(io::stderr().lock(), "bearward: {text}");
}

/// Writes a longer diagnostic, such as the problems of a configuration, to standard error as it is.
pub(crate) fn print_diagnostic(text: &str) {
    // As above.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes an error to standard error and returns the exit status of a failure.
pub(crate) fn fail(error: impl std::fmt::Display) -> ExitCode {
    print_error(&error.to_string());
    ExitCode::FAILURE
}

/// Writes an error, and the authorization server's description of it, as [`fail`] does.
pub(crate) fn fail_with_description(error: String, description: Option<&str>) -> ExitCode {
    match description {
        Some(description) => fail(format!("{error}; its description: {description}")),
        None => fail(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for command in Arguments::command().get_subcommands() {
            let examples = command.get_after_help().map(ToString::to_string);
            let begins = format!("Examples:\n  bearward {}", command.get_name());
            assert!(
                command.is_hide_set() || examples.is_some_and(|text| text.starts_with(&begins)),
                "{}",
                command.get_name()
            );
        }
    }
}
