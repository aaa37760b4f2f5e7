//! The digests that bind stored tokens to a client, and the names of logins.

use sha2::{Digest, Sha256};

use crate::{
    oauth::provider::{ApiBase, Provider},
    token::store::Record,
};

/// Returns a digest of the settings that an access token depends on.
///
/// The client secret is not among them: a token stays good when the secret changes.
pub(super) fn settings_digest(provider: &Provider) -> String {
    let mut parts = vec![provider.server_id(), &provider.client_id];
    let mut add = |text| parts.push(text);
    add(provider.scope.as_deref().unwrap_or_default());
    for (name, value) in &provider.token_request.params {
        add(name);
        value.texts().for_each(&mut add);
    }
    if let Some(authorization) = &provider.authorization {
        for (name, value) in &authorization.params {
            add(name);
            value.texts().for_each(&mut add);
        }
    }
    if let Some(sign_in) = &provider.sign_in {
        add(&sign_in.email);
    }
    if let Some(ApiBase::Response { from, append, .. }) = &provider.api_base {
        add(from);
        add(append);
    }
    digest(&parts)
}

/// Returns a digest of what a refresh token is bound to (RFC 6749 section 6): its issuer and its client.
pub(super) fn client_digest(provider: &Provider) -> String {
    digest(&[provider.server_id(), &provider.client_id])
}

/// Returns whether the refresh token in `record` may be sent to `provider`.
pub(in crate::token) fn belongs_to(record: &Record, provider: &Provider) -> bool {
    let client = record.client.as_ref();
    client.is_none_or(|client| *client == client_digest(provider))
}

/// Creates the name of a new login: 16 hexadecimal digits.
pub(super) fn new_login_id() -> String {
    // The name protects nothing: without randomness from the system, the time of day is good enough.
    let bits = getrandom::u64().unwrap_or_else(|_| {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        since.as_nanos() as u64
    });
    format!("{bits:016x}")
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
