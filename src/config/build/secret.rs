//! Reading of secrets: from the file itself, the environment, or files of their own. No message holds a value.

use std::sync::Arc;

use super::{
    super::{
        excerpt::{MASK, is_place, is_variable},
        raw::{Found, RawSecret, Section},
    },
    Context,
};
use crate::secret::{LiveSecret, Secret};

/// The secret `name` of `section`, unless it is absent or cannot be read, which is reported.
pub(super) fn read(
    section: &Section<'_>,
    name: &'static str,
    context: &mut Context<'_>,
) -> Option<Arc<LiveSecret>> {
    let Found { value, at } = section.secret(name)?;
    match value {
        RawSecret::Inline("") => None,
        RawSecret::Inline(text) => {
            let hint = format!("write {name} = {{ env = \"NAME\" }} or {{ file = \"/path\" }}");
            context.drafts.warning(
                &at,
                format!("`{name}` stands in the configuration itself"),
                hint,
            );
            Some(Arc::new(LiveSecret::fixed(Secret::new(text))))
        }
        RawSecret::Env(variable) if !is_variable(variable) => {
            let hint = "`env` takes a variable's name, not its value: letters, digits and `_`";
            context.error(&at, format!("`{name}` names no environment variable"), hint);
            None
        }
        RawSecret::Env(variable) => match (context.environment)(variable) {
            Some(text) if !text.is_empty() => Some(Arc::new(LiveSecret::fixed(Secret::new(text)))),
            found => {
                let state = if found.is_some() { "empty" } else { "not set" };
                let variable = if is_place(variable) { variable } else { MASK };
                let hint = format!(
                    "set `{variable}` in the environment of bearward, or read the secret from a file"
                );
                context.error(
                    &at,
                    format!("the environment variable `{variable}` for `{name}` is {state}"),
                    hint,
                );
                None
            }
        },
        RawSecret::File(path) => match LiveSecret::file(context.path(path)) {
            Ok(secret) => Some(Arc::new(secret)),
            Err(error) => {
                let path = if is_place(path) { path } else { MASK };
                let message = format!("the file \"{path}\" for `{name}` cannot be read: {error}");
                context.error(
                    &at,
                    message,
                    "it has to exist, be readable by this user, and hold nothing but the secret",
                );
                None
            }
        },
    }
}
