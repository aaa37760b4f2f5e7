//! `bearward logout`: removes a login from the store, and revokes it at the authorization server.

use std::{process::ExitCode, sync::Arc};

use super::{
    configured, control_thread::on_control_thread, fail, fail_with_description, print, print_error,
};
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    oauth::{
        api_context::ApiContext,
        endpoint::TokenEndpoint,
        error::TokenRequestError,
        provider::{GrantType, Provider, RevokedToken},
        revocation::{self, EndedLogin},
    },
    token::{
        grant::StoredGrant,
        store::{StoreError, StoreLocation},
    },
};

const EXAMPLES: &str = "\
Examples:
  bearward logout happeo
  bearward logout happeo -c /etc/bearward/bearward.toml";

/// Revoke and forget the login at a provider
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    provider: configured::Arguments,
}

/// The end of a logout after which the store has no login.
enum Outcome {
    /// There was none.
    NoLogin,
    /// The token that the vendor revokes is revoked.
    Revoked,
    /// There was no refresh token, and the access token is revoked.
    AccessTokenRevoked,
    /// The provider has no revocation endpoint.
    NoRevocationEndpoint,
    /// The revocation endpoint was not reached, or refused.
    NotRevoked(TokenRequestError),
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (config, provider) = match arguments.provider.load() {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let name = &provider.name;
    if !provider.grant_type.needs_login() {
        return fail(match &provider.grant_type {
            GrantType::ClientCredentials => {
                format!("{name}: there is no login to end: it uses a client id and secret only")
            }
            other => format!(
                "{name}: its grant_type is {}, which has no login",
                other.as_str()
            ),
        });
    }
    if config.store == StoreLocation::Memory {
        return fail(format!(
            "{name}: the configuration keeps logins in memory ([store] kind), which end with the sidecar"
        ));
    }
    let outcome = match on_control_thread(async { Ok(log_out(&config, &provider).await) }) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => return fail(format!("{name}: {error}")),
        Err(failure) => return fail(format!("{name}: {failure}")),
    };
    if provider.sign_in.is_some() {
        print_error(&format!(
            "{name}: a sidecar that is started will sign in again by itself (sign_in)"
        ));
    }
    report(&outcome, name)
}

fn report(outcome: &Outcome, name: &str) -> ExitCode {
    let remark = match outcome {
        Outcome::NoLogin => return print("there was no login\n", ExitCode::SUCCESS),
        Outcome::NotRevoked(error) => {
            let failure = format!(
                "{name}: the login is forgotten here, but not revoked: {}; \
                 end it at the authorization server, where it is still good",
                error.for_operators()
            );
            return fail_with_description(failure, error.description_text());
        }
        Outcome::Revoked => None,
        Outcome::AccessTokenRevoked => {
            Some("the login had no refresh token, so its access token was revoked")
        }
        Outcome::NoRevocationEndpoint => Some(
            "bearward has deleted its copy. The vendor was not told (no revocation_endpoint): the old tokens keep \
             working for anyone who has them",
        ),
    };
    if let Some(remark) = remark {
        print_error(&format!("{name}: {remark}"));
    }
    print("logged out\n", ExitCode::SUCCESS)
}

async fn log_out(config: &Config, provider: &Arc<Provider>) -> Result<Outcome, StoreError> {
    let store = configured::open_store(&config.store).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // The last access token that was stored; it may have expired.
    let record = configured::load_record(&store, &provider.name).await?;
    let record = record.unwrap_or_default();
    // Forgotten first: a revoked token is of no use, and one that could not be revoked must not be used.
    let refresh_token = StoredGrant::new(provider.clone(), store, clock.clone())
        .log_out()
        .await?;
    let login = EndedLogin {
        refresh_token,
        access_token: record.access.map(|access| access.token),
        context: ApiContext {
            captured: record.captured,
            ..ApiContext::default()
        },
    };
    if login.is_empty() {
        return Ok(Outcome::NoLogin);
    }
    let endpoint = TokenEndpoint::new(provider.clone(), clock);
    let outcome = match revocation::revoke(&endpoint, &login).await {
        Ok(Some(RevokedToken::AccessToken)) if login.refresh_token.is_none() => {
            Outcome::AccessTokenRevoked
        }
        Ok(Some(_)) => Outcome::Revoked,
        Ok(None) => Outcome::NoRevocationEndpoint,
        Err(error) => Outcome::NotRevoked(error),
    };
    Ok(outcome)
}
