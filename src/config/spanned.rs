//! Values with their location in the configuration file.

use super::{diagnostics::Diagnostic, location::Location, problem_code::ProblemCode};

/// A value and its location.
#[derive(Clone)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) location: Location,
}

impl<T> Spanned<T> {
    /// An error at this value.
    pub(super) fn error(&self, message: impl Into<String>, hint: impl Into<String>) -> Diagnostic {
        Diagnostic::error(&self.location, message, hint)
    }

    /// A warning at this value.
    pub(super) fn warning(
        &self,
        code: ProblemCode,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::warning(code, &self.location, message, hint)
    }
}
