//! One authorization server plus one client registration at it: everything needed to obtain tokens.
//!
//! The types hold settings alone. The variables of `[providers.NAME] vars` are replaced already; templates are left
//! where a value is known at run time only, such as a captured one.

mod api;
mod assertion;
mod authorization;
mod capture;
mod client_auth;
mod endpoint_url;
mod grant_type;
mod parameter;
mod refresh;
mod revocation;
mod sign_in;
mod token_request;
mod token_response;
mod verification;

use std::{collections::BTreeMap, sync::Arc};

use zeroize::Zeroizing;

pub use self::{
    api::{ApiBase, ApiFields},
    assertion::{Assertion, AssertionSource, ClaimValue, SigningAlgorithm},
    authorization::Authorization,
    capture::{Capture, CaptureSource},
    client_auth::{BasicEncoding, ClientAuth},
    endpoint_url::{EndpointUrl, EndpointUrlError, HostList, is_loopback, is_protected},
    grant_type::GrantType,
    parameter::ParameterValue,
    refresh::RefreshPolicy,
    revocation::{Revocation, RevocationAuth, RevocationMethod, RevokedToken},
    sign_in::SignIn,
    token_request::{Encoding, TokenMethod, TokenRequest},
    token_response::{
        ExpiresInUnit, Lifetime, MappedError, SuccessCondition, TokenResponse, TokenTypes,
    },
    verification::Verification,
};
use crate::{secret::LiveSecret, tls::ClientCertificate};

/// A provider as the configuration describes it, its preset merged in and its endpoints absolute.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// The key of its `[providers.NAME]` table.
    pub name: Arc<str>,
    /// The grant that obtains tokens.
    pub grant_type: GrantType,
    /// The issuer identifier (RFC 8414 §2): the base of discovery, and what `iss` must equal (RFC 9207).
    pub issuer: Option<String>,
    /// Whether endpoints of other machines may be reached in plain text.
    pub allow_plaintext: bool,
    /// RFC 6749 §3.2; absent if discovery supplies it.
    pub token_endpoint: Option<EndpointUrl>,
    /// The token endpoint for refreshes, where it has an address of its own.
    pub refresh_endpoint: Option<EndpointUrl>,
    /// RFC 8628 §3.1.
    pub device_authorization_endpoint: Option<EndpointUrl>,
    /// RFC 7009.
    pub revocation_endpoint: Option<EndpointUrl>,
    /// RFC 6749 §2.2.
    pub client_id: String,
    /// Absent for a public client.
    pub client_secret: Option<Arc<LiveSecret>>,
    /// RFC 6749 §2.3.
    pub client_auth: ClientAuth,
    /// The certificate for every connection to this authorization server (RFC 8705).
    pub client_certificate: Option<ClientCertificate>,
    /// The JWT for client authentication or for the grant (RFC 7523).
    pub assertion: Option<Assertion>,
    /// The requested scopes, joined by the provider's separator.
    pub scope: Option<String>,
    /// The resource owner's name (RFC 6749 §4.3).
    pub username: Option<String>,
    /// The resource owner's password (RFC 6749 §4.3).
    pub password: Option<Arc<LiveSecret>>,
    /// A first refresh token, given by configuration.
    pub refresh_token: Option<Arc<LiveSecret>>,
    /// Deviations of this server's token requests from RFC 6749.
    pub token_request: TokenRequest,
    /// Pointers to the members of its token responses.
    pub token_response: TokenResponse,
    /// The authorization request; present for `authorization_code`.
    pub authorization: Option<Authorization>,
    /// Headless consent.
    pub sign_in: Option<SignIn>,
    /// `[providers.x.capture.*]`, in the order of the file.
    pub captures: Vec<Capture>,
    /// `[providers.x.refresh]`.
    pub refresh: RefreshPolicy,
    /// `[providers.x.revocation]`.
    pub revocation: Revocation,
    /// The API's address, as far as the provider decides it.
    pub api_base: Option<ApiBase>,
    /// `[providers.x.api]`: what every request to the API carries beside the token.
    pub api: ApiFields,
    /// A harmless request to the API, for the doctor.
    pub verify: Option<Verification>,
}

impl Provider {
    /// The default separator between two scopes (RFC 6749 §3.3).
    pub const DEFAULT_SCOPE_SEPARATOR: &str = " ";

    /// Returns what names the authorization server: its token endpoint as configured, else its issuer.
    ///
    /// Refresh tokens are bound to it (RFC 6749 §6).
    pub fn server_id(&self) -> &str {
        match (&self.token_endpoint, &self.issuer) {
            (Some(endpoint), _) => endpoint.as_str(),
            (None, Some(issuer)) => issuer,
            (None, None) => "",
        }
    }

    /// Returns whether a new token can be had without a person and without a refresh token.
    pub fn can_renew_alone(&self) -> bool {
        !self.grant_type.needs_login() || self.sign_in.is_some()
    }

    /// Returns the current values of [`Provider::live_secrets`].
    pub fn secrets(&self) -> Vec<Zeroizing<String>> {
        let secrets = self.live_secrets().into_iter();
        secrets
            .map(|secret| secret.current().exposed_copy())
            .collect()
    }

    /// Returns the secrets of requests, which may change in their files.
    pub fn live_secrets(&self) -> Vec<&Arc<LiveSecret>> {
        let request = &self.token_request;
        let maps = [
            &request.params,
            &request.params_on_exchange,
            &request.params_on_refresh,
            &self.revocation.params,
            &self.api.query,
        ];
        let consent = self.authorization.iter().map(|consent| &consent.params);
        let parameters = maps.into_iter().chain(consent).flat_map(BTreeMap::values);
        let headers = [
            &request.headers,
            &self.api.headers,
            &self.api.default_headers,
        ];
        let headers = headers.into_iter().flatten().map(|(_, value)| value);
        let values = parameters.chain(headers).filter_map(ParameterValue::secret);
        let own = [&self.client_secret, &self.password, &self.refresh_token];
        let account = self.sign_in.iter().map(|account| &account.password);
        let assertion = self.assertion.iter().flat_map(Assertion::secrets);
        let certificate = self.client_certificate.iter().map(|found| &found.key);
        let proxy = request.proxy.iter().flat_map(|proxy| &proxy.credentials);
        let proxy = proxy.map(|credentials| &credentials.password);
        let own = own.into_iter().flatten().chain(account);
        let own = own.chain(assertion).chain(certificate).chain(proxy);
        own.chain(values).collect()
    }
}
