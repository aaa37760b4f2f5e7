//! Notifications: an operator is told once when a login is lost or due, and when it is back.
//!
//! `[notify]` names a command or a URL. A task looks at the logins of all providers once a second, and another one
//! delivers what has changed. Neither is on the way of a request.

mod command;
mod delivery;
mod event;
mod observer;
mod webhook;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use url::Url;

pub use self::event::LoginChange;
use crate::{
    clock::Clock,
    login::{login_path, redirect::admin_origin, supports_browser_login},
    oauth::provider::Provider,
    server::address::ListenAddress,
    token::Tokens,
};

/// Notifications that wait for their delivery; further ones are dropped.
const MAX_QUEUED_EVENTS: usize = 64;

/// `[notify]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifySettings {
    /// The command that gets each notification on its standard input.
    pub command: Option<NotifyCommand>,
    /// The URL that each notification is posted to. It may hold a key, so it is never shown whole.
    pub url: Option<Url>,
}

/// `[notify] command`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyCommand {
    /// The program: a path, or a name that `PATH` finds.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The environment variables that the configuration reads secrets from. The command does not get them.
    pub secret_variables: BTreeSet<String>,
}

/// The subject of notifications, in the configuration in force.
#[derive(Clone, Debug)]
pub struct NotifyView {
    /// `[notify]`; `None` without it.
    pub settings: Option<Arc<NotifySettings>>,
    /// The credentials whose logins are observed.
    pub tokens: Arc<Tokens>,
    /// The real address of the admin listener.
    pub admin: Option<ListenAddress>,
}

impl NotifyView {
    /// The address at which a person logs in to a provider, if that works in a browser.
    fn login_url(&self, provider: &Provider) -> Option<String> {
        let admin = self.admin.as_ref()?;
        let origin = admin_origin(admin).filter(|_| supports_browser_login(provider))?;
        Some(format!("{origin}{}", login_path(&provider.name)))
    }
}

/// The notifications of a sidecar. Dropping it ends them.
#[derive(Debug)]
pub struct Notifier {
    view: watch::Sender<NotifyView>,
    _tasks: JoinSet<()>,
}

impl Notifier {
    /// Starts the notifications on the current runtime.
    pub fn start(view: NotifyView, clock: Arc<dyn Clock>) -> Self {
        let (queue, events) = mpsc::channel(MAX_QUEUED_EVENTS);
        let view = watch::Sender::new(view);
        let mut tasks = JoinSet::new();
        tasks.spawn(observer::run(view.subscribe(), queue, clock));
        tasks.spawn(delivery::run(events));
        Self {
            view,
            _tasks: tasks,
        }
    }

    /// Goes on with another configuration. What was told is not told again.
    pub fn replace(&self, view: NotifyView) {
        self.view.send_replace(view);
    }
}
