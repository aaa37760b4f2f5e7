//! For unit tests: providers with ordinary settings. The token endpoint to test against is `testkit`'s.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub(crate) use testkit::token_server::{CANARY, Reply, TokenServer};

use super::provider::{
    Authorization, ClientAuth, Encoding, GrantType, Provider, TokenMethod, TokenRequest,
    TokenResponse,
};
use crate::{
    secret::{LiveSecret, Secret},
    tls::Trust,
};

/// A provider with the client secret [`CANARY`] and the defaults of RFC 6749.
pub(crate) fn provider(token_endpoint: &str) -> Provider {
    Provider {
        name: "fake".into(),
        grant_type: GrantType::ClientCredentials,
        token_endpoint: token_endpoint.parse().unwrap(),
        revocation_endpoint: None,
        client_id: "client".into(),
        client_secret: Some(Arc::new(LiveSecret::fixed(Secret::new(CANARY)))),
        client_auth: ClientAuth::SecretBasic,
        scope: None,
        refresh_token: None,
        token_request: TokenRequest {
            method: TokenMethod::Post,
            encoding: Encoding::Form,
            params: BTreeMap::new(),
            headers: Vec::new(),
            omit_on_refresh: Vec::new(),
            omit_on_exchange: Vec::new(),
            timeout: Duration::from_secs(10),
            trust: Trust::default(),
            proxy: None,
        },
        token_response: TokenResponse {
            access_token: "/access_token".into(),
            refresh_token: "/refresh_token".into(),
            expires_in: "/expires_in".into(),
            default_lifetime: None,
        },
        authorization: None,
        sign_in: None,
        refresh_before: None,
    }
}

/// A provider with the authorization code grant and PKCE.
pub(crate) fn with_consent(token_endpoint: &str) -> Provider {
    let mut provider = provider(token_endpoint);
    provider.grant_type = GrantType::AuthorizationCode;
    provider.authorization = Some(Authorization {
        endpoint: Some("https://as.example/authorize".parse().unwrap()),
        redirect_uri: Some("http://127.0.0.1:9900/callback".parse().unwrap()),
        pkce: true,
        params: BTreeMap::new(),
        code_parameter: "code".into(),
    });
    provider
}
