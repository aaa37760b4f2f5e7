//! Reads secrets from the file, the environment, or files of their own. No message holds a value.

mod credentials;
mod suspicion;

use std::{io, path::Path, sync::Arc};

use zeroize::Zeroizing;

use self::suspicion::faults;
use super::{BuildContext, pem_hint};
use crate::{
    config::{
        diagnostics::Diagnostic,
        file_access,
        literal_variable::literal_variable,
        parsed::SecretSource,
        problem_code::ProblemCode,
        quote::{MASK, is_safe_secret_source, is_variable_name},
        section::Section,
        spanned::Spanned,
    },
    regular_file,
    secret::{self, LiveSecret, Secret, trimmed},
};

/// Reads the secret `name`. An absent or unreadable one gives `None`; the latter is reported.
pub(super) fn read(
    section: &Section<'_>,
    name: &str,
    context: &mut BuildContext<'_>,
) -> Option<Arc<LiveSecret>> {
    let source = section.secret(name)?;
    build(name, &source, context)
}

/// Reads the secret at `source`, which `name` stands for.
pub(super) fn build(
    name: &str,
    source: &Spanned<SecretSource<'_>>,
    context: &mut BuildContext<'_>,
) -> Option<Arc<LiveSecret>> {
    let secret = match source.value {
        SecretSource::Inline(text) => read_inline(name, text, source, context),
        SecretSource::Env(variable) => read_variable(name, variable, source, context),
        SecretSource::File(path) => read_file(name, path, None, source, context),
        SecretSource::Member { file, pointer } => {
            read_file(name, file, Some(pointer), source, context)
        }
    };
    context.ok_or_push(secret).map(Arc::new)
}

fn read_inline(
    name: &str,
    text: &str,
    source: &Spanned<SecretSource<'_>>,
    context: &mut BuildContext<'_>,
) -> Result<LiveSecret, Diagnostic> {
    if let Some(variable) = literal_variable(text) {
        // In small letters it may be a password after all.
        let variable = if is_safe_secret_source(variable) {
            variable
        } else {
            "NAME"
        };
        return Err(source
            .error(
                format!("`{name}` is the name of a variable, taken literally: nothing replaces it"),
                format!("write {name} = {{ env = \"{variable}\" }}"),
            )
            .with_code(ProblemCode::LiteralVariable));
    }
    context.push(source.warning(
        ProblemCode::SecretInline,
        format!("`{name}` is written in the configuration itself"),
        format!("write {name} = {{ env = \"NAME\" }} or {{ file = \"/path\" }}"),
    ));
    warn_of_faults(&format!("`{name}`"), text, source, context);
    Ok(LiveSecret::fixed(Secret::new(text)))
}

fn read_variable(
    name: &str,
    variable: &str,
    source: &Spanned<SecretSource<'_>>,
    context: &mut BuildContext<'_>,
) -> Result<LiveSecret, Diagnostic> {
    if !is_variable_name(variable) {
        return Err(source.error(
            format!("`env` of `{name}` is not the name of an environment variable"),
            "write the variable's name, not its value: letters, digits and `_`",
        ));
    }

    context.secret_variables.insert(variable.to_owned());
    let text = (context.environment)(variable).map(Zeroizing::new);
    let shown = if is_safe_secret_source(variable) {
        variable
    } else {
        MASK
    };
    let variable = shown;
    let state = match text.as_deref().map(|text| (text, trimmed(text))) {
        None => "not set",
        Some((_, "")) => "empty",
        Some((text, secret)) => {
            if secret != text {
                context.push(source.warning(
                    ProblemCode::SuspectSecret,
                    format!(
                        "the environment variable `{variable}` for `{name}` has blanks around \
                         the secret, which are removed"
                    ),
                    format!("set `{variable}` without a line break or blank around the secret"),
                ));
            }
            let subject = format!("the secret in `{variable}` for `{name}`");
            warn_of_faults(&subject, secret, source, context);
            return Ok(LiveSecret::of_variable(variable, Secret::new(secret)));
        }
    };
    Err(source
        .error(
            format!("the environment variable `{variable}` for `{name}` is {state}"),
            format!("set `{variable}` in bearward's environment, or read the secret from a file"),
        )
        .with_code(ProblemCode::VariableNotSet))
}

