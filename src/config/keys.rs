//! Every key of the configuration file, named once: its type, its default and its meaning.
//!
//! The checks, the hints, the masking of excerpts and the JSON Schema are all read off this table.

mod provider;
mod route;

pub(super) use provider::PROVIDER;

/// One key of a table.
#[derive(Debug)]
pub(super) struct Key {
    /// As written in the file.
    pub(super) name: &'static str,
    /// What its value may be.
    pub(super) kind: Kind,
    /// The default as a TOML value, where it does not depend on anything else.
    pub(super) default: Option<&'static str>,
    /// One line for people.
    pub(super) doc: &'static str,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A string that is not empty.
    Text,
    /// A string that may be empty.
    Any,
    /// `"inline"`, `{ env = "NAME" }` or `{ file = "/path" }`.
    Secret,
    /// `"10s"`; zero only where `zero`.
    Duration { zero: bool },
    /// `"64KiB"` from `least` up to 1 GiB.
    Size { least: u64 },
    /// `"10MiB"` or `"unlimited"`.
    SizeOrUnlimited,
    /// An integer within these bounds.
    Number { least: u64, most: u64 },
    /// `"auto"` or an integer within these bounds.
    AutoOr { least: u64, most: u64 },
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An array of strings.
    Texts,
    /// A string, or an array of strings.
    TextOrTexts,
    /// An array of integers within these bounds.
    Numbers { least: u64, most: u64 },
    /// A table of strings whose keys are free.
    Pairs,
    /// A table with these keys.
    Table(&'static [Key]),
    /// Tables with these keys, each under a name of its own.
    Tables(&'static [Key]),
}

/// A key without a default.
const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        default: None,
        doc,
    }
}

/// A key with a default, written as a TOML value.
const fn defaulted(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key {
        name,
        kind,
        default: Some(default),
        doc,
    }
}

/// The whole file.
pub(super) const ROOT: &[Key] = &[
    key(
        "admin",
        Kind::Table(ADMIN),
        "The admin listener: health, metrics, status page, consent.",
    ),
    key(
        "store",
        Kind::Table(STORE),
        "Where refresh tokens, and what must survive a restart, are kept.",
    ),
    key("log", Kind::Table(LOG), "What is logged, and how."),
    key(
        "limits",
        Kind::Table(LIMITS),
        "The bounds of every listener.",
    ),
    key("drain", Kind::Table(DRAIN), "How the sidecar ends."),
    key("runtime", Kind::Table(RUNTIME), "The threads that serve."),
    key(
        "providers",
        Kind::Tables(PROVIDER),
        "Authorization servers, each with one client registration at it.",
    ),
    key(
        "routes",
        Kind::Tables(route::ROUTE),
        "Ways in, each with one way out and the provider whose token is injected.",
    ),
];

const ADMIN: &[Key] = &[
    defaulted(
        "listen",
        Kind::Text,
        r#""127.0.0.1:9900""#,
        "Address and port, `unix:/path`, or \"off\".",
    ),
    key(
        "key",
        Kind::Secret,
        "Opens status, page, login and renewal on a listener that others than this machine can reach.",
    ),
];

const STORE: &[Key] = &[
    defaulted(
        "kind",
        Kind::Choice(&["file", "memory"]),
        r#""file""#,
        "Files in a folder, or gone with the process.",
    ),
    key(
        "path",
        Kind::Text,
        "The folder. Default: $STATE_DIRECTORY, else $XDG_STATE_HOME/bearward, else ~/.local/state/bearward.",
    ),
    key(
        "encryption_key",
        Kind::Secret,
        "Encrypts the files: at least 32 random characters.",
    ),
];

const LOG: &[Key] = &[
    defaulted(
        "format",
        Kind::Choice(&["text", "json", "auto"]),
        r#""auto""#,
        "`auto` is text on a terminal, else one JSON object a line.",
    ),
    defaulted(
        "level",
        Kind::Text,
        r#""info""#,
        "A level, or directives such as \"bearward::oauth=debug,info\".",
    ),
];

const LIMITS: &[Key] = &[
    defaulted(
        "connections",
        Kind::Number {
            least: 1,
            most: 1_000_000,
        },
        "1024",
        "Connections of one listener at a time; further ones wait.",
    ),
    defaulted(
        "head_timeout",
        Kind::Duration { zero: false },
        r#""10s""#,
        "To the first byte, and to the end of the head.",
    ),
    defaulted(
        "head_bytes",
        Kind::Size { least: 256 },
        r#""64KiB""#,
        "The largest head of a request or an answer.",
    ),
    defaulted(
        "head_fields",
        Kind::Number {
            least: 1,
            most: 256,
        },
        "100",
        "The most fields of a head; 256 at most.",
    ),
    defaulted(
        "path_bytes",
        Kind::Size { least: 1 },
        r#""8KiB""#,
        "The longest path, its query not counted.",
    ),
    defaulted(
        "keep_alive",
        Kind::Duration { zero: false },
        r#""60s""#,
        "How long an idle connection is kept.",
    ),
];

const DRAIN: &[Key] = &[
    defaulted(
        "timeout",
        Kind::Duration { zero: true },
        r#""30s""#,
        "How long requests in flight may take to finish.",
    ),
    defaulted(
        "lame_duck",
        Kind::Duration { zero: true },
        r#""0s""#,
        "How long readiness is off while connections are still accepted.",
    ),
];

const RUNTIME: &[Key] = &[defaulted(
    "workers",
    Kind::AutoOr {
        least: 1,
        most: 1024,
    },
    r#""auto""#,
    "Threads that serve; `auto` is the processors that the process may use.",
)];

/// The names of the keys of `keys`.
pub(super) fn names(keys: &'static [Key]) -> impl Iterator<Item = &'static str> {
    keys.iter().map(|key| key.name)
}

/// The key called `name`.
pub(super) fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name == name)
}

/// Calls `visit` with the path and the key of each entry, tables before what is in them. `*` stands for a free name.
pub(super) fn walk(keys: &'static [Key], path: &str, visit: &mut dyn FnMut(&str, &'static Key)) {
    for key in keys {
        let here = if path.is_empty() {
            key.name.to_owned()
        } else {
            format!("{path}.{}", key.name)
        };
        visit(&here, key);
        match key.kind {
            Kind::Table(inner) => walk(inner, &here, visit),
            Kind::Tables(inner) => walk(inner, &format!("{here}.*"), visit),
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
            assert!(seen.insert(path.to_owned()), "{path}")
        });
        assert!(seen.contains("routes.*.guard.client_key"));
    }
}
