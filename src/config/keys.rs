//! The key table: the name, type, default and description of every key.
//!
//! Parsing, suggestions, the masking of excerpts and the JSON Schema are all derived from this
//! table. How a key is added is described in [`super`].

mod connection;
mod format;
mod provider;
mod route;
mod telemetry;

use std::time::Duration;

use serde_json::{Value, json};

pub(super) use self::{format::Format, provider::PROVIDER};

use super::{
    choices::{LOG_FORMATS, STORE_KINDS, StoreKind, word_for, words},
    units::{format_duration, format_size},
};
use crate::{
    admin::Admin,
    server::limits::{Drain, Limits},
    telemetry::LogSettings,
};

/// One key of a table.
#[derive(Debug)]
pub(super) struct KeySpec {
    /// The name in the file.
    pub(super) name: &'static str,
    /// The type of its value.
    pub(super) kind: Kind,
    /// The owner's default as JSON. `None` if it depends on other keys or the environment.
    pub(super) default: Option<fn() -> Value>,
    /// The description, one line.
    pub(super) description: &'static str,
    /// The variables that its texts may have.
    pub(super) variables: Variables,
    /// The format of its texts.
    pub(super) format: Option<Format>,
}

/// The variables that a text may have in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variables {
    /// None: braces stand for themselves.
    None,
    /// Those of `vars`.
    Configured,
    /// Those of `vars`, and values that are known at run time only.
    RunTime,
}

