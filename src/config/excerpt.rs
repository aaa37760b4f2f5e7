//! Lines of the file for reports, with everything masked that is not known to be harmless.
//!
//! Shown are keys, punctuation, and values of keys that hold no secret. What is under an unknown key, in a comment, in a
//! free table such as `headers`, or of a form that may hold a credential is not; and where the text is no valid TOML,
//! nothing but the key at the beginning of the line.

use std::{collections::HashSet, ops::Range};

use toml::de::{DeTable, DeValue};

use super::{
    keys::{self, Key, Kind},
    value,
};

/// What stands for what is not shown.
pub(super) const MASK: &str = "***";
/// The most characters of an excerpt.
const WIDEST: usize = 140;

/// The text of a file, ready to be quoted.
pub(super) struct Excerpts<'a> {
    text: &'a str,
    lines: Vec<usize>,
    words: HashSet<&'a str>,
    /// Keys and single values in their order, and whether they may be shown; none when the text is no valid TOML.
    spans: Option<Vec<(Range<usize>, bool)>>,
}

impl<'a> Excerpts<'a> {
    /// Of `text`, whose content is `table` if it is valid TOML.
    pub(super) fn new(text: &'a str, table: Option<&'a DeTable<'a>>) -> Self {
        let mut words = HashSet::new();
        keys::walk(keys::ROOT, "", &mut |_, key| {
            words.insert(key.name);
        });
        words.extend(["env", "file"]);
        let mut spans = table.map(|_| Vec::new());
        if let (Some(table), Some(spans)) = (table, &mut spans) {
            classify(text, table, keys::ROOT, &mut words, spans);
            spans.sort_by_key(|(span, _)| span.start);
        }
        let lines = std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1))
            .collect();
        Self {
            text,
            lines,
            words,
            spans,
        }
    }

    /// Line and column, both from 1, the column in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        (
            line,
            self.text[self.lines[line - 1]..offset].chars().count() + 1,
        )
    }

    /// The masked line where `span` begins, and carets under what is shown of it.
    pub(super) fn excerpt(&self, span: &Range<usize>) -> Option<(String, String)> {
        let (number, _) = self.position(span.start);
        let start = self.lines[number - 1];
        let end = self
            .lines
            .get(number)
            .map_or(self.text.len(), |next| next - 1);
        let line = start..start + self.text[start..end].trim_end().len();
        let pieces = match &self.spans {
            Some(spans) => self.pieces(&line, spans),
            None => self.leading_key(&line),
        };
        let (mut shown, mut from, mut to) = (String::new(), None, None);
        let mut width = 0;
        for (piece, visible) in pieces {
            let text = if visible {
                &self.text[piece.clone()]
            } else {
                MASK
            };
            // Inside of a visible piece the caret is exact; a mask is pointed at as a whole.
            let column = |offset: usize| {
                let inside = offset.clamp(piece.start, piece.end);
                if visible {
                    self.text[piece.start..self.text.floor_char_boundary(inside)]
                        .chars()
                        .count()
                } else {
                    0
                }
            };
            if from.is_none() && span.start < piece.end {
                from = Some(width + column(span.start));
            }
            let all = text.chars().count();
            if span.end > piece.start {
                to = Some(if span.end >= piece.end || !visible {
                    width + all
                } else {
                    width + column(span.end)
                });
            }
            shown.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
            width += all;
        }
        if shown.trim().is_empty() {
            return None;
        }
        let from = from.unwrap_or(width);
        let carets = to.unwrap_or(0).saturating_sub(from).max(1);
        Some(window(shown.trim_end(), from, carets))
    }

    /// The pieces of a line of valid TOML; `spans` do not overlap.
    fn pieces(
        &self,
        line: &Range<usize>,
        spans: &[(Range<usize>, bool)],
    ) -> Vec<(Range<usize>, bool)> {
        let mut pieces = Vec::new();
        let mut at = line.start;
        let first = spans.partition_point(|(span, _)| span.end <= line.start);
        for (span, visible) in spans[first..]
            .iter()
            .take_while(|(span, _)| span.start < line.end)
        {
            let span = span.start.max(at)..span.end.min(line.end);
            if span.is_empty() {
                continue;
            }
            self.between(at..span.start, &mut pieces);
            at = span.end;
            push(&mut pieces, span, *visible);
        }
        self.between(at..line.end, &mut pieces);
        pieces
    }

    /// What stands between keys and values: punctuation and known words are shown, a comment is left out.
    fn between(&self, gap: Range<usize>, pieces: &mut Vec<(Range<usize>, bool)>) {
        let mut at = gap.start;
        while at < gap.end {
            let rest = &self.text[at..gap.end];
            let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let Some(first) = rest.chars().next() else {
                return;
            };
            if first == '#' {
                return;
            }
            let length = if word > 0 { word } else { first.len_utf8() };
            let visible = if word > 0 {
                self.words.contains(&rest[..word])
            } else {
                "=[]{},. \t\r".contains(first)
            };
            push(pieces, at..at + length, visible);
            at += length;
        }
    }

    /// The key, or the header, that a line begins with, if its words are known; the rest of the line masked.
    fn leading_key(&self, line: &Range<usize>) -> Vec<(Range<usize>, bool)> {
        let text = &self.text[line.clone()];
        let mut shown = 0;
        while let Some(first) = text[shown..].chars().next() {
            let rest = &text[shown..];
            let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            if word > 0 && self.words.contains(&rest[..word]) {
                shown += word;
            } else if " \t.[".contains(first) {
                shown += 1;
            } else {
                shown += usize::from(first == '=' || first == ']');
                break;
            }
        }
        let mut pieces = vec![(line.start..line.start + shown, true)];
        if !text[shown..].trim().is_empty() {
            let blank = text[shown..].len() - text[shown..].trim_start().len();
            push(
                &mut pieces,
                line.start + shown..line.start + shown + blank,
                true,
            );
            push(&mut pieces, line.start + shown + blank..line.end, false);
        }
        pieces
    }
}

