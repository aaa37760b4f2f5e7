//! Errors and warnings while a configuration is read.

use super::{
    excerpt::Excerpts,
    location::Location,
    problem_code::ProblemCode,
    report::{Problem, Report, Severity},
};

/// One error or warning, and its location. No member holds a secret.
#[derive(Clone, Debug)]
pub(super) struct Diagnostic {
    severity: Severity,
    code: ProblemCode,
    location: Location,
    message: String,
    hint: String,
}

impl Diagnostic {
    /// An error: `message` says what is wrong, `hint` says what to do. Its code is that of an invalid value.
    pub(super) fn error(
        location: &Location,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            code: ProblemCode::InvalidValue,
            location: location.clone(),
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// A warning: `message` says what is wrong, `hint` says what to do.
    pub(super) fn warning(
        code: ProblemCode,
        location: &Location,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            code,
            ..Self::error(location, message, hint)
        }
    }

    /// Changes the hint.
    pub(super) fn with_hint(self, hint: String) -> Self {
        Self { hint, ..self }
    }

    /// Changes the code.
    pub(super) fn with_code(self, code: ProblemCode) -> Self {
        Self { code, ..self }
    }
}

/// All diagnostics of one configuration.
#[derive(Debug, Default)]
pub(super) struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Adds one diagnostic.
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Returns the value of `Ok`, or adds the diagnostic of `Err`.
    pub(super) fn ok_or_push<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(diagnostic) => {
                self.push(diagnostic);
                None
            }
        }
    }

    /// Returns the number of diagnostics.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no diagnostics.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether there is an error.
    pub(super) fn has_errors(&self) -> bool {
        self.0
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Removes the diagnostics from index `first` on whose location `is_echo`.
    pub(super) fn remove_echoes(&mut self, first: usize, is_echo: impl Fn(&Location) -> bool) {
        let later = self.0.split_off(first);
        let kept = later
            .into_iter()
            .filter(|diagnostic| !is_echo(&diagnostic.location));
        self.0.extend(kept);
    }

    /// Turns the diagnostics into a report in the order of the file.
    pub(super) fn into_report(mut self, file: &str, excerpts: Option<&Excerpts<'_>>) -> Report {
        self.0
            .sort_by_key(|diagnostic| diagnostic.location.span.start);
        let problems = self
            .0
            .into_iter()
            .map(|diagnostic| into_problem(diagnostic, file, excerpts));
        Report::new(problems.collect())
    }
}

fn into_problem(diagnostic: Diagnostic, file: &str, excerpts: Option<&Excerpts<'_>>) -> Problem {
    let span = &diagnostic.location.span;
    let position = excerpts.map(|excerpts| excerpts.position(span.start));
    let (line, column) = position.unwrap_or((1, 1));
    Problem {
        severity: diagnostic.severity,
        code: diagnostic.code,
        file: without_control_characters(file),
        line,
        column,
        key: diagnostic.location.key().map(str::to_owned),
        message: without_control_characters(&diagnostic.message),
        hint: without_control_characters(&diagnostic.hint),
        excerpt: excerpts.and_then(|excerpts| excerpts.excerpt(span)),
    }
}

/// Replaces control characters, so that no value can forge a line of the report.
fn without_control_characters(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}
