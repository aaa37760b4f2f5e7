//! Client authentication at the token endpoint (RFC 6749 §2.3).

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::{
    assertion,
    error::TokenRequestError,
    parameters::Parameters,
    provider::{BasicEncoding, ClientAuth, Provider},
    request::{self, RequestSource},
};

/// The type of a JWT that authenticates a client (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Adds the client's authentication to a request, with the current secret.
///
/// A configured parameter of the same name stays.
///
/// # Errors
/// An assertion cannot be made.
pub fn authenticate(
    source: RequestSource<'_>,
    parameters: &mut Parameters,
    headers: &mut HeaderMap,
) -> Result<(), TokenRequestError> {
    let provider = source.provider;
    let make_assertion = || assertion::make(provider, source.variables, source.clock);
    match provider.client_auth {
        ClientAuth::None | ClientAuth::TlsClientAuth => {
            parameters.set_default("client_id", &provider.client_id);
        }
        // RFC 7521 §4.2: the assertion names the client.
        ClientAuth::SecretJwt | ClientAuth::PrivateKeyJwt => {
            parameters.set_default("client_assertion_type", JWT_BEARER);
            parameters.set_default("client_assertion", make_assertion()?.expose());
        }
        ClientAuth::JwtHeader => {
            let value = request::bearer_credentials(&make_assertion()?)?;
            headers.insert(AUTHORIZATION, value);
        }
        ClientAuth::SecretBasic => {
            headers.insert(AUTHORIZATION, basic(&basic_pair(provider)));
        }
        ClientAuth::SecretPost => {
            parameters.set_default("client_id", &provider.client_id);
            // RFC 6749 §2.3.1: an empty secret may be left out.
            if let Some(secret) = &provider.client_secret {
                parameters.set_default("client_secret", secret.current().expose());
            }
        }
    }
    Ok(())
}

/// Returns the secrets that an authenticated request of `provider` may hold, in the forms in which it does.
///
/// A server that repeats a header in its error repeats the Basic credentials.
pub fn secrets(provider: &Provider) -> Vec<Zeroizing<String>> {
    let mut secrets = provider.secrets();
    if provider.client_auth == ClientAuth::SecretBasic {
        secrets.push(basic_credentials(&basic_pair(provider)));
    }
    secrets
}

/// Makes the field value of HTTP Basic (RFC 7617 §2) of a `name:password` pair.
pub fn basic(pair: &str) -> HeaderValue {
    let value = Zeroizing::new(format!("Basic {}", *basic_credentials(pair)));
    let mut value = HeaderValue::from_str(&value)
        .unwrap_or_else(|_| unreachable!("base64 has only bytes that may stand in a header field"));
    value.set_sensitive(true);
    value
}

fn basic_credentials(pair: &str) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(pair))
}

/// Joins the identifier and the secret, as a rule form-encoded first (RFC 6749 §2.3.1).
///
/// The encoding lets the identifier hold a `:`, and both hold bytes outside ASCII.
fn basic_pair(provider: &Provider) -> Zeroizing<String> {
    let id = &provider.client_id;
    let secret = provider.client_secret.as_ref().map(|one| one.current());
    let secret = secret.as_ref().map_or("", |secret| secret.expose());
    Zeroizing::new(match provider.token_request.basic {
        BasicEncoding::Raw => format!("{id}:{secret}"),
        BasicEncoding::Rfc6749 => {
            let mut pair = String::new();
            pair.extend(byte_serialize(id.as_bytes()));
            pair.push(':');
            pair.extend(byte_serialize(secret.as_bytes()));
            pair
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        clock::ManualClock,
        oauth::{api_context::ApiContext, fake, variables::Variables},
        secret::{LiveSecret, Secret},
    };

    fn authenticated(
        method: ClientAuth,
        id: &str,
        secret: Option<&str>,
    ) -> (Vec<String>, HeaderMap) {
        let mut provider = fake::provider("http://127.0.0.1/token");
        provider.client_auth = method;
        provider.client_id = id.into();
        provider.client_secret =
            secret.map(|secret| Arc::new(LiveSecret::fixed(Secret::new(secret))));
        authenticated_as(&provider)
    }

    fn authenticated_as(provider: &Provider) -> (Vec<String>, HeaderMap) {
        let (mut parameters, mut headers) = (Parameters::default(), HeaderMap::new());
        let context = ApiContext::default();
        let source = RequestSource {
            provider,
            variables: &Variables::new(provider, &context),
            clock: &ManualClock::new(),
        };
        authenticate(source, &mut parameters, &mut headers).unwrap();
        (
            parameters
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            headers,
        )
    }

    #[test]
    fn basic_encodes_both_halves_first() {
        let (parameters, headers) = authenticated(ClientAuth::SecretBasic, "a:b c", Some("p%+/ü"));
        assert!(parameters.is_empty());
        let value = headers[AUTHORIZATION]
            .to_str()
            .unwrap()
            .strip_prefix("Basic ")
            .unwrap()
            .to_owned();
        assert_eq!(STANDARD.decode(value).unwrap(), b"a%3Ab+c:p%25%2B%2F%C3%BC");
        assert!(headers[AUTHORIZATION].is_sensitive());
    }

    #[test]
    fn raw_basic_sends_both_halves_as_they_are() {
        let mut provider = fake::provider("http://127.0.0.1/token");
        provider.client_id = "a b".into();
        provider.client_secret = Some(Arc::new(LiveSecret::fixed(Secret::new("p%+/ü:"))));
        provider.token_request.basic = BasicEncoding::Raw;
        let (parameters, headers) = authenticated_as(&provider);
        assert!(parameters.is_empty());
        let expected = format!("Basic {}", STANDARD.encode("a b:p%+/ü:"));
        assert_eq!(headers[AUTHORIZATION], *expected);
    }

    #[test]
    fn an_assertion_is_sent_with_its_type_and_without_the_secret() {
        for method in [ClientAuth::SecretJwt, ClientAuth::PrivateKeyJwt] {
            let (parameters, headers) = authenticated(method, "id", Some("s"));
            let [kind, assertion] = &*parameters else {
                panic!("{parameters:?}");
            };
            assert_eq!(
                kind,
                "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            );
            assert!(assertion.starts_with("client_assertion=eyJ"), "{assertion}");
            assert!(headers.is_empty());
        }
    }

    #[test]
    fn an_assertion_may_be_the_bearer_token_of_the_request() {
        let (parameters, headers) = authenticated(ClientAuth::JwtHeader, "id", Some("s"));
        assert!(parameters.is_empty());
        let value = &headers[AUTHORIZATION];
        assert!(value.is_sensitive());
        assert!(value.to_str().unwrap().starts_with("Bearer eyJ"));
    }

    #[test]
    fn a_certificate_needs_the_identifier_alone() {
        let (parameters, headers) = authenticated(ClientAuth::TlsClientAuth, "id", Some("s"));
        assert_eq!(parameters, ["client_id=id"]);
        assert!(headers.is_empty());
    }

    #[test]
    fn post_puts_both_into_the_parameters() {
        let (parameters, headers) = authenticated(ClientAuth::SecretPost, "id", Some("s"));
        assert_eq!(parameters, ["client_id=id", "client_secret=s"]);
        assert!(headers.is_empty());
    }

    #[test]
    fn a_public_client_never_sends_a_secret() {
        let (parameters, headers) = authenticated(ClientAuth::None, "id", Some("s"));
        assert_eq!(parameters, ["client_id=id"]);
        assert!(headers.is_empty());
    }
}
