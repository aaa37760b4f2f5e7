//! Secrets that come from files: a changed one is in force within seconds.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{config::Config, secret::LiveSecret};

/// The interval at which the files are read. They are few and small, and a comparison of contents is the one test that
/// also sees a replaced symbolic link far above them.
const RELOAD_INTERVAL: Duration = Duration::from_secs(2);

/// The task that reloads secrets from their files. Dropping it ends the task.
#[derive(Debug)]
pub(super) struct SecretsWatcher {
    _task: JoinSet<()>,
}

impl SecretsWatcher {
    /// Watches the files of all secrets of a configuration.
    pub(super) fn start(config: &Config) -> Self {
        let mut files = secrets(config);
        files.retain(|secret| secret.path().is_some());
        let mut task = JoinSet::new();
        task.spawn(watch(files));
        Self { _task: task }
    }
}

fn secrets(config: &Config) -> Vec<Arc<LiveSecret>> {
    let mut secrets = Vec::new();
    for provider in &config.providers {
        secrets.extend(provider.live_secrets());
    }
    let client_keys = config.routes.iter().map(|route| &route.guard.client_key);
    secrets.extend(client_keys.flatten());
    let admin_keys = config.admin.iter().map(|admin| &admin.key);
    secrets.extend(admin_keys.flatten());
    secrets.into_iter().cloned().collect()
}

async fn watch(files: Vec<Arc<LiveSecret>>) {
    if files.is_empty() {
        return;
    }
    let mut reported = HashMap::new();
    let mut ticks = interval(RELOAD_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for secret in &files {
            reload(secret, &mut reported);
        }
    }
}

/// Reloads a secret, and logs a change, or an error that was not `reported` before.
fn reload(secret: &LiveSecret, reported: &mut HashMap<PathBuf, String>) {
    let Some(path) = secret.path() else { return };
    match secret.reload() {
        Ok(changed) => {
            reported.remove(path);
            if changed {
                tracing::info!(file = %path.display(), "secret.changed");
            }
        }
        Err(error) => {
            let error = error.to_string();
            if reported.get(path) != Some(&error) {
                tracing::warn!(file = %path.display(), error, "secret.unreadable: the one in force stays");
                reported.insert(path.to_owned(), error);
            }
        }
    }
}
