//! `bearward status`: the state of a running sidecar.

mod table;

use std::{process::ExitCode, time::SystemTime};

use super::{
    BAD_INPUT, Format,
    admin_client::{AdminAddress, AdminClient, AdminError, InvalidAddress, KEY_VARIABLE},
    fail, print, print_error,
};
use crate::secret::Secret;

/// The admin listener that is asked by default.
const DEFAULT_ADMIN: &str = "http://127.0.0.1:9900";

/// Ask a running sidecar how it is
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Its admin listener; a key for it comes from $BEARWARD_ADMIN_KEY
    #[arg(long, value_name = "URL", default_value = DEFAULT_ADMIN)]
    admin: String,
    /// The format of the status
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    // Not parsed by clap, which would repeat an invalid address with the key in it.
    let address: Result<AdminAddress, InvalidAddress> = arguments.admin.parse();
    let address = match address {
        Ok(address) => address,
        Err(error) => {
            print_error(&format!("--admin: {error}"));
            return ExitCode::from(BAD_INPUT);
        }
    };
    let key = crate::config::environment(KEY_VARIABLE).map(Secret::new);
    let client = AdminClient::new(address, key);

    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(error),
    };
    let text = runtime.block_on(status(&client, arguments.format, SystemTime::now()));
    // A DNS look-up that hangs must not delay the exit.
    runtime.shutdown_background();
    match text {
        Ok(text) => print(&text, ExitCode::SUCCESS),
        Err(error) => fail(error),
    }
}

/// Requests the status and formats it: a table as of `now`, or the JSON as it came. Ends with a line feed.
async fn status(
    client: &AdminClient,
    format: Format,
    now: SystemTime,
) -> Result<String, AdminError> {
    let document = client.status().await?;
    Ok(match format {
        Format::Json => format!("{}\n", document.text.trim_end()),
        Format::Text => table::render(&document.json, now),
    })
}

#[cfg(test)]
mod tests;
