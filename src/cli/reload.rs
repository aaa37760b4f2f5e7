//! `bearward reload`: asks a running sidecar to reload its configuration.

use std::{fmt::Write, process::ExitCode, time::Duration};

use http::{Method, StatusCode};
use serde_json::Value;

use super::{
    admin_client::{AdminClient, AdminError},
    control_thread::block_on,
    fail, print, print_diagnostic, sidecar_address,
    terminal::printable,
};
use crate::help;

/// The time for the response. The sidecar itself ends a reload that takes longer.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(40);

const EXAMPLES: &str = "\
Examples:
  bearward reload                     the sidecar on this machine
  bearward reload -c bearward.toml    address and key from its configuration
  bearward reload --admin unix:/run/bearward/admin.sock";

/// Ask a running sidecar to reload its configuration
///
/// The exit status is 0 when the new configuration is in force, and 1 when the sidecar refuses it or cannot be asked.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    sidecar: sidecar_address::Arguments,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let client = match arguments.sidecar.client() {
        Ok(client) => client.with_timeout(RELOAD_TIMEOUT),
        Err(status) => return status,
    };
    match block_on(reload(&client)) {
        Ok(Ok(Outcome {
            is_applied,
            problems,
        })) => {
            print_diagnostic(&problems);
            match is_applied {
                true => print("the new configuration is in force\n", ExitCode::SUCCESS),
                false => {
                    fail("the sidecar keeps its configuration: correct the file, and reload again")
                }
            }
        }
        Ok(Err(error)) => sidecar_address::fail_to_ask(&error),
        Err(error) => fail(error),
    }
}

/// The outcome of a reload, and its problems as `bearward check` writes them.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    is_applied: bool,
    problems: String,
}

async fn reload(client: &AdminClient) -> Result<Outcome, AdminError> {
    let (status, body) = client.request(&Method::POST, "/api/reload").await?;
    let report: Option<Value> = serde_json::from_slice(&body).ok();
    let problems = report
        .as_ref()
        .and_then(|report| report["problems"].as_array());
    match (status, problems) {
        (StatusCode::OK | StatusCode::UNPROCESSABLE_ENTITY, Some(problems)) => Ok(Outcome {
            is_applied: status == StatusCode::OK,
            problems: text(problems),
        }),
        (StatusCode::OK | StatusCode::UNPROCESSABLE_ENTITY, None) => Err(client.not_a_sidecar()),
        (status, _) => Err(client.refused(status, report.as_ref())),
    }
}

/// Writes each problem as `FILE:LINE:COLUMN: error: message`, its hint, and its place in the documentation.
fn text(problems: &[Value]) -> String {
    let mut text = String::new();
    for problem in problems {
        let member = |name: &str| printable(problem[name].as_str().unwrap_or_default());
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{}:{}:{}: {}: {}\nhint: {}",
            member("file"),
            problem["line"],
            problem["column"],
            member("severity"),
            member("message"),
            member("hint"),
        );
        let code = member("code");
        // A sidecar of an earlier version sends none.
        if !code.is_empty() {
            let _ = writeln!(text, "help: {}", help::place(&code));
        }
    }
    text
}
