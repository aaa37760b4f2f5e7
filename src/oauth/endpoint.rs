//! Calls an authorization server.
//!
//! No redirect is followed, the system's proxy is not used, and nothing is repeated. Time and size of a response are
//! bounded.

mod discovery;
mod failure;
mod http_client;
mod recorder;

use std::{sync::Arc, time::SystemTime};

use http::{HeaderMap, StatusCode};
use reqwest::{Client, Response};
use tokio::time::{Instant, timeout_at};
use url::Url;
use zeroize::Zeroizing;

pub use self::recorder::{ExchangeRecorder, RecordedExchange, RecordedResponse};
use self::{
    discovery::Discovery, failure::convert_error, http_client::HttpClient,
    recorder::ExchangeRecording,
};
use super::{
    api_context::ApiContext,
    assertion,
    content_coding::{self, DecodeError},
    error::{EndpointKey, Fault, TokenRequestError},
    grant::Grant,
    provider::{EndpointUrl, Provider},
    request::{self, PreparedRequest, RequestSource},
    response::{self, Issued, RequestTime},
    variables::Variables,
};
use crate::clock::Clock;

/// The maximum size of a response body, encoded as well as decoded, in bytes.
pub const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// The token endpoint of one provider. The first request builds its HTTP client.
pub struct TokenEndpoint {
    provider: Arc<Provider>,
    clock: Arc<dyn Clock>,
    client: HttpClient,
    discovery: Discovery,
    /// The keeper of the exchanges, for the doctor.
    recorder: Option<Arc<ExchangeRecorder>>,
}

impl TokenEndpoint {
    /// Creates the token endpoint of `provider`.
    pub fn new(provider: Arc<Provider>, clock: Arc<dyn Clock>) -> Self {
        Self {
            provider,
            clock,
            client: HttpClient::default(),
            discovery: Discovery::default(),
            recorder: None,
        }
    }

    /// Keeps each exchange from now on in `recorder`.
    #[must_use]
    pub fn recording(self, recorder: Arc<ExchangeRecorder>) -> Self {
        Self {
            recorder: Some(recorder),
            ..self
        }
    }

    /// Returns the provider as it is configured.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Returns the provider with the endpoint `key`, which its discovery document supplies if it is not configured.
    ///
    /// A ready assertion is read again from its file.
    ///
    /// The endpoint stays absent where the document has none, and without an `issuer`.
    ///
    /// # Errors
    /// The assertion cannot be read, there is no document, it is another issuer's, or it names an endpoint in plain text.
    pub async fn provider_with(
        &self,
        key: EndpointKey,
    ) -> Result<Arc<Provider>, TokenRequestError> {
        assertion::reload(&self.provider).await?;
        // The future is boxed: it is seldom needed, and would make that of each token request large.
        Box::pin(self.discovery.provider_with(self, key)).await
    }

    /// Requests a token, once, within the provider's timeout.
    ///
    /// `context` holds the captured values of the login.
    ///
    /// # Errors
    /// The request failed, or the response holds no usable token.
    pub async fn request(
        &self,
        grant: Grant<'_>,
        context: &ApiContext,
    ) -> Result<Issued, TokenRequestError> {
        let provider = self.provider_with(EndpointKey::Token).await?;
        let variables = Variables::new(&provider, context);
        let (key, endpoint) = token_endpoint(&provider, grant);
        let url = self.resolve(endpoint, &variables);
        let issued = match url.clone() {
            Ok(url) => self.request_token(&provider, url, grant, &variables).await,
            Err(error) => Err(error),
        };
        issued.map_err(|error| {
            let error = error.under_grant(grant.name());
            error.for_endpoint(key, url.ok().as_ref(), &provider)
        })
    }

    async fn request_token(
        &self,
        provider: &Provider,
        url: Url,
        grant: Grant<'_>,
        variables: &Variables<'_>,
    ) -> Result<Issued, TokenRequestError> {
        let source = self.source(provider, variables);
        let request = request::token_request(source, url, grant)?;
        let requested_at = RequestTime::now(&*self.clock);
        let response = self.send(request).await?;
        response::read_token(
            response.status,
            &response.headers,
            &response.body,
            &self.provider,
            grant,
            requested_at,
        )
    }

    /// Fetches the metadata of the authorization server at `base` (RFC 8414, OpenID Connect Discovery), if it has any.
    pub async fn metadata(&self, base: &Url) -> Option<serde_json::Value> {
        discovery::fetch(self, Some(base)).await.ok()
    }

