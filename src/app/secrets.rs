//! Secrets that come from files: a changed one is in force within seconds.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{config::Config, secret::LiveSecret};

/// The interval at which the files are read. They are few and small, and a comparison of contents is the one test that
/// also sees a replaced symbolic link far above them.
const RELOAD_INTERVAL: Duration = Duration::from_secs(2);

/// The time for reading one file. A file system that hangs takes longer.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The tasks that reload secrets from their files, one a secret. Dropping it ends them.
#[derive(Debug, Default)]
pub(super) struct SecretsWatcher {
    _tasks: JoinSet<()>,
}

impl SecretsWatcher {
    /// Watches the files of all secrets of a configuration.
    pub(super) fn start(config: &Config) -> Self {
        let mut tasks = JoinSet::new();
        for secret in secrets(config) {
            if secret.path().is_some() {
                tasks.spawn(SecretFile::new(secret).watch());
            }
        }
        Self { _tasks: tasks }
    }
}

fn secrets(config: &Config) -> Vec<Arc<LiveSecret>> {
    let mut secrets = Vec::new();
    for provider in &config.providers {
        secrets.extend(provider.live_secrets());
    }
    for route in &config.routes {
        let proxy = route.upstream.proxy.as_ref();
        let credentials = proxy.and_then(|proxy| proxy.credentials.as_ref());
        secrets.extend(credentials.map(|credentials| &credentials.password));
        let certificate = route.upstream.client_certificate.as_ref();
        secrets.extend(certificate.map(|certificate| &certificate.key));
    }
    let client_keys = config.routes.iter().map(|route| &route.guard.client_key);
    secrets.extend(client_keys.flatten());
    let admin_keys = config.admin.iter().map(|admin| &admin.key);
    secrets.extend(admin_keys.flatten());
    secrets.into_iter().cloned().collect()
}

/// A secret's file that is read again and again. A file system that hangs stops its own secrets alone.
struct SecretFile {
    secret: Arc<LiveSecret>,
    /// The error that was logged last.
    reported: Option<String>,
}

impl SecretFile {
    fn new(secret: Arc<LiveSecret>) -> Self {
        Self {
            secret,
            reported: None,
        }
    }

    async fn watch(mut self) {
        let mut ticks = interval(RELOAD_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.reload().await;
        }
    }

    /// Reloads the secret, and logs a change, or an error that was not logged before.
    async fn reload(&mut self) {
        let Some(path) = self.secret.path().map(Path::display) else {
            return;
        };
        match self.secret.reload_within(READ_TIMEOUT).await {
            Ok(changed) => {
                self.reported = None;
                if changed {
                    tracing::info!(file = %path, "secret.changed");
                }
            }
            Err(error) => {
                let error = error.to_string();
                if self.reported.as_ref() != Some(&error) {
                    tracing::warn!(file = %path, error, "secret.unreadable: the one in force stays");
                    self.reported = Some(error);
                }
            }
        }
    }
}
