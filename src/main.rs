//! The `bearward` program. `cli::run` tells the story of the sidecar, from its arguments to its exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    bearward::cli::main()
}