/// Adds a piece, joined to the last one where both are of a kind.
fn push(pieces: &mut Vec<(Range<usize>, bool)>, piece: Range<usize>, visible: bool) {
    match pieces.last_mut() {
        Some((last, same)) if *same == visible && last.end == piece.start => last.end = piece.end,
        _ if piece.is_empty() => {}
        _ => pieces.push((piece, visible)),
    }
}

/// Cuts a long line down to what surrounds the caret.
fn window(line: &str, from: usize, carets: usize) -> (String, String) {
    let all = line.chars().count();
    if all <= WIDEST {
        return (
            line.to_owned(),
            format!("{}{}", " ".repeat(from), "^".repeat(carets)),
        );
    }
    let start = from.saturating_sub(WIDEST / 2);
    let shown: String = line.chars().skip(start).take(WIDEST).collect();
    let carets = carets.min(WIDEST.saturating_sub(from - start).max(1));
    let lead = if start > 0 { "…" } else { "" };
    let tail = if start + WIDEST < all { "…" } else { "" };
    let indent = from - start + lead.chars().count();
    (
        format!("{lead}{shown}{tail}"),
        format!("{}{}", " ".repeat(indent), "^".repeat(carets)),
    )
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// Notes the keys and single values of `table`, whose keys are `known`, and whether each may be shown.
fn classify<'a>(
    text: &str,
    table: &'a DeTable<'a>,
    known: &'static [Key],
    words: &mut HashSet<&'a str>,
    spans: &mut Vec<(Range<usize>, bool)>,
) {
    for (name, value) in table {
        let key = keys::find(known, name.get_ref());
        // An unknown key is shown where it is written as one; what is below it is not.
        let is_bare = text.get(name.span()) == Some(name.get_ref().as_ref());
        spans.push((
            name.span(),
            key.is_some() || (is_bare && value::is_presentable(name.get_ref())),
        ));
        match (key.map(|key| key.kind), value.get_ref()) {
            (Some(Kind::Table(inner)), DeValue::Table(table)) => {
                classify(text, table, inner, words, spans)
            }
            (Some(Kind::Tables(inner)), DeValue::Table(tables)) => {
                for (name, value) in tables {
                    spans.push((name.span(), value::is_presentable(name.get_ref())));
                    match value.get_ref() {
                        DeValue::Table(table) => {
                            words.insert(name.get_ref());
                            classify(text, table, inner, words, spans);
                        }
                        other => leaves(other, value.span(), &|_| false, spans),
                    }
                }
            }
            (Some(Kind::Pairs), DeValue::Table(pairs)) => {
                for (name, value) in pairs {
                    spans.push((name.span(), value::is_presentable(name.get_ref())));
                    leaves(value.get_ref(), value.span(), &|_| false, spans);
                }
            }
            (Some(Kind::Secret), DeValue::Table(source)) => {
                for (name, value) in source {
                    let place = name.get_ref();
                    spans.push((name.span(), place == "env" || place == "file"));
                    let shows = |text: &str| (place == "env" || place == "file") && is_place(text);
                    leaves(value.get_ref(), value.span(), &shows, spans);
                }
            }
            (Some(Kind::Secret) | None, other) => leaves(other, value.span(), &|_| false, spans),
            (
                Some(Kind::Texts | Kind::TextOrTexts | Kind::Numbers { .. }),
                DeValue::Array(items),
            ) => {
                for item in items {
                    leaves(item.get_ref(), item.span(), &value::is_presentable, spans);
                }
            }
            (Some(_), nested @ (DeValue::Array(_) | DeValue::Table(_))) => {
                leaves(nested, value.span(), &|_| false, spans);
            }
            (Some(Kind::Table(_) | Kind::Tables(_) | Kind::Pairs), other) => {
                leaves(other, value.span(), &|_| false, spans);
            }
            (Some(_), single) => leaves(single, value.span(), &value::is_presentable, spans),
        }
    }
}

/// Notes the single values in `value`; strings are shown where `shows` says so, others only outside of arrays and tables
/// of strings.
fn leaves(
    value: &DeValue<'_>,
    span: Range<usize>,
    shows: &dyn Fn(&str) -> bool,
    spans: &mut Vec<(Range<usize>, bool)>,
) {
    match value {
        DeValue::String(text) => spans.push((span, shows(text))),
        DeValue::Array(items) => {
            for item in items {
                leaves(item.get_ref(), item.span(), &|_| false, spans);
            }
        }
        DeValue::Table(table) => {
            for (name, value) in table {
                spans.push((name.span(), false));
                leaves(value.get_ref(), value.span(), &|_| false, spans);
            }
        }
        // A number where a word belongs is shown like the word would be.
        _ => spans.push((span, shows("0"))),
    }
}

/// Whether `text` is the name of an environment variable.
pub(super) fn is_variable(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && text.len() <= 128
}

/// Whether a secret's `env` or `file` can be shown: not where it looks as if the secret itself had been put there.
pub(super) fn is_place(text: &str) -> bool {
    let variable = is_variable(text) && !text.contains(|c: char| c.is_ascii_lowercase());
    let path = ["/", "./", "../"]
        .iter()
        .any(|start| text.starts_with(start))
        && value::is_presentable(text);
    variable || path
}