fn read_file(
    name: &str,
    path: &str,
    pointer: Option<&str>,
    source: &Spanned<SecretSource<'_>>,
    context: &mut BuildContext<'_>,
) -> Result<LiveSecret, Diagnostic> {
    let resolved = credentials::resolve(path, context);
    let read = match pointer {
        Some(pointer) => LiveSecret::member(&resolved, pointer),
        None => LiveSecret::file(&resolved),
    };
    let is_shown = is_safe_secret_source(path);
    let (shown, target) = if is_shown {
        (path, path)
    } else {
        (MASK, "FILE")
    };
    match read {
        Ok(secret) => {
            warn_of_access(name, (shown, target), &resolved, source, context);
            if pointer.is_none() {
                let subject = format!("the secret in the file \"{shown}\" for `{name}`");
                if has_blanks_around(&resolved) {
                    context.push(source.warning(
                        ProblemCode::SuspectSecret,
                        format!(
                            "{subject} has blanks or a byte order mark around it, which are removed"
                        ),
                        "write the secret alone into the file; a line break at its end is fine",
                    ));
                }
                warn_of_faults(&subject, secret.current().expose(), source, context);
            }
            Ok(secret)
        }
        Err(error) => {
            let reason = file_access::explain(&resolved, &error);
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => Some(format!(
                    "make it readable by this user, such as: chown {} {target}",
                    file_access::current_user()
                )),
                io::ErrorKind::NotFound if is_shown && credentials::is_absent(path, context) => {
                    Some(credentials::hint(path))
                }
                io::ErrorKind::InvalidData if name == "key" => pem_hint::of_key(&resolved),
                _ => None,
            };
            let hint = hint.unwrap_or_else(|| file_hint(pointer).to_owned());
            Err(source
                .error(
                    format!("the file \"{shown}\" for `{name}` cannot be read: {reason}"),
                    hint,
                )
                .with_code(ProblemCode::SecretUnreadable))
        }
    }
}

fn file_hint(pointer: Option<&str>) -> &'static str {
    match pointer {
        Some(_) => "name a readable JSON file, and a `pointer` to a text in it",
        None => {
            "create the file with nothing but the secret in it, and make it readable by this user"
        }
    }
}

/// Returns whether the file has more around its text than line breaks.
fn has_blanks_around(path: &Path) -> bool {
    let content = regular_file::read(path, secret::MAX_FILE_SIZE).unwrap_or_default();
    let text = std::str::from_utf8(&content).unwrap_or_default();
    text.trim_matches(['\r', '\n']) != trimmed(text)
}

/// Warns of a file that every user of the machine can read.
fn warn_of_access(
    name: &str,
    (shown, target): (&str, &str),
    path: &Path,
    source: &Spanned<SecretSource<'_>>,
    context: &mut BuildContext<'_>,
) {
    if let Some(mode) = file_access::mode_if_readable_by_others(path) {
        context.push(source.warning(
            ProblemCode::SecretReadable,
            format!(
                "other users can read the file \"{shown}\" for `{name}`: its mode is {mode:04o}"
            ),
            format!("run: chmod 0600 {target} (in Kubernetes: defaultMode: 0440 in the volume)"),
        ));
    }
}

/// Warns of a secret that looks like an accident. `subject` is its place, without its value.
fn warn_of_faults(
    subject: &str,
    secret: &str,
    source: &Spanned<SecretSource<'_>>,
    context: &mut BuildContext<'_>,
) {
    for fault in faults(secret) {
        context.push(source.warning(
            ProblemCode::SuspectSecret,
            format!("{subject} {fault}"),
            "write the secret alone, as the vendor shows it; if it is meant so, ignore this",
        ));
    }
}
