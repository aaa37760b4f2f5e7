//! `bearward token`: one access token, for a try by hand.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use super::{complain, print, print_diagnostic, run::on_control_thread};
use crate::{
    admin::login,
    clock::SystemClock,
    config,
    oauth::provider::{GrantType, Provider},
    telemetry::metrics::Metrics,
    token::{
        Tokens,
        error::TokenError,
        store::{self, Store, StoreLocation},
    },
};

/// Obtain and print one access token
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The key of the provider's table
    provider: String,
    /// The configuration; else $BEARWARD_CONFIG, ./bearward.toml, /etc/bearward/bearward.toml
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let path = config::find(arguments.config.as_deref(), &config::environment);
    let config = match config::load(&path, &config::environment) {
        Ok((config, _)) => config,
        Err(report) => {
            print_diagnostic(&report.to_string());
            return ExitCode::FAILURE;
        }
    };
    let Some(provider) = config
        .providers
        .iter()
        .find(|provider| *provider.name == *arguments.provider)
    else {
        complain(&format!(
            "there is no provider {:?} in {}",
            arguments.provider,
            path.display()
        ));
        return ExitCode::FAILURE;
    };
    // A sidecar may run beside this: the store's lock keeps the two from spending the same refresh token.
    let location = match provider.grant_type {
        GrantType::ClientCredentials => &StoreLocation::Memory,
        GrantType::AuthorizationCode | GrantType::RefreshToken => &config.store,
    };
    let store = match store::open(location) {
        Ok(store) => store,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    match on_control_thread(async { Ok(obtain(provider, store).await) }) {
        Ok((token, lost)) => {
            let status = match token {
                Ok(token) => print(&format!("{token}\n"), ExitCode::SUCCESS),
                Err(reason) => {
                    complain(&explain(&reason, provider));
                    ExitCode::FAILURE
                }
            };
            if !lost {
                return status;
            }
            complain(&format!(
                "{}: the new refresh token could not be stored, and the login is lost",
                provider.name
            ));
            ExitCode::FAILURE
        }
        Err(failure) => {
            complain(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

/// A token, and whether the login was lost over it.
async fn obtain(
    provider: &Arc<Provider>,
    store: Arc<dyn Store>,
) -> (Result<String, TokenError>, bool) {
    let tokens = Tokens::start(
        std::slice::from_ref(provider),
        store,
        Arc::new(SystemClock),
        &Metrics::new(),
    );
    let token = match tokens.iter().next() {
        Some(credential) => credential
            .obtain()
            .await
            .map(|token| token.secret.expose().to_owned()),
        None => Err(TokenError::LoginRequired),
    };
    // An answer that is late for us may still bring the next refresh token.
    let lost = !tokens.settle().await.is_empty();
    (token, lost)
}

fn explain(reason: &TokenError, provider: &Provider) -> String {
    match reason {
        TokenError::Refused { error } => {
            format!("{}: the authorization server says {error:?}", provider.name)
        }
        TokenError::Unavailable { detail, .. } => format!("{}: {detail}", provider.name),
        TokenError::LoginRequired => {
            format!(
                "{}: nobody is logged in: {}",
                provider.name,
                login::way(provider, None)
            )
        }
    }
}
