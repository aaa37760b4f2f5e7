//! The HTTP client for one authorization server.

use std::sync::Arc;

use reqwest::{Client, Proxy, redirect::Policy, retry};
use tokio::sync::Mutex;

use crate::{
    forward_proxy::ForwardProxy,
    oauth::{
        error::{Fault, TokenRequestError},
        provider::Provider,
    },
    secret::Secret,
    tls,
};

/// The share of the timeout within which the connection has to be made.
const CONNECT_SHARE: f64 = 0.9;

/// The client of a provider. It is built when it is needed, and again when the proxy's password has changed.
#[derive(Default)]
pub(super) struct HttpClient {
    built: Mutex<Option<(Variant, Client)>>,
}

/// The settings in which two clients of a provider differ.
#[derive(Clone, PartialEq)]
struct Variant {
    needs_tls: bool,
    proxy_password: Option<Arc<Secret>>,
}

impl HttpClient {
    /// Returns the client for a URL of this scheme.
    pub(super) async fn get(
        &self,
        provider: &Arc<Provider>,
        scheme: &str,
    ) -> Result<Client, TokenRequestError> {
        let proxy = provider.token_request.proxy.as_ref();
        let is_tls_proxy = proxy.is_some_and(|proxy| proxy.url.scheme() == "https");
        let credentials = proxy.and_then(|proxy| proxy.credentials.as_ref());
        let variant = Variant {
            needs_tls: scheme != "http" || is_tls_proxy,
            proxy_password: credentials.map(|credentials| credentials.password.current()),
        };
        let mut built = self.built.lock().await;
        if let Some((known, client)) = &*built
            && *known == variant
        {
            return Ok(client.clone());
        }
        let client = build(provider.clone(), variant.clone()).await?;
        *built = Some((variant, client.clone()));
        Ok(client)
    }
}

/// Builds the client on a blocking thread, because files are read from disk.
async fn build(provider: Arc<Provider>, variant: Variant) -> Result<Client, TokenRequestError> {
    let interrupted =
        |_| TokenRequestError::new(Fault::Setup("building its HTTP client was interrupted"));
    let built = tokio::task::spawn_blocking(move || {
        configure(&provider, &variant).map_err(TokenRequestError::new)
    });
    built.await.map_err(interrupted)?
}

fn configure(provider: &Provider, variant: &Variant) -> Result<Client, Fault> {
    tls::install_crypto_provider();
    let settings = &provider.token_request;
    let tls = match variant.needs_tls {
        true => tls::client_config(
            &settings.trust,
            &[b"h2", b"http/1.1"],
            provider.client_certificate.as_ref(),
        )
        .map_err(|error| Fault::Unusable(error.to_string()))?,
        false => tls::client_config_without_roots(),
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
    if let Some(settings) = &settings.proxy {
        builder = builder.proxy(proxy(settings, variant.proxy_password.as_deref())?);
    }
    // The error is dropped: its text may hold the URL of the proxy.
    builder
        .build()
        .map_err(|_| Fault::Setup("its HTTP client cannot be built"))
}

fn proxy(settings: &ForwardProxy, password: Option<&Secret>) -> Result<Proxy, Fault> {
    let proxy = Proxy::all(settings.url.clone());
    let proxy = proxy.map_err(|_| Fault::Setup("`token_request.proxy` is not a usable URL"))?;
    Ok(match (&settings.credentials, password) {
        (Some(credentials), Some(password)) => {
            proxy.basic_auth(&credentials.username, password.expose())
        }
        _ => proxy,
    })
}
