//! How a person logs in at a provider, in words: the same wherever somebody has to be told.

use super::{is_possible, redirect};
use crate::{
    admin::segment,
    oauth::provider::{GrantType, Provider},
    server::address::ListenAddress,
};

/// What ends a `login-required` at `provider`, with the admin listener at `admin`, the real address.
pub fn way(provider: &Provider, admin: Option<&ListenAddress>) -> String {
    let name = &provider.name;
    match provider.grant_type {
        GrantType::AuthorizationCode if is_possible(provider) => {
            let mut way = format!("run `bearward login {name}`");
            if let Some(origin) = admin.and_then(redirect::origin) {
                way.push_str(&format!(
                    ", or open {origin}/login/{}",
                    segment::encoded(name)
                ));
            }
            way
        }
        GrantType::AuthorizationCode => "see the email and password of its sign_in".into(),
        GrantType::RefreshToken => "give its `refresh_token` a new value".into(),
        GrantType::ClientCredentials => "restart the sidecar, whose refresher has ended".into(),
    }
}
