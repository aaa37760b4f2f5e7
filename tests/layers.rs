//! The rules of the source tree: layers, confined crates, small files, plain words, few poll functions.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

#[path = "layers/polling.rs"]
mod polling;
#[path = "layers/prose.rs"]
mod prose;
#[path = "layers/source.rs"]
mod source;
#[path = "layers/words.rs"]
mod words;

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use source::{Mention, Reading};

/// The modules of the crate, lowest layer first. A module names itself and modules of earlier rows only.
const LAYERS: &[&[&str]] = &[
    &["help", "regular_file"],
    &["secret", "clock"],
    &["telemetry", "tls", "forward_proxy"],
    &["server", "oauth"],
    &["token"],
    &["login"],
    &["notify"],
    &["proxy"],
    &["admin"],
    &["config"],
    &["app"],
    &["doctor"],
    &["demo"],
    &["cli"],
    &["main"],
];

/// Modules that the first names in tests only, although they are in lower rows.
const TESTS_ONLY: &[(&str, &str)] = &[("cli", "admin")];

/// Crates that only these modules name, tests apart.
const CONFINED: &[(&str, &[&str])] = &[
    ("axum", &["admin", "demo", "cli::login"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli::completions"]),
    ("clap_mangen", &["cli::man"]),
    ("hyper", &["server", "proxy", "admin", "demo", "cli"]),
    ("hyper_util", &["server", "proxy", "admin", "demo", "cli"]),
    ("indicatif", &["cli::login::waiting"]),
    ("include_dir", &["config"]),
    ("leon", &["oauth::template"]),
    ("listenfd", &["server::inherited"]),
    ("moka", &["token::cache"]),
    ("nix", &["config::file_access"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("prometheus_client", &["telemetry"]),
    ("reqwest", &["notify", "oauth", "telemetry::traces"]),
    ("sd_notify", &["app::service_manager", "server::inherited"]),
    ("toml", &["config"]),
    ("tracing_appender", &["telemetry"]),
    ("tracing_subscriber", &["telemetry"]),
];

/// Modules and files whose text still breaks the rules of `words` and `polling`.
///
/// `src/proxy` stands for `src/proxy.rs` and the folder beside it.
const NOT_YET: &[&str] = &["tests/layers/words"];

/// Rust sources whose text keeps to the vocabulary.
const RUST_FOLDERS: &[&str] = &["src", "tests/layers", "tests/login", "tests/testkit/src"];

/// Text that people read, apart from Rust sources.
const TEXTS: &[&str] = &[
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "config",
    "deploy",
    "docs",
];

/// Module names that do not say what the module owns.
const EMPTY_NAMES: &[&str] = &[
    "common", "helper", "helpers", "manager", "misc", "util", "utils",
];

/// Lines of a file. Files with only tests may be longer.
const MAX_LINES: usize = 400;

#[test]
fn the_source_tree_keeps_its_own_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Vec<File> = files_under(&root, "rs")
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            File::new(&relative(&root, &path), &text)
        })
        .collect();

    let own = files
        .iter()
        .flat_map(|file| &file.reading.mentions)
        .filter(|mention| mention.path[0] == "crate");
    assert!(
        own.count() >= 10,
        "hardly any `crate::` was found: the reading of the sources is broken"
    );
    let broken = check(&files);
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// Whether operators read the file, who need not know the words of contributors.
fn is_for_operators(name: &str) -> bool {
    let is_page = name == "README.md" || name.starts_with("docs/") || name.starts_with("deploy/");
    let is_for_contributors = ["docs/ARCHITECTURE.md", "docs/PERFORMANCE.md"].contains(&name);
    is_page && name.ends_with(".md") && !is_for_contributors
}

#[test]
fn texts_use_plain_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut broken = Vec::new();
    for path in RUST_FOLDERS
        .iter()
        .flat_map(|folder| files_under(&root.join(folder), "rs"))
    {
        let name = relative(root, &path);
        broken.extend(words::check_rust(
            &name,
            &fs::read_to_string(&path).unwrap(),
        ));
    }
    let mut texts = Vec::new();
    for name in TEXTS {
        texts.extend(files_under(&root.join(name), ""));
    }
    texts.retain(|path| path.extension().is_none_or(|extension| extension != "png"));
    assert!(texts.len() >= 10, "hardly any text was found: {texts:?}");
    for path in texts {
        let name = relative(root, &path);
        let mut text = fs::read_to_string(&path).unwrap();
        if name == "CHANGELOG.md" {
            text.truncate(end_of_newest_section(&text));
        }
        broken.extend(words::check_text(&name, &text));
        if is_for_operators(&name) {
            broken.extend(words::check_page(&name, &text));
        }
    }
    broken.retain(|finding| !is_not_yet(finding));
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn poll_functions_stand_in_adapters_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut broken = Vec::new();
    for path in files_under(&root.join("src"), "rs") {
        let name = relative(root, &path);
        broken.extend(polling::check(&name, &fs::read_to_string(&path).unwrap()));
    }
    broken.retain(|finding| !is_not_yet(finding));
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// Whether a finding `FILE:LINE: text` is in a module or file of `NOT_YET`.
fn is_not_yet(finding: &str) -> bool {
    let file = finding.split(':').next().unwrap_or_default();
    NOT_YET.iter().any(|entry| {
        file.strip_prefix(entry)
            .is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
    })
}

/// The end of the first `## ` section of a change log.
fn end_of_newest_section(text: &str) -> usize {
    let first = text.find("\n## ").map_or(0, |at| at + 1);
    text[first..]
        .find("\n## ")
        .map_or(text.len(), |at| first + at + 1)
}

/// One source file.
struct File {
    /// Relative to `src/`.
    name: String,
    /// Its module: `proxy/route.rs` is `[proxy, route]`, `lib.rs` is empty, `main.rs` is `[main]`.
    module: Vec<String>,
    lines: usize,
    has_header: bool,
    reading: Reading,
}

impl File {
    fn new(name: &str, text: &str) -> Self {
        let mut module: Vec<String> = name
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if module == ["lib"] || module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        Self {
            name: name.to_owned(),
            module,
            lines: text.lines().count(),
            has_header: text.starts_with("//!"),
            reading: source::read(text),
        }
    }
}

/// Checks the shape of the tree; each finding is `FILE:LINE: text`.
fn check(files: &[File]) -> Vec<String> {
    let test_modules: HashSet<Vec<&str>> = files
        .iter()
        .flat_map(|file| {
            file.reading.test_modules.iter().map(|name| {
                let parent = file
                    .module
                    .iter()
                    .filter(|part| *part != "main")
                    .map(String::as_str);
                parent.chain([name.as_str()]).collect()
            })
        })
        .collect();

    let mut broken = Vec::new();
    for file in files {
        let names: Vec<&str> = file.module.iter().map(String::as_str).collect();
        let all_test = file.reading.all_test
            || (1..=names.len()).any(|length| test_modules.contains(&names[..length]));
        let mut say =
            |line: usize, what: String| broken.push(format!("src/{}:{line}: {what}", file.name));

        if !file.has_header {
            say(1, "opens with no `//!` that says what the file owns".into());
        }
        if file.lines > MAX_LINES && !all_test {
            say(
                file.lines,
                format!("{} lines, and {MAX_LINES} are allowed", file.lines),
            );
        }
        if names.last() == Some(&"mod") || file.name.ends_with("/mod.rs") {
            say(
                1,
                "is a mod.rs: the file stands beside its folder here".into(),
            );
        }
        if let Some(top) = names.first().filter(|top| row(top).is_none()) {
            say(1, format!("module `{top}` has no layer"));
        }
        for (name, line) in &file.reading.modules {
            if EMPTY_NAMES.contains(&name.as_str()) {
                say(
                    *line,
                    format!("`{name}` says nothing of what the module owns"),
                );
            }
        }
        for mention in &file.reading.mentions {
            if let Some(what) = out_of_layer(file, mention) {
                say(mention.line, what);
            }
            if mention.test || all_test {
                continue;
            }
            if let Some(what) =
                out_of_confinement(file, mention).or_else(|| named_in_tests_only(file, mention))
            {
                say(mention.line, what);
            }
        }
    }
    // `use a::{b, c}` mentions `a` twice.
    broken.dedup();
    broken
}

fn out_of_layer(file: &File, mention: &Mention) -> Option<String> {
    let target = target(file, mention)?;
    // The crate's root declares all modules and uses none.
    let own = file.module.first()?;
    if target == own {
        return None;
    }
    let Some(target_row) = row(target) else {
        return Some(format!("`{target}` is no module that has a layer"));
    };
    let own_row = row(own)?;
    (target_row >= own_row)
        .then(|| format!("`{own}` names `{target}`, which is not in a layer below it"))
}

fn named_in_tests_only(file: &File, mention: &Mention) -> Option<String> {
    let (own, target) = (file.module.first()?, target(file, mention)?);
    TESTS_ONLY
        .contains(&(own.as_str(), target))
        .then(|| format!("`{own}` names `{target}` outside of tests"))
}

/// The top-level module that a path leads to, if it leads out of the file's own module.
fn target<'a>(file: &'a File, mention: &'a Mention) -> Option<&'a str> {
    let first = mention.path[0].as_str();
    // The binary's root is a crate of its own, which names the library by the package's name.
    if matches!(first, "crate" | "bearward") {
        return mention.path.get(1).map(String::as_str);
    }
    let up = mention
        .path
        .iter()
        .skip_while(|name| *name == "self")
        .take_while(|name| *name == "super")
        .count();
    if up == 0 {
        return None;
    }
    let around: Vec<&String> = file.module.iter().chain(&mention.inside).collect();
    let rest = mention
        .path
        .iter()
        .filter(|name| !matches!(name.as_str(), "self" | "super"));
    around
        .into_iter()
        .take((file.module.len() + mention.inside.len()).saturating_sub(up))
        .chain(rest)
        .next()
        .map(String::as_str)
}

fn out_of_confinement(file: &File, mention: &Mention) -> Option<String> {
    let (name, homes) = CONFINED.iter().find(|(name, _)| *name == mention.path[0])?;
    let at = file.module.join("::");
    let is_home = |home: &&str| at == **home || at.starts_with(&format!("{home}::"));
    (!homes.iter().any(is_home)).then(|| format!("`{name}` is confined to {}", homes.join(", ")))
}

fn row(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// The path below `root`, with forward slashes.
fn relative(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap();
    below.to_str().unwrap().replace('\\', "/")
}

/// The files at and below `path` whose extension is `extension`; an empty one means all.
fn files_under(path: &Path, extension: &str) -> Vec<PathBuf> {
    let has_extension = |path: &Path| {
        extension.is_empty() || path.extension().is_some_and(|found| found == extension)
    };
    if path.is_file() {
        return Some(path.to_owned())
            .filter(|path| has_extension(path))
            .into_iter()
            .collect();
    }
    let mut found: Vec<PathBuf> = fs::read_dir(path)
        .unwrap()
        .flat_map(|entry| files_under(&entry.unwrap().path(), extension))
        .collect();
    found.sort();
    found
}

/// The rules against made-up sources that each break one.
mod rules {
    use super::*;

    fn broken(sources: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> = sources
            .iter()
            .map(|(name, text)| File::new(name, &format!("//! What it owns.\n{text}")))
            .collect();
        check(&files)
    }

    #[track_caller]
    fn breaks(name: &str, text: &str, what: &str) {
        let found = broken(&[(name, text)]);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains(what), "{text}: {found:?}");
    }

    #[track_caller]
    fn keeps(name: &str, text: &str) {
        assert_eq!(broken(&[(name, text)]), [""; 0], "{text}");
    }

    #[test]
    fn a_module_may_name_itself_and_what_lies_below() {
        keeps(
            "proxy/forward.rs",
            "use crate::{secret::Secret, token, proxy::route::Route};\nuse super::route;",
        );
        keeps(
            "proxy/forward.rs",
            "fn f() -> crate::tls::Trust { self::g(super::h()) }",
        );
        keeps("cli/run.rs", "use crate::{app::App, demo};");
        keeps("main.rs", "fn main() { bearward::cli::run() }");
        keeps("lib.rs", "pub mod admin;\npub use crate::config::Config;");
    }

    #[test]
    fn a_module_may_not_name_what_lies_above_or_beside() {
        breaks(
            "token/cache.rs",
            "use crate::proxy::route::Route;",
            "`token` names `proxy`",
        );
        breaks("secret.rs", "use crate::config;", "`secret` names `config`");
        breaks(
            "server/accept.rs",
            "use crate::oauth::provider::Provider;",
            "`server` names `oauth`",
        );
        breaks(
            "oauth.rs",
            "use crate::server::limits::Limits;",
            "`oauth` names `server`",
        );
        breaks(
            "tls.rs",
            "use crate::telemetry::LogSettings;",
            "`tls` names `telemetry`",
        );
        breaks("demo.rs", "use crate::cli;", "`demo` names `cli`");
        let what = "`cli` names `admin` outside of tests";
        breaks("cli/status.rs", "use crate::admin::View;", what);
        keeps(
            "cli/status.rs",
            "#[cfg(test)]\nmod tests { use crate::admin::View; }",
        );
    }

    #[test]
    fn a_forbidden_name_is_found_in_every_kind_of_path() {
        let what = "`oauth` names `proxy`";
        breaks(
            "oauth/grant.rs",
            "use crate::{secret::{Secret}, proxy::{self, allow}};",
            what,
        );
        breaks(
            "oauth/grant.rs",
            "use crate::secret::Secret;\nfn f(x: &crate::proxy::Allow) {}",
            what,
        );
        breaks(
            "oauth/grant.rs",
            "fn f() { tracing::info!(x = ?crate::proxy::X, \"crate::admin\"); }",
            what,
        );
        breaks("oauth/grant.rs", "use super::super::proxy::Allow;", what);
        breaks("oauth.rs", "use super::proxy::Allow;", what);
        breaks(
            "oauth/grant.rs",
            "mod inner { use super::super::super::proxy::Allow; }",
            what,
        );
        breaks("oauth/grant.rs", "pub use crate::proxy as p;", what);
        breaks(
            "oauth/grant.rs",
            "fn f() -> Vec<<crate::proxy::A as Into<u8>>::B> { vec![] }",
            what,
        );
        breaks(
            "oauth/grant.rs",
            "fn f() -> char { '\"' }\nfn g() { crate::proxy::x() }",
            what,
        );
        breaks(
            "oauth/grant.rs",
            "fn f<'a>(x: &'a u8) -> char { '\\'' }\nfn g() { crate::proxy::x() }",
            what,
        );
        breaks(
            "oauth/grant.rs",
            "const A: &str = r#\"\"//\"#; fn g() { crate::proxy::x() }",
            what,
        );
    }

    #[test]
    fn comments_and_strings_name_no_module() {
        keeps(
            "oauth/grant.rs",
            "/// See [`crate::proxy`].\n/* crate::proxy::a /* b */ crate::app::x */\nfn f() {}",
        );
        keeps(
            "oauth/grant.rs",
            "const A: &str = \"crate::proxy::x\"; const B: &[u8] = br#\"crate::app::x \"b\" \"#;",
        );
    }

    #[test]
    fn a_line_number_leads_to_the_name() {
        let found = broken(&[(
            "oauth/grant.rs",
            "/* a\nb */\nconst A: &str = \"\n\";\nuse crate::proxy::X;",
        )]);
        assert!(found[0].starts_with("src/oauth/grant.rs:6: "), "{found:?}");
    }

    #[test]
    fn tests_keep_to_the_layers_too() {
        let text = "#[cfg(test)]\nmod tests { use super::*; use crate::proxy::Route; }";
        breaks("token/cache.rs", text, "`token` names `proxy`");
    }

    #[test]
    fn a_module_without_a_layer_is_refused() {
        breaks("surprise.rs", "", "`surprise` has no layer");
        breaks(
            "app.rs",
            "use crate::Everything;",
            "`Everything` is no module",
        );
        breaks("app.rs", "use crate::*;", "`*` is no module");
    }

    #[test]
    fn crates_stay_where_they_belong() {
        for (name, text, what) in [
            ("config/raw.rs", "use reqwest::Url;", "`reqwest`"),
            ("token/store.rs", "fn f() { toml::from_str(x) }", "`toml`"),
            (
                "token/refresher.rs",
                "use moka::sync::Cache;",
                "`moka` is confined to token::cache",
            ),
            ("token/refresher.rs", "use axum::Router;", "`axum`"),
            ("cli/run.rs", "use axum::Router;", "`axum`"),
            (
                "proxy/table.rs",
                "use prometheus_client::registry::Registry;",
                "`prometheus_client`",
            ),
            ("main.rs", "use ::clap::Parser;", "`clap`"),
            ("main.rs", "#[derive(clap::Parser)]\nstruct A;", "`clap`"),
            (
                "oauth/endpoint.rs",
                "use {http::Uri, hyper as h};",
                "`hyper`",
            ),
            ("app.rs", "#[cfg(not(test))]\nuse toml::Value;", "`toml`"),
        ] {
            breaks(name, text, what);
        }
        keeps("config/raw.rs", "use toml::de::DeTable;");
        keeps("cli/login/loopback.rs", "use axum::Router;");
        keeps("server/serve.rs", "use hyper_util::rt::TokioIo;");
        keeps("cli.rs", "use clap::Parser;");
        keeps("token/cache.rs", "use moka::sync::Cache;");
        keeps("token/cache/entry.rs", "use moka::Expiry;");
        keeps(
            "app.rs",
            "fn f() { crate::config::toml::x(); a.reqwest(); b::<u8>::toml::x() }",
        );
    }

    #[test]
    fn tests_may_use_any_crate() {
        keeps(
            "token/cache.rs",
            "#[cfg(test)]\nmod tests { use toml::Value; }",
        );
        keeps("token/cache.rs", "#[cfg(test)]\nuse toml::{Value, de};\n");
        keeps("token/cache.rs", "#![cfg(test)]\nuse toml::Value;");
        let declared = ("token.rs", "#[cfg(test)]\nmod tests;");
        assert_eq!(
            broken(&[declared, ("token/tests.rs", "use toml::Value;")]),
            [""; 0]
        );
        assert_eq!(
            broken(&[
                ("token.rs", "mod tests;"),
                ("token/tests.rs", "use toml::Value;")
            ])
            .len(),
            1
        );
    }

    #[test]
    fn what_follows_a_test_item_is_no_test() {
        breaks(
            "token/store.rs",
            "#[cfg(test)]\nuse toml::{Value, de};\nuse toml::Table;",
            "store.rs:4: `toml`",
        );
        breaks(
            "token/store.rs",
            "#[cfg(test)]\nfn f(x: [u8; 2]) { g({}) }\nfn g() { toml::x() }",
            "store.rs:4: `toml`",
        );
        breaks(
            "token/store.rs",
            "#[cfg(test)]\nmod tests { }\nuse toml::Table;",
            "store.rs:4: `toml`",
        );
    }

    #[test]
    fn files_stay_small() {
        breaks("token.rs", &"\n".repeat(MAX_LINES), "401 lines");
        keeps("token.rs", &"\n".repeat(MAX_LINES - 1));
        assert_eq!(
            broken(&[
                ("token.rs", "#[cfg(test)] mod t;"),
                ("token/t.rs", &"\n".repeat(900))
            ]),
            [""; 0]
        );
    }

    #[test]
    fn only_the_newest_section_of_the_change_log_is_read() {
        assert_eq!(end_of_newest_section("# A\n## 2\nx\n## 1\ny\n"), 11);
        assert_eq!(end_of_newest_section("# A\n## 2\nx\n"), 11);
    }

    #[test]
    fn names_say_what_a_module_owns() {
        breaks("token.rs", "mod util;", "`util` says nothing");
        breaks("token.rs", "pub mod helpers { }", "`helpers` says nothing");
        breaks("token/mod.rs", "", "mod.rs");
        let found = check(&[File::new("token.rs", "use std::fmt;\n")]);
        assert_eq!(
            found,
            ["src/token.rs:1: opens with no `//!` that says what the file owns"]
        );
    }
}
