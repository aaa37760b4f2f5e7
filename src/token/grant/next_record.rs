//! The record after a token response.

use std::collections::BTreeMap;

use super::{
    binding::{client_digest, new_login_id},
    life::times_after,
    state::GrantContext,
};
use crate::{oauth::response::Issued, token::store::Record};

/// Returns the record after a token response: to a refresh if `refreshed`, else to a login. `current` is the one in use.
///
/// A refresh response without a refresh token keeps the old one (RFC 6749 section 6).
pub(super) fn next_record(
    context: &GrantContext,
    current: Option<&Record>,
    issued: &Issued,
    refreshed: bool,
) -> Record {
    let before = current.filter(|_| refreshed);
    let old_refresh_token = || before.and_then(|record| record.refresh_token.clone());
    let configured = match before {
        // The configured one may have changed since, but this login derives from the one before.
        Some(record) => record.configured.clone(),
        None => context.configured_refresh_token().map(|(_, digest)| digest),
    };
    let mut access = context.stored_access_token(issued);
    let old_base = || before?.access.as_ref()?.api_base.clone();
    access.api_base = issued.context.base.clone().or_else(old_base);
    let mut captured = before.map_or_else(BTreeMap::new, |record| record.captured.clone());
    captured.extend(issued.context.captured.clone());
    let times = before.map(|record| &record.times);
    let refresh_token = issued.refresh_token.clone().or_else(old_refresh_token);
    Record {
        generation: match before {
            Some(record) if record.refresh_token == refresh_token => record.generation,
            _ => next_generation(current),
        },
        refresh_token,
        refused: false,
        taken: taken_with(current, configured.as_deref()),
        configured,
        client: Some(client_digest(&context.provider)),
        // The records of early versions had no name: they get one here.
        login: before
            .and_then(|record| record.login.clone())
            .or_else(|| Some(new_login_id())),
        times: times_after(issued, access.requested_at_wall, times),
        access: Some(access),
        captured,
    }
}

/// Returns the generation of the record that comes after `current`.
pub(super) fn next_generation(current: Option<&Record>) -> u64 {
    current.map_or(1, |record| record.generation + 1)
}

/// Returns the configured refresh tokens that were used before, for the record that comes after `current`.
pub(super) fn taken_with(current: Option<&Record>, configured: Option<&str>) -> Vec<String> {
    match current {
        Some(record) => record.taken_with(configured),
        None => Record::default().taken_with(configured),
    }
}
