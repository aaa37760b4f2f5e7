//! A provider of the configuration, and the store, for the commands that deal with one login.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use super::{complain, print_diagnostic};
use crate::{
    config::{self, Config},
    oauth::provider::Provider,
    token::store::{self, Store, StoreError, StoreLocation},
};

/// Which one.
#[derive(Debug, clap::Args)]
// Flattened into another, whose group it would otherwise be taken for.
#[group(skip)]
pub(super) struct Arguments {
    /// The key of the provider's table
    provider: String,
    /// The configuration; else $BEARWARD_CONFIG, ./bearward.toml, /etc/bearward/bearward.toml
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The configuration and the provider in it; else what was wrong has been told, and the process ends with this.
pub(super) fn read(arguments: &Arguments) -> Result<(Config, Arc<Provider>), ExitCode> {
    let path = config::find(arguments.config.as_deref(), &config::environment);
    let (config, _) = config::load(&path, &config::environment).map_err(|report| {
        print_diagnostic(&report.to_string());
        ExitCode::FAILURE
    })?;
    let provider = find(&config, &arguments.provider, &path)?;
    Ok((config, provider))
}

fn find(config: &Config, name: &str, path: &Path) -> Result<Arc<Provider>, ExitCode> {
    let provider = config
        .providers
        .iter()
        .find(|provider| *provider.name == *name);
    provider.cloned().ok_or_else(|| {
        complain(&format!(
            "there is no provider {name:?} in {}",
            path.display()
        ));
        ExitCode::FAILURE
    })
}

/// The store at `location`.
///
/// # Errors
/// It cannot be used.
pub(super) async fn store(location: &StoreLocation) -> Result<Arc<dyn Store>, StoreError> {
    let location = location.clone();
    tokio::task::spawn_blocking(move || store::open(&location))
        .await
        .unwrap_or(Err(StoreError::Interrupted))
}
