//! `bearward status`: the state of a running sidecar.

mod table;

use std::{io, process::ExitCode, time::SystemTime};

use serde_json::Value;

use super::{
    Format,
    admin_client::{AdminClient, AdminError},
    control_thread::block_on,
    fail, print, sidecar_address,
    terminal::{printable_json, shows_colours},
};

/// The exit status while some provider that a route uses has no usable token.
const NOT_READY: u8 = 3;

const EXAMPLES: &str = "\
Examples:
  bearward status                     the sidecar on this machine
  bearward status -c bearward.toml    address and key from its configuration
  bearward status --admin https://bearward.example.com
  bearward status --format json";

/// Ask a running sidecar how it is
///
/// The exit status is 0 while every provider that a route uses has a usable token, 3 while one has not, and 1 if the
/// sidecar cannot be asked.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    sidecar: sidecar_address::Arguments,
    /// The format of the status
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let client = match arguments.sidecar.client() {
        Ok(client) => client,
        Err(status) => return status,
    };
    match block_on(status(&client, arguments.format, SystemTime::now())) {
        Ok(Ok(Shown { text, is_ready })) => {
            let status = match is_ready {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(NOT_READY),
            };
            print(&text, status)
        }
        Ok(Err(error)) => sidecar_address::fail_to_ask(&error),
        Err(error) => fail(error),
    }
}

/// The status as it is printed.
#[derive(Debug)]
struct Shown {
    /// Ends with a line feed.
    text: String,
    /// Whether every provider that a route uses has a usable token.
    is_ready: bool,
}

/// Requests the status and formats it: a table as of `now`, or the JSON as it came.
async fn status(
    client: &AdminClient,
    format: Format,
    now: SystemTime,
) -> Result<Shown, AdminError> {
    let document = client.status().await?;
    let text = match format {
        Format::Json => format!("{}\n", printable_json(document.text.trim_end())),
        Format::Text => table::render(&document.json, now, shows_colours(&io::stdout())),
    };
    Ok(Shown {
        text,
        is_ready: is_ready(&document.json),
    })
}

fn is_ready(status: &Value) -> bool {
    let routes = status["routes"].as_object().into_iter().flatten();
    let mut providers = routes.filter_map(|(_, route)| route["provider"].as_str());
    providers.all(|provider| status["providers"][provider]["state"] == "ready")
}

#[cfg(test)]
mod tests;
