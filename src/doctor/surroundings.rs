//! Hints of the machine about a failed connection: its environment, and other addresses of the same host.

use std::{net::IpAddr, path::Path, time::Duration};

use tokio::{net::TcpStream, time::timeout};
use url::{Host, Url};

use crate::{
    config::{Config, Environment},
    oauth::provider::{ApiBase, Provider},
    proxy::route::{Route, UpstreamBase},
};

/// The time for a connection to another address of this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Variables that name a proxy for HTTPS, as curl reads them.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// Variables that name a file of certification authorities, of several programs.
const CA_VARIABLES: [&str; 5] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
];

/// The surroundings of a provider's endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// The proxy that the environment names: the variable, and the address without user and password.
    pub(super) proxy: Option<(String, String)>,
    /// The user name in that proxy's address.
    pub(super) proxy_user: Option<String>,
    /// A file of certification authorities.
    pub(super) ca_file: Option<String>,
    /// The origin of the API.
    pub(super) api: Option<String>,
    /// The endpoint under another name of this machine, where something listens.
    pub(super) reachable: Option<Url>,
}

impl Surroundings {
    /// Looks around. `url` is the endpoint whose connection failed, if one did.
    pub(super) async fn look(
        config: &Config,
        provider: &Provider,
        environment: Environment<'_>,
        url: Option<&Url>,
    ) -> Self {
        let proxy = PROXY_VARIABLES.iter().find_map(|name| {
            let text = environment(name).filter(|text| !text.is_empty())?;
            let text = match text.contains("://") {
                true => text,
                false => format!("http://{text}"),
            };
            Some(((*name).to_owned(), Url::parse(&text).ok()?))
        });
        let user = proxy.as_ref().map(|(_, url)| url.username().to_owned());
        let own = routes_of(config, provider).find_map(|route| route.upstream.trust.file());
        let any = config
            .routes
            .iter()
            .find_map(|route| route.upstream.trust.file());
        let in_file = own.or(any).map(|path| path.display().to_string());
        let variable = CA_VARIABLES.iter().find_map(|name| environment(name));
        Self {
            proxy: proxy.map(|(name, url)| (name, url.origin().ascii_serialization())),
            proxy_user: user.filter(|user| !user.is_empty()),
            ca_file: in_file
                .or(variable)
                .filter(|path| Path::new(path).is_file()),
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
    let is_loopback = match url.host()? {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    if !is_loopback {
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
