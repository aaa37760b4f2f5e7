//! Builds requests to an authorization server, with the provider's deviations.

use std::fmt;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT},
};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::{
    client_auth,
    error::{Fault, TokenRequestError},
    grant::Grant,
    parameters::Parameters,
    provider::{Encoding, ParameterValue, Provider, RevocationAuth, RevocationMethod, TokenMethod},
    variables::Variables,
};
use crate::{clock::Clock, secret::Secret};

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

/// The provider of a request, and what else its values come from.
#[derive(Clone, Copy)]
pub struct RequestSource<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// The values of variables.
    pub variables: &'a Variables<'a>,
    /// The time, for assertions.
    pub clock: &'a dyn Clock,
}

/// Builds a token request to `url` under `grant`.
///
/// # Errors
/// A credential or a variable has no value.
pub fn token_request(
    source: RequestSource<'_>,
    url: Url,
    grant: Grant<'_>,
) -> Result<PreparedRequest, TokenRequestError> {
    let RequestSource {
        provider,
        variables,
        clock,
    } = source;
    let settings = &provider.token_request;
    let parameters = grant.parameters(provider, variables, clock)?;
    let draft = Draft::new(parameters).authenticated(source)?;
    let (method, encoding) = match settings.method {
        TokenMethod::Post => (Method::POST, settings.encoding),
        TokenMethod::Get => (Method::GET, Encoding::Query),
    };
    draft.finish(source, grant.omitted(provider), method, url, encoding)
}

/// Builds a device authorization request to `url` (RFC 8628 §3.1).
///
/// # Errors
/// A credential or a variable has no value.
pub fn device_authorization_request(
    source: RequestSource<'_>,
    url: Url,
) -> Result<PreparedRequest, TokenRequestError> {
    let provider = source.provider;
    let mut parameters = Parameters::default();
    if let Some(scope) = &provider.scope {
        parameters.set("scope", scope);
    }
    parameters.set_configured(&provider.token_request.params, source.variables)?;
    let mut draft = Draft::new(parameters).authenticated(source)?;
    // RFC 8628 §3.1 requires it, whatever authenticates the client.
    draft
        .parameters
        .set_default("client_id", &provider.client_id);
    let encoding = provider.token_request.encoding;
    draft.finish(source, &[], Method::POST, url, encoding)
}

/// Builds a revocation request to `url` (RFC 7009 §2.1, or `[revocation]`).
///
/// `hint` is the `token_type_hint`. `bearer` is the access token that authenticates the request, if one does.
///
/// # Errors
/// A credential or a variable has no value.
pub fn revocation_request(
    source: RequestSource<'_>,
    url: Url,
    token: &Secret,
    hint: &str,
    bearer: Option<&Secret>,
) -> Result<PreparedRequest, TokenRequestError> {
    let settings = &source.provider.revocation;
    let mut parameters = Parameters::default();
    parameters.set("token", token.expose());
    // A vendor with a way of its own may refuse a parameter of RFC 7009.
    if settings.encoding == Encoding::Form && settings.auth == RevocationAuth::Client {
        parameters.set("token_type_hint", hint);
    }
    parameters.set_configured(&settings.params, source.variables)?;
    let mut draft = Draft::new(parameters);
    if settings.auth == RevocationAuth::Client {
        draft = draft.authenticated(source)?;
    }
    if let Some(bearer) = bearer {
        draft
            .headers
            .insert(AUTHORIZATION, bearer_credentials(bearer)?);
    }
    let method = match settings.method {
        RevocationMethod::Post => Method::POST,
        RevocationMethod::Delete => Method::DELETE,
    };
    draft.finish(source, &[], method, url, settings.encoding)
}

