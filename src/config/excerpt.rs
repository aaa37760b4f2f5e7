//! Lines of the file for reports, with everything masked that may be a secret.

mod masking;

use std::{collections::HashSet, ops::Range};

use toml::de::DeTable;

use super::{keys, quote::MASK};
use masking::{MaskedSpan, classify};

/// The longest excerpt, in characters.
const MAX_EXCERPT: usize = 140;

/// The text of a file, indexed for excerpts.
///
/// An excerpt shows keys, punctuation, and values of keys that hold no secret. It masks values of
/// unknown keys, of free tables such as `headers`, and of a form that may hold a credential; and it
/// omits comments. If the text is not valid TOML, it shows only the key at the beginning of the
/// line.
pub(super) struct Excerpts<'a> {
    text: &'a str,
    /// The offset at which each line begins.
    lines: Vec<usize>,
    /// The words that are shown outside of keys and values.
    words: HashSet<&'a str>,
    /// The keys and scalar values in the order of the file. `None` if the text is not valid TOML.
    spans: Option<Vec<MaskedSpan>>,
}

impl<'a> Excerpts<'a> {
    /// Indexes `text`. `table` is its content if it is valid TOML.
    pub(super) fn new(text: &'a str, table: Option<&'a DeTable<'a>>) -> Self {
        let mut words = HashSet::from(["env", "file"]);
        keys::walk(keys::ROOT, "", &mut |_, spec| {
            words.insert(spec.name);
        });
        let spans = table.map(|table| {
            let mut spans = Vec::new();
            classify(text, table, keys::ROOT, &mut words, &mut spans);
            spans.sort_by_key(|masked| masked.span.start);
            spans
        });
        let line_breaks = memchr::memchr_iter(b'\n', text.as_bytes());
        let lines = std::iter::once(0).chain(line_breaks.map(|offset| offset + 1));
        Self {
            text,
            lines: lines.collect(),
            words,
            spans,
        }
    }

    /// Returns the line and column of a byte offset. Both count from 1, the column in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let before = &self.text[self.lines[line - 1]..offset];
        (line, before.chars().count() + 1)
    }

    /// Returns the masked line in which `span` begins, and carets under the span.
    pub(super) fn excerpt(&self, span: &Range<usize>) -> Option<(String, String)> {
        let (number, _) = self.position(span.start);
        let start = self.lines[number - 1];
        let end = self
            .lines
            .get(number)
            .map_or(self.text.len(), |next| next - 1);
        let line = start..start + self.text[start..end].trim_end().len();
        let pieces = match &self.spans {
            Some(spans) => self.split_line(&line, spans),
            None => self.split_invalid_line(&line),
        };
        let line = MaskedLine::new(self.text, &pieces, span);
        if line.shown.trim().is_empty() {
            return None;
        }
        Some(cut(line.shown.trim_end(), line.caret, line.caret_width))
    }

    /// Splits a line of valid TOML. The `spans` do not overlap.
    fn split_line(&self, line: &Range<usize>, spans: &[MaskedSpan]) -> Vec<MaskedSpan> {
        let mut pieces = Vec::new();
        let mut offset = line.start;
        let first = spans.partition_point(|masked| masked.span.end <= line.start);
        let in_line = |masked: &&MaskedSpan| masked.span.start < line.end;
        for masked in spans[first..].iter().take_while(in_line) {
            let span = masked.span.start.max(offset)..masked.span.end.min(line.end);
            if span.is_empty() {
                continue;
            }
            self.split_gap(offset..span.start, &mut pieces);
            offset = span.end;
            push_piece(&mut pieces, span, masked.is_visible);
        }
        self.split_gap(offset..line.end, &mut pieces);
        pieces
    }

    /// Splits the text between keys and values. Punctuation and known words are visible; a comment
    /// is omitted.
    fn split_gap(&self, gap: Range<usize>, pieces: &mut Vec<MaskedSpan>) {
        let mut offset = gap.start;
        while offset < gap.end {
            let rest = &self.text[offset..gap.end];
            let word = leading_word(rest);
            let (length, is_visible) = match rest.chars().next() {
                None | Some('#') => return,
                Some(_) if !word.is_empty() => (word.len(), self.words.contains(word)),
                Some(c) => (c.len_utf8(), "=[]{},. \t\r".contains(c)),
            };
            push_piece(pieces, offset..offset + length, is_visible);
            offset += length;
        }
    }

    /// Splits a line of invalid TOML: known words at its beginning, and the masked rest.
    fn split_invalid_line(&self, line: &Range<usize>) -> Vec<MaskedSpan> {
        let text = &self.text[line.clone()];
        let mut visible = 0;
        while let Some(first) = text[visible..].chars().next() {
            let word = leading_word(&text[visible..]);
            if self.words.contains(word) {
                visible += word.len();
            } else if " \t.[".contains(first) {
                visible += 1;
            } else {
                visible += usize::from(first == '=' || first == ']');
                break;
            }
        }
        let rest = &text[visible..];
        let spaces = rest.len() - rest.trim_start().len();
        let masked = line.start + visible + spaces;

        let mut pieces = Vec::new();
        push_piece(&mut pieces, line.start..masked.min(line.end), true);
        push_piece(&mut pieces, masked..line.end, false);
        pieces
    }
}

