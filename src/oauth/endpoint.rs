//! Calls an authorization server.
//!
//! No redirect is followed, the system's proxy is not used, and nothing is repeated. Time and size of a response are
//! bounded.

use std::{error::Error as StdError, io, sync::Arc, time::SystemTime};

use http::{HeaderMap, StatusCode};
use reqwest::{Client, Proxy, Response, redirect::Policy, retry};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout_at},
};
use url::Url;
use zeroize::Zeroizing;

use super::{
    api_context::ApiContext,
    error::{EndpointKey, Fault, TokenRequestError},
    grant::Grant,
    provider::{Capture, EndpointUrl, Provider},
    request::{self, PreparedRequest, RequestSource},
    response::{self, Issued, RequestTime},
    variables::Variables,
};
use crate::{clock::Clock, tls};

/// The share of the timeout within which the connection has to be made.
const CONNECT_SHARE: f64 = 0.9;

/// The maximum size of a response body, in bytes.
pub const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The token endpoint of one provider. The first request builds its HTTP client.
pub struct TokenEndpoint {
    provider: Arc<Provider>,
    clock: Arc<dyn Clock>,
    client: OnceCell<Client>,
}

impl TokenEndpoint {
    /// Creates the token endpoint of `provider`.
    pub fn new(provider: Arc<Provider>, clock: Arc<dyn Clock>) -> Self {
        Self {
            provider,
            clock,
            client: OnceCell::new(),
        }
    }

    /// Returns the provider.
    pub fn provider(&self) -> &Provider {
        &self.provider
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
        let variables = Variables::new(&self.provider, context);
        let (key, endpoint) = self.token_endpoint(grant);
        let url = self.resolve(endpoint, &variables);
        let issued = match url.clone() {
            Ok(url) => self.request_token(url, grant, &variables).await,
            Err(error) => Err(error),
        };
        issued.map_err(|error| error.for_endpoint(key, url.ok().as_ref()))
    }

    async fn request_token(
        &self,
        url: Url,
        grant: Grant<'_>,
        variables: &Variables<'_>,
    ) -> Result<Issued, TokenRequestError> {
        let request = request::token_request(self.source(variables), url, grant)?;
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

    /// Returns the endpoint for requests under `grant`, and its key.
    fn token_endpoint(&self, grant: Grant<'_>) -> (EndpointKey, Option<&EndpointUrl>) {
        match (&self.provider.refresh_endpoint, grant) {
            (Some(endpoint), Grant::RefreshToken { .. }) => (EndpointKey::Refresh, Some(endpoint)),
            _ => (EndpointKey::Token, self.provider.token_endpoint.as_ref()),
        }
    }

    /// Returns what requests are built from.
    pub(super) fn source<'a>(&'a self, variables: &'a Variables<'a>) -> RequestSource<'a> {
        RequestSource {
            provider: &self.provider,
            variables,
            clock: &*self.clock,
        }
    }

    /// Completes the URL of an endpoint.
    ///
    /// # Errors
    /// It is not known, or its variables do not make it an allowed URL.
    pub(super) fn resolve(
        &self,
        endpoint: Option<&EndpointUrl>,
        variables: &Variables<'_>,
    ) -> Result<Url, TokenRequestError> {
        let unknown = || TokenRequestError::new(Fault::Setup("its address is not known"));
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
    pub(super) async fn send(
        &self,
        request: PreparedRequest,
    ) -> Result<EndpointResponse, TokenRequestError> {
        let timeout = self.provider.token_request.timeout;
        let deadline = Instant::now() + timeout;
        let timed_out = TokenRequestError::new(Fault::Timeout);
        // Without a client nothing was sent.
        let client = self
            .client
            .get_or_try_init(|| build_client(self.provider.clone()));
        let client = timeout_at(deadline, client)
            .await
            .map_err(|_| timed_out.clone())??;
        // A connection that takes longer than its share ends with an error of its own. So at this timeout the request
        // was sent, or may have been if the client took long to build.
        let exchanged = timeout_at(deadline, exchange(client, request)).await;
        exchanged.unwrap_or_else(|_| Err(timed_out.possibly_sent()))
    }
}

/// A response with its complete body, or without a body that matters.
pub(super) struct EndpointResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

async fn exchange(
    client: &Client,
    request: PreparedRequest,
) -> Result<EndpointResponse, TokenRequestError> {
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
    let mut response = sent.map_err(|error| convert_error(&error))?;
    let body = if response::wants_body(response.status()) {
        read_body(&mut response).await?
    } else {
        Body::default()
    };
    Ok(EndpointResponse {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body,
    })
}

type Body = Zeroizing<Vec<u8>>;

