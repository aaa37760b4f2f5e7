//! Splits files into the text that people read: comments, documentation and string literals, with their lines.

use super::source::{block_comment, quote, string};

/// One block of text: adjacent line comments of one kind, a block comment, a literal, or a paragraph.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    /// The lines of the block with their numbers, without comment markers.
    pub(crate) lines: Vec<(usize, String)>,
}

/// The kinds of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `///` and `//!`.
    Doc,
    /// `//` and `/* */`.
    Comment,
    /// A string literal of any kind.
    Literal,
    /// A paragraph of a file that is not Rust.
    Text,
}

/// A word in lower case and its line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) line: usize,
}

impl Block {
    /// The words outside of code spans. An identifier with underscores is one word.
    pub(crate) fn words(&self) -> Vec<Word> {
        let mut words = Vec::new();
        let mut in_code = false;
        for (line, text) in &self.lines {
            if text.trim_start().starts_with("```") {
                continue;
            }
            for (index, span) in text.split('`').enumerate() {
                if index > 0 {
                    in_code = !in_code;
                }
                if in_code {
                    continue;
                }
                let found = span
                    .split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '\''))
                    .filter(|word| !word.is_empty());
                words.extend(found.map(|word| Word {
                    text: word.to_lowercase(),
                    line: *line,
                }));
            }
        }
        words
    }

    /// The first sentence: up to a full stop, a blank line or a list.
    pub(crate) fn first_sentence(&self) -> Vec<&str> {
        let mut sentence = Vec::new();
        for (_, line) in &self.lines {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['-', '|', '#', '`']) && !sentence.is_empty() {
                break;
            }
            for word in line.split_whitespace() {
                sentence.push(word);
                let is_abbreviation = matches!(word, "e.g." | "i.e." | "etc." | "vs.");
                let bare = word.trim_end_matches([')', '"', '`']);
                if bare.ends_with(['.', ':', '?', ';']) && !is_abbreviation {
                    return sentence;
                }
            }
        }
        sentence
    }
}

/// The blocks of a Rust file.
pub(crate) fn rust(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            push_line_comment(&mut blocks, line, &rest[..length]);
            length
        } else if rest.starts_with("/*") {
            let length = block_comment(rest);
            push_lines(&mut blocks, Kind::Comment, line, &rest[2..length]);
            length
        } else if let Some(length) = string(rest) {
            push_lines(&mut blocks, Kind::Literal, line, &rest[..length]);
            length
        } else if first == '\'' {
            quote(rest)
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (read, after) = rest.split_at(length);
        line += read.matches('\n').count();
        rest = after;
    }
    blocks
}

/// The paragraphs of a file that is not Rust.
pub(crate) fn plain(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (index, text) in text.lines().enumerate() {
        if text.trim().is_empty() {
            push(&mut blocks, Kind::Text, std::mem::take(&mut lines));
        } else {
            lines.push((index + 1, text.trim_start_matches([' ', '#']).to_owned()));
        }
    }
    push(&mut blocks, Kind::Text, lines);
    blocks
}

/// Adds a line comment to the block before it, if that is of its kind and on the line above.
fn push_line_comment(blocks: &mut Vec<Block>, line: usize, comment: &str) {
    let doc = comment.strip_prefix("//!").or_else(|| {
        comment
            .strip_prefix("///")
            .filter(|rest| !rest.starts_with('/'))
    });
    let (kind, text) = match doc {
        Some(text) => (Kind::Doc, text),
        None => (Kind::Comment, comment.trim_start_matches('/')),
    };
    if let Some(last) = blocks.last_mut().filter(|last| last.kind == kind)
        && last
            .lines
            .last()
            .is_some_and(|(before, _)| before + 1 == line)
    {
        last.lines.push((line, text.to_owned()));
    } else {
        push(blocks, kind, vec![(line, text.to_owned())]);
    }
}

fn push_lines(blocks: &mut Vec<Block>, kind: Kind, first: usize, text: &str) {
    let lines = text.lines().enumerate();
    push(
        blocks,
        kind,
        lines
            .map(|(index, text)| (first + index, text.to_owned()))
            .collect(),
    );
}

fn push(blocks: &mut Vec<Block>, kind: Kind, lines: Vec<(usize, String)>) {
    if !lines.is_empty() {
        blocks.push(Block { kind, lines });
    }
}