/// A line with its masks, and the carets below it, in characters.
struct MaskedLine {
    shown: String,
    caret: usize,
    caret_width: usize,
}

impl MaskedLine {
    /// Joins `pieces`, and finds the characters of `span` among them. A mask is pointed at as a
    /// whole.
    fn new(text: &str, pieces: &[MaskedSpan], span: &Range<usize>) -> Self {
        let mut shown = String::new();
        let (mut width, mut caret, mut caret_end) = (0, None, 0);
        for piece in pieces {
            let visible = &text[piece.span.clone()];
            let chars_before = |offset: usize| {
                let offset = offset.clamp(piece.span.start, piece.span.end);
                let offset = text.floor_char_boundary(offset);
                text[piece.span.start..offset].chars().count()
            };
            let displayed = if piece.is_visible { visible } else { MASK };
            let displayed_width = displayed.chars().count();

            if caret.is_none() && span.start < piece.span.end {
                let inside = if piece.is_visible {
                    chars_before(span.start)
                } else {
                    0
                };
                caret = Some(width + inside);
            }
            if span.end > piece.span.start {
                let inside = if piece.is_visible {
                    chars_before(span.end)
                } else {
                    displayed_width
                };
                caret_end = width + inside;
            }
            shown.push_str(&displayed.replace(char::is_control, " "));
            width += displayed_width;
        }
        let caret = caret.unwrap_or(width);
        Self {
            shown,
            caret,
            caret_width: caret_end.saturating_sub(caret).max(1),
        }
    }
}

/// Adds a piece, or extends the last one if both have the same visibility.
fn push_piece(pieces: &mut Vec<MaskedSpan>, span: Range<usize>, is_visible: bool) {
    match pieces.last_mut() {
        Some(last) if last.is_visible == is_visible && last.span.end == span.start => {
            last.span.end = span.end;
        }
        _ if span.is_empty() => {}
        _ => pieces.push(MaskedSpan { span, is_visible }),
    }
}

/// Returns the word at the beginning of `text`, which may be empty.
fn leading_word(text: &str) -> &str {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    &text[..end]
}

/// Cuts a long line to the part around the caret. Returns the line and its carets.
fn cut(line: &str, caret: usize, caret_width: usize) -> (String, String) {
    let length = line.chars().count();
    if length <= MAX_EXCERPT {
        return (line.to_owned(), draw_carets(caret, caret_width));
    }

    let start = caret.saturating_sub(MAX_EXCERPT / 2);
    let shown: String = line.chars().skip(start).take(MAX_EXCERPT).collect();
    let head = if start > 0 { "…" } else { "" };
    let tail = if start + MAX_EXCERPT < length {
        "…"
    } else {
        ""
    };
    let indent = caret - start + head.chars().count();
    let max_width = MAX_EXCERPT.saturating_sub(caret - start).max(1);
    (
        format!("{head}{shown}{tail}"),
        draw_carets(indent, caret_width.min(max_width)),
    )
}

fn draw_carets(indent: usize, width: usize) -> String {
    " ".repeat(indent) + &"^".repeat(width)
}
