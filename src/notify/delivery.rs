//! Delivers notifications one after the other, and tries again a few times.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::sleep};

use super::{NotifySettings, command, observer::Queued, webhook::Webhook};

/// The pauses before the second attempt and the third, which is the last.
const RETRY_PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// Delivers what is queued, until the queue is gone.
pub(super) async fn run(mut queue: mpsc::Receiver<Queued>) {
    while let Some(queued) = queue.recv().await {
        deliver(&queued).await;
    }
}

async fn deliver(Queued { change, settings }: &Queued) {
    let json: Arc<[u8]> = change.to_json().into();
    for target in Target::all(settings) {
        let (provider, state, by) = (&*change.provider, change.state, target.name());
        let mut pauses = RETRY_PAUSES.into_iter();
        loop {
            let Err(error) = target.send(&json).await else {
                tracing::info!(provider, state, by, "notify.sent");
                break;
            };
            let Some(pause) = pauses.next() else {
                tracing::error!(
                    provider,
                    state,
                    by,
                    error,
                    "notify.failed: the notification is lost; check [notify]"
                );
                break;
            };
            let next_s = pause.as_secs();
            tracing::warn!(provider, state, by, error, next_s, "notify.failed");
            sleep(pause).await;
        }
    }
}

/// One way of a notification.
enum Target<'s> {
    Command(&'s super::NotifyCommand),
    Url(Webhook<'s>),
}

impl<'s> Target<'s> {
    fn all(settings: &'s NotifySettings) -> impl Iterator<Item = Self> {
        let command = settings.command.as_ref().map(Self::Command);
        let url = settings.url.as_ref();
        command
            .into_iter()
            .chain(url.map(|url| Self::Url(Webhook(url))))
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Url(_) => "url",
        }
    }

    async fn send(&self, json: &Arc<[u8]>) -> Result<(), String> {
        match self {
            Self::Command(command) => command::run(command, json).await,
            Self::Url(webhook) => webhook.post(json).await,
        }
    }
}
