//! `bearward run`: the sidecar, from its arguments to its exit status.

mod banner;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use tokio::time::Instant;

use super::{
    BAD_INPUT, control_thread::on_control_thread, fail, print_diagnostic, terminal::shows_colours,
};
use crate::{
    app::{
        App, Failure,
        service_manager::ServiceManager,
        signals::{Signal, Signals},
    },
    clock::SystemClock,
    config::{self, Config},
    server::inherited,
    telemetry,
};

const EXAMPLES: &str = "\
Examples:
  bearward run                          with the configuration that is found
  bearward run -c bearward.toml         with this one
  kill -HUP PID                         reload it; a changed file is noticed too

SIGTERM and Ctrl-C end it once the requests in flight have finished; a second
one ends it at once.";

/// Run the sidecar
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The configuration; else $BEARWARD_CONFIG, ./bearward.toml, /etc/bearward/bearward.toml
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    // Before any other thread and descriptor.
    inherited::receive();

    // The whole configuration is checked before any socket is bound.
    let path = config::find(arguments.config.as_deref(), &config::environment);
    let (config, warnings) = match config::load(&path, &config::environment) {
        Ok(loaded) => loaded,
        Err(problems) => {
            print_diagnostic(&problems.to_string());
            return ExitCode::from(BAD_INPUT);
        }
    };
    print_diagnostic(&warnings.to_string());

    // Dropped last: it flushes the log.
    let _log = match telemetry::tracing::init(&config.log) {
        Ok(guard) => guard,
        Err(error) => return fail(error),
    };

    match on_control_thread(serve(config)) {
        Ok(status) => status,
        Err(error) => fail(error),
    }
}

async fn serve(config: Config) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new().map_err(Failure::Worker)?;

    // Opens the store, binds every address, then starts everything and logs the real addresses.
    let app = App::bind(config)?;
    let mut running = app.start(Arc::new(SystemClock)).await?;
    let manager = ServiceManager::from_environment();
    let _watchdog = manager.start_watchdog();
    manager.ready();

    // For a person at a terminal; a service has its log.
    let mut has_banner = io::stderr().is_terminal();
    let (tokens, started) = (running.tokens().clone(), Instant::now());
    loop {
        tokio::select! {
            () = banner::first_tokens(&tokens, started), if has_banner => {
                has_banner = false;
                print_diagnostic(&banner::text(&running, shows_colours(&io::stderr())));
            }
            signal = signals.recv() => match signal {
                Signal::Reload => running.request_reload(),
                Signal::Shutdown => break,
            },
            reload = running.next_reload() => {
                manager.reloading();
                running.reload(reload).await;
                manager.ready();
            }
        }
    }
    manager.stopping();
    tokio::select! {
        drained = running.drain() => drained.map(|()| ExitCode::SUCCESS),
        () = signals.shutdown() => {
            tracing::warn!("a second signal: ending at once");
            Ok(ExitCode::FAILURE)
        }
    }
}
