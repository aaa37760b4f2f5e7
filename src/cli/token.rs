//! `bearward token`: one access token, to try a request by hand.

use std::{process::ExitCode, sync::Arc};

use super::{configured, control_thread::on_control_thread, fail, fail_with_description, print};
use crate::{
    clock::SystemClock,
    login::login_hint,
    oauth::provider::Provider,
    telemetry::metrics::Metrics,
    token::{
        Tokens,
        error::TokenError,
        status::LastError,
        store::{self, Store, StoreLocation},
    },
};

const EXAMPLES: &str = "\
Examples:
  bearward token happeo
  TOKEN=$(bearward token happeo)
  curl -H \"Authorization: Bearer $TOKEN\" https://api.example.com/me";

/// Obtain and print one access token
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    provider: configured::Arguments,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (config, provider) = match arguments.provider.load() {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    // A sidecar may run beside this: the store's lock keeps both from spending the same refresh token.
    let location = match provider.grant_type.needs_login() {
        true => &config.store,
        false => &StoreLocation::Memory,
    };
    let store = match store::open(location) {
        Ok(store) => store,
        Err(error) => return fail(error),
    };
    let obtained = match on_control_thread(async { Ok(obtain(&provider, store).await) }) {
        Ok(obtained) => obtained,
        Err(failure) => return fail(failure),
    };
    let name = &provider.name;
    let status = match obtained.token {
        Ok(token) => print(&format!("{token}\n"), ExitCode::SUCCESS),
        Err(error) => fail_with_description(
            format!(
                "{name}: {}",
                explain(&error, obtained.last_error.as_ref(), &provider)
            ),
            obtained
                .last_error
                .as_ref()
                .and_then(|error| error.description.as_deref()),
        ),
    };
    match obtained.login_is_lost {
        true => fail(format!(
            "{name}: the new refresh token could not be stored, and the login is lost"
        )),
        false => status,
    }
}

struct Obtained {
    token: Result<String, TokenError>,
    /// The last failure, as operators see it.
    last_error: Option<LastError>,
    /// The refresh token was replaced, and its successor could not be stored.
    login_is_lost: bool,
}

async fn obtain(provider: &Arc<Provider>, store: Arc<dyn Store>) -> Obtained {
    let providers = std::slice::from_ref(provider);
    let tokens = Tokens::start(providers, store, Arc::new(SystemClock), &Metrics::new());
    let token = match tokens.iter().next() {
        Some(credential) => credential
            .obtain()
            .await
            .map(|token| token.secret.expose().to_owned()),
        None => Err(TokenError::LoginRequired),
    };
    let last_error = tokens.iter().find_map(|one| one.status().last_error);
    // A response that is too late for this command may still bring the next refresh token.
    let login_is_lost = !tokens.settle().await.is_empty();
    Obtained {
        token,
        last_error,
        login_is_lost,
    }
}

fn explain(error: &TokenError, last_error: Option<&LastError>, provider: &Provider) -> String {
    match (error, last_error) {
        (TokenError::LoginRequired, _) => {
            format!("there is no login: {}", login_hint(provider, None))
        }
        (_, Some(last_error)) => format!("{}; see {}", last_error.message, last_error.help),
        (error, None) => error.to_string(),
    }
}
