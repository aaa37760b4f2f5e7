//! Discovery over real sockets.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    clock::ManualClock,
    oauth::{
        api_context::ApiContext,
        fake::{self, Reply, TokenServer},
        grant::Grant,
        provider::HostList,
    },
};

use super::*;

/// A provider whose issuer is the server at `issuer`, without an endpoint.
fn provider(issuer: &str) -> Provider {
    let mut provider = fake::with_consent("https://as.example/token");
    provider.issuer = Some(issuer.to_owned());
    provider.token_endpoint = None;
    provider.authorization.as_mut().unwrap().endpoint = None;
    provider
}

fn endpoint(provider: Provider) -> TokenEndpoint {
    TokenEndpoint::new(Arc::new(provider), Arc::new(ManualClock::new()))
}

async fn request(endpoint: &TokenEndpoint) -> Result<(), TokenRequestError> {
    let context = ApiContext::default();
    let issued = endpoint.request(Grant::ClientCredentials, &context).await;
    issued.map(drop)
}

/// Serves `document` at `path`, a token at `/token`, and 404 elsewhere.
async fn serve(
    path: &'static str,
    document: impl Fn(&str) -> String + Send + Sync + 'static,
) -> TokenServer {
    let server = TokenServer::start(Reply::response(404, "", "")).await;
    let origin = origin(&server);
    server.reply(Reply::by(move |request| {
        if request.starts_with(&format!("GET {path} HTTP")) {
            Reply::response(
                200,
                "content-type: application/json\r\n",
                &document(&origin),
            )
        } else if request.starts_with("POST /token HTTP") {
            Reply::Token(60)
        } else {
            Reply::response(404, "", "")
        }
    }));
    server
}

fn origin(server: &TokenServer) -> String {
    server.url().trim_end_matches("/token").to_owned()
}

fn document(issuer: &str, origin: &str) -> String {
    serde_json::json!({
        "issuer": issuer,
        "token_endpoint": format!("{origin}/token"),
        "authorization_endpoint": format!("{origin}/auth"),
        "revocation_endpoint": "https://other.example/revoke",
    })
    .to_string()
}

async fn refusal(issuer_path: &str, document: String) -> String {
    let path = "/.well-known/oauth-authorization-server";
    let server = serve(path, move |origin| document.replace("ORIGIN", origin)).await;
    let endpoint = endpoint(provider(&format!("{}{issuer_path}", origin(&server))));
    let error = request(&endpoint).await.unwrap_err();
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.starts_with("GET "))
    );
    assert_eq!(error.kind(), "discovery");
    error.to_string()
}

#[tokio::test]
async fn the_document_supplies_the_endpoints_that_are_missing() {
    let path = "/.well-known/oauth-authorization-server";
    let server = serve(path, |origin| document(origin, origin)).await;
    let endpoint = endpoint(provider(&origin(&server)));
    request(&endpoint).await.unwrap();
    request(&endpoint).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 3, "one document, two tokens");
    assert!(!requests[0].contains("authorization:"), "{}", requests[0]);

    let found = endpoint
        .provider_with(EndpointKey::Authorization)
        .await
        .unwrap();
    let url = found
        .authorization
        .as_ref()
        .unwrap()
        .endpoint
        .clone()
        .unwrap();
    assert_eq!(url.as_str(), format!("{}/auth", origin(&server)));
    let revocation = found.revocation_endpoint.as_ref().unwrap();
    assert_eq!(revocation.as_str(), "https://other.example/revoke");
    assert!(found.device_authorization_endpoint.is_none());
}

