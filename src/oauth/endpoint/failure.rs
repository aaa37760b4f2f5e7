//! Classifies the failures of the HTTP client.

use std::{error::Error as StdError, io};

use http::StatusCode;

use crate::{
    oauth::{
        error::{Fault, ProxyFault, TokenRequestError},
        provider::Provider,
    },
    tls::find_tls_error,
};

/// Converts an error of the HTTP client, and marks a request that may have arrived.
pub(super) fn convert_error(error: &reqwest::Error, provider: &Provider) -> TokenRequestError {
    let fault = proxy_fault(error, provider).unwrap_or_else(|| fault(error));
    let converted = TokenRequestError::new(fault).with_connect_error(io_error_of(error));
    if error.is_connect() || error.is_builder() {
        converted
    } else {
        converted.possibly_sent()
    }
}

/// Returns the fault of a proxy that responds instead of the authorization server (RFC 9110 §15.5.8).
pub(super) fn proxy_refusal(status: StatusCode, provider: &Provider) -> Option<Fault> {
    match status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        true => Some(Fault::Proxy {
            proxy: proxy_address(provider)?,
            fault: ProxyFault::Credentials,
        }),
        false => None,
    }
}

/// Returns the fault of the proxy, if no connection through it was made.
fn proxy_fault(error: &reqwest::Error, provider: &Provider) -> Option<Fault> {
    if !error.is_connect() {
        return None;
    }
    // The type of these errors is private to the HTTP client; their texts are its own, without a byte of the proxy.
    let tunnel = causes(error).map(ToString::to_string);
    let tunnel = tunnel.filter_map(|text| Some(text.strip_prefix("tunnel error: ")?.to_owned()));
    let proxy = proxy_address(provider)?;
    let fault = match tunnel.last().as_deref() {
        Some("proxy authorization required") => ProxyFault::Credentials,
        Some("unsuccessful") => ProxyFault::NoTunnel,
        Some("failed to create underlying connection") | None => {
            if tls_error_of(error).is_some() {
                return None;
            }
            match (error.is_dns(), error.is_timeout()) {
                (true, _) => ProxyFault::NotFound,
                (_, true) => ProxyFault::Timeout,
                _ => ProxyFault::Connect,
            }
        }
        Some(_) => ProxyFault::NotAProxy,
    };
    Some(Fault::Proxy { proxy, fault })
}

fn proxy_address(provider: &Provider) -> Option<String> {
    let proxy = provider.token_request.proxy.as_ref()?;
    Some(proxy.address())
}

/// Classifies an error of the HTTP client. Its text is dropped: it holds the URL, whose query may hold the secret.
fn fault(error: &reqwest::Error) -> Fault {
    if let Some(tls) = tls_error_of(error) {
        return Fault::Tls(tls.into());
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

fn tls_error_of(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| find_tls_error(cause))
}

/// Returns the kind of the system's error.
fn io_error_of(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let kind = |cause: &(dyn StdError + 'static)| Some(cause.downcast_ref::<io::Error>()?.kind());
    causes(error).find_map(kind)
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
