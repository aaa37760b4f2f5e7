//! For unit tests: providers with ordinary settings. The token endpoint to test against is `testkit`'s.

use std::sync::Arc;

pub(crate) use testkit::token_server::{CANARY, Reply, TokenServer};

use super::{
    provider::{
        ApiFields, Authorization, ClientAuth, GrantType, ParameterValue, Provider, RefreshPolicy,
        Revocation, TokenRequest, TokenResponse,
    },
    template::Template,
};
use crate::secret::{LiveSecret, Secret};

/// A provider with the client secret [`CANARY`] and the defaults of RFC 6749.
pub(crate) fn provider(token_endpoint: &str) -> Provider {
    Provider {
        name: "fake".into(),
        grant_type: GrantType::ClientCredentials,
        issuer: None,
        allow_plaintext: false,
        token_endpoint: Some(token_endpoint.parse().unwrap()),
        refresh_endpoint: None,
        device_authorization_endpoint: None,
        revocation_endpoint: None,
        client_id: "client".into(),
        client_secret: Some(Arc::new(LiveSecret::fixed(Secret::new(CANARY)))),
        client_auth: ClientAuth::SecretBasic,
        client_certificate: None,
        assertion: None,
        scope: None,
        username: None,
        password: None,
        refresh_token: None,
        token_request: TokenRequest::default(),
        token_response: TokenResponse::default(),
        authorization: None,
        sign_in: None,
        captures: Vec::new(),
        refresh: RefreshPolicy::default(),
        revocation: Revocation::default(),
        api_base: None,
        api: ApiFields::default(),
        verify: None,
    }
}

/// A parameter or header with this text.
pub(crate) fn text(text: &str) -> ParameterValue {
    ParameterValue::Text(Template::parse(text).unwrap())
}

/// A provider with the authorization code grant and PKCE.
pub(crate) fn with_consent(token_endpoint: &str) -> Provider {
    let mut provider = provider(token_endpoint);
    provider.grant_type = GrantType::AuthorizationCode;
    provider.authorization = Some(Authorization {
        endpoint: Some("https://as.example/authorize".parse().unwrap()),
        redirect_uri: Some("http://127.0.0.1:9900/callback".parse().unwrap()),
        ..Authorization::default()
    });
    provider
}
