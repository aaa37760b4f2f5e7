//! Classifies the failures of the HTTP client.

use std::{error::Error as StdError, io};

use http::StatusCode;

use crate::{
    oauth::{
        error::{Fault, TokenRequestError},
        provider::Provider,
    },
    tls::CertificateFault,
};

/// Converts an error of the HTTP client, and marks a request that may have arrived.
pub(super) fn convert_error(error: &reqwest::Error, provider: &Provider) -> TokenRequestError {
    let fault = proxy_fault(error, provider).unwrap_or_else(|| fault(error));
    let converted = TokenRequestError::new(fault);
    if error.is_connect() || error.is_builder() {
        converted
    } else {
        converted.possibly_sent()
    }
}

/// Returns the fault of a proxy that responds instead of the authorization server (RFC 9110 §15.5.8).
pub(super) fn proxy_refusal(status: StatusCode, provider: &Provider) -> Option<Fault> {
    match status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        true => Some(Fault::ProxyCredentials {
            proxy: proxy_origin(provider)?,
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
    let proxy = proxy_origin(provider)?;
    let reason = match tunnel.last().as_deref() {
        Some("proxy authorization required") => return Some(Fault::ProxyCredentials { proxy }),
        Some("unsuccessful") => {
            "does not open a connection to it: check `token_request.proxy`, and the rules of the proxy"
        }
        Some("failed to create underlying connection") | None => {
            if tls_error_of(error).is_some() {
                return None;
            }
            match (error.is_dns(), error.is_timeout()) {
                (true, _) => "has a host name that is not found: check `token_request.proxy`",
                (_, true) => "makes no connection in time: check `token_request.proxy`",
                _ => "accepts no connection: check `token_request.proxy`",
            }
        }
        Some(_) => "is no working HTTP proxy: check `token_request.proxy`",
    };
    Some(Fault::Proxy { proxy, reason })
}

fn proxy_origin(provider: &Provider) -> Option<String> {
    let proxy = provider.token_request.proxy.as_ref()?;
    Some(proxy.url.origin().ascii_serialization())
}

/// Classifies an error of the HTTP client. Its text is dropped: it holds the URL, whose query may hold the secret.
fn fault(error: &reqwest::Error) -> Fault {
    if let Some(tls) = tls_error_of(error) {
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

fn tls_error_of(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| tls_error(cause))
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
    use CertificateFault as C;
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate.into() {
            C::UnknownIssuer => {
                "its certificate is not signed by a trusted authority; add that to `token_request.ca_file`"
            }
            C::Expired => "its certificate has expired; renew it, or check the clock",
            C::NotYetValid => "its certificate is not valid yet; check the clock",
            C::OtherName => "its certificate is for another name; check the address",
            C::Revoked => "its certificate is revoked; replace it",
            C::Other => "its certificate is not acceptable; replace it",
        },
        rustls::Error::InvalidMessage(_) => "it does not speak TLS; check the address",
        rustls::Error::AlertReceived(_) => {
            "it ended the handshake with an alert; see the log of the server"
        }
        _ => "the handshake failed; see the log of the server",
    }
}
