//! The configuration: from a TOML file to the types that the components own.
//!
//! `text → syntax → table (one walk over the key table) → sections → Config`. Every problem on the
//! way is collected in one [`Report`].
//!
//! To add a key:
//! 1. Add a line to the key table: `keys.rs`, `keys/provider.rs` or `keys/route.rs`.
//! 2. Add a field to the owner's type, and its default to the owner's `Default`.
//! 3. Add a line to the section that builds this type: `sections/TABLE.rs`.
//! 4. Add the key to `config/reference.toml`, and run `cargo run -- schema > config/schema.json`.
//!
//! Tests fail for a key that is missing in one of these places.

mod choices;
mod diagnostics;
mod excerpt;
mod file_access;
mod foreign_format;
mod keys;
mod literal_variable;
mod location;
mod parsed;
mod place;
mod positions;
mod preset;
mod problem_code;
mod quote;
mod report;
mod schema;
mod section;
mod sections;
mod spanned;
mod suggestion;
mod syntax;
mod table;
mod units;
mod value;
mod variables;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use thiserror::Error;
use zeroize::Zeroizing;

pub use place::{KeyPlace, text_value};
pub use positions::Positions;
pub use preset::{About, Preset, preset, presets};
pub use problem_code::ProblemCode;
pub use report::{Problem, Report, Severity};
pub use schema::schema;
pub use suggestion::nearest;

use crate::{
    admin::Admin,
    notify::NotifySettings,
    oauth::provider::Provider,
    proxy::route::{Injection, Route},
    regular_file,
    server::limits::{Drain, Limits},
    telemetry::{LogSettings, traces::TraceSettings},
    token::store::StoreLocation,
};

/// A configuration without errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file that it was read from.
    pub path: Option<PathBuf>,
    /// `[admin]`; `None` for `listen = "off"`.
    pub admin: Option<Admin>,
    /// `[store]`.
    pub store: StoreLocation,
    /// Whether the file sets `[store] path`. Then the store must be usable even while no provider
    /// uses it.
    pub store_is_given: bool,
    /// `[log]`.
    pub log: LogSettings,
    /// `[limits]`.
    pub limits: Limits,
    /// `[drain]`.
    pub drain: Drain,
    /// `[runtime] workers`, with `auto` resolved: at least 1.
    pub workers: usize,
    /// `[telemetry]`; `None` without a collector.
    pub traces: Option<TraceSettings>,
    /// `[notify]`; `None` without a command and a URL.
    pub notify: Option<Arc<NotifySettings>>,
    /// `[providers.*]` in the order of the file.
    pub providers: Vec<Arc<Provider>>,
    /// `[routes.*]` in the order of the file.
    pub routes: Vec<Route>,
    /// `[providers.*.inject]`, by the names of the providers.
    pub injections: BTreeMap<String, Injection>,
    /// The file, and the certificates that it names: what a reload may find changed.
    pub files: Vec<PathBuf>,
    /// Where keys stand in the file.
    pub positions: Positions,
}