#[tokio::test]
async fn the_path_of_an_issuer_comes_behind_the_name_and_before_that_of_openid() {
    for path in [
        "/.well-known/oauth-authorization-server/tenant/1",
        "/tenant/1/.well-known/openid-configuration",
    ] {
        let issuer = |origin: &str| format!("{origin}/tenant/1/");
        let server = serve(path, move |origin| document(&issuer(origin), origin)).await;
        request(&endpoint(provider(&issuer(&origin(&server)))))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_configured_endpoint_needs_no_document_and_stays() {
    let server = TokenServer::start(Reply::Token(60)).await;
    let mut configured = provider(&origin(&server));
    configured.token_endpoint = Some(server.url().parse().unwrap());
    request(&endpoint(configured)).await.unwrap();
    assert_eq!(server.count(), 1);

    let path = "/.well-known/openid-configuration";
    let server = serve(path, |origin| document(origin, origin)).await;
    let mut configured = provider(&origin(&server));
    let fixed = EndpointUrl::template("https://{realm}.example/t", HostList::new(["*.example"]));
    configured.token_endpoint = Some(fixed.unwrap());
    let found = endpoint(configured)
        .provider_with(EndpointKey::Authorization)
        .await
        .unwrap();
    let token = found.token_endpoint.as_ref().unwrap();
    assert_eq!(token.as_str(), "https://{realm}.example/t");
}

#[tokio::test]
async fn a_document_of_another_issuer_is_refused() {
    let text = refusal("", document("https://evil.example", "ORIGIN")).await;
    assert!(
        text.starts_with("`[providers.fake] issuer` (http://127.0.0.1:"),
        "{text}"
    );
    assert!(text.contains("its `issuer` is another one"), "{text}");
    assert!(!text.contains("evil"), "{text}");
    // One with a slash at its end is another one (RFC 8414 §3.3).
    let text = refusal("/", document("ORIGIN", "ORIGIN")).await;
    assert!(text.contains("its `issuer` is another one"), "{text}");
}

#[tokio::test]
async fn an_endpoint_in_plain_text_is_refused() {
    for (address, expected) in [
        ("http://as.example/token", "in plain text"),
        (
            "https://u:p@as.example/token",
            "in plain text (http), or has a user name",
        ),
        ("/token", "not a URL"),
    ] {
        let mut changed: Value = serde_json::from_str(&document("ORIGIN", "ORIGIN")).unwrap();
        changed["token_endpoint"] = address.into();
        let text = refusal("", changed.to_string()).await;
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn a_failed_discovery_is_repeated() {
    let server = TokenServer::start(Reply::response(503, "", "")).await;
    let origin = origin(&server);
    let endpoint = endpoint(provider(&origin));
    let error = request(&endpoint).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::Server(503));
    assert!(
        error.is_transient() && error.to_string().starts_with("`[providers.fake] issuer` ("),
        "{error}"
    );
    server.reply(Reply::by(move |request| {
        match request.starts_with("GET ") {
            true => Reply::response(200, "", &document(&origin, &origin)),
            false => Reply::Token(60),
        }
    }));
    request(&endpoint).await.unwrap();
}

#[tokio::test]
async fn a_redirect_or_a_page_is_no_document() {
    let thief = TokenServer::start(Reply::Token(60)).await;
    let location = format!("location: {}\r\n", thief.url());
    for reply in [
        Reply::response(302, &location, ""),
        Reply::response(200, "", "<html>"),
    ] {
        let server = TokenServer::start(reply).await;
        let error = request(&endpoint(provider(&origin(&server))))
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("nothing was found; check `issuer`"),
            "{error}"
        );
        assert_eq!(server.count(), 2);
    }
    assert_eq!(thief.count(), 0);
}

#[tokio::test]
async fn an_issuer_in_plain_text_is_not_asked() {
    for issuer in ["http://as.example", "as.example", "mailto:a@b"] {
        let error = request(&endpoint(provider(issuer))).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("discovery needs an absolute URL with https"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn plain_text_that_the_configuration_permits_is_discovered() {
    // A name that no resolver knows: the request itself fails, and is tried.
    let mut plain = provider("http://as.invalid");
    plain.allow_plaintext = true;
    let error = request(&endpoint(plain)).await.unwrap_err();
    assert!(!error.to_string().contains("discovery needs"), "{error}");

    let server = serve("/.well-known/oauth-authorization-server", |origin| {
        format!(r#"{{"issuer":"{origin}","token_endpoint":"http://as.invalid/token"}}"#)
    })
    .await;
    let mut configured = provider(&origin(&server));
    let refused = endpoint(configured.clone());
    let refused = refused.provider_with(EndpointKey::Token).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("in plain text"), "{refused}");
    configured.allow_plaintext = true;
    let found = endpoint(configured);
    let found = found.provider_with(EndpointKey::Token).await.unwrap();
    let token_endpoint = found.token_endpoint.as_ref().unwrap();
    assert_eq!(token_endpoint.as_str(), "http://as.invalid/token");
}

#[tokio::test]
async fn an_assertion_for_another_endpoint_names_the_discovered_token_endpoint() {
    use crate::{
        oauth::{
            provider::{Assertion, ClientAuth},
            revocation::{self, EndedLogin},
        },
        secret::Secret,
    };
    let server = serve("/.well-known/oauth-authorization-server", |origin| {
        format!(r#"{{"issuer":"{origin}","token_endpoint":"{origin}/token"}}"#)
    })
    .await;
    let origin = origin(&server);
    let mut provider = provider(&origin);
    provider.client_auth = ClientAuth::SecretJwt;
    provider.assertion = Some(Assertion::of_client_secret());
    provider.revocation_endpoint = Some(format!("{origin}/revoke").parse().unwrap());
    let login = EndedLogin {
        refresh_token: Some(Secret::new("r")),
        ..EndedLogin::default()
    };
    let _ = revocation::revoke(&endpoint(provider), &login).await;
    let request = server.requests().pop().unwrap();
    assert!(request.starts_with("POST /revoke HTTP"), "{request}");
    let assertion = request.split("client_assertion=").nth(1).unwrap();
    let claims = assertion.split('.').nth(1).unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["aud"], format!("{origin}/token"));
}
