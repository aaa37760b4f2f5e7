//! A request to an authorization server as it goes out: method, URL, fields and body, with the provider's deviations.

use std::fmt;

use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT},
};
use url::{Url, form_urlencoded};

use super::{
    client_auth,
    grant::{Grant, Parameters},
    provider::{Encoding, Provider, TokenMethod},
};
use crate::secret::Secret;

/// A request ready to be sent.
pub struct Prepared {
    /// The method.
    pub method: Method,
    /// The endpoint, with the parameters in its query where they go there.
    pub url: Url,
    /// All fields but those of the framing and `Host`.
    pub headers: HeaderMap,
    /// The body; empty where the parameters are in the query.
    pub body: Vec<u8>,
}

/// Shows neither query, fields nor body: any of them may carry the client's secret.
impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// Builds the request that asks `provider` for a token under `grant`.
pub fn prepare(provider: &Provider, grant: Grant<'_>) -> Prepared {
    let settings = &provider.token_request;
    let mut headers = fields();
    let mut parameters = grant.parameters(provider);
    client_auth::authenticate(provider, &mut parameters, &mut headers);
    parameters.remove(grant.omitted(provider));
    let (method, encoding) = match settings.method {
        TokenMethod::Post => (Method::POST, settings.encoding),
        TokenMethod::Get => (Method::GET, Encoding::Query),
    };
    let mut request = encode(
        method,
        provider.token_endpoint.clone(),
        headers,
        encoding,
        &parameters,
    );
    replace(&mut request.headers, &settings.headers);
    request
}

/// Builds the request that takes a token back (RFC 7009 §2.1), if `provider` has an endpoint for it. `hint` is the kind of
/// the token, as §2.1 names it.
pub fn revocation(provider: &Provider, token: &Secret, hint: &str) -> Option<Prepared> {
    let url = provider.revocation_endpoint.clone()?;
    let mut headers = fields();
    let mut parameters = Parameters::default();
    parameters.set("token", token.expose());
    parameters.set("token_type_hint", hint);
    client_auth::authenticate(provider, &mut parameters, &mut headers);
    let mut request = encode(Method::POST, url, headers, Encoding::Form, &parameters);
    replace(&mut request.headers, &provider.token_request.headers);
    Some(request)
}

/// Builds a POST of `parameters` that carries nothing else of the client's.
pub fn post(url: Url, encoding: Encoding, parameters: &Parameters) -> Prepared {
    encode(Method::POST, url, fields(), encoding, parameters)
}

fn fields() -> HeaderMap {
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
) -> Prepared {
    let body = match encoding {
        Encoding::Query => {
            // What the endpoint's query holds already is kept (RFC 6749 §3.2).
            url.query_pairs_mut().extend_pairs(parameters.iter());
            if method == Method::POST {
                // Servers may insist on a length where a body could be (RFC 9110 §8.6).
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
    Prepared {
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

/// Sets the configured fields: they replace ours of the same name, and may be repeated among themselves.
fn replace(headers: &mut HeaderMap, configured: &[(http::HeaderName, HeaderValue)]) {
    for (name, _) in configured {
        headers.remove(name);
    }
    for (name, value) in configured {
        let mut value = value.clone();
        value.set_sensitive(true);
        headers.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::{fake, provider::ClientAuth};

    fn text(prepared: &Prepared) -> &str {
        std::str::from_utf8(&prepared.body).unwrap()
    }

    #[test]
    fn a_form_is_posted_by_default() {
        let mut provider = fake::provider("https://as.example/token");
        provider.scope = Some("a b&c".into());
        let request = prepare(&provider, Grant::ClientCredentials);
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
        let request = prepare(&provider, Grant::ClientCredentials);
        assert_eq!(request.headers[CONTENT_TYPE], "application/json");
        let value: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"grant_type": "client_credentials", "client_id": "client", "client_secret": fake::CANARY})
        );
    }

    #[test]
    fn a_get_puts_all_into_the_query_and_keeps_what_is_there() {
        let mut provider = fake::provider("https://as.example/token?tenant=7");
        provider.token_request.method = TokenMethod::Get;
        let request = prepare(&provider, Grant::ClientCredentials);
        assert_eq!(request.method, Method::GET);
        assert_eq!(
            request.url.as_str(),
            "https://as.example/token?tenant=7&grant_type=client_credentials"
        );
        assert!(request.body.is_empty());
        assert!(!request.headers.contains_key(CONTENT_TYPE));
    }

    #[test]
    fn a_post_may_put_all_into_the_query() {
        let mut provider = fake::provider("https://as.example/token");
        provider.token_request.encoding = Encoding::Query;
        let request = prepare(&provider, Grant::ClientCredentials);
        assert_eq!(request.method, Method::POST);
        assert_eq!(request.url.query(), Some("grant_type=client_credentials"));
        assert!(request.body.is_empty());
    }

    #[test]
    fn what_the_server_does_not_want_is_left_out_under_that_grant_alone() {
        let mut provider = fake::provider("https://as.example/token");
        provider.client_auth = ClientAuth::None;
        provider.token_request.omit_on_refresh = vec!["client_id".into()];
        provider.token_request.omit_on_exchange = vec!["redirect_uri".into()];
        let secret = Secret::new("s");
        let refresh = prepare(
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
            text(&prepare(&provider, exchange)),
            "grant_type=authorization_code&code=s&client_id=client"
        );
        let credentials = prepare(&provider, Grant::ClientCredentials);
        assert_eq!(
            text(&credentials),
            "grant_type=client_credentials&client_id=client"
        );
    }

    #[test]
    fn configured_fields_replace_ours() {
        let mut provider = fake::provider("https://as.example/token");
        provider.token_request.headers = vec![
            (ACCEPT, HeaderValue::from_static("text/plain")),
            (
                http::HeaderName::from_static("x-api-version"),
                HeaderValue::from_static("2"),
            ),
        ];
        let request = prepare(&provider, Grant::ClientCredentials);
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
        let request = prepare(&provider, Grant::ClientCredentials);
        assert!(request.url.as_str().contains(fake::CANARY));
        assert!(!format!("{request:?}").contains(fake::CANARY));
    }
}