/// The type of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A string that is not empty.
    NonEmptyString,
    /// A string that may be empty.
    String,
    /// `"inline"`, `{ env = "NAME" }` or `{ file = "/path" }`.
    Secret,
    /// A duration such as `"10s"`; zero only where `allow_zero`.
    Duration { allow_zero: bool },
    /// A size such as `"64KiB"`, from `min` bytes up to 1 GiB.
    Size { min: u64 },
    /// A size such as `"10MiB"`, or `"unlimited"`.
    SizeOrUnlimited,
    /// An integer within these bounds.
    Integer { min: u64, max: u64 },
    /// A number from 0 to 1.
    Ratio,
    /// `"auto"`, or an integer within these bounds.
    IntegerOrAuto { min: u64, max: u64 },
    /// A duration such as `"10s"`, or `"never"`.
    DurationOrNever,
    /// `true` or `false`.
    Boolean,
    /// A string, a number or a boolean.
    Scalar,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An array of strings.
    Strings,
    /// A string, or an array of strings.
    StringOrStrings,
    /// An array of integers within these bounds.
    Integers { min: u64, max: u64 },
    /// A table of strings with arbitrary keys.
    StringMap,
    /// A table of such tables.
    StringMaps,
    /// A table of parameters: strings, arrays of strings, and secrets where `secrets`.
    Parameters { secrets: bool },
    /// Variables: strings, or tables that declare one.
    Variables(&'static [KeySpec]),
    /// A string, or a table with these keys.
    StringOrTable(&'static [KeySpec]),
    /// A secret, which may also be `{ file = "…", pointer = "/…" }`.
    SecretOrMember,
    /// A table with these keys.
    Table(&'static [KeySpec]),
    /// Tables with these keys, each under a name of its own.
    NamedTables(&'static [KeySpec]),
}

/// The whole file.
pub(super) const ROOT: &[KeySpec] = &[
    key(
        "admin",
        Kind::Table(ADMIN),
        "The admin listener: health, metrics, status page, login.",
    ),
    key(
        "store",
        Kind::Table(STORE),
        "The store of refresh tokens and other state that survives a restart.",
    ),
    key("log", Kind::Table(LOG), "The format and level of the log."),
    key("limits", Kind::Table(LIMITS), "Limits of every listener."),
    key(
        "drain",
        Kind::Table(DRAIN),
        "The end of the process on SIGTERM.",
    ),
    key("runtime", Kind::Table(RUNTIME), "The serving threads."),
    key(
        "telemetry",
        Kind::Table(telemetry::TELEMETRY),
        "OpenTelemetry traces.",
    ),
    key(
        "notify",
        Kind::Table(telemetry::NOTIFY),
        "A command or a URL that is told once when a login is lost or due, and when it is back.",
    ),
    key(
        "providers",
        Kind::NamedTables(PROVIDER),
        "Providers: each is an authorization server and one client registration there.",
    ),
    key(
        "routes",
        Kind::NamedTables(route::ROUTE),
        "Routes: each is a listener, an upstream, and the provider whose token is injected.",
    ),
];

const ADMIN: &[KeySpec] = &[
    key(
        "listen",
        Kind::NonEmptyString,
        "The address and port, `unix:/path`, `systemd:NAME`, or \"off\".",
    )
    .with_format(Format::ListenOrOff)
    .with_default(|| json!(Admin::default().listen.to_string())),
    key(
        "hosts",
        Kind::Strings,
        "Further accepted Host names, without ports: those of an ingress. The host of a provider's \
         redirect_uri is accepted at /login and /callback.",
    )
    .with_default(|| json!(Admin::default().hosts)),
    key(
        "key",
        Kind::Secret,
        "The password of the admin pages. Without it, an admin address that other machines can \
         reach serves only /livez, /readyz and /metrics. Send it as a Bearer token, or as the \
         HTTP Basic password.",
    ),
];

const STORE: &[KeySpec] = &[
    key(
        "kind",
        Kind::Choice(&words(&STORE_KINDS)),
        "\"file\": files in a folder. \"memory\": lost when the process ends.",
    )
    .with_default(|| json!(word_for(&STORE_KINDS, &StoreKind::default()))),
    key(
        "path",
        Kind::NonEmptyString,
        "The folder. Default: $STATE_DIRECTORY, else $XDG_STATE_HOME/bearward, else \
         ~/.local/state/bearward.",
    ),
    key(
        "encryption_key",
        Kind::Secret,
        "The key that encrypts the files: at least 32 random characters.",
    ),
];

const LOG: &[KeySpec] = &[
    key(
        "format",
        Kind::Choice(&words(&LOG_FORMATS)),
        "`auto` is text on a terminal, else one JSON object a line.",
    )
    .with_default(|| json!(word_for(&LOG_FORMATS, &LogSettings::default().format))),
    key(
        "level",
        Kind::NonEmptyString,
        "A level, or directives such as \"bearward::oauth=debug,info\".",
    )
    .with_format(Format::LogLevel)
    .with_default(|| json!(LogSettings::default().level)),
];

const LIMITS: &[KeySpec] = &[
    key(
        "connections",
        Kind::Integer {
            min: 1,
            max: 1_000_000,
        },
        "The maximum number of open connections per listener. Further ones wait.",
    )
    .with_default(|| json!(Limits::default().connections)),
    key(
        "requests",
        Kind::Integer {
            min: 1,
            max: 1_000_000,
        },
        "The maximum number of requests in flight per listener. Further ones wait.",
    )
    .with_default(|| json!(Limits::default().requests)),
    key(
        "head_timeout",
        Kind::Duration { allow_zero: false },
        "The time to the first byte of a request, and from there to the end of its head.",
    )
    .with_default(|| duration(Limits::default().head_timeout)),
    key(
        "head_bytes",
        Kind::Size { min: 256 },
        "The maximum size of a request or response head.",
    )
    .with_default(|| size(Limits::default().head_bytes as u64)),
    key(
        "head_fields",
        Kind::Integer { min: 1, max: 1000 },
        "The maximum number of header fields; at most 1000.",
    )
    .with_default(|| json!(Limits::default().head_fields)),
    key(
        "path_bytes",
        Kind::Size { min: 1 },
        "The maximum length of a path without its query.",
    )
    .with_default(|| size(Limits::default().path_bytes as u64)),
    key(
        "keep_alive",
        Kind::Duration { allow_zero: false },
        "The time after which an idle connection is closed.",
    )
    .with_default(|| duration(Limits::default().keep_alive)),
];

const DRAIN: &[KeySpec] = &[
    key(
        "timeout",
        Kind::Duration { allow_zero: true },
        "The time in which requests in flight may finish.",
    )
    .with_default(|| duration(Drain::default().timeout)),
    key(
        "lame_duck",
        Kind::Duration { allow_zero: true },
        "The time with readiness off during which connections are still accepted.",
    )
    .with_default(|| duration(Drain::default().lame_duck)),
];

const RUNTIME: &[KeySpec] = &[key(
    "workers",
    Kind::IntegerOrAuto { min: 1, max: 1024 },
    "The number of serving threads. `auto`: one per processor that the process may use.",
)
.with_default(|| json!("auto"))];

impl KeySpec {
    const fn with_default(self, default: fn() -> Value) -> Self {
        Self {
            default: Some(default),
            ..self
        }
    }

    /// Demands a format of its texts.
    const fn with_format(self, format: Format) -> Self {
        Self {
            format: Some(format),
            ..self
        }
    }

    /// Permits the variables of `vars`.
    const fn with_vars(self) -> Self {
        Self {
            variables: Variables::Configured,
            ..self
        }
    }

    /// Permits the variables of `vars`, and those of run time.
    const fn with_templates(self) -> Self {
        Self {
            variables: Variables::RunTime,
            ..self
        }
    }
}

/// A key without a default.
const fn key(name: &'static str, kind: Kind, description: &'static str) -> KeySpec {
    KeySpec {
        name,
        kind,
        default: None,
        description,
        variables: Variables::None,
        format: None,
    }
}

/// A default duration.
fn duration(default: Duration) -> Value {
    json!(format_duration(default))
}

/// A default size in bytes.
fn size(default: u64) -> Value {
    json!(format_size(default))
}

/// Returns the names of the keys of `specs`.
pub(super) fn names(specs: &'static [KeySpec]) -> impl Iterator<Item = &'static str> {
    specs.iter().map(|spec| spec.name)
}

/// Returns the key called `name`.
pub(super) fn find(specs: &'static [KeySpec], name: &str) -> Option<&'static KeySpec> {
    specs.iter().find(|spec| spec.name == name)
}

/// Calls `visit` with the path and the key of each entry, tables before their keys. `*` stands for
/// a free name.
pub(super) fn walk(
    specs: &'static [KeySpec],
    path: &str,
    visit: &mut dyn FnMut(&str, &'static KeySpec),
) {
    for spec in specs {
        let path = if path.is_empty() {
            spec.name.to_owned()
        } else {
            format!("{path}.{}", spec.name)
        };
        visit(&path, spec);
        match spec.kind {
            Kind::Table(inner) | Kind::StringOrTable(inner) => walk(inner, &path, visit),
            Kind::NamedTables(inner) | Kind::Variables(inner) => {
                walk(inner, &format!("{path}.*"), visit);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_table_names_a_key_twice() {
        let mut seen = std::collections::HashSet::new();
        walk(ROOT, "", &mut |path, _| {
            assert!(seen.insert(path.to_owned()), "{path}");
        });
        assert!(seen.contains("routes.*.guard.client_key"));
    }
}
