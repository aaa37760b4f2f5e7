//! The configuration: from a TOML file to the types that the parts of the program own.
//!
//! `text → toml → check (against keys) → raw → build → Config`, every problem on the way in one [`Report`].

mod build;
mod check;
mod excerpt;
mod keys;
mod preset;
mod raw;
mod report;
mod schema;
mod syntax;
mod value;

use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use zeroize::Zeroizing;

pub use preset::{Preset, preset, presets};
pub use report::{Problem, Report, Severity};
pub use schema::schema;

use crate::{
    admin::Admin,
    oauth::provider::Provider,
    proxy::route::Route,
    server::limits::{Drain, Limits},
    telemetry::LogSettings,
    token::store::StoreLocation,
};

/// A configuration that was checked whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file it came from, for reloads and for messages.
    pub path: Option<PathBuf>,
    /// `[admin]`; `None` is `listen = "off"`.
    pub admin: Option<Admin>,
    /// `[store]`.
    pub store: StoreLocation,
    /// Whether the file says where: then it has to be usable even while no provider keeps anything in it.
    pub store_is_given: bool,
    /// `[log]`.
    pub log: LogSettings,
    /// `[limits]`.
    pub limits: Limits,
    /// `[drain]`.
    pub drain: Drain,
    /// `[runtime] workers`, `auto` resolved: at least 1.
    pub workers: usize,
    /// `[providers.*]` in the order of the file.
    pub providers: Vec<Arc<Provider>>,
    /// `[routes.*]` in the order of the file.
    pub routes: Vec<Route>,
}

/// Where the values of environment variables come from: [`environment`], or a test's own.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The process's environment; a variable that is not Unicode counts as absent.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The largest configuration that is read, in bytes.
const LARGEST_FILE: u64 = 32 * 1024 * 1024;

/// The file in force: `given` (the `-c` option), else `$BEARWARD_CONFIG`, else `./bearward.toml` if there is one, else
/// `/etc/bearward/bearward.toml`.
pub fn find(given: Option<&Path>, environment: Environment<'_>) -> PathBuf {
    const HERE: &str = "bearward.toml";
    if let Some(path) = given {
        return path.to_owned();
    }
    match environment("BEARWARD_CONFIG").filter(|path| !path.is_empty()) {
        Some(path) => path.into(),
        None if Path::new(HERE).exists() => HERE.into(),
        None => "/etc/bearward/bearward.toml".into(),
    }
}

/// Reads and checks the file at `path`; relative paths in it are relative to its folder.
///
/// # Errors
/// All that is wrong with it. With `Ok` comes a report that holds warnings at most.
pub fn load(path: &Path, environment: Environment<'_>) -> Result<(Config, Report), Report> {
    let file = path.display().to_string();
    let unreadable = |error: io::Error| {
        let hint = "name a file with -c FILE or $BEARWARD_CONFIG; else ./bearward.toml and then \
                    /etc/bearward/bearward.toml are read";
        Report::whole_file(
            &file,
            format!("the configuration cannot be read: {error}"),
            hint.to_owned(),
        )
    };
    let mut bytes = Zeroizing::new(Vec::new());
    fs::File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(unreadable(io::Error::new(
            io::ErrorKind::InvalidData,
            "larger than 32 MiB",
        )));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        let hint = "save it as UTF-8".to_owned();
        Report::whole_file(
            &file,
            format!("the configuration is not UTF-8, from line {line} on"),
            hint,
        )
    })?;
    read(text, &file, Some(path), environment)
}

/// Checks `text`, which reports call `file`; relative paths in it are relative to the working folder.
///
/// # Errors
/// All that is wrong with it. With `Ok` comes a report that holds warnings at most.
pub fn parse(
    text: &str,
    file: &str,
    environment: Environment<'_>,
) -> Result<(Config, Report), Report> {
    read(text, file, None, environment)
}

fn read(
    text: &str,
    file: &str,
    path: Option<&Path>,
    environment: Environment<'_>,
) -> Result<(Config, Report), Report> {
    let folder = path.and_then(Path::parent).map(Path::to_owned);
    let mut context = build::Context::new(environment, folder);
    let document = syntax::parse(text, &mut context.drafts);
    let table = document.table.get_ref();
    let mut config = None;
    let syntax_errors = context.drafts.len();
    if document.is_whole {
        let checker = check::Checker {
            text,
            is_valid: document.is_valid,
        };
        checker.table(table, keys::ROOT, &"".into(), &mut context.drafts);
        config = Some(build::build(&raw::Section::root(table), path, &mut context));
    }
    let mut drafts = context.drafts;
    if syntax_errors > 0 {
        drafts.drop_echoes(syntax_errors, |at| {
            at.key().is_some() && document.broken.contains(&syntax::line(text, at.span.start))
        });
    }
    let failed = drafts.has_errors();
    let report = if drafts.is_empty() {
        Report::default()
    } else {
        let excerpts = excerpt::Excerpts::new(text, document.is_valid.then_some(table));
        drafts.finish(file, Some(&excerpts))
    };
    match config {
        Some(config) if !failed => Ok((config, report)),
        _ => Err(report),
    }
}

#[cfg(test)]
mod tests;
