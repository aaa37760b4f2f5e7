//! `bearward demo`: an authorization server, a protected API and a sidecar on loopback, without configuration.

use std::{io, process::ExitCode, sync::Arc};

use super::{control_thread::on_control_thread, fail, print};
use crate::{
    app::{App, Failure, signals::Signals},
    clock::SystemClock,
    config,
    demo::{self, api::Api, authorization_server::AuthorizationServer},
    telemetry,
};

const EXAMPLES: &str = "\
Examples:
  bearward demo
  bearward demo --port 0    on any free port

It prints the curl line to try. Everything disappears when you stop it.";

/// Run an authorization server, a protected API and a sidecar in front of it, to try things
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The sidecar's port; 0 takes any free one
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match on_control_thread(serve(arguments.port)) {
        Ok(status) => status,
        Err(Failure::Listen { address, error, .. }) => fail(format!(
            "cannot listen on {address}: {error}; choose another port with --port"
        )),
        Err(failure) => fail(failure),
    }
}

async fn serve(port: u16) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new().map_err(Failure::Worker)?;
    let server = AuthorizationServer::start(Arc::new(SystemClock))
        .await
        .map_err(Failure::Worker)?;
    let api = Api::start(&server).await.map_err(Failure::Worker)?;
    let text = demo::configuration(&server, &api, port);
    let (config, _) = config::parse(&text, "the demo's configuration", &config::environment)
        .map_err(|report| Failure::Worker(io::Error::other(report.to_string())))?;
    let _log = telemetry::tracing::init(&config.log)
        .map_err(|error| Failure::Worker(io::Error::other(error)))?;
    let running = App::bind(config)?.start(Arc::new(SystemClock)).await?;
    let addresses = running.addresses();
    let admin = addresses.admin.as_ref().map(ToString::to_string);
    let sidecar = addresses
        .routes
        .values()
        .next()
        .map(ToString::to_string)
        .unwrap_or_default();
    print(
        &demo::banner(&server, &api, sidecar, admin.as_deref()),
        ExitCode::SUCCESS,
    );
    signals.shutdown().await;
    tokio::select! {
        ended = running.drain() => ended.map(|()| ExitCode::SUCCESS),
        () = signals.shutdown() => Ok(ExitCode::FAILURE),
    }
}
