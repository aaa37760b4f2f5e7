//! A login in a browser: its start, its return, the exchange of the code, and the words for its end (RFC 6749 §4.1).
//!
//! The admin listener and `bearward login` both log people in. What they share is here; sockets and cookies are theirs.

pub mod attempts;
mod cookie;
pub mod device;
pub mod exchange;
mod hint;
pub mod outcome;
mod path;
pub mod redirect;
pub mod store_identity;

use std::time::Duration;

pub use self::{
    cookie::LoginCookie,
    exchange::{ExchangeError, TokenReceiver, exchange_code, sign_in},
    hint::login_hint,
    outcome::LoginOutcome,
    path::{CALLBACK_PATH, is_callback_path, login_path, path_segment},
    store_identity::StoreIdentity,
};
use crate::oauth::provider::{GrantType, Provider};

/// The time from the start of a login to its return.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Whether people log in at `provider` with a browser.
pub fn supports_browser_login(provider: &Provider) -> bool {
    let has_endpoint = provider
        .authorization
        .as_ref()
        .is_some_and(|authorization| {
            // The discovery document of an issuer supplies the endpoint.
            authorization.endpoint.is_some() || provider.issuer.is_some()
        });
    provider.grant_type == GrantType::AuthorizationCode && has_endpoint
}
