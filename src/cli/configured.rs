//! One provider of the configuration, and the store, for the commands about one login.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use super::{fail, print_diagnostic};
use crate::{
    config::{self, Config},
    login::redirect::with_default_redirect_uri,
    oauth::provider::Provider,
    token::store::{self, Record, Store, StoreError, StoreLocation},
};

/// The arguments that name a provider and a configuration.
#[derive(Debug, clap::Args)]
// Flattened into another, whose group clap would otherwise confuse with this one.
#[group(skip)]
pub(super) struct Arguments {
    /// The key of the provider's table
    provider: String,
    /// The configuration; else $BEARWARD_CONFIG, ./bearward.toml, /etc/bearward/bearward.toml
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Arguments {
    /// Loads the configuration and finds the provider in it.
    ///
    /// # Errors
    /// The exit status, after the problems were printed.
    pub(super) fn load(&self) -> Result<(Config, Arc<Provider>), ExitCode> {
        let path = config::find(self.config.as_deref(), &config::environment);
        let (config, _) = config::load(&path, &config::environment).map_err(|problems| {
            print_diagnostic(&problems.to_string());
            ExitCode::FAILURE
        })?;
        let provider = find_provider(&config, &path, &self.provider).map_err(fail)?;
        let admin = config.admin.as_ref().map(|admin| &admin.listen);
        let provider = with_default_redirect_uri(provider, admin);
        Ok((config, provider))
    }
}

/// The largest number of providers that are listed where a name is not one of them.
const MAX_LISTED: usize = 10;

/// A name that is no provider of the configuration.
#[derive(Debug, thiserror::Error)]
#[error("there is no provider {name:?} in {}; {next}", path.display())]
pub(super) struct UnknownProvider {
    name: String,
    path: PathBuf,
    next: String,
}

/// Finds a provider of the configuration at `path` by its name.
///
/// # Errors
/// There is no such provider; the error names those that there are.
pub(super) fn find_provider<'a>(
    config: &'a Config,
    path: &Path,
    name: &str,
) -> Result<&'a Arc<Provider>, UnknownProvider> {
    let mut providers = config.providers.iter();
    let found = providers.find(|provider| *provider.name == *name);
    found.ok_or_else(|| {
        let names = || config.providers.iter().map(|provider| &*provider.name);
        let next = match config::nearest(name, names()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None if config.providers.is_empty() => "it has none".into(),
            None => {
                let listed: Vec<_> = names().take(MAX_LISTED).collect();
                let more = match config.providers.len() > MAX_LISTED {
                    true => ", …",
                    false => "",
                };
                format!("it has {}{more}", listed.join(", "))
            }
        };
        UnknownProvider {
            name: name.to_owned(),
            path: path.to_owned(),
            next,
        }
    })
}

/// Opens the store at `location`.
///
/// # Errors
/// It cannot be used.
pub(super) async fn open_store(location: &StoreLocation) -> Result<Arc<dyn Store>, StoreError> {
    let location = location.clone();
    tokio::task::spawn_blocking(move || store::open(&location))
        .await
        .unwrap_or(Err(StoreError::Interrupted))
}

/// Loads the record of a provider's login.
///
/// # Errors
/// It cannot be read.
pub(super) async fn load_record(
    store: &Arc<dyn Store>,
    provider: &Arc<str>,
) -> Result<Option<Record>, StoreError> {
    let (store, provider) = (store.clone(), provider.clone());
    tokio::task::spawn_blocking(move || store.load(&provider))
        .await
        .unwrap_or(Err(StoreError::Interrupted))
}