/// Reads the body; more than [`MAX_RESPONSE_BYTES`] bytes are an error, whatever `Content-Length` says.
async fn read_body(response: &mut Response) -> Result<Body, TokenRequestError> {
    let mut body = Body::default();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| convert_error(&error))?
    {
        if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
            return Err(TokenRequestError::new(Fault::NotAToken(
                "it is larger than 64 KiB",
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Builds the client on a blocking thread, because the system's roots are read from disk.
async fn build_client(provider: Arc<Provider>) -> Result<Client, TokenRequestError> {
    let setup = |why| TokenRequestError::new(Fault::Setup(why));
    tokio::task::spawn_blocking(move || configure_client(&provider))
        .await
        .map_err(|_| setup("building its HTTP client was interrupted"))?
        .map_err(setup)
}

fn configure_client(provider: &Provider) -> Result<Client, &'static str> {
    tls::install_crypto_provider();
    let settings = &provider.token_request;
    let endpoints = [
        provider.token_endpoint.as_ref(),
        provider.refresh_endpoint.as_ref(),
        provider.device_authorization_endpoint.as_ref(),
        provider.revocation_endpoint.as_ref(),
        provider.sign_in.as_ref().map(|sign_in| &sign_in.endpoint),
    ];
    let captures = provider.captures.iter().filter_map(Capture::url);
    let is_plain = |text: &str| text.starts_with("http://");
    let needs_tls = endpoints
        .into_iter()
        .flatten()
        .chain(captures)
        .map(EndpointUrl::as_str)
        .chain(settings.proxy.as_ref().map(|proxy| proxy.url.as_str()))
        .any(|text| !is_plain(text));
    let tls = if needs_tls {
        settings.trust.client_config(&[b"h2", b"http/1.1"])
    } else {
        config_without_roots()?
    };
    let mut builder = Client::builder()
        // A followed redirect would send the secret to another address.
        .redirect(Policy::none())
        .referer(false)
        .retry(retry::never())
        .no_proxy()
        .connect_timeout(settings.timeout.mul_f64(CONNECT_SHARE))
        .tls_backend_preconfigured(tls)
        // Refreshes are far apart. An idle connection is likely dead by the next one, which would cost an attempt.
        .pool_max_idle_per_host(0);
    if let Some(proxy) = &settings.proxy {
        builder = builder.proxy(
            Proxy::all(proxy.url.clone())
                .map_err(|_| "`token_request.proxy` is not a usable URL")?,
        );
    }
    // The error is dropped: its text may hold the URL of the proxy, with a password.
    builder
        .build()
        .map_err(|_| "its HTTP client cannot be built")
}

/// Builds a TLS configuration without roots, since reading the system roots would delay plain HTTP.
fn config_without_roots() -> Result<ClientConfig, &'static str> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|_| "TLS cannot be set up")?;
    Ok(builder
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

/// Converts an error of the HTTP client, and marks a request that may have arrived.
fn convert_error(error: &reqwest::Error) -> TokenRequestError {
    let converted = TokenRequestError::new(fault(error));
    if error.is_connect() || error.is_builder() {
        converted
    } else {
        converted.possibly_sent()
    }
}

/// Classifies an error of the HTTP client. Its text is dropped: it holds the URL, whose query may hold the secret.
fn fault(error: &reqwest::Error) -> Fault {
    if let Some(tls) = causes(error).find_map(|cause| tls_error(cause)) {
        return Fault::Tls(describe_tls_error(tls));
    }
    if error.is_timeout() {
        Fault::Timeout
    } else if error.is_dns() {
        Fault::Dns
    } else if error.is_connect() {
        Fault::Connect
    } else if error.is_builder() {
        Fault::Setup("its URL or a configured header is not valid")
    } else {
        Fault::Protocol
    }
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Finds the TLS error in a cause. `io::Error` does not name its inner error as its source.
fn tls_error<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(error);
    }
    tls_error(cause.downcast_ref::<io::Error>()?.get_ref()?)
}

/// Describes a TLS error without the names in the server's certificate, which rustls prints.
fn describe_tls_error(error: &rustls::Error) -> &'static str {
    use CertificateError as C;
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            C::UnknownIssuer => {
                "its certificate is not signed by a trusted authority; add that to `token_request.ca_file`"
            }
            C::Expired | C::ExpiredContext { .. } => {
                "its certificate has expired; renew it, or check the clock"
            }
            C::NotValidYet | C::NotValidYetContext { .. } => {
                "its certificate is not valid yet; check the clock"
            }
            C::NotValidForName | C::NotValidForNameContext { .. } => {
                "its certificate is for another name; check the address"
            }
            C::Revoked => "its certificate is revoked; replace it",
            _ => "its certificate is not acceptable; replace it",
        },
        rustls::Error::InvalidMessage(_) => "it does not speak TLS; check the address",
        rustls::Error::AlertReceived(_) => {
            "it ended the handshake with an alert; see the log of the server"
        }
        _ => "the handshake failed; see the log of the server",
    }
}

#[cfg(test)]
mod tests;
