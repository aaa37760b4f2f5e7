//! Signs that a secret is not what its author meant to write. No text holds a part of it.

use crate::config::{literal_variable::literal_variable, quote::is_variable_name};

/// Returns what is suspicious about a secret, as the end of a sentence about it.
pub(super) fn faults(secret: &str) -> Vec<&'static str> {
    // Keys have many lines, and JSON has quotation marks.
    let begins = secret.trim_start();
    let is_json = begins.starts_with('{') && !begins.starts_with("{{");
    let is_document = secret.contains("-----BEGIN ") || is_json;
    if is_document {
        return Vec::new();
    }
    let is_quoted =
        |mark: char| secret.len() >= 2 && secret.starts_with(mark) && secret.ends_with(mark);
    let checks = [
        (
            secret.trim().contains(['\n', '\r']),
            "has more than one line",
        ),
        (
            is_quoted('"') || is_quoted('\''),
            "is in quotation marks, which are sent with it",
        ),
        (
            is_assignment(secret),
            "looks like NAME=value, which is sent whole",
        ),
        (
            literal_variable(secret).is_some(),
            "is the name of a variable, which nothing replaces",
        ),
        (
            is_reference(secret),
            "looks like a placeholder, a path or a reference of another program, which is sent as it is",
        ),
        (
            secret.trim() != secret,
            "begins or ends with a blank, which is sent with it",
        ),
    ];
    let found = checks.into_iter().filter(|(found, _)| *found);
    found.map(|(_, fault)| fault).collect()
}

/// Returns whether a variable's name, `=` and a value follow each other. Base64 has `=` at its end only.
fn is_assignment(secret: &str) -> bool {
    let secret = secret.strip_prefix("export ").unwrap_or(secret);
    secret.split_once('=').is_some_and(|(name, value)| {
        name.len() > 1 && is_variable_name(name) && !value.trim_start_matches('=').is_empty()
    })
}

/// Returns whether a text stands for a secret elsewhere: `%NAME%`, `{{NAME}}`, `$(command)`, `env:NAME`, `file:/path`,
/// `/run/secrets/name`, or `<your secret>`.
fn is_reference(secret: &str) -> bool {
    let is_between = |begin: &str, end: &str| {
        let inner = secret
            .strip_prefix(begin)
            .and_then(|rest| rest.strip_suffix(end));
        inner.is_some_and(|inner| !inner.is_empty())
    };
    let has_prefix = |prefixes: &[&str]| prefixes.iter().any(|prefix| secret.starts_with(prefix));
    is_between("%", "%")
        || is_between("{{", "}}")
        || is_between("$(", ")")
        || is_between("<", ">")
        || has_prefix(&["env:", "file:", "/run/", "/etc/", "/var/"])
        || secret == "…"
        || secret == "..."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_to_a_secret_elsewhere_is_suspicious() {
        for secret in [
            "%HAPN_CLIENT_SECRET%",
            "{{HAPN}}",
            "$(cat x)",
            "env:HAPN",
            "file:/run/x",
            "/run/secrets/hapn",
            "<your secret>",
            "…",
        ] {
            assert_eq!(faults(secret).len(), 1, "{secret}");
        }
    }

    #[test]
    fn secrets_as_vendors_make_them_are_not_suspicious() {
        for secret in [
            "abc",
            "p\"q'r",
            "dGVzdA==",
            "dGVzdA=",
            "a=b",
            "=x",
            "$ecret",
            "\"",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            "{ \"kty\": \"RSA\",\n \"n\": \"x\" }",
        ] {
            assert_eq!(faults(secret), [""; 0], "{secret}");
        }
    }

    #[test]
    fn each_accident_is_named() {
        for (secret, words) in [
            ("abc\ndef", "more than one line"),
            ("\"abc\"", "in quotation marks"),
            ("'abc'", "in quotation marks"),
            ("CLIENT_SECRET=abc", "looks like NAME=value"),
            ("export secret=abc=", "looks like NAME=value"),
            ("${SECRET}", "the name of a variable"),
            ("abc ", "with a blank"),
        ] {
            let faults = faults(secret);
            assert_eq!(faults.len(), 1, "{secret}: {faults:?}");
            assert!(faults[0].contains(words), "{secret}: {faults:?}");
        }
    }
}
