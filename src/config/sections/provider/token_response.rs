//! `[providers.NAME.token_response]` to [`TokenResponse`].

use super::super::BuildContext;
use crate::{
    config::{diagnostics::Diagnostic, quote::quote, section::Section, spanned::Spanned},
    oauth::provider::{Lifetime, TokenResponse},
};

pub(super) fn build(section: &Section<'_>, context: &mut BuildContext<'_>) -> TokenResponse {
    let mut pointer = |name: &str, default: String| {
        let found = section.string(name);
        let pointer = found.and_then(|found| context.ok_or_push(parse_pointer(name, &found)));
        pointer.unwrap_or(default)
    };
    let default = TokenResponse::default();
    TokenResponse {
        access_token: pointer("access_token", default.access_token),
        refresh_token: pointer("refresh_token", default.refresh_token),
        expires_in: pointer("expires_in", default.expires_in),
        default_lifetime: section.duration("default_lifetime").map(Lifetime::For),
        ..default
    }
}

/// Parses a JSON Pointer (RFC 6901 §3). The empty one is valid.
fn parse_pointer(name: &str, found: &Spanned<&str>) -> Result<String, Diagnostic> {
    let pointer = found.value;
    let is_escaped = |rest: &str| rest.starts_with(['0', '1']);
    let hint = if !pointer.is_empty() && !pointer.starts_with('/') {
        "begin with `/`, such as \"/data/token\""
    } else if !pointer.split('~').skip(1).all(is_escaped) {
        "write `~` in a name as ~0, and `/` in a name as ~1"
    } else {
        return Ok(pointer.to_owned());
    };
    Err(found.error(
        format!("`{name}` = {} is not a JSON Pointer", quote(pointer)),
        hint,
    ))
}
