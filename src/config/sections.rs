//! Builds the components' types from the tables of the file, one module a table.

mod accepted_hosts;
mod admin;
mod connection;
mod drain;
mod endpoint;
mod guard_key;
mod hosts;
mod limits;
mod listeners;
mod log;
mod notify;
mod parameters;
mod pem_hint;
mod provider;
mod redirect;
mod route;
mod runtime;
mod secret;
mod store;
mod telemetry;

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use typed_arena::Arena;

use super::{
    Config, Environment, Positions,
    diagnostics::{Diagnostic, Diagnostics},
    file_access,
    location::Location,
    problem_code::ProblemCode,
    quote::quote,
    section::Section,
    suggestion::nearest,
};
use crate::{admin::Admin, tls::Trust};

/// The maximum number of provider names that a suggestion is searched for. Each search compares all
/// names.
const MAX_SUGGESTIONS: usize = 20;
/// The longest name of a provider or route, in bytes.
const MAX_NAME: usize = 64;

/// The surroundings of the file, and the diagnostics so far.
pub(super) struct BuildContext<'e> {
    pub(super) diagnostics: Diagnostics,
    environment: Environment<'e>,
    /// The folder for relative paths: that of the file. `None` is the working folder.
    folder: Option<PathBuf>,
    /// The certificates of each `ca_file` that was read.
    trusts: HashMap<PathBuf, Trust>,
    /// The environment variables that secrets were read from.
    secret_variables: BTreeSet<String>,
    remaining_suggestions: usize,
}

impl<'e> BuildContext<'e> {
    pub(super) fn new(
        environment: Environment<'e>,
        folder: Option<PathBuf>,
        diagnostics: Diagnostics,
    ) -> Self {
        Self {
            diagnostics,
            environment,
            folder,
            trusts: HashMap::new(),
            secret_variables: BTreeSet::new(),
            remaining_suggestions: MAX_SUGGESTIONS,
        }
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn ok_or_push<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        self.diagnostics.ok_or_push(result)
    }

    /// Resolves a path of the file.
    fn resolve(&self, path: &str) -> PathBuf {
        self.folder.as_deref().unwrap_or(Path::new("")).join(path)
    }

    /// Reads the trust roots that `ca_file` of `section` adds to the system's.
    fn trust(&mut self, section: &Section<'_>) -> Result<Trust, Diagnostic> {
        let Some(ca_file) = section.string("ca_file") else {
            return Ok(Trust::default());
        };
        let path = self.resolve(ca_file.value);
        if let Some(trust) = self.trusts.get(&path) {
            return Ok(trust.clone());
        }

        let trust = Trust::with_ca_file(&path).map_err(|error| {
            let file = quote(ca_file.value);
            let reason = file_access::explain(&path, &error);
            ca_file
                .error(
                    format!("`ca_file` = {file} cannot be used: {reason}"),
                    pem_hint::of_certificate(
                        &path,
                        ca_file.value,
                        "name a readable PEM file with at least one certificate",
                    ),
                )
                .with_code(ProblemCode::CertificateUnusable)
        })?;
        self.trusts.insert(path, trust.clone());
        Ok(trust)
    }

    /// Returns the files beside the configuration and its secrets that were read.
    fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.trusts.keys().cloned()
    }

    /// Suggests one of `candidates`, as long as suggestions remain.
    fn suggest<'a>(
        &mut self,
        text: &str,
        candidates: impl Iterator<Item = &'a str>,
    ) -> Option<&'a str> {
        self.remaining_suggestions = self.remaining_suggestions.checked_sub(1)?;
        nearest(text, candidates)
    }
}

/// Builds the whole configuration. It is usable only if the context has no errors afterwards.
pub(super) fn build<'a>(
    root: &Section<'a>,
    path: Option<&Path>,
    texts: &'a Arena<String>,
    context: &mut BuildContext<'_>,
) -> Config {
    let providers = root.named_sections("providers");
    let routes = root.named_sections("routes");
    check_presence(root, providers.is_empty(), routes.is_empty(), context);

    let admin = admin::build(&root.section("admin"), context);
    let sections = providers;
    let providers = provider::Providers {
        is_complete: !root.is_invalid_in_file("providers"),
        ..provider::build_all(&sections, texts, context)
    };
    let listen = admin.as_ref().map(|admin| &admin.value.listen);
    let is_known = listen.is_some() || !root.section("admin").is_invalid_in_file("listen");
    if is_known {
        redirect::check(&sections, &providers.built, listen, context);
    }
    let routes = route::build_all(&routes, &providers, context);
    listeners::check(admin.as_ref(), &routes, context);

    Config {
        path: path.map(Path::to_owned),
        admin: admin.map(|admin| admin.value),
        store: store::build(&root.section("store"), context),
        store_is_given: root.section("store").is_set("path"),
        log: log::build(&root.section("log"), context),
        limits: limits::build(&root.section("limits")),
        drain: drain::build(&root.section("drain")),
        workers: runtime::workers(&root.section("runtime")),
        injections: providers.injections(),
        traces: telemetry::build(&root.section("telemetry"), context),
        // Behind the tables with secrets, whose variables its command must not get.
        notify: notify::build(&root.section("notify"), context),
        providers: providers.built,
        routes: routes.into_iter().filter_map(|route| route.built).collect(),
        files: path
            .into_iter()
            .map(Path::to_owned)
            .chain(context.files())
            .collect(),
        positions: Positions::default(),
    }
}

/// Builds the admin listener alone.
pub(super) fn build_admin(root: &Section<'_>, context: &mut BuildContext<'_>) -> Option<Admin> {
    let admin = admin::build(&root.section("admin"), context)?;
    Some(admin.value)
}

/// Reports a file that configures nothing, or forwards nothing.
fn check_presence(
    root: &Section<'_>,
    no_providers: bool,
    no_routes: bool,
    context: &mut BuildContext<'_>,
) {
    let start = Location::new(0..0);
    let no_tables = !root.is_set_in_file("providers") && !root.is_set_in_file("routes");
    if no_tables || (no_providers && no_routes && !context.diagnostics.has_errors()) {
        context.push(
            Diagnostic::error(
                &start,
                "there is neither a provider nor a route",
                "add [providers.NAME] and [routes.NAME]; `bearward presets` lists the built-in \
             providers",
            )
            .with_code(ProblemCode::NothingConfigured),
        );
    } else if no_routes {
        context.push(Diagnostic::warning(
            ProblemCode::NoRouteConfigured,
            &start,
            "there is no route, so nothing is forwarded",
            "add [routes.NAME] with `listen`, `upstream` and `provider`",
        ));
    }
}

/// Checks the name of a provider or route. It must fit URLs, metric labels and file names.
fn check_name(name: &str, section: &Section<'_>) -> Result<(), Diagnostic> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_valid = (1..=MAX_NAME).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name.chars().all(is_allowed);
    if is_valid {
        return Ok(());
    }
    Err(section
        .error(
            "this name cannot be used",
            format!(
                "use at most {MAX_NAME} letters, digits, `-`, `_` and `.`; begin with a letter, a \
             digit or `_`"
            ),
        )
        .with_code(ProblemCode::InvalidName))
}
