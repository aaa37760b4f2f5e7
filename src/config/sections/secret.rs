//! Reads secrets from the file, the environment, or files of their own. No message holds a value.

use std::sync::Arc;

use super::BuildContext;
use crate::{
    config::{
        diagnostics::Diagnostic,
        parsed::SecretSource,
        quote::{MASK, is_safe_secret_source, is_variable_name},
        section::Section,
        spanned::Spanned,
    },
    secret::{LiveSecret, Secret},
};

/// Reads the secret `name`. An absent or unreadable one gives `None`; the latter is reported.
pub(super) fn read(
    section: &Section<'_>,
    name: &str,
    context: &mut BuildContext<'_>,
) -> Option<Arc<LiveSecret>> {
    let source = section.secret(name)?;
    let secret = match source.value {
        SecretSource::Inline(text) => {
            context.push(source.warning(
                format!("`{name}` is written in the configuration itself"),
                format!("write {name} = {{ env = \"NAME\" }} or {{ file = \"/path\" }}"),
            ));
            Ok(LiveSecret::fixed(Secret::new(text)))
        }
        SecretSource::Env(variable) => read_variable(name, variable, &source, context),
        SecretSource::File(path) => read_file(name, path, &source, context),
    };
    context.ok_or_push(secret).map(Arc::new)
}

fn read_variable(
    name: &str,
    variable: &str,
    source: &Spanned<SecretSource<'_>>,
    context: &BuildContext<'_>,
) -> Result<LiveSecret, Diagnostic> {
    if !is_variable_name(variable) {
        return Err(source.error(
            format!("`env` of `{name}` is not the name of an environment variable"),
            "write the variable's name, not its value: letters, digits and `_`",
        ));
    }

    let text = (context.environment)(variable);
    let state = match text.as_deref() {
        None => "not set",
        Some("") => "empty",
        Some(text) => return Ok(LiveSecret::fixed(Secret::new(text))),
    };
    let variable = if is_safe_secret_source(variable) {
        variable
    } else {
        MASK
    };
    Err(source.error(
        format!("the environment variable `{variable}` for `{name}` is {state}"),
        format!("set `{variable}` in bearward's environment, or read the secret from a file"),
    ))
}

fn read_file(
    name: &str,
    path: &str,
    source: &Spanned<SecretSource<'_>>,
    context: &BuildContext<'_>,
) -> Result<LiveSecret, Diagnostic> {
    LiveSecret::file(context.resolve(path)).map_err(|error| {
        let path = if is_safe_secret_source(path) {
            path
        } else {
            MASK
        };
        source.error(
            format!("the file \"{path}\" for `{name}` cannot be read: {error}"),
            "create the file with nothing but the secret in it, and make it readable by this user",
        )
    })
}
