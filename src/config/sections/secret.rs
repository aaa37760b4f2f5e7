//! Reads secrets from the file, the environment, or files of their own. No message holds a value.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::BuildContext;
use crate::{
    config::{
        diagnostics::Diagnostic,
        parsed::SecretSource,
        quote::{MASK, is_safe_secret_source, is_variable_name},
        section::Section,
        spanned::Spanned,
    },
    secret::{LiveSecret, Secret, trimmed},
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
        SecretSource::Inline(text) => {
            context.push(source.warning(
                format!("`{name}` is written in the configuration itself"),
                format!("write {name} = {{ env = \"NAME\" }} or {{ file = \"/path\" }}"),
            ));
            Ok(LiveSecret::fixed(Secret::new(text)))
        }
        SecretSource::Env(variable) => read_variable(name, variable, source, context),
        SecretSource::File(path) => read_file(name, path, None, source, context),
        SecretSource::Member { file, pointer } => {
            read_file(name, file, Some(pointer), source, context)
        }
    };
    context.ok_or_push(secret).map(Arc::new)
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
                    format!(
                        "the environment variable `{variable}` for `{name}` has blanks around \
                         the secret, which are removed"
                    ),
                    format!("set `{variable}` without a line break or blank around the secret"),
                ));
            }
            return Ok(LiveSecret::of_variable(variable, Secret::new(secret)));
        }
    };
    Err(source.error(
        format!("the environment variable `{variable}` for `{name}` is {state}"),
        format!("set `{variable}` in bearward's environment, or read the secret from a file"),
    ))
}

fn read_file(
    name: &str,
    path: &str,
    pointer: Option<&str>,
    source: &Spanned<SecretSource<'_>>,
    context: &BuildContext<'_>,
) -> Result<LiveSecret, Diagnostic> {
    let read = match pointer {
        Some(pointer) => LiveSecret::member(context.resolve(path), pointer),
        None => LiveSecret::file(context.resolve(path)),
    };
    read.map_err(|error| {
        let path = if is_safe_secret_source(path) {
            path
        } else {
            MASK
        };
        source.error(
            format!("the file \"{path}\" for `{name}` cannot be read: {error}"),
            match pointer {
                Some(_) => "name a readable JSON file, and a `pointer` to a text in it",
                None => {
                    "create the file with nothing but the secret in it, and make it readable by \
                     this user"
                }
            },
        )
    })
}
