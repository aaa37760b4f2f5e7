//! `bearward run`: the sidecar itself.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use super::{BAD_INPUT, complain, print_diagnostic};
use crate::{
    app::{App, Failure, privacy, signal::Ending},
    clock::SystemClock,
    config::{self, Config},
    telemetry, tls,
};

/// Run the sidecar
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration; else $BEARWARD_CONFIG, ./bearward.toml, /etc/bearward/bearward.toml
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let path = config::find(arguments.config.as_deref(), &config::environment);
    let (config, report) = match config::load(&path, &config::environment) {
        Ok(loaded) => loaded,
        Err(report) => {
            print_diagnostic(&report.to_string());
            return ExitCode::from(BAD_INPUT);
        }
    };
    print_diagnostic(&report.to_string());
    let _log = match telemetry::tracing::init(&config.log) {
        Ok(guard) => guard,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    match on_control_thread(serve(config)) {
        Ok(status) => status,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Runs `work` on a runtime of this thread: the control thread.
pub(super) fn on_control_thread<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    if let Err(error) = privacy::forbid_core_dumps() {
        complain(&format!("core dumps cannot be turned off: {error}"));
    }
    tls::install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Worker)?;
    let outcome = runtime.block_on(work);
    // A look-up that hangs in a thread of its own is not waited for.
    runtime.shutdown_background();
    outcome
}

async fn serve(config: Config) -> Result<ExitCode, Failure> {
    let mut ending = Ending::new().map_err(Failure::Worker)?;
    let running = App::bind(config)?.start(Arc::new(SystemClock))?;
    ending.next().await;
    tokio::select! {
        ended = running.drain() => ended.map(|()| ExitCode::SUCCESS),
        () = ending.next() => {
            tracing::warn!("a second signal: ending at once");
            Ok(ExitCode::FAILURE)
        }
    }
}
