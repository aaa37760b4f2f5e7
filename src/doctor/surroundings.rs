//! Hints of the machine about a failed connection: its environment, and other addresses of the same host.

use std::{net::IpAddr, time::Duration};

use tokio::{net::TcpStream, time::timeout};
use url::Url;

use super::authorities;
use crate::{
    config::{Config, Environment},
    forward_proxy::ProxyVariable,
    oauth::provider::{ApiBase, Provider, is_loopback},
    proxy::route::{Route, UpstreamBase},
};

/// The time for a connection to another address of this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The surroundings of a provider's endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// The proxy that the environment names: the variable, and the address without user and password.
    pub(super) proxy: Option<(String, String)>,
    /// The user name in that proxy's address.
    pub(super) proxy_user: Option<String>,
    /// A file with the authority of the endpoint's certificate.
    pub(super) ca_file: Option<String>,
    /// The origin of the API.
    pub(super) api: Option<String>,
    /// The endpoint under another name of this machine, where something listens.
    pub(super) reachable: Option<Url>,
}

impl Surroundings {
    /// Looks around. `url` is the endpoint whose connection failed, `untrusted` the one whose certificate
    /// is not trusted, if there is one.
    pub(super) async fn look(
        config: &Config,
        provider: &Provider,
        environment: Environment<'_>,
        url: Option<&Url>,
        untrusted: Option<&Url>,
    ) -> Self {
        let proxy = ProxyVariable::values(environment).find_map(|(variable, text)| {
            let text = match text.contains("://") {
                true => text,
                false => format!("http://{text}"),
            };
            Some((variable.to_string(), Url::parse(&text).ok()?))
        });
        let user = proxy.as_ref().map(|(_, url)| url.username().to_owned());
        Self {
            proxy: proxy.map(|(name, url)| (name, url.origin().ascii_serialization())),
            proxy_user: user.filter(|user| !user.is_empty()),
            ca_file: match untrusted {
                Some(url) => authorities::find(config, provider, environment, url).await,
                None => None,
            },
            api: api(config, provider),
            reachable: match url {
                Some(url) => reachable(url).await,
                None => None,
            },
        }
    }
}

/// The routes with the token of a provider.
pub(super) fn routes_of<'a>(
    config: &'a Config,
    provider: &'a Provider,
) -> impl Iterator<Item = &'a Route> {
    let is_own = |route: &&Route| {
        let binding = route.provider.as_ref();
        binding.is_some_and(|binding| binding.provider == provider.name)
    };
    config.routes.iter().filter(is_own)
}

fn api(config: &Config, provider: &Provider) -> Option<String> {
    let configured = match &provider.api_base {
        Some(ApiBase::Url(base)) => base.as_fixed().cloned(),
        _ => None,
    };
    if let Some(url) = configured {
        return Some(url.origin().ascii_serialization());
    }
    routes_of(config, provider).find_map(|route| match &route.upstream.base {
        UpstreamBase::Fixed(base) => {
            let scheme = if base.tls { "https" } else { "http" };
            Some(format!("{scheme}://{}", base.authority))
        }
        UpstreamBase::Token(_) => None,
    })
}

/// Finds the other loopback address on which something listens. Nothing is sent.
async fn reachable(url: &Url) -> Option<Url> {
    if !is_loopback(url) {
        return None;
    }
    let port = url.port_or_known_default()?;
    for host in ["::1", "127.0.0.1"] {
        let address: IpAddr = host.parse().ok()?;
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect((address, port))).await;
        if matches!(connected, Ok(Ok(_))) {
            let mut other = url.clone();
            other.set_ip_host(address).ok()?;
            return (other != *url).then_some(other);
        }
    }
    None
}