impl Config {
    /// Keeps the tables of `running` that only a restart can change. Returns the names of those that differ.
    pub fn keep_process_tables(&mut self, running: &Self) -> Vec<&'static str> {
        let mut changed = Vec::new();
        if self.admin != running.admin {
            self.admin.clone_from(&running.admin);
            changed.push("admin");
        }
        if (&self.store, self.store_is_given) != (&running.store, running.store_is_given) {
            self.store = running.store.clone();
            self.store_is_given = running.store_is_given;
            changed.push("store");
        }
        if self.workers != running.workers {
            self.workers = running.workers;
            changed.push("runtime");
        }
        if self.traces != running.traces {
            self.traces.clone_from(&running.traces);
            changed.push("telemetry");
        }
        changed
    }

    /// Returns where the token of a provider goes in a request.
    pub fn injection(&self, provider: &str) -> Injection {
        let bearer = || Injection::Header {
            name: Injection::DEFAULT_HEADER,
            prefix: Injection::DEFAULT_PREFIX.to_owned(),
        };
        self.injections
            .get(provider)
            .cloned()
            .unwrap_or_else(bearer)
    }

    /// Returns the place of a key below `[providers.PROVIDER]`, whether it is in the file or not.
    pub fn key_place(&self, provider: &str, key: &[&str]) -> KeyPlace {
        let path = ["providers", provider]
            .into_iter()
            .chain(key.iter().copied());
        self.positions.keys.of(&path.collect::<Vec<_>>())
    }

    /// Returns whether the file itself has a key below `[providers.PROVIDER]`.
    pub fn sets_key(&self, provider: &str, key: &[&str]) -> bool {
        let path = ["providers", provider]
            .into_iter()
            .chain(key.iter().copied());
        self.positions.keys.contains(&path.collect::<Vec<_>>())
    }

    /// Returns the provider whose name `text` probably stands for.
    pub fn similar_provider(&self, text: &str) -> Option<&str> {
        suggestion::nearest(text, self.providers.iter().map(|provider| &*provider.name))
    }

    /// Whether the store has to be usable: for logins, or because the file names one.
    pub fn uses_store(&self) -> bool {
        let mut providers = self.providers.iter();
        let has_logins = providers.any(|provider| provider.grant_type.needs_login());
        has_logins || self.store_is_given
    }

    /// Makes a problem that belongs to a dotted key of the file, or to the whole file.
    pub fn problem(
        &self,
        (severity, code): (Severity, ProblemCode),
        key: Option<&str>,
        message: String,
        hint: &str,
    ) -> Problem {
        let file = self.path.as_deref().unwrap_or(Path::new("-"));
        let position = key.map_or((1, 1), |key| self.positions.of(key));
        Problem::new(
            (severity, code),
            &file.display().to_string(),
            position,
            key,
            message,
            hint,
        )
    }
}

/// A source of environment variables: [`environment`], or a test's own.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The maximum size of a configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;

/// Returns a variable of the process's environment, unless it is absent or not Unicode.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads a variable"
)]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns the path of the configuration file.
///
/// That is `given` (the `-c` option), else `$BEARWARD_CONFIG`, else `./bearward.toml` if it exists,
/// else `/etc/bearward/bearward.toml`.
pub fn find(given: Option<&Path>, environment: Environment<'_>) -> PathBuf {
    const IN_WORKING_FOLDER: &str = "bearward.toml";
    if let Some(path) = given {
        return path.to_owned();
    }
    match environment("BEARWARD_CONFIG").filter(|path| !path.is_empty()) {
        Some(path) => path.into(),
        None if Path::new(IN_WORKING_FOLDER).exists() => IN_WORKING_FOLDER.into(),
        None => "/etc/bearward/bearward.toml".into(),
    }
}

/// Loads the file at `path`. Relative paths in it are relative to its folder.
///
/// # Errors
/// A report with all problems of the file. The report beside an `Ok` holds warnings only.
pub fn load(path: &Path, environment: Environment<'_>) -> Result<(Config, Report), Report> {
    let file = path.display().to_string();
    let bytes = read_file(path).map_err(|error| unreadable(&file, &error))?;
    let text = utf8(&bytes).map_err(|error| unreadable(&file, &error))?;
    parse_file(text, &file, Some(path), environment)
}

/// Loads the `[admin]` table alone, for a command that asks a running sidecar. The rest of the file may have errors.
///
/// It is `None` for `listen = "off"`, and for an invalid address. The report holds the problems of this table, which
/// may be a key that only the sidecar can read.
///
/// # Errors
/// The file cannot be read, or is not TOML.
pub fn load_admin(
    path: &Path,
    environment: Environment<'_>,
) -> Result<(Option<Admin>, Report), Report> {
    let file = path.display().to_string();
    let bytes = read_file(path).map_err(|error| unreadable(&file, &error))?;
    let text = utf8(&bytes).map_err(|error| unreadable(&file, &error))?;
    let mut diagnostics = diagnostics::Diagnostics::default();
    let document = syntax::parse(text, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics.into_report(&file, Some(&excerpt::Excerpts::new(text, None))));
    }
    let mut others = diagnostics::Diagnostics::default();
    let root = root_section(text, &document, &mut others);
    let folder = path.parent().map(Path::to_owned);
    let mut context = sections::BuildContext::new(environment, folder, diagnostics);
    let admin = sections::build_admin(&root, &mut context);
    let excerpts = excerpt::Excerpts::new(text, Some(&document.table));
    let report = context.diagnostics.into_report(&file, Some(&excerpts));
    Ok((admin, report))
}

/// Parses `text`, which reports call `file`. Relative paths in it are relative to the working
/// folder.
///
/// # Errors
/// A report with all problems of the text. The report beside an `Ok` holds warnings only.
pub fn parse(
    text: &str,
    file: &str,
    environment: Environment<'_>,
) -> Result<(Config, Report), Report> {
    parse_file(text, file, None, environment)
}

