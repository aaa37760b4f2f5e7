//! The place of an error in the documentation.

/// Returns where the documentation explains `word`.
///
/// A word is a problem type without its prefix, a kind of error, or the code of a problem of `bearward check`.
pub fn place(word: &str) -> String {
    format!("docs/errors.md#{word}")
}
