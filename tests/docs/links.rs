//! Links between the pages.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use super::page::Page;

/// Checks that each relative link names a file, and its anchor a heading.
pub(crate) fn check(pages: &[Page], root: &Path) -> Result<(), String> {
    let by_name = by_name(pages);
    let mut broken = Vec::new();
    for page in pages {
        for (line, link) in &page.links {
            if let Some(problem) = problem(page, link, &by_name, root) {
                broken.push(format!("{}:{line}: {link}: {problem}", page.name));
            }
        }
    }
    none(&broken)
}

/// Checks that a reader of the README can find each page of `docs`.
pub(crate) fn check_reachable(pages: &[Page], root: &Path) -> Result<(), String> {
    let by_name = by_name(pages);
    let mut seen = BTreeSet::new();
    let mut ahead = vec!["README.md".to_owned()];
    while let Some(name) = ahead.pop() {
        let Some(page) = by_name.get(name.as_str()) else {
            continue;
        };
        if !seen.insert(name) {
            continue;
        }
        let targets = page.links.iter().filter(|(_, link)| is_relative(link));
        ahead.extend(targets.map(|(_, link)| {
            let target = target(page, link);
            if root.join(&target).is_dir() {
                target.join("README.md").display().to_string()
            } else {
                target.display().to_string()
            }
        }));
    }
    let lost: Vec<String> = pages
        .iter()
        .filter(|page| !seen.contains(&page.name))
        .map(|page| format!("{}: no page leads to it", page.name))
        .collect();
    none(&lost)
}

fn by_name(pages: &[Page]) -> BTreeMap<&str, &Page> {
    pages
        .iter()
        .map(|page| (page.name.as_str(), page))
        .collect()
}

fn none(problems: &[String]) -> Result<(), String> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("\n"))
    }
}

fn is_relative(link: &str) -> bool {
    !link.contains("://") && !link.starts_with("mailto:")
}

fn problem(
    page: &Page,
    link: &str,
    by_name: &BTreeMap<&str, &Page>,
    root: &Path,
) -> Option<&'static str> {
    if !is_relative(link) {
        return None;
    }
    let target = target(page, link);
    if !root.join(&target).exists() {
        return Some("there is no such file");
    }
    let (_, anchor) = link.split_once('#')?;
    let name = target.display().to_string();
    match by_name.get(name.as_str()) {
        Some(page) if page.anchors.contains(anchor) => None,
        Some(_) => Some("the page has no such heading"),
        None => Some("only a page has anchors"),
    }
}

/// The path in the repository that a link leads to.
fn target(page: &Page, link: &str) -> PathBuf {
    let path = link.split('#').next().unwrap_or_default();
    if path.is_empty() {
        return PathBuf::from(&page.name);
    }
    let folder = Path::new(&page.name).parent().unwrap_or(Path::new(""));
    let mut target = PathBuf::new();
    for component in folder.join(path).components() {
        match component {
            Component::ParentDir => {
                target.pop();
            }
            Component::Normal(name) => target.push(name),
            _ => {}
        }
    }
    target
}