/// An unreadable configuration file.
#[derive(Debug, Error)]
enum FileError {
    #[error("the configuration cannot be read: {0}")]
    Io(String),
    #[error("the configuration cannot be read: it is larger than {} MiB", MAX_FILE_BYTES >> 20)]
    TooLarge,
    #[error("the configuration is not UTF-8, from line {line} on")]
    NotUtf8 { line: usize },
    #[error("the configuration is a binary file")]
    Binary,
}

impl FileError {
    fn not_utf8(bytes: &[u8], valid_up_to: usize) -> Self {
        // UTF-16 has zero bytes, too, behind its byte order mark.
        let is_utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
        if !is_utf16 && bytes.contains(&0) {
            return Self::Binary;
        }
        let line_breaks = memchr::memchr_iter(b'\n', &bytes[..valid_up_to]).count();
        Self::NotUtf8 {
            line: line_breaks + 1,
        }
    }

    const fn hint(&self) -> &'static str {
        match self {
            Self::Io(_) | Self::TooLarge | Self::Binary => {
                "name the file with -c FILE or $BEARWARD_CONFIG; without them, ./bearward.toml or \
                 /etc/bearward/bearward.toml is read"
            }
            Self::NotUtf8 { .. } => "save the file as UTF-8",
        }
    }
}

/// The report of a file that cannot be read.
fn unreadable(file: &str, error: &FileError) -> Report {
    let start = location::Location::new(0..0);
    let mut diagnostics = diagnostics::Diagnostics::default();
    diagnostics.push(
        diagnostics::Diagnostic::error(&start, error.to_string(), error.hint())
            .with_code(ProblemCode::FileUnreadable),
    );
    diagnostics.into_report(file, None)
}

/// Reads the file into memory that is zeroed when it is dropped.
fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    regular_file::read(path, MAX_FILE_BYTES).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => FileError::TooLarge,
        _ => FileError::Io(file_access::explain(path, &error)),
    })
}

fn utf8(bytes: &[u8]) -> Result<&str, FileError> {
    std::str::from_utf8(bytes).map_err(|error| FileError::not_utf8(bytes, error.valid_up_to()))
}

/// Walks over the key table. Problems of the keys are added to `diagnostics`.
fn root_section<'t>(
    text: &'t str,
    document: &'t syntax::Document<'t>,
    diagnostics: &mut diagnostics::Diagnostics,
) -> section::Section<'t> {
    let mut parser = table::TableParser {
        text,
        is_valid: document.is_valid,
        diagnostics,
    };
    let root = parser.parse(&document.table, keys::ROOT, location::Location::new(0..0));
    section::Section::new(Rc::new(root))
}

fn parse_file(
    text: &str,
    file: &str,
    path: Option<&Path>,
    environment: Environment<'_>,
) -> Result<(Config, Report), Report> {
    let mut diagnostics = diagnostics::Diagnostics::default();
    // It outlives the tables, whose texts with variables are replaced by texts in it.
    let texts = typed_arena::Arena::new();
    let document = syntax::parse(text, &mut diagnostics);
    let syntax_errors = diagnostics.len();

    let mut config = None;
    if document.is_checkable {
        let root = root_section(text, &document, &mut diagnostics);
        let folder = path.and_then(Path::parent).map(Path::to_owned);
        let mut context = sections::BuildContext::new(environment, folder, diagnostics);
        let built = sections::build(&root, path, &texts, &mut context);
        config = Some(Config {
            positions: Positions::new(text, &document.table),
            ..built
        });
        diagnostics = context.diagnostics;
    }
    if syntax_errors > 0 {
        // A key on a line with a syntax error seems to be malformed or missing.
        diagnostics.remove_echoes(syntax_errors, |location| {
            let line = syntax::line_start(text, location.span.start);
            location.key().is_some() && document.broken_lines.contains(&line)
        });
    }

    let has_errors = diagnostics.has_errors();
    let report = if diagnostics.is_empty() {
        Report::default()
    } else {
        let table = document.is_valid.then_some(&document.table);
        diagnostics.into_report(file, Some(&excerpt::Excerpts::new(text, table)))
    };
    match config {
        Some(config) if !has_errors => Ok((config, report)),
        _ => Err(report),
    }
}

#[cfg(test)]
mod tests;
