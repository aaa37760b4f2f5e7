//! Looks at the logins, and finds what an operator has to be told.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};

use super::{NotifySettings, NotifyView, event::LoginChange};
use crate::{clock::Clock, token::status::LoginCondition};

/// The time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A notification, and where it goes.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) change: LoginChange,
    pub(super) settings: Arc<NotifySettings>,
}

/// Observes the logins, until the view or the queue is gone.
pub(super) async fn run(
    mut view: watch::Receiver<NotifyView>,
    queue: mpsc::Sender<Queued>,
    clock: Arc<dyn Clock>,
) {
    let mut told = Told::default();
    loop {
        let current = view.borrow_and_update().clone();
        if let Some(settings) = &current.settings {
            for change in told.changes(&current, &*clock) {
                let provider = change.provider.clone();
                let settings = settings.clone();
                if queue.try_send(Queued { change, settings }).is_err() {
                    tracing::warn!(provider, "notify.dropped: too many notifications wait");
                }
            }
        } else {
            told = Told::default();
        }
        let has_settings = current.settings.is_some();
        let next_look = clock.now() + LOOK_INTERVAL;
        tokio::select! {
            changed = view.changed() => if changed.is_err() { return },
            // Without `[notify]` there is nothing to look at.
            () = clock.sleep_until(next_look), if has_settings => {}
        }
    }
}

/// The logins as the operator knows them. One without a notification is good.
#[derive(Debug, Default)]
struct Told(HashMap<Arc<str>, LoginCondition>);

impl Told {
    fn changes(&mut self, view: &NotifyView, clock: &dyn Clock) -> Vec<LoginChange> {
        self.0
            .retain(|name, _| view.tokens.credential(name).is_some());
        let mut changes = Vec::new();
        for credential in view.tokens.iter() {
            let seen = credential.login_condition();
            if let Some(news) = self.update(credential.name(), seen) {
                changes.push(LoginChange::new(news, credential, view, clock.wall()));
            }
        }
        changes
    }

    /// Returns what is new. An attempt in flight, and a failure of another kind, change nothing.
    fn update(
        &mut self,
        provider: &Arc<str>,
        seen: Option<LoginCondition>,
    ) -> Option<LoginCondition> {
        let seen = seen?;
        let told = self.0.insert(provider.clone(), seen);
        (told.unwrap_or(LoginCondition::Good) != seen).then_some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once() {
        use LoginCondition::{Due, Good, Required};
        let (mut told, provider) = (Told::default(), Arc::from("happeo"));
        let seen = [
            None,
            Some(Good),
            None,
            Some(Due),
            None,
            Some(Due),
            Some(Required),
            None,
            Some(Required),
            None,
            Some(Good),
            Some(Good),
        ];
        let news: Vec<_> = seen
            .into_iter()
            .filter_map(|seen| told.update(&provider, seen))
            .collect();
        assert_eq!(news, [Due, Required, Good]);
    }

    #[test]
    fn a_login_that_is_missing_from_the_start_is_told() {
        let (mut told, provider) = (Told::default(), Arc::from("happeo"));
        let required = Some(LoginCondition::Required);
        assert_eq!(told.update(&provider, required), required);
    }
}
