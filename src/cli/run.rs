//! `bearward run`: the sidecar, from its arguments to its exit status.

mod banner;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use tokio::{task::spawn_blocking, time::Instant};

use super::{
    BAD_INPUT, control_thread::on_control_thread, fail, print_diagnostic, terminal::shows_colours,
};
use crate::{
    app::{
        App, Failure, Running, log_problems,
        service_manager::ServiceManager,
        signals::{Signal, Signals},
        traces,
    },
    clock::SystemClock,
    config::{self, Config},
    server::inherited,
    telemetry::{self, traces::Traces, tracing::Guard},
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
    // Dropped last: it flushes the log.
    let log = match telemetry::tracing::init(&config.log) {
        Ok(guard) => guard,
        Err(error) => {
            print_diagnostic(&warnings.to_string());
            return fail(error);
        }
    };
    match log.is_json() {
        true => log_problems(&warnings),
        false => print_diagnostic(&warnings.to_string()),
    }

    // Before the runtime: its HTTP client must not be built on one.
    let traces = match traces::start(&config) {
        Ok(traces) => traces,
        Err(error) => return end(&log, &error),
    };

    match on_control_thread(serve(config, traces)) {
        Ok(status) => status,
        Err(error) => end(&log, &error),
    }
}

/// Ends with a failure, which a log in JSON gets as a line of its own.
fn end(log: &Guard, failure: &Failure) -> ExitCode {
    // With the level `off` it would be lost.
    if log.is_json() && tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!("process.failed: {failure}");
        return ExitCode::FAILURE;
    }
    fail(failure)
}

async fn serve(config: Config, traces: Option<Traces>) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new().map_err(Failure::Worker)?;

    // Opens the store, binds every address, then starts everything and logs the real addresses.
    let app = App::bind(config)?;
    let mut running = app.start(Arc::new(SystemClock)).await?;
    let manager = ServiceManager::from_environment();
    let _watchdog = manager.start_watchdog();
    manager.ready();

    // For a person at a terminal; a service has its log.
    let mut first_tokens = match io::stderr().is_terminal() {
        true => Some((running.tokens().clone(), Instant::now())),
        false => None,
    };
    loop {
        tokio::select! {
            () = banner::wait_for(first_tokens.as_ref()) => {
                first_tokens = None;
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
    drop(first_tokens);
    manager.stopping();
    tokio::select! {
        drained = drain(running, traces) => drained.map(|()| ExitCode::SUCCESS),
        () = signals.shutdown() => {
            tracing::warn!("drain.aborted: a second signal ends the process at once");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Ends the sidecar, then the traces of its last requests.
async fn drain(running: Running, traces: Option<Traces>) -> Result<(), Failure> {
    let drained = running.drain().await;
    if let Some(traces) = traces {
        // It fails only with the runtime.
        let _ = spawn_blocking(|| traces.end()).await;
    }
    drained
}