    /// Returns what requests are built from.
    pub(super) fn source<'a>(
        &'a self,
        provider: &'a Provider,
        variables: &'a Variables<'a>,
    ) -> RequestSource<'a> {
        RequestSource {
            provider,
            variables,
            clock: &*self.clock,
        }
    }

    /// Completes the URL of an endpoint.
    ///
    /// # Errors
    /// It is not known, or its variables do not make it an allowed URL.
    pub fn resolve(
        &self,
        endpoint: Option<&EndpointUrl>,
        variables: &Variables<'_>,
    ) -> Result<Url, TokenRequestError> {
        let unknown = || {
            TokenRequestError::new(Fault::Setup(
                "its address is not known; configure it, or `issuer`",
            ))
        };
        Ok(variables.complete(endpoint.ok_or_else(unknown)?)?)
    }

    /// Returns the wall clock's time, for dates in responses.
    pub(super) fn wall_time(&self) -> SystemTime {
        self.clock.wall()
    }

    /// Sends a request to one of this authorization server's endpoints, once, within the provider's timeout.
    ///
    /// # Errors
    /// No complete response arrived.
    pub async fn send(
        &self,
        request: PreparedRequest,
    ) -> Result<EndpointResponse, TokenRequestError> {
        let timeout = self.provider.token_request.timeout;
        let deadline = Instant::now() + timeout;
        let timed_out = TokenRequestError::new(Fault::Timeout);
        // Without a client nothing was sent.
        let client = self.client.get(&self.provider, request.url.scheme());
        let client = timeout_at(deadline, client)
            .await
            .map_err(|_| timed_out.clone())??;
        // A connection that takes longer than its share ends with an error of its own. So at this timeout the request
        // was sent, or may have been if the client took long to build.
        let recording = self
            .recorder
            .as_ref()
            .map(|recorder| recorder.begin(&request, self.wall_time()));
        let exchanged = exchange(&client, self, request, recording);
        let exchanged = timeout_at(deadline, exchanged).await;
        exchanged.unwrap_or_else(|_| Err(timed_out.possibly_sent()))
    }
}

/// Returns the endpoint for requests under `grant`, and its key.
fn token_endpoint<'a>(
    provider: &'a Provider,
    grant: Grant<'_>,
) -> (EndpointKey, Option<&'a EndpointUrl>) {
    match (&provider.refresh_endpoint, grant) {
        (Some(endpoint), Grant::RefreshToken { .. }) => (EndpointKey::Refresh, Some(endpoint)),
        _ => (EndpointKey::Token, provider.token_endpoint.as_ref()),
    }
}

/// A response with its complete body, or without a body that matters.
pub struct EndpointResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The decoded body.
    pub body: Body,
}

async fn exchange(
    client: &Client,
    endpoint: &TokenEndpoint,
    request: PreparedRequest,
    recording: Option<ExchangeRecording>,
) -> Result<EndpointResponse, TokenRequestError> {
    let provider = &endpoint.provider;
    let PreparedRequest {
        method,
        url,
        headers,
        body,
    } = request;
    let sent = client
        .request(method, url)
        .headers(headers)
        .body(body)
        .send()
        .await;
    let mut response = sent.map_err(|error| convert_error(&error, provider))?;
    if let Some(recording) = &recording {
        recording.record_head(response.status(), response.headers(), endpoint.wall_time());
    }
    if let Some(fault) = failure::proxy_refusal(response.status(), provider) {
        return Err(TokenRequestError::new(fault));
    }
    let body = if response::wants_body(response.status()) {
        read_body(&mut response, provider).await?
    } else if recording.is_some() {
        // It is shown, and does not matter otherwise.
        read_body(&mut response, provider).await.unwrap_or_default()
    } else {
        Body::default()
    };
    if let Some(recording) = &recording {
        recording.record_body(&body);
    }
    Ok(EndpointResponse {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body,
    })
}

/// The body of a response, wiped from memory on drop.
pub type Body = Zeroizing<Vec<u8>>;

/// Reads and decodes the body; more than [`MAX_RESPONSE_BYTES`] bytes are an error, whatever `Content-Length` says.
async fn read_body(
    response: &mut Response,
    provider: &Provider,
) -> Result<Body, TokenRequestError> {
    let failed = |error: DecodeError| TokenRequestError::new(Fault::NotAToken(error.as_str()));
    let mut body = Body::default();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| convert_error(&error, provider))?
    {
        if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
            return Err(failed(DecodeError::TooLarge));
        }
        body.extend_from_slice(&chunk);
    }
    content_coding::decode(response.headers(), body, MAX_RESPONSE_BYTES).map_err(failed)
}

#[cfg(test)]
mod tests;
