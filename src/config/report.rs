//! The problems of a configuration, each with its position, a masked excerpt and a hint.

use std::fmt;

use serde_json::json;

use super::problem_code::ProblemCode;
use crate::help;

/// All problems of one configuration, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    problems: Vec<Problem>,
}

/// The severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used, but is probably not what the author meant.
    Warning,
}

impl Severity {
    /// The word in reports.
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
    /// Whether it is an error or a warning.
    pub severity: Severity,
    /// The kind of mistake.
    pub code: ProblemCode,
    /// The file name as given to the parser.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The dotted key, if the problem belongs to one.
    pub key: Option<String>,
    /// The mistake.
    pub message: String,
    /// The next step for the operator.
    pub hint: String,
    /// The masked line, and the line of carets below it.
    pub(super) excerpt: Option<(String, String)>,
}

impl Report {
    /// Makes the report of these problems.
    pub fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// Returns whether the configuration can be used.
    pub fn is_ok(&self) -> bool {
        self.errors() == 0
    }

    /// Returns the number of errors.
    pub fn errors(&self) -> usize {
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        self.problems.iter().filter(is_error).count()
    }

    /// Returns the number of warnings.
    pub fn warnings(&self) -> usize {
        self.problems.len() - self.errors()
    }

    /// Adds a problem that appeared after the file was checked.
    pub fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Returns the problems in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Returns the report as JSON: `{"ok": …, "problems": […]}`.
    pub fn to_json(&self) -> serde_json::Value {
        let problems: Vec<_> = self.problems.iter().map(Problem::to_json).collect();
        json!({ "ok": self.is_ok(), "problems": problems })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problems
            .iter()
            .try_for_each(|problem| writeln!(f, "{problem}"))
    }
}

impl std::error::Error for Report {}

impl Problem {
    /// Makes an error that belongs to the whole file.
    pub fn of_file(file: &str, message: &str, hint: &str) -> Self {
        Self::new(
            (Severity::Error, ProblemCode::FileUnreadable),
            file,
            (1, 1),
            None,
            message.to_owned(),
            hint,
        )
    }

    /// Makes a problem that has no excerpt. `position` is line and column, from 1.
    pub(super) fn new(
        (severity, code): (Severity, ProblemCode),
        file: &str,
        (line, column): (usize, usize),
        key: Option<&str>,
        message: String,
        hint: &str,
    ) -> Self {
        Self {
            severity,
            code,
            file: file.to_owned(),
            line,
            column,
            key: key.map(str::to_owned),
            message,
            hint: hint.to_owned(),
            excerpt: None,
        }
    }

    fn to_json(&self) -> serde_json::Value {
        json!({
            "severity": self.severity.as_str(),
            "code": self.code.word(),
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "key": self.key,
            "message": self.message,
            "hint": self.hint,
        })
    }
}

impl fmt::Display for Problem {
    /// Writes `FILE:LINE:COLUMN: error: message`, the excerpt, the hint, and the place in the
    /// documentation. The last line has no line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity,
            code,
            file,
            line,
            column,
            message,
            hint,
            ..
        } = self;
        let severity = severity.as_str();
        writeln!(f, "{file}:{line}:{column}: {severity}: {message}")?;
        if let Some((text, carets)) = &self.excerpt {
            let number = line.to_string();
            let width = number.len();
            writeln!(f, "  {number} | {text}")?;
            writeln!(f, "  {:width$} | {carets}", "")?;
        }
        writeln!(f, "hint: {hint}")?;
        write!(f, "help: {}", help::place(code.word()))
    }
}
