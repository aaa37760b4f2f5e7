//! Builds requests to an authorization server, with the provider's deviations.

use std::fmt;

use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT},
};
use url::{Url, form_urlencoded};

use super::{
    client_auth,
    grant::{Grant, Parameters},
    provider::{Encoding, ParameterValue, Provider, TokenMethod},
};
use crate::secret::Secret;

/// A request to an authorization server, ready to be sent.
pub struct PreparedRequest {
    /// The method.
    pub method: Method,
    /// The endpoint; its query may hold the parameters.
    pub url: Url,
    /// All headers except `Host` and those of the framing.
    pub headers: HeaderMap,
    /// The body; empty if the parameters are in the query.
    pub body: Vec<u8>,
}

/// Shows neither query, headers nor body: each may hold the client's secret.
impl fmt::Debug for PreparedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedRequest")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// Builds a token request to `url` under `grant`.
pub fn token_request(provider: &Provider, url: Url, grant: Grant<'_>) -> PreparedRequest {
    let settings = &provider.token_request;
    let mut headers = default_headers();
    let mut parameters = grant.parameters(provider);
    client_auth::authenticate(provider, &mut parameters, &mut headers);
    parameters.remove(grant.omitted(provider));
    let (method, encoding) = match settings.method {
        TokenMethod::Post => (Method::POST, settings.encoding),
        TokenMethod::Get => (Method::GET, Encoding::Query),
    };
    let mut request = encode(method, url, headers, encoding, &parameters);
    set_configured(&mut request.headers, &settings.headers);
    request
}

/// Builds a revocation request to `url` (RFC 7009 §2.1).
///
/// `hint` is the `token_type_hint`.
pub fn revocation_request(
    provider: &Provider,
    url: Url,
    token: &Secret,
    hint: &str,
) -> PreparedRequest {
    let mut headers = default_headers();
    let mut parameters = Parameters::default();
    parameters.set("token", token.expose());
    parameters.set("token_type_hint", hint);
    client_auth::authenticate(provider, &mut parameters, &mut headers);
    let mut request = encode(Method::POST, url, headers, Encoding::Form, &parameters);
    set_configured(&mut request.headers, &provider.token_request.headers);
    request
}

/// Builds a POST of `parameters`, without client authentication.
pub fn post_request(url: Url, encoding: Encoding, parameters: &Parameters) -> PreparedRequest {
    encode(Method::POST, url, default_headers(), encoding, parameters)
}

fn default_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("bearward/", env!("CARGO_PKG_VERSION"))),
    );
    headers
}

fn encode(
    method: Method,
    mut url: Url,
    mut headers: HeaderMap,
    encoding: Encoding,
    parameters: &Parameters,
) -> PreparedRequest {
    let body = match encoding {
        Encoding::Query => {
            // RFC 6749 §3.2: the endpoint's own query stays.
            url.query_pairs_mut().extend_pairs(parameters.iter());
            if method == Method::POST {
                // A server may require a length (RFC 9110 §8.6).
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            Vec::new()
        }
        Encoding::Form => {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            );
            form_urlencoded::Serializer::new(String::new())
                .extend_pairs(parameters.iter())
                .finish()
                .into_bytes()
        }
        Encoding::Json => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            json(parameters)
        }
    };
    PreparedRequest {
        method,
        url,
        headers,
        body,
    }
}

fn json(parameters: &Parameters) -> Vec<u8> {
    let object: serde_json::Map<_, _> = parameters
        .iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    serde_json::Value::Object(object).to_string().into_bytes()
}

