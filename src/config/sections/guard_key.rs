//! The keys that open a listener or a route: secrets that a person may choose too short.

use std::sync::Arc;

use super::{BuildContext, secret};
use crate::{
    config::{problem_code::ProblemCode, section::Section},
    secret::LiveSecret,
};

/// The shortest key without a warning, in characters.
const MIN_KEY_CHARS: usize = 16;

/// Reads the secret `name` as [`secret::read`] does, and warns of one that could be guessed.
pub(super) fn read(
    section: &Section<'_>,
    name: &str,
    context: &mut BuildContext<'_>,
) -> Option<Arc<LiveSecret>> {
    let source = section.secret(name)?;
    let key = secret::build(name, &source, context)?;
    if key.current().expose().chars().count() < MIN_KEY_CHARS {
        context.push(source.warning(
            ProblemCode::WeakKey,
            format!("`{name}` has fewer than {MIN_KEY_CHARS} characters, so it can be guessed"),
            "use a random key, such as the output of: openssl rand -hex 16",
        ));
    }
    Some(key)
}
