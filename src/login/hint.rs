//! The login hint: the words that tell an operator how to log in.

use super::{login_path, redirect, supports_browser_login};
use crate::{
    oauth::provider::{GrantType, Provider},
    server::address::ListenAddress,
};

/// Says what ends a `login-required` at `provider`; `admin` is the admin listener's real address, port 0 resolved.
pub fn login_hint(provider: &Provider, admin: Option<&ListenAddress>) -> String {
    let name = &provider.name;
    match &provider.grant_type {
        GrantType::AuthorizationCode if supports_browser_login(provider) => {
            let mut hint = format!("run `bearward login {name}`");
            if let Some(origin) = admin.and_then(redirect::admin_origin) {
                hint.push_str(&format!(", or open {origin}{}", login_path(name)));
            }
            hint
        }
        GrantType::DeviceCode => format!("run `bearward login {name}`"),
        GrantType::AuthorizationCode => "see the email and password of its sign_in".into(),
        GrantType::RefreshToken => "give its `refresh_token` a new value".into(),
        _ => "restart the sidecar, whose refresher has ended".into(),
    }
}
