//! One provider of the configuration, and the store, for the commands about one login.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

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
        let found = config
            .providers
            .iter()
            .find(|provider| *provider.name == *self.provider)
            .cloned();
        let (name, path) = (&self.provider, path.display());
        let provider =
            found.ok_or_else(|| fail(format!("there is no provider {name:?} in {path}")))?;
        let admin = config.admin.as_ref().map(|admin| &admin.listen);
        let provider = with_default_redirect_uri(&provider, admin);
        Ok((config, provider))
    }
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