/// Builds the GET of a captured value, with the new access token and the fields of requests to the API.
///
/// A field whose variable is not captured yet is left out.
///
/// # Errors
/// A value has bytes that cannot stand in a header field.
pub fn capture_request(
    source: RequestSource<'_>,
    url: Url,
    access_token: &Secret,
) -> Result<PreparedRequest, TokenRequestError> {
    let mut headers = default_headers();
    let api = &source.provider.api;
    for (name, value) in api.default_headers.iter().chain(&api.headers) {
        if let Ok(values) = source.variables.resolve(value) {
            headers.remove(name);
            append_values(&mut headers, name, &values)?;
        }
    }
    headers.insert(AUTHORIZATION, bearer_credentials(access_token)?);
    Ok(encode(
        Method::GET,
        url,
        headers,
        Encoding::Query,
        &Parameters::default(),
    ))
}

/// Builds a GET of a public document, without authentication.
pub fn document_request(url: Url) -> PreparedRequest {
    let none = Parameters::default();
    encode(Method::GET, url, default_headers(), Encoding::Query, &none)
}

/// Builds a POST of `parameters`, without client authentication.
pub fn post_request(url: Url, encoding: Encoding, parameters: &Parameters) -> PreparedRequest {
    encode(Method::POST, url, default_headers(), encoding, parameters)
}

/// A request before its encoding.
struct Draft {
    parameters: Parameters,
    headers: HeaderMap,
}

impl Draft {
    fn new(parameters: Parameters) -> Self {
        Self {
            parameters,
            headers: default_headers(),
        }
    }

    /// Adds the client's authentication.
    fn authenticated(mut self, source: RequestSource<'_>) -> Result<Self, TokenRequestError> {
        client_auth::authenticate(source, &mut self.parameters, &mut self.headers)?;
        Ok(self)
    }

    /// Applies the provider's deviations for every request, and encodes the parameters.
    fn finish(
        mut self,
        source: RequestSource<'_>,
        omitted: &[String],
        method: Method,
        url: Url,
        encoding: Encoding,
    ) -> Result<PreparedRequest, TokenRequestError> {
        let settings = &source.provider.token_request;
        self.parameters.remove(&settings.omit);
        self.parameters.remove(omitted);
        self.parameters.rename(&settings.rename);
        let mut request = encode(method, url, self.headers, encoding, &self.parameters);
        set_configured(&mut request.headers, &settings.headers, source.variables)?;
        Ok(request)
    }
}

/// Builds Bearer credentials (RFC 6750 §2.1).
///
/// # Errors
/// The token has bytes that cannot stand in a header field.
pub(super) fn bearer_credentials(token: &Secret) -> Result<HeaderValue, TokenRequestError> {
    let text = Zeroizing::new(format!("Bearer {}", token.expose()));
    sensitive(&text)
}

fn sensitive(text: &str) -> Result<HeaderValue, TokenRequestError> {
    let invalid = |_| {
        TokenRequestError::new(Fault::Setup(
            "a configured header has bytes that cannot stand in a header field",
        ))
    };
    let mut value = HeaderValue::from_str(text).map_err(invalid)?;
    value.set_sensitive(true);
    Ok(value)
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
            let mut parameters = parameters.iter().peekable();
            if parameters.peek().is_some() {
                url.query_pairs_mut().extend_pairs(parameters);
            }
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
            parameters.to_json()
        }
    };
    PreparedRequest {
        method,
        url,
        headers,
        body,
    }
}

/// Sets the configured headers. They replace others of the same name, and may be repeated.
fn set_configured(
    headers: &mut HeaderMap,
    configured: &[(HeaderName, ParameterValue)],
    variables: &Variables<'_>,
) -> Result<(), TokenRequestError> {
    for (name, _) in configured {
        headers.remove(name);
    }
    for (name, value) in configured {
        append_values(headers, name, &variables.resolve(value)?)?;
    }
    Ok(())
}

fn append_values(
    headers: &mut HeaderMap,
    name: &HeaderName,
    values: &[Zeroizing<String>],
) -> Result<(), TokenRequestError> {
    for value in values {
        headers.append(name, sensitive(value)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
