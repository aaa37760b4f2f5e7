//! Secrets that come from files are followed: a new one is in force within seconds of its change.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{config::Config, secret::LiveSecret};

/// How often the files are read. They are few and small, and a comparison of contents is the one test that also sees
/// a symbolic link being swapped far above them.
const PERIOD: Duration = Duration::from_secs(2);

/// Follows all secrets of a configuration until the task is aborted.
pub(super) fn follow(config: &Config) -> JoinHandle<()> {
    let files: Vec<_> = live(config)
        .filter(|secret| secret.path().is_some())
        .collect();
    tokio::spawn(async move {
        if files.is_empty() {
            return;
        }
        let mut complained = HashMap::new();
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for secret in &files {
                look(secret, &mut complained);
            }
        }
    })
}

fn live(config: &Config) -> impl Iterator<Item = Arc<LiveSecret>> {
    let providers = config.providers.iter().flat_map(|provider| {
        let password = provider.sign_in.as_ref().map(|sign_in| &sign_in.password);
        [
            provider.client_secret.as_ref(),
            provider.refresh_token.as_ref(),
            password,
        ]
    });
    let routes = config
        .routes
        .iter()
        .map(|route| route.guard.client_key.as_ref());
    let admin = config.admin.iter().map(|admin| admin.key.as_ref());
    providers
        .chain(routes)
        .chain(admin)
        .flatten()
        .cloned()
        .collect::<Vec<_>>()
        .into_iter()
}

fn look(secret: &LiveSecret, complained: &mut HashMap<PathBuf, String>) {
    let Some(path) = secret.path() else { return };
    match secret.reload() {
        Ok(changed) => {
            complained.remove(path);
            if changed {
                tracing::info!(file = %path.display(), "secret.changed");
            }
        }
        Err(error) => {
            let error = error.to_string();
            if complained.get(path) != Some(&error) {
                tracing::warn!(file = %path.display(), error, "secret.unreadable: the one in force stays");
                complained.insert(path.to_owned(), error);
            }
        }
    }
}