/// Sets the configured headers. They replace others of the same name, and may be repeated.
fn set_configured(headers: &mut HeaderMap, configured: &[(http::HeaderName, ParameterValue)]) {
    for (name, _) in configured {
        headers.remove(name);
    }
    for (name, value) in configured {
        for value in value.resolve(|_| None).unwrap_or_default() {
            if let Ok(mut value) = HeaderValue::from_str(&value) {
                value.set_sensitive(true);
                headers.append(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::{fake, provider::ClientAuth};

    fn to_endpoint(provider: &Provider, grant: Grant<'_>) -> PreparedRequest {
        let url = provider.token_endpoint.as_ref().unwrap().as_fixed();
        token_request(provider, url.unwrap().clone(), grant)
    }

    fn text(prepared: &PreparedRequest) -> &str {
        std::str::from_utf8(&prepared.body).unwrap()
    }

    #[test]
    fn a_form_is_posted_by_default() {
        let mut provider = fake::provider("https://as.example/token");
        provider.scope = Some("a b&c".into());
        let request = to_endpoint(&provider, Grant::ClientCredentials);
        assert_eq!(request.method, Method::POST);
        assert_eq!(request.url.as_str(), "https://as.example/token");
        assert_eq!(
            request.headers[CONTENT_TYPE],
            "application/x-www-form-urlencoded"
        );
        assert_eq!(request.headers[ACCEPT], "application/json");
        assert_eq!(
            request.headers[USER_AGENT],
            concat!("bearward/", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(
            text(&request),
            "grant_type=client_credentials&scope=a+b%26c"
        );
    }

    #[test]
    fn json_is_an_object_of_strings() {
        let mut provider = fake::provider("https://as.example/token");
        provider.token_request.encoding = Encoding::Json;
        provider.client_auth = ClientAuth::SecretPost;
        let request = to_endpoint(&provider, Grant::ClientCredentials);
        assert_eq!(request.headers[CONTENT_TYPE], "application/json");
        let value: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"grant_type": "client_credentials", "client_id": "client", "client_secret": fake::CANARY})
        );
    }

    #[test]
    fn a_get_adds_the_parameters_to_the_query() {
        let mut provider = fake::provider("https://as.example/token?tenant=7");
        provider.token_request.method = TokenMethod::Get;
        let request = to_endpoint(&provider, Grant::ClientCredentials);
        assert_eq!(request.method, Method::GET);
        assert_eq!(
            request.url.as_str(),
            "https://as.example/token?tenant=7&grant_type=client_credentials"
        );
        assert!(request.body.is_empty());
        assert!(!request.headers.contains_key(CONTENT_TYPE));
    }

    #[test]
    fn a_post_may_have_its_parameters_in_the_query() {
        let mut provider = fake::provider("https://as.example/token");
        provider.token_request.encoding = Encoding::Query;
        let request = to_endpoint(&provider, Grant::ClientCredentials);
        assert_eq!(request.method, Method::POST);
        assert_eq!(request.url.query(), Some("grant_type=client_credentials"));
        assert!(request.body.is_empty());
    }

    #[test]
    fn omitted_parameters_are_left_out_of_their_grant_alone() {
        let mut provider = fake::provider("https://as.example/token");
        provider.client_auth = ClientAuth::None;
        provider.token_request.omit_on_refresh = vec!["client_id".into()];
        provider.token_request.omit_on_exchange = vec!["redirect_uri".into()];
        let secret = Secret::new("s");
        let refresh = to_endpoint(
            &provider,
            Grant::RefreshToken {
                refresh_token: &secret,
            },
        );
        assert_eq!(text(&refresh), "grant_type=refresh_token&refresh_token=s");
        let exchange = Grant::AuthorizationCode {
            code: &secret,
            redirect_uri: Some("app://cb"),
            code_verifier: None,
        };
        assert_eq!(
            text(&to_endpoint(&provider, exchange)),
            "grant_type=authorization_code&code=s&client_id=client"
        );
        let credentials = to_endpoint(&provider, Grant::ClientCredentials);
        assert_eq!(
            text(&credentials),
            "grant_type=client_credentials&client_id=client"
        );
    }

    #[test]
    fn configured_headers_replace_the_defaults() {
        let mut provider = fake::provider("https://as.example/token");
        provider.token_request.headers = vec![
            (ACCEPT, fake::text("text/plain")),
            (
                http::HeaderName::from_static("x-api-version"),
                fake::text("2"),
            ),
        ];
        let request = to_endpoint(&provider, Grant::ClientCredentials);
        assert_eq!(
            request.headers.get_all(ACCEPT).iter().collect::<Vec<_>>(),
            ["text/plain"]
        );
        assert_eq!(request.headers["x-api-version"], "2");
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut provider = fake::provider("https://as.example/token");
        provider.token_request.method = TokenMethod::Get;
        provider.client_auth = ClientAuth::SecretPost;
        let request = to_endpoint(&provider, Grant::ClientCredentials);
        assert!(request.url.as_str().contains(fake::CANARY));
        assert!(!format!("{request:?}").contains(fake::CANARY));
    }
}
