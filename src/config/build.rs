//! From the file as written to the types that the parts of the program own; every problem is collected on the way.

mod endpoint;
mod listeners;
mod pointer;
mod provider;
mod route;
mod secret;
mod settings;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{
    Config, Environment,
    raw::{At, Found, Section},
    report::Drafts,
    value::quote,
};
use crate::tls::Trust;

/// What building needs beside the file.
pub(super) struct Context<'e> {
    environment: Environment<'e>,
    /// What relative paths are relative to; the working folder when absent.
    folder: Option<PathBuf>,
    pub(super) drafts: Drafts,
    trusts: HashMap<PathBuf, Trust>,
    /// How many more names the nearest one is looked for: it takes time in proportion to all of them.
    guesses: usize,
}

impl<'e> Context<'e> {
    /// A context without problems yet.
    pub(super) fn new(environment: Environment<'e>, folder: Option<PathBuf>) -> Self {
        Self {
            environment,
            folder,
            drafts: Drafts::default(),
            trusts: HashMap::new(),
            guesses: 20,
        }
    }

    fn error(&mut self, at: &At, message: impl Into<String>, hint: impl Into<String>) {
        self.drafts.error(at, message, hint);
    }

    fn path(&self, text: &str) -> PathBuf {
        self.folder.as_deref().unwrap_or(Path::new("")).join(text)
    }

    /// The trust that `ca_file` of `section` adds to the system's.
    fn trust(&mut self, section: &Section<'_>) -> Trust {
        let Some(Found { value, at }) = section.text("ca_file") else {
            return Trust::default();
        };
        let path = self.path(value);
        if let Some(trust) = self.trusts.get(&path) {
            return trust.clone();
        }
        match Trust::with_ca_file(&path) {
            Ok(trust) => {
                self.trusts.insert(path, trust.clone());
                trust
            }
            Err(error) => {
                let message = format!(
                    "the certificates in {} cannot be used: {error}",
                    quote(value)
                );
                self.error(
                    &at,
                    message,
                    "it has to be a PEM file with at least one certificate",
                );
                Trust::default()
            }
        }
    }
}

/// Builds all of it; the result counts only when no error was added to the context.
pub(super) fn build(root: &Section<'_>, path: Option<&Path>, context: &mut Context<'_>) -> Config {
    let (providers, routes) = (root.sections("providers"), root.sections("routes"));
    if !root.has_own("providers") && !root.has_own("routes") {
        let hint = "add [providers.NAME] and [routes.NAME]; `bearward presets` lists the providers built in";
        context.error(
            &At::position(0..0),
            "there is neither a provider nor a route",
            hint,
        );
    } else if providers.is_empty() && routes.is_empty() && !context.drafts.has_errors() {
        context.error(
            &At::position(0..0),
            "there is neither a provider nor a route",
            "add [routes.NAME]",
        );
    } else if routes.is_empty() {
        let hint = "add [routes.NAME] with `listen`, `upstream` and `provider`";
        context.drafts.warning(
            &At::position(0..0),
            "there is no route, so nothing will be forwarded",
            hint,
        );
    }
    let admin = settings::admin(root, context);
    let providers = provider::build_all(&providers, context);
    let routes = route::build_all(&routes, &providers, context);
    listeners::check(admin.as_ref(), &routes, context);
    Config {
        path: path.map(Path::to_owned),
        admin: admin.map(|found| found.value),
        store: settings::store(root, context),
        store_is_given: root.section("store").text("path").is_some(),
        log: settings::log(root, context),
        limits: settings::limits(root),
        drain: settings::drain(root),
        workers: settings::workers(root),
        providers: providers.built,
        routes: routes.into_iter().filter_map(|route| route.built).collect(),
    }
}

/// Whether `name` of a provider or route can stand in a URL, a metric's label and the name of a file.
fn check_name(name: &str, at: &At, context: &mut Context<'_>) {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 64 || name.starts_with(['.', '-']) || !name.chars().all(fits)
    {
        let hint =
            "at most 64 letters, digits, `-`, `_` and `.`, beginning with a letter, a digit or `_`";
        context.error(at, "this name cannot be used", hint);
    }
}
