//! A page of the documentation: its headings, links and blocks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A Markdown file of the repository.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The path in the repository.
    pub(crate) name: String,
    pub(crate) anchors: BTreeSet<String>,
    /// Destinations of links and images, with their lines.
    pub(crate) links: Vec<(usize, String)>,
    pub(crate) blocks: Vec<Block>,
    /// The name in `<!-- world: NAME -->`.
    pub(crate) world: Option<String>,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
    /// The line of the fence.
    pub(crate) line: usize,
    /// The content of the comment right before it.
    pub(crate) comment: Option<String>,
}

impl Block {
    /// Whether a comment says why this block is not tried.
    pub(crate) fn is_not_run(&self) -> bool {
        let reason = self
            .comment
            .as_deref()
            .and_then(|text| text.strip_prefix("not run:"));
        reason.is_some_and(|reason| !reason.trim().is_empty())
    }
}

impl Page {
    /// Reads the README, and every page below `docs` and `deploy`.
    pub(crate) fn all(root: &Path) -> Result<Vec<Self>, String> {
        let mut files: Vec<PathBuf> = ["README.md", "SECURITY.md", "CONTRIBUTING.md"]
            .iter()
            .map(|name| root.join(name))
            .collect();
        for folder in ["docs", "deploy"] {
            add_files(&root.join(folder), &mut files)?;
        }
        files.sort();
        let read = |file: &PathBuf| {
            let text =
                fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let name = file
                .strip_prefix(root)
                .map_err(|error| error.to_string())?
                .display()
                .to_string();
            Ok(Self::new(name, &text))
        };
        files.iter().map(read).collect()
    }

    pub(crate) fn new(name: String, text: &str) -> Self {
        let line_at = |offset: usize| text[..offset].matches('\n').count() + 1;
        let mut page = Self {
            name,
            anchors: BTreeSet::new(),
            links: Vec::new(),
            blocks: Vec::new(),
            world: None,
        };
        let mut headings = BTreeMap::new();
        let mut heading: Option<String> = None;
        let mut block: Option<Block> = None;
        let mut html = String::new();
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
        for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
            match event {
                Event::Start(Tag::HtmlBlock) => html.clear(),
                Event::Html(part) => html.push_str(&part),
                Event::End(TagEnd::HtmlBlock) => {
                    page.anchors.extend(identifiers(&html));
                    let comment = comment(&html).unwrap_or_default();
                    if let Some(world) = comment.strip_prefix("world:") {
                        page.world = Some(world.trim().to_owned());
                    } else if let Some(hidden) = comment.strip_prefix("bearward.toml:\n") {
                        page.blocks.push(Block {
                            language: "toml".to_owned(),
                            text: format!("# bearward.toml\n{hidden}\n"),
                            line: line_at(range.start),
                            comment: None,
                        });
                        html.clear();
                    }
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match &kind {
                        CodeBlockKind::Fenced(info) => info.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    block = Some(Block {
                        language,
                        text: String::new(),
                        line: line_at(range.start),
                        comment: comment(&html),
                    });
                }
                Event::End(TagEnd::CodeBlock) => {
                    page.blocks.extend(block.take());
                    html.clear();
                }
                Event::Start(Tag::Heading { .. }) => {
                    heading = Some(String::new());
                    html.clear();
                }
                Event::End(TagEnd::Heading(_)) => {
                    let slug = slug(&heading.take().unwrap_or_default());
                    let count: &mut usize = headings.entry(slug.clone()).or_default();
                    let anchor = match *count {
                        0 => slug,
                        more => format!("{slug}-{more}"),
                    };
                    *count += 1;
                    page.anchors.insert(anchor);
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links
                        .push((line_at(range.start), dest_url.to_string()));
                    html.clear();
                }
                Event::Start(_) => html.clear(),
                Event::InlineHtml(part) => page.anchors.extend(identifiers(&part)),
                Event::Text(part) | Event::Code(part) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&part);
                    } else if let Some(block) = &mut block {
                        block.text.push_str(&part);
                    }
                }
                _ => {}
            }
        }
        page
    }

    pub(crate) fn blocks_of<'a>(&'a self, language: &'a str) -> impl Iterator<Item = &'a Block> {
        self.blocks
            .iter()
            .filter(move |block| block.language == language)
    }

    /// The name of a vendor's page in `docs/providers`.
    pub(crate) fn vendor(&self) -> Option<&str> {
        let name = self.name.strip_prefix("docs/providers/")?;
        name.strip_suffix(".md").filter(|name| *name != "README")
    }
}

fn add_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            add_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    Ok(())
}

/// The content of a comment.
fn comment(html: &str) -> Option<String> {
    let inside = html.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
    Some(inside.trim().to_owned())
}

/// The values of `id` and `name`.
fn identifiers(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    for start in [" id=\"", " name=\""] {
        for (at, _) in html.match_indices(start) {
            let value = html[at + start.len()..].split('"').next();
            found.extend(value.map(str::to_owned));
        }
    }
    found
}

/// The anchor that a forge makes of a heading.
fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        _ if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}
