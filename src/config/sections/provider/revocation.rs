//! `[providers.NAME.revocation]` to [`Revocation`].

use super::super::{BuildContext, parameters};
use crate::{
    config::{
        choices::{ENCODINGS, REVOCATION_AUTHS, REVOCATION_METHODS, REVOKED_TOKENS},
        section::Section,
    },
    oauth::provider::Revocation,
};

pub(super) fn build(section: &Section<'_>, context: &mut BuildContext<'_>) -> Revocation {
    let default = Revocation::default();
    Revocation {
        method: section
            .choice("method", &REVOCATION_METHODS)
            .unwrap_or(default.method),
        encoding: section
            .choice("encoding", &ENCODINGS)
            .unwrap_or(default.encoding),
        token: section.choice("token", &REVOKED_TOKENS),
        auth: section
            .choice("auth", &REVOCATION_AUTHS)
            .unwrap_or(default.auth),
        params: parameters::parameters(section, "params", context, |_, _| Ok(())),
    }
}
