//! `bearward logout`: forgets a login, and has the authorization server forget it too.

use std::{process::ExitCode, sync::Arc};

use super::{complain, configured, print, run::on_control_thread};
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    oauth::{
        endpoint::TokenEndpoint,
        error::TokenRequestError,
        provider::{GrantType, Provider},
        revocation::{self, Revoked},
    },
    secret::Secret,
    token::{
        grant::StoredGrant,
        store::{Store, StoreError, StoreLocation},
    },
};

/// Revoke and forget the login at a provider
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    provider: configured::Arguments,
}

/// How a logout ended that forgot the login.
enum Ended {
    /// There was none.
    Nothing,
    /// The authorization server knows of it.
    Revoked,
    /// There was no refresh token, and the authorization server knows of the access token.
    AccessRevoked,
    /// It has no revocation endpoint.
    Forgotten,
    /// It was not reached, or refused.
    NotRevoked(TokenRequestError),
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (config, provider) = match configured::read(&arguments.provider) {
        Ok(found) => found,
        Err(status) => return status,
    };
    let name = &provider.name;
    let failed = |why: &str| {
        complain(&format!("{name}: {why}"));
        ExitCode::FAILURE
    };
    if provider.grant_type == GrantType::ClientCredentials {
        return failed("its grant_type is client_credentials, for which nobody logs in");
    }
    if config.store == StoreLocation::Memory {
        return failed(
            "the configuration keeps logins in memory ([store] kind), which end with the sidecar",
        );
    }
    let ended = match on_control_thread(async { Ok(log_out(&config, &provider).await) }) {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => return failed(&error.to_string()),
        Err(failure) => return failed(&failure.to_string()),
    };
    if provider.sign_in.is_some() {
        complain(&format!(
            "{name}: a sidecar that is started will sign in again by itself (sign_in)"
        ));
    }
    match ended {
        Ended::Nothing => print("nobody was logged in\n", ExitCode::SUCCESS),
        Ended::Revoked => print("logged out\n", ExitCode::SUCCESS),
        Ended::AccessRevoked => {
            complain(&format!(
                "{name}: the login had no refresh token, so its access token is what was revoked"
            ));
            print("logged out\n", ExitCode::SUCCESS)
        }
        Ended::Forgotten => {
            complain(&format!(
                "{name}: it has no revocation_endpoint, so the authorization server still takes what was forgotten here"
            ));
            print("logged out\n", ExitCode::SUCCESS)
        }
        Ended::NotRevoked(error) => {
            complain(&format!(
                "{name}: the login is forgotten here, but not revoked: {error}; \
                 end it at the authorization server, where it is still good"
            ));
            ExitCode::FAILURE
        }
    }
}

async fn log_out(config: &Config, provider: &Arc<Provider>) -> Result<Ended, StoreError> {
    let store = configured::store(&config.store).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let access = access_token(&store, provider).await?;
    // Forgotten first: what was revoked is of no use, and what could not be is not to be used.
    let refresh = StoredGrant::new(provider.clone(), store, clock.clone())
        .log_out()
        .await?;
    let revoked = match (refresh, access) {
        (Some(token), _) => Revoked::RefreshToken(token),
        (None, Some(token)) => Revoked::AccessToken(token),
        (None, None) => return Ok(Ended::Nothing),
    };
    Ok(
        match revocation::revoke(&TokenEndpoint::new(provider.clone(), clock), &revoked).await {
            Ok(true) if matches!(revoked, Revoked::AccessToken(_)) => Ended::AccessRevoked,
            Ok(true) => Ended::Revoked,
            Ok(false) => Ended::Forgotten,
            Err(error) => Ended::NotRevoked(error),
        },
    )
}

/// The last access token that is stored; it may have ended since.
async fn access_token(
    store: &Arc<dyn Store>,
    provider: &Provider,
) -> Result<Option<Secret>, StoreError> {
    let (store, name) = (store.clone(), provider.name.clone());
    let loaded = tokio::task::spawn_blocking(move || store.load(&name)).await;
    Ok(loaded
        .unwrap_or(Err(StoreError::Interrupted))?
        .and_then(|record| Some(record.access?.token)))
}
