//! `docs/errors.md` has a paragraph for each word that the program uses for an error, and no other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::{collections::BTreeSet, fs, path::Path};

use bearward::{
    config::ProblemCode, doctor::FindingKind, server::problem::ProblemKind,
    token::status::LastError,
};

/// The words with a paragraph, by the heading of their section.
fn documented(section: &str) -> BTreeSet<String> {
    let page = read("docs/errors.md");
    let start = format!("\n## {section}\n");
    let (_, text) = page.split_once(&start).expect(section);
    let text = text.split("\n## ").next().unwrap();
    let mut words = BTreeSet::new();
    for paragraph in text.split("\n### ").skip(1) {
        let (heading, explanation) = paragraph.split_once('\n').unwrap();
        let word = heading.trim_matches('`').to_owned();
        assert!(explanation.trim().len() > 40, "{word} is not explained");
        assert!(words.insert(word), "{heading} is there twice");
    }
    words
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

fn set<'a>(words: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    words.into_iter().map(ToOwned::to_owned).collect()
}

#[test]
fn every_response_of_bearward_has_its_paragraph() {
    let words = set(ProblemKind::ALL.into_iter().map(ProblemKind::word));
    assert_eq!(documented("Responses of bearward"), words);
}

#[test]
fn every_kind_of_a_last_error_has_its_paragraph() {
    assert_eq!(
        documented("Token requests and logins"),
        set(LastError::kinds())
    );
}

#[test]
fn every_finding_of_the_doctor_has_its_paragraph() {
    let shared = documented("Token requests and logins");
    let all = set(FindingKind::ALL.into_iter().map(FindingKind::as_str));
    let own: BTreeSet<_> = all.difference(&shared).cloned().collect();
    assert_eq!(documented("Findings of the doctor"), own);
}

#[test]
fn every_problem_of_the_configuration_has_its_paragraph() {
    let codes = ProblemCode::ALL.iter().map(|code| code.word());
    assert_eq!(documented("Problems of the configuration"), set(codes));
}

#[test]
fn no_two_paragraphs_have_the_same_anchor() {
    let page = read("docs/errors.md");
    let mut headings = BTreeSet::new();
    for heading in page.lines().filter(|line| line.starts_with("### ")) {
        assert!(headings.insert(heading), "{heading}");
    }
}
