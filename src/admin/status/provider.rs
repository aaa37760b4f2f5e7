//! One provider in the document of `/api/status`.

use std::time::SystemTime;

use serde::Serialize;

use super::{stamp, token_claims::TokenClaims};
use crate::{
    login::{
        login_hint,
        redirect::{can_log_in_at, redirect_uri_for},
        supports_browser_login,
    },
    oauth::provider::{EndpointUrl, Provider},
    server::address::ListenAddress,
    token::{
        credential::Credential,
        status::{CredentialState, CredentialStatus, LastError, LoginCondition},
    },
};

#[derive(Debug, Serialize)]
pub(in crate::admin) struct ProviderStatus {
    pub(in crate::admin) grant_type: String,
    pub(in crate::admin) state: &'static str,
    /// Whether a token request is in flight.
    pub(in crate::admin) is_refreshing: bool,
    /// When the current token was requested.
    #[serde(serialize_with = "stamp")]
    pub(in crate::admin) renewed_at: Option<SystemTime>,
    #[serde(serialize_with = "stamp")]
    pub(in crate::admin) expires_at: Option<SystemTime>,
    #[serde(serialize_with = "stamp")]
    pub(in crate::admin) refresh_at: Option<SystemTime>,
    /// Whether a refresh can bring another token without a login.
    pub(in crate::admin) can_refresh: bool,
    pub(in crate::admin) has_refresh_token: bool,
    #[serde(serialize_with = "stamp")]
    pub(in crate::admin) login_expires_at: Option<SystemTime>,
    /// Whether a person has to log in, even while the current token is still good, or soon.
    pub(in crate::admin) login_is_due: bool,
    /// Whether `/login/NAME` starts a login that returns to this listener.
    pub(in crate::admin) can_log_in: bool,
    pub(in crate::admin) token_requests: u64,
    pub(in crate::admin) last_error: Option<ErrorStatus>,
    /// The next step of an operator, with commands in backticks.
    pub(in crate::admin) hint: Option<String>,
    pub(in crate::admin) client_id: String,
    pub(in crate::admin) scope: Option<String>,
    /// The token endpoint, or the issuer that names it, without a query.
    pub(in crate::admin) token_endpoint: Option<String>,
    /// The redirect URI to register at the authorization server.
    pub(in crate::admin) redirect_uri: Option<String>,
    /// The claims of the current token, if it is a JWT.
    pub(in crate::admin) token: Option<TokenClaims>,
    /// Whether the provider's tokens come from a person's login.
    #[serde(skip)]
    pub(in crate::admin) needs_login: bool,
    /// Whether people log in with a browser.
    #[serde(skip)]
    pub(in crate::admin) has_browser_login: bool,
    /// Whether each refresh moves the end of the login.
    #[serde(skip)]
    pub(in crate::admin) is_login_extended: bool,
}

#[derive(Debug, Serialize)]
pub(in crate::admin) struct ErrorStatus {
    pub(in crate::admin) kind: String,
    pub(in crate::admin) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::admin) description: Option<String>,
    /// Where the documentation explains it.
    pub(in crate::admin) help: String,
    #[serde(serialize_with = "stamp")]
    pub(in crate::admin) at: Option<SystemTime>,
}

impl ProviderStatus {
    /// The status of one provider; `admin` is the real address of the admin listener.
    pub(in crate::admin) fn of(credential: &Credential, admin: &ListenAddress) -> Self {
        let provider = credential.provider();
        let token = credential.current();
        let token = token.and_then(|token| TokenClaims::read(&token.secret, &provider.secrets()));
        let status = credential.status();
        let ends_soon = credential.login_condition() == Some(LoginCondition::Due);
        let login_is_due = status.login_required || ends_soon;
        let hint = hint(provider, &status, login_is_due);
        let CredentialStatus {
            state,
            grant_type,
            renewed_at,
            expires_at,
            refresh_at,
            is_refreshing,
            can_refresh,
            has_refresh_token,
            login_expires_at,
            token_requests,
            last_error,
            ..
        } = status;
        let has_browser_login = supports_browser_login(provider);
        let redirect_uri = match has_browser_login {
            true => redirect_uri_for(provider, Some(admin)),
            false => None,
        };
        let is_idle_bound = provider.refresh.absolute.is_none() && has_refresh_token;
        Self {
            grant_type,
            state: state.as_str(),
            is_refreshing,
            renewed_at,
            expires_at,
            refresh_at,
            can_refresh,
            has_refresh_token,
            login_expires_at,
            login_is_due,
            can_log_in: can_log_in_at(provider, admin),
            token_requests,
            last_error: last_error.map(ErrorStatus::of),
            hint,
            client_id: provider.client_id.clone(),
            scope: provider.scope.clone(),
            token_endpoint: token_endpoint(provider),
            redirect_uri: redirect_uri.map(|uri| uri.as_str().to_owned()),
            token,
            needs_login: provider.grant_type.needs_login(),
            has_browser_login,
            is_login_extended: is_idle_bound && can_refresh && refresh_at < login_expires_at,
        }
    }
}

fn hint(provider: &Provider, status: &CredentialStatus, login_is_due: bool) -> Option<String> {
    match status.state {
        _ if login_is_due => Some(login_hint(provider, None)),
        CredentialState::Pending => None,
        _ if status.last_error.is_none() => None,
        _ => Some(format!("run `bearward doctor {}`", provider.name)),
    }
}

fn token_endpoint(provider: &Provider) -> Option<String> {
    let configured = provider
        .token_endpoint
        .as_ref()
        .map(EndpointUrl::as_str)
        .or(provider.issuer.as_deref())?;
    // A query may hold a key.
    let (shown, _) = configured.split_once('?').unwrap_or((configured, ""));
    Some(shown.to_owned())
}

impl ErrorStatus {
    fn of(error: LastError) -> Self {
        Self {
            kind: error.kind.to_string(),
            message: error.message.to_string(),
            description: error.description.map(|text| text.to_string()),
            help: error.help,
            at: Some(error.at),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A provider that is ready.
    pub(in crate::admin) fn provider(name: &str) -> ProviderStatus {
        ProviderStatus {
            grant_type: "client_credentials".into(),
            state: "ready",
            is_refreshing: false,
            renewed_at: None,
            expires_at: None,
            refresh_at: None,
            can_refresh: true,
            has_refresh_token: false,
            login_expires_at: None,
            login_is_due: false,
            can_log_in: false,
            token_requests: 3,
            last_error: None,
            hint: None,
            client_id: name.into(),
            scope: Some(name.into()),
            token_endpoint: Some(name.into()),
            redirect_uri: None,
            token: None,
            needs_login: false,
            has_browser_login: false,
            is_login_extended: false,
        }
    }

    #[test]
    fn the_query_of_a_token_endpoint_is_not_shown() {
        let provider = crate::oauth::fake::provider("https://as.example/token?key=canary");
        assert_eq!(
            token_endpoint(&provider).as_deref(),
            Some("https://as.example/token")
        );
    }
}
