//! The `bearward` program: the command line, and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    bearward::cli::main()
}
