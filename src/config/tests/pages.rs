//! The documentation of every preset: a page with a configuration that is valid, and a line in the index.

use std::{fs, path::Path};

use super::super::{Severity, load, presets};

/// A private key for tests only.
const KEY: &str = include_str!("../../../tests/vendors/keys/only_for_tests_rsa.pem");

fn page(name: &str) -> String {
    let path = format!("{}/docs/providers/{name}.md", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The only `toml` block of a page.
fn block(page: &str) -> &str {
    let mut blocks = page.split("```toml\n").skip(1);
    let block = blocks.next().expect("the page has a toml block");
    assert!(blocks.next().is_none(), "the page has one toml block");
    block.split_once("```").unwrap().0
}

/// Creates the files that the block names, with content of the kind that each has.
fn create_files(block: &str, folder: &Path) {
    for (at, _) in block.match_indices("file = \"") {
        let name = block[at + 8..].split('"').next().unwrap();
        let content = if name.ends_with(".json") {
            let key = KEY.replace('\n', "\\n");
            format!(
                "{{\"private_key\":\"{key}\",\"private_key_id\":\"k1\",\"client_email\":\"a@b\"}}"
            )
        } else {
            KEY.to_owned()
        };
        fs::write(
            folder.join(name.trim_start_matches('/').replace('/', "_")),
            content,
        )
        .unwrap();
    }
}

#[test]
fn the_configuration_of_every_page_is_valid() {
    let secret = |name: &str| Some(format!("secret-of-{name}"));
    for preset in presets() {
        let page = page(preset.name);
        let folder = tempfile::tempdir().unwrap();
        let block = block(&page);
        create_files(block, folder.path());
        // Absolute paths are put into the folder, too.
        let mut text = block.to_owned();
        for (at, _) in block.match_indices("file = \"/") {
            let name = block[at + 8..].split('"').next().unwrap();
            text = text.replace(name, &name.trim_start_matches('/').replace('/', "_"));
        }
        let path = folder.path().join("bearward.toml");
        fs::write(&path, &text).unwrap();
        let (config, report) =
            load(&path, &secret).unwrap_or_else(|report| panic!("{}: {report}", preset.name));
        let is_quiet = report
            .problems()
            .iter()
            .all(|problem| problem.severity != Severity::Error);
        assert!(is_quiet, "{}: {report}", preset.name);
        assert_eq!(config.routes.len(), 1, "{}", preset.name);
    }
}

#[test]
fn the_index_names_every_page_with_its_title_and_group() {
    let path = format!("{}/docs/providers/README.md", env!("CARGO_MANIFEST_DIR"));
    let index = fs::read_to_string(path).unwrap();
    let mut groups: Vec<_> = presets()
        .iter()
        .map(|preset| &preset.about().group)
        .collect();
    groups.sort();
    groups.dedup();
    let mut expected = String::new();
    for group in groups {
        expected.push_str(&format!("\n## {group}\n\n"));
        let members = presets()
            .iter()
            .filter(|preset| preset.about().group == *group);
        for preset in members {
            let title = &preset.about().title;
            expected.push_str(&format!("- [`{0}`]({0}.md): {title}\n", preset.name));
        }
    }
    let listed = index
        .split_once("\n## ")
        .map(|(_, rest)| format!("\n## {rest}"));
    assert_eq!(
        listed.as_deref(),
        Some(expected.as_str()),
        "write this index to docs/providers/README.md"
    );
}
