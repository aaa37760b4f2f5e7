//! `bearward demo`: a complete world on loopback, with no configuration.

use std::{io, process::ExitCode, sync::Arc};

use super::{control_thread::on_control_thread, fail, print};
use crate::{
    app::{App, Failure, signal::Ending},
    clock::SystemClock,
    config,
    demo::{
        self,
        api::{self, Api},
        authorization_server::{self, AuthorizationServer},
    },
    telemetry,
};

/// Run an authorization server, a protected API and a sidecar in front of it, to try things
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The sidecar's port; 0 takes any free one
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match on_control_thread(world(arguments.port)) {
        Ok(status) => status,
        Err(Failure::Listen { address, error }) => fail(format!(
            "cannot listen on {address}: {error}; choose another port with --port"
        )),
        Err(failure) => fail(failure),
    }
}

async fn world(port: u16) -> Result<ExitCode, Failure> {
    let mut signals = Ending::new().map_err(Failure::Worker)?;
    let server = AuthorizationServer::start(authorization_server::Options::default())
        .await
        .map_err(Failure::Worker)?;
    let api = Api::start(api::Options::new(&server))
        .await
        .map_err(Failure::Worker)?;
    let text = demo::configuration(&server, &api, port);
    let (config, _) = config::parse(&text, "the demo's configuration", &config::environment)
        .map_err(|report| Failure::Worker(io::Error::other(report.to_string())))?;
    let _log = telemetry::tracing::init(&config.log)
        .map_err(|error| Failure::Worker(io::Error::other(error)))?;
    let running = App::bind(config)?.start(Arc::new(SystemClock))?;
    let addresses = running.addresses();
    let admin = addresses.admin.as_ref().map(ToString::to_string);
    let sidecar = addresses
        .routes
        .values()
        .next()
        .map(ToString::to_string)
        .unwrap_or_default();
    print(
        &demo::invitation(&server, &api, sidecar, admin.as_deref()),
        ExitCode::SUCCESS,
    );
    signals.next().await;
    tokio::select! {
        drained = running.drain() => drained.map(|()| ExitCode::SUCCESS),
        () = signals.next() => Ok(ExitCode::FAILURE),
    }
}
