//! The only place that calls an authorization server: no redirect is followed, no proxy of the system used, nothing repeated,
//! and both the time and the size of a response are bounded.

use std::{error::Error as StdError, io, sync::Arc, time::SystemTime};

use http::{HeaderMap, StatusCode};
use reqwest::{Client, Proxy, Response, redirect::Policy, retry};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout_at},
};
use zeroize::Zeroizing;

use super::{
    error::{Fault, TokenRequestError},
    grant::Grant,
    provider::Provider,
    request::{self, Prepared},
    response::{self, Issued},
};
use crate::{clock::Clock, tls};

/// The part of the time that may go by before there is a connection.
const CONNECT_SHARE: f64 = 0.9;

/// The most that is read of a response, in bytes.
pub const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The token endpoint of one provider. Cheap to make: its client is built at the first request.
pub struct TokenEndpoint {
    provider: Arc<Provider>,
    clock: Arc<dyn Clock>,
    client: OnceCell<Client>,
}

impl TokenEndpoint {
    /// The token endpoint of `provider`.
    pub fn new(provider: Arc<Provider>, clock: Arc<dyn Clock>) -> Self {
        Self {
            provider,
            clock,
            client: OnceCell::new(),
        }
    }

    /// Whose it is.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Asks for a token, once, within the provider's timeout.
    ///
    /// # Errors
    /// Whatever kept a token from coming; nothing is tried again.
    pub async fn request(&self, grant: Grant<'_>) -> Result<Issued, TokenRequestError> {
        let EndpointResponse {
            status,
            headers,
            body,
        } = self.send(request::prepare(&self.provider, grant)).await?;
        let layout = &self.provider.token_response;
        response::read(
            status,
            &headers,
            &body,
            layout,
            grant.brings_refresh_token(),
            self.clock.wall(),
        )
    }

    /// The wall clock that answers are read by.
    pub(super) fn wall(&self) -> SystemTime {
        self.clock.wall()
    }

    /// Sends a request to one of this authorization server's endpoints, once, within the provider's timeout.
    ///
    /// # Errors
    /// Whatever kept a whole response from coming.
    pub(super) async fn send(
        &self,
        request: Prepared,
    ) -> Result<EndpointResponse, TokenRequestError> {
        let timeout = self.provider.token_request.timeout;
        let deadline = Instant::now() + timeout;
        let timed_out = TokenRequestError::new(Fault::Timeout);
        // What has no client yet was not sent.
        let client = self.client.get_or_try_init(|| build(self.provider.clone()));
        let client = timeout_at(deadline, client)
            .await
            .map_err(|_| timed_out.clone())??;
        // A connection that is not made in its part of the time ends with an error of its own. So when all of the time is
        // over, the request was on its way; unless the client took long to build, and then it may have been.
        let exchanged = timeout_at(deadline, exchange(client, request)).await;
        exchanged.unwrap_or_else(|_| Err(timed_out.possibly_sent()))
    }
}

/// A response whose body is whole, or was not wanted.
pub(super) struct EndpointResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

async fn exchange(
    client: &Client,
    request: Prepared,
) -> Result<EndpointResponse, TokenRequestError> {
    let Prepared {
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
    let mut response = sent.map_err(|error| failed(&error))?;
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

/// Reads up to [`MAX_RESPONSE_BYTES`] bytes and gives up on a response that has more, whatever length it promised.
async fn read_body(response: &mut Response) -> Result<Body, TokenRequestError> {
    let mut body = Body::default();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
        if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
            return Err(TokenRequestError::new(Fault::NotAToken(
                "it is larger than 64 KiB",
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Builds the client apart from the runtime's threads: the system's roots are read from disk.
async fn build(provider: Arc<Provider>) -> Result<Client, TokenRequestError> {
    let setup = |why| TokenRequestError::new(Fault::Setup(why));
    tokio::task::spawn_blocking(move || client(&provider))
        .await
        .map_err(|_| setup("building its client was interrupted"))?
        .map_err(setup)
}

fn client(provider: &Provider) -> Result<Client, &'static str> {
    tls::install_crypto_provider();
    let settings = &provider.token_request;
    let needs_tls = [
        Some(&provider.token_endpoint),
        provider.revocation_endpoint.as_ref(),
        provider.sign_in.as_ref().map(|sign_in| &sign_in.endpoint),
        settings.proxy.as_ref(),
    ];
    let needs_tls = needs_tls
        .into_iter()
        .flatten()
        .any(|url| url.scheme() == "https");
    let tls = if needs_tls {
        settings.trust.client_config(&[b"h2", b"http/1.1"])
    } else {
        config_without_roots()?
    };
    let mut builder = Client::builder()
        // A redirect would be followed with the secret in the form.
        .redirect(Policy::none())
        .referer(false)
        .retry(retry::never())
        .no_proxy()
        .connect_timeout(settings.timeout.mul_f64(CONNECT_SHARE))
        .tls_backend_preconfigured(tls)
        // Renewals are far apart: a connection kept that long is as good as dead, and finding out costs an attempt.
        .pool_max_idle_per_host(0);
    if let Some(proxy) = &settings.proxy {
        builder = builder.proxy(
            Proxy::all(proxy.clone()).map_err(|_| "its proxy is not a URL that can be used")?,
        );
    }
    // The error is not passed on: it may print the URL of the proxy, and with it a password.
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

/// The error, and whether the request may have arrived all the same.
fn failed(error: &reqwest::Error) -> TokenRequestError {
    let failed = TokenRequestError::new(fault(error));
    if error.is_connect() || error.is_builder() {
        failed
    } else {
        failed.possibly_sent()
    }
}

/// What an error of the HTTP client means. The error itself goes no further: it prints the URL, and a query may hold
/// the secret.
fn fault(error: &reqwest::Error) -> Fault {
    if let Some(tls) = causes(error).find_map(|cause| tls_error(cause)) {
        return Fault::Tls(describe(tls));
    }
    if error.is_timeout() {
        Fault::Timeout
    } else if error.is_dns() {
        Fault::Dns
    } else if error.is_connect() {
        Fault::Connect
    } else if error.is_builder() {
        Fault::Setup("its URL or a header field of its request is not valid")
    } else {
        Fault::Protocol
    }
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// An `io::Error` does not name what it wraps as its source, so it is looked into.
fn tls_error<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(error);
    }
    tls_error(cause.downcast_ref::<io::Error>()?.get_ref()?)
}

/// In words of our own: rustls prints the names in the certificate that the server sent.
fn describe(error: &rustls::Error) -> &'static str {
    use CertificateError as C;
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            C::UnknownIssuer => {
                "its certificate is not signed by an authority that is trusted here"
            }
            C::Expired | C::ExpiredContext { .. } => "its certificate has expired",
            C::NotValidYet | C::NotValidYetContext { .. } => "its certificate is not valid yet",
            C::NotValidForName | C::NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            C::Revoked => "its certificate is revoked",
            _ => "its certificate is not acceptable",
        },
        rustls::Error::InvalidMessage(_) => "it does not speak TLS",
        rustls::Error::AlertReceived(_) => "it ended the handshake with an alert",
        _ => "the handshake failed",
    }
}

#[cfg(test)]
mod tests;
