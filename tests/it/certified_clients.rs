//! Client authentication by JWT and by certificate, and discovery, against a real, certified authorization server.
//!
//! It verifies the JWTs with a library of its own.

use std::sync::Arc;

use bearward::{
    clock::SystemClock,
    config,
    oauth::{
        api_context::ApiContext,
        authorization::Attempt,
        endpoint::TokenEndpoint,
        error::{EndpointKey, TokenRefusal, TokenRequestError},
        grant::Grant,
        provider::{
            Assertion, AssertionSource, Authorization, ClientAuth, GrantType, Provider,
            SigningAlgorithm,
        },
        redirect_uri::RedirectUri,
    },
    secret::{LiveSecret, Secret},
    tls::{ClientCertificate, Trust},
};
use serde_json::json;
use url::Position;

use crate::support::{certified::SERVER, client::get, openssl, peers::Peer};

/// A provider that knows the server by its issuer alone, so that each test goes through discovery.
fn provider(server: &Peer, name: &str, client_auth: ClientAuth) -> Provider {
    let text = format!(
        "[providers.{name}]\ngrant_type = \"client_credentials\"\nissuer = {:?}\nclient_id = {:?}\n\
         token_endpoint_auth_method = \"none\"\nscope = \"devices.read\"\n",
        server.text("/issuer"),
        server.text(&format!("/clients/{name}/client_id")),
    );
    let parsed = config::parse(&text, "test", &|_| None);
    let (config, _) = parsed.unwrap_or_else(|report| panic!("{report}"));
    Provider {
        client_auth,
        ..(*config.providers[0]).clone()
    }
}

fn live(text: &str) -> Arc<LiveSecret> {
    Arc::new(LiveSecret::fixed(Secret::new(text)))
}

