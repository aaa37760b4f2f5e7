//! What is wrong with a configuration: every problem with its place, an excerpt that shows no secret, and a hint.

use std::fmt;

use serde_json::json;

use super::{excerpt::Excerpts, raw::At};

/// All problems of one configuration, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    problems: Vec<Problem>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but someone should look.
    Warning,
}

impl Severity {
    /// As in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One problem. No member holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The dotted key, where one is at fault.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What may mend it.
    pub hint: String,
    /// The line, masked, and the caret below it.
    excerpt: Option<(String, String)>,
}

impl Report {
    /// Whether the configuration can be used.
    pub fn is_ok(&self) -> bool {
        self.errors() == 0
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .count()
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.problems.len() - self.errors()
    }

    /// Each problem, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The report for programs: `{"ok": …, "problems": […]}`.
    pub fn to_json(&self) -> serde_json::Value {
        let problems: Vec<_> = self
            .problems
            .iter()
            .map(|problem| {
                json!({
                    "severity": problem.severity.as_str(),
                    "file": problem.file,
                    "line": problem.line,
                    "column": problem.column,
                    "key": problem.key,
                    "message": problem.message,
                    "hint": problem.hint,
                })
            })
            .collect();
        json!({ "ok": self.is_ok(), "problems": problems })
    }

    /// A report of one error that concerns the file as a whole.
    pub(super) fn whole_file(file: &str, message: String, hint: String) -> Self {
        let mut drafts = Drafts::default();
        drafts.error(&At::position(0..0), message, hint);
        drafts.finish(file, None)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problems
            .iter()
            .try_for_each(|problem| writeln!(f, "{problem}"))
    }
}

impl fmt::Display for Problem {
    /// `FILE:LINE:COLUMN: error: message`, the excerpt and the hint, without a line break at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity,
            file,
            line,
            column,
            message,
            hint,
            ..
        } = self;
        writeln!(
            f,
            "{file}:{line}:{column}: {}: {message}",
            severity.as_str()
        )?;
        if let Some((text, caret)) = &self.excerpt {
            let margin = line.to_string();
            writeln!(f, "  {margin} | {text}")?;
            writeln!(f, "  {:width$} | {caret}", "", width = margin.len())?;
        }
        write!(f, "hint: {hint}")
    }
}

/// Problems while they are collected.
#[derive(Default)]
pub(super) struct Drafts(Vec<(Severity, At, String, String)>);

impl Drafts {
    /// Adds an error.
    pub(super) fn error(&mut self, at: &At, message: impl Into<String>, hint: impl Into<String>) {
        self.0
            .push((Severity::Error, at.clone(), message.into(), hint.into()));
    }

    /// Adds a warning.
    pub(super) fn warning(&mut self, at: &At, message: impl Into<String>, hint: impl Into<String>) {
        self.0
            .push((Severity::Warning, at.clone(), message.into(), hint.into()));
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Drops the problems after the first `from` whose place is an echo of one of those.
    pub(super) fn drop_echoes(&mut self, from: usize, is_echo: impl Fn(&At) -> bool) {
        let mut number = 0;
        self.0.retain(|(_, at, ..)| {
            number += 1;
            number <= from || !is_echo(at)
        });
    }

    /// Whether there is anything to report.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is an error.
    pub(super) fn has_errors(&self) -> bool {
        self.0
            .iter()
            .any(|(severity, ..)| *severity == Severity::Error)
    }

    /// The report: positions and excerpts are found in the text.
    pub(super) fn finish(mut self, file: &str, excerpts: Option<&Excerpts<'_>>) -> Report {
        self.0.sort_by_key(|(_, at, ..)| at.span.start);
        let problem = |(severity, at, message, hint): (Severity, At, String, String)| {
            let position = excerpts.map(|excerpts| excerpts.position(at.span.start));
            let (line, column) = position.unwrap_or((1, 1));
            let excerpt = excerpts.and_then(|excerpts| excerpts.excerpt(&at.span));
            let key = at.key();
            Problem {
                severity,
                file: printable(file),
                line,
                column,
                key,
                message: printable(&message),
                hint: printable(&hint),
                excerpt,
            }
        };
        Report {
            problems: self.0.into_iter().map(problem).collect(),
        }
    }
}

/// `text` without control characters, so that nothing in it can forge a line.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
