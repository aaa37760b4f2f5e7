//! Revocation over real sockets.

use std::sync::Arc;

use super::*;
use crate::{
    clock::ManualClock,
    oauth::{
        error::Fault,
        fake::{self, CANARY, Reply, TokenServer},
        provider::{ClientAuth, Encoding, Revocation, RevocationMethod},
    },
};

fn login(refresh_token: Option<&str>, access_token: Option<&str>) -> EndedLogin {
    EndedLogin {
        refresh_token: refresh_token.map(Secret::new),
        access_token: access_token.map(Secret::new),
        context: ApiContext::default(),
    }
}

async fn revoked(
    server: &TokenServer,
    client_auth: ClientAuth,
) -> Result<Option<RevokedToken>, TokenRequestError> {
    let mut provider = fake::provider(&server.url());
    provider.revocation_endpoint = Some(server.url().replace("/token", "/revoke").parse().unwrap());
    provider.client_auth = client_auth;
    let endpoint = TokenEndpoint::new(Arc::new(provider), Arc::new(ManualClock::new()));
    revoke(&endpoint, &login(Some("r/1"), Some("a"))).await
}

/// Revokes both tokens of a login as `settings` say, and returns the request.
async fn request_of(settings: Revocation) -> String {
    let server = TokenServer::start(Reply::response(200, "", "")).await;
    let mut provider = fake::provider(&server.url());
    provider.revocation_endpoint = Some(server.url().replace("/token", "/revoke").parse().unwrap());
    provider.revocation = settings;
    let endpoint = TokenEndpoint::new(Arc::new(provider), Arc::new(ManualClock::new()));
    revoke(&endpoint, &login(Some("r"), Some("a")))
        .await
        .unwrap();
    server.requests().pop().unwrap()
}

#[tokio::test]
async fn a_revocation_has_the_vendors_method_encoding_and_token() {
    let request = request_of(Revocation {
        method: RevocationMethod::Delete,
        token: Some(RevokedToken::AccessToken),
        auth: RevocationAuth::Bearer,
        encoding: Encoding::Query,
        params: [("why".to_owned(), fake::text("logout"))].into(),
    })
    .await;
    assert!(
        request.starts_with("DELETE /revoke?token=a&why=logout HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("authorization: Bearer a\r\n"), "{request}");
    assert!(!request.contains("token_type_hint"), "{request}");

    let request = request_of(Revocation {
        encoding: Encoding::Json,
        ..Revocation::default()
    })
    .await;
    assert!(
        request.starts_with("POST /revoke HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("authorization: Basic "), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"token\":\"r\"}"), "{request}");

    let request = request_of(Revocation {
        auth: RevocationAuth::None,
        ..Revocation::default()
    })
    .await;
    assert!(!request.contains("authorization:"), "{request}");
    assert!(request.ends_with("\r\n\r\ntoken=r"), "{request}");
}

#[tokio::test]
async fn a_revocation_by_an_access_token_that_is_gone_is_not_sent() {
    let server = TokenServer::start(Reply::response(200, "", "")).await;
    let mut provider = fake::provider(&server.url());
    provider.revocation_endpoint = Some(server.url().parse().unwrap());
    provider.revocation.auth = RevocationAuth::Bearer;
    let endpoint = TokenEndpoint::new(Arc::new(provider), Arc::new(ManualClock::new()));
    let error = revoke(&endpoint, &login(Some("r"), None))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("needs an access token"),
        "{error}"
    );
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_refresh_token_is_revoked_with_client_authentication() {
    let server = TokenServer::start(Reply::response(200, "", "")).await;
    for (auth, client) in [
        (ClientAuth::SecretBasic, String::new()),
        (
            ClientAuth::SecretPost,
            format!("&client_id=client&client_secret={CANARY}"),
        ),
        (ClientAuth::None, "&client_id=client".to_owned()),
    ] {
        assert_eq!(
            revoked(&server, auth).await,
            Ok(Some(RevokedToken::RefreshToken))
        );
        let request = server.requests().pop().unwrap();
        assert!(
            request.starts_with("POST /revoke HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.ends_with(&format!(
                "\r\n\r\ntoken=r%2F1&token_type_hint=refresh_token{client}"
            )),
            "{request}"
        );
        assert_eq!(
            request.contains("authorization: Basic "),
            auth == ClientAuth::SecretBasic
        );
    }
}

#[tokio::test]
async fn an_access_token_is_revoked_with_its_hint() {
    let server = TokenServer::start(Reply::response(200, "", "")).await;
    let mut provider = fake::provider(&server.url());
    provider.revocation_endpoint = Some(server.url().replace("/token", "/revoke").parse().unwrap());
    let endpoint = TokenEndpoint::new(Arc::new(provider), Arc::new(ManualClock::new()));
    assert_eq!(
        revoke(&endpoint, &login(None, Some("a"))).await,
        Ok(Some(RevokedToken::AccessToken))
    );
    let request = server.requests().pop().unwrap();
    assert!(
        request.contains("\r\n\r\ntoken=a&token_type_hint=access_token"),
        "{request}"
    );
}

#[tokio::test]
async fn without_a_revocation_endpoint_nothing_is_sent() {
    let server = TokenServer::start(Reply::Hangup).await;
    let provider = Arc::new(fake::provider(&server.url()));
    let endpoint = TokenEndpoint::new(provider, Arc::new(ManualClock::new()));
    assert_eq!(revoke(&endpoint, &login(None, Some("a"))).await, Ok(None));
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_failed_request_is_no_revocation() {
    for (reply, expected) in [
        (Reply::response(503, "", ""), Fault::Server(503)),
        (
            Reply::response(404, "", ""),
            Fault::Rejected {
                status: 404,
                code: None,
            },
        ),
        (Reply::response(302, "", ""), Fault::Redirect(302)),
        (Reply::Hangup, Fault::Protocol),
    ] {
        let server = TokenServer::start(reply).await;
        let error = revoked(&server, ClientAuth::SecretBasic).await.unwrap_err();
        assert_eq!(error.fault(), &expected);
        assert_eq!(server.count(), 1);
    }
    let server =
        TokenServer::start(Reply::response(401, "", r#"{"error":"invalid_client"}"#)).await;
    let error = revoked(&server, ClientAuth::SecretBasic).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("`[providers.fake] revocation_endpoint` (http://127.0.0.1:"),
        "{text}"
    );
    assert!(
        text.contains("refuses this client with the error \"invalid_client\": check "),
        "{text}"
    );
}