fn request(provider: Provider) -> Result<(), TokenRequestError> {
    let endpoint = TokenEndpoint::new(Arc::new(provider), Arc::new(SystemClock));
    run(async {
        let context = ApiContext::default();
        let issued = endpoint.request(Grant::ClientCredentials, &context).await?;
        assert!(!issued.access_token.expose().is_empty());
        Ok(())
    })
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

#[test]
fn client_secret_jwt_is_verified_by_the_server() {
    use SigningAlgorithm as A;
    let server = Peer::start(SERVER, &[]);
    let mut provider = provider(&server, "jwt", ClientAuth::SecretJwt);
    provider.client_secret = Some(live(server.text("/clients/jwt/client_secret")));
    request(provider.clone()).expect("the default algorithm");
    for algorithm in [A::Hs256, A::Hs384, A::Hs512] {
        provider.assertion = Some(Assertion {
            algorithm: Some(algorithm),
            ..Assertion::of_client_secret()
        });
        request(provider.clone()).unwrap_or_else(|error| panic!("{algorithm:?}: {error}"));
    }
    provider.client_secret = Some(live("another secret, which is as long as the right one"));
    let error = request(provider).unwrap_err();
    assert_eq!(error.refusal(), Some(TokenRefusal::InvalidClient));
}

#[test]
fn private_key_jwt_is_verified_by_the_server_with_each_kind_of_key() {
    use SigningAlgorithm as A;
    let folder = tempfile::tempdir().expect("a temporary folder");
    for command in [
        "genrsa -traditional -out rsa.pem 2048",
        "ecparam -genkey -noout -name prime256v1 -out p256.pem",
        "ecparam -genkey -noout -name secp384r1 -out p384.pem",
        "genpkey -algorithm ed25519 -out ed25519.pem",
    ] {
        openssl::run(folder.path(), command);
    }
    let read = |name: &str| {
        std::fs::read_to_string(folder.path().join(format!("{name}.pem"))).expect("a key")
    };
    let names = ["rsa", "p256", "p384", "ed25519"];
    let public: Vec<_> = names
        .iter()
        .map(|name| openssl::public_jwk(&read(name)))
        .collect();
    let server = Peer::start(
        SERVER,
        &[("CLIENT_JWKS", &json!({"keys": public}).to_string())],
    );
    let provider = provider(&server, "keys", ClientAuth::PrivateKeyJwt);
    for (name, algorithms) in [
        (
            "rsa",
            &[A::Rs256, A::Rs384, A::Rs512, A::Ps256, A::Ps384, A::Ps512][..],
        ),
        ("p256", &[A::Es256]),
        ("p384", &[A::Es384]),
        ("ed25519", &[A::EdDsa]),
    ] {
        let configured = algorithms.iter().copied().map(Some);
        for algorithm in configured.chain([None]) {
            let assertion = Assertion {
                source: AssertionSource::Key(live(&read(name))),
                algorithm,
                ..Assertion::of_client_secret()
            };
            let provider = Provider {
                assertion: Some(assertion),
                ..provider.clone()
            };
            request(provider).unwrap_or_else(|error| panic!("{name} {algorithm:?}: {error}"));
        }
    }
}

#[test]
fn tls_client_auth_shows_the_certificate_that_was_registered() {
    let folder = openssl::certificates();
    let path = |name: &str| folder.path().join(name);
    let tls = openssl::tls_environment(&folder);
    let tls = tls.each_ref().map(|(name, path)| (*name, path.as_str()));
    let server = Peer::start(SERVER, &tls);
    let mut provider = provider(&server, "certificate", ClientAuth::TlsClientAuth);
    provider.token_request.trust = Trust::with_ca_file(&path("server.crt")).expect("an authority");
    let refused = |provider: &Provider| request(provider.clone()).unwrap_err().refusal();
    assert_eq!(
        refused(&provider),
        Some(TokenRefusal::InvalidClient),
        "without one"
    );

    let certificate = |name: &str| ClientCertificate {
        certificate: path(&format!("{name}.crt")),
        key: Arc::new(LiveSecret::file(path(&format!("{name}.key"))).expect("a key")),
    };
    provider.client_certificate = Some(certificate("other"));
    assert_eq!(
        refused(&provider),
        Some(TokenRefusal::InvalidClient),
        "another one"
    );
    provider.client_certificate = Some(certificate("client"));
    request(provider).expect("the registered one");
}

#[test]
fn discovery_finds_the_endpoints_of_the_server() {
    let server = Peer::start(SERVER, &[]);
    let provider = provider(&server, "basic", ClientAuth::SecretBasic);
    let endpoint = TokenEndpoint::new(Arc::new(provider), Arc::new(SystemClock));
    let found = run(endpoint.provider_with(EndpointKey::Token)).expect("a document");
    let address = |endpoint: &Option<bearward::oauth::provider::EndpointUrl>| {
        endpoint
            .as_ref()
            .map(|endpoint| endpoint.as_str().to_owned())
    };
    assert_eq!(
        address(&found.token_endpoint).as_deref(),
        Some(server.text("/token_endpoint"))
    );
    assert_eq!(
        address(&found.revocation_endpoint).as_deref(),
        Some(server.text("/revocation_endpoint"))
    );
}

#[test]
fn the_discovered_authorization_endpoint_accepts_a_consent_request_with_pkce() {
    let callback = "http://127.0.0.1:9/callback";
    let server = Peer::start(SERVER, &[("REDIRECT_URI", callback)]);
    let mut provider = provider(&server, "person", ClientAuth::SecretBasic);
    provider.grant_type = GrantType::AuthorizationCode;
    for pkce in [true, false] {
        let uri: RedirectUri = callback.parse().expect("an address");
        provider.authorization = Some(Authorization {
            redirect_uri: Some(uri.clone()),
            pkce,
            ..Authorization::default()
        });
        let attempt = Attempt::new(&provider, Some(&uri)).expect("randomness");
        let endpoint = TokenEndpoint::new(Arc::new(provider.clone()), Arc::new(SystemClock));
        let found = run(endpoint.provider_with(EndpointKey::Authorization)).expect("a document");
        let url = attempt.url(&found).expect("an address");
        let expected = server.text("/authorization_endpoint");
        assert!(url.as_str().starts_with(expected), "{url}");
        let address = url.socket_addrs(|| None).expect("an address")[0];
        let answer = get(address, &url[Position::BeforePath..]);
        assert_eq!(answer.status, 303, "{answer:?}");
        // The server demands PKCE: without a challenge it sends the browser back with an error.
        let location = answer.head.value("location").expect("a location");
        assert_eq!(location.contains("/interaction/"), pkce, "{location}");
    }
}
