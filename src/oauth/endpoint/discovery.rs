//! Endpoints from the discovery document of an authorization server (RFC 8414, OpenID Connect Discovery).

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::{EndpointResponse, TokenEndpoint};
use crate::oauth::{
    error::{EndpointKey, Fault, ResponseFacts, TokenRequestError},
    provider::{EndpointUrl, Provider, is_protected},
    request,
};

/// The providers whose missing endpoints a document has supplied: none until the first success.
#[derive(Default)]
pub(super) struct Discovery {
    completed: Mutex<Option<Arc<Provider>>>,
}

impl Discovery {
    /// Returns the provider of `endpoint` with the endpoint `key`, from the discovery document if need be.
    ///
    /// A document is fetched once; a failed fetch is repeated at the next call.
    pub(super) async fn provider_with(
        &self,
        endpoint: &TokenEndpoint,
        key: EndpointKey,
    ) -> Result<Arc<Provider>, TokenRequestError> {
        let configured = &endpoint.provider;
        let Some(issuer) = &configured.issuer else {
            return Ok(configured.clone());
        };
        // Assertions and variables name the token endpoint in requests to the others too.
        if has_endpoint(configured, EndpointKey::Token) && has_endpoint(configured, key) {
            return Ok(configured.clone());
        }
        let mut completed = self.completed.lock().await;
        if let Some(provider) = &*completed {
            return Ok(provider.clone());
        }
        let provider = Arc::new(discover(endpoint, issuer).await?);
        *completed = Some(provider.clone());
        Ok(provider)
    }
}

fn has_endpoint(provider: &Provider, key: EndpointKey) -> bool {
    let authorization = provider.authorization.as_ref();
    match key {
        EndpointKey::Token | EndpointKey::Refresh => provider.token_endpoint.is_some(),
        // A provider without a consent has no place for its address.
        EndpointKey::Authorization => authorization.is_none_or(|it| it.endpoint.is_some()),
        EndpointKey::DeviceAuthorization => provider.device_authorization_endpoint.is_some(),
        EndpointKey::Revocation => provider.revocation_endpoint.is_some(),
        _ => true,
    }
}

async fn discover(endpoint: &TokenEndpoint, issuer: &str) -> Result<Provider, TokenRequestError> {
    let url = Url::parse(issuer).ok();
    let found = fetch(endpoint, url.as_ref()).await;
    let completed = found.and_then(|document| complete(&endpoint.provider, issuer, &document));
    completed
        .map_err(|error| error.for_endpoint(EndpointKey::Issuer, url.as_ref(), &endpoint.provider))
}

/// Fetches the document: that of RFC 8414, or that of OpenID if there is no such document.
pub(super) async fn fetch(
    endpoint: &TokenEndpoint,
    issuer: Option<&Url>,
) -> Result<Value, TokenRequestError> {
    let allow_plaintext = endpoint.provider.allow_plaintext;
    let issuer =
        issuer.filter(|issuer| is_permitted(issuer, allow_plaintext) && !issuer.cannot_be_a_base());
    let issuer = issuer.ok_or_else(|| {
        TokenRequestError::new(Fault::Setup(
            "discovery needs an absolute URL with https (http on this machine alone)",
        ))
    })?;
    let path = issuer.path().trim_end_matches('/');
    // RFC 8414 §3.1 inserts the name before the path, OpenID Connect Discovery §4 adds it behind.
    let locations = [
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("{path}/.well-known/openid-configuration"),
    ];
    let mut last = None;
    for location in locations {
        let mut url = issuer.clone();
        url.set_path(&location);
        url.set_query(None);
        url.set_fragment(None);
        let response = endpoint.send(request::document_request(url)).await;
        // A document has no side effect: a lost response loses nothing.
        let response = response.map_err(TokenRequestError::without_effect)?;
        if let Some(document) = read(&response) {
            return Ok(document);
        }
        last = Some(response);
    }
    let status = last.as_ref().map_or(404, |last| last.status.as_u16());
    let error = TokenRequestError::new(match status {
        500.. => Fault::Server(status),
        _ => Fault::Discovery("nothing was found; check `issuer`, or configure the endpoints"),
    });
    Err(match last {
        Some(last) => {
            let secrets = endpoint.provider.secrets();
            let facts = ResponseFacts::new(last.status, &last.headers, &last.body, &secrets);
            error.with_response(facts)
        }
        None => error,
    })
}

/// Reads a response as a document; others, such as a page for every path, are not one.
fn read(response: &EndpointResponse) -> Option<Value> {
    if response.status != http::StatusCode::OK {
        return None;
    }
    let document: Value = serde_json::from_slice(&response.body).ok()?;
    document.is_object().then_some(document)
}

/// Fills in the endpoints that are not configured.
fn complete(
    configured: &Provider,
    issuer: &str,
    document: &Value,
) -> Result<Provider, TokenRequestError> {
    // RFC 8414 §3.3: the values are identical.
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        let why = "its `issuer` is another one; check `issuer`, also for a slash at its end";
        return Err(TokenRequestError::new(Fault::Discovery(why)));
    }
    let mut provider = configured.clone();
    let fill = |place: &mut Option<EndpointUrl>, name: &str| {
        if place.is_none() {
            *place = read_endpoint(document, name, configured.allow_plaintext)?;
        }
        Ok::<_, TokenRequestError>(())
    };
    fill(&mut provider.token_endpoint, "token_endpoint")?;
    fill(&mut provider.revocation_endpoint, "revocation_endpoint")?;
    fill(
        &mut provider.device_authorization_endpoint,
        "device_authorization_endpoint",
    )?;
    if let Some(authorization) = &mut provider.authorization {
        fill(&mut authorization.endpoint, "authorization_endpoint")?;
    }
    Ok(provider)
}

fn read_endpoint(
    document: &Value,
    name: &str,
    allow_plaintext: bool,
) -> Result<Option<EndpointUrl>, TokenRequestError> {
    let Some(text) = document.get(name).and_then(Value::as_str) else {
        return Ok(None);
    };
    let failed = |why| TokenRequestError::new(Fault::Discovery(why));
    let url = Url::parse(text).map_err(|_| failed("one of its endpoints is not a URL"))?;
    match is_permitted(&url, allow_plaintext) {
        true => Ok(Some(EndpointUrl::fixed(url))),
        false => Err(failed(
            "one of its endpoints is in plain text (http), or has a user name",
        )),
    }
}

/// Returns whether a URL may receive a secret.
///
/// It has no user information, and TLS unless it is on this machine or `allow_plaintext`.
fn is_permitted(url: &Url, allow_plaintext: bool) -> bool {
    is_protected(url, allow_plaintext)
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
}

#[cfg(test)]
mod tests;
