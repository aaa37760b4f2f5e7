//! `[providers.NAME.sign_in]` to [`SignIn`].

use super::super::{BuildContext, endpoint::Endpoints, secret};
use crate::{
    config::{choices::ENCODINGS, section::Section},
    oauth::provider::SignIn,
};

/// Builds the headless consent. A preset's table has no effect until the file adds an account to
/// it.
pub(super) fn build<'a>(
    section: &Section<'a>,
    endpoints: &Endpoints<'_, 'a>,
    context: &mut BuildContext<'_>,
) -> Option<SignIn> {
    if !section.is_in_file() {
        return None;
    }
    for key in ["endpoint", "email", "password"] {
        if !section.is_set(key) {
            context.push(section.error(
                format!("`sign_in` has no `{key}`"),
                "set `endpoint`, `email` and `password`",
            ));
        }
    }

    let endpoint = context.ok_or_push(endpoints.in_section(section).parse("endpoint"));
    let password = secret::read(section, "password", context);
    Some(SignIn {
        endpoint: endpoint.flatten()?,
        email: section.string("email")?.value.to_owned(),
        password: password?,
        encoding: section
            .choice("encoding", &ENCODINGS)
            .unwrap_or(SignIn::DEFAULT_ENCODING),
        state_length: section
            .integer("state_length")
            .unwrap_or(SignIn::DEFAULT_STATE_LENGTH),
    })
}
