//! The upstream of a route: a configured one, or the one that each token names.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use url::Url;

use super::connect::{ActiveUpstream, next_id};
use crate::{
    oauth::provider::{ApiBase, is_loopback},
    proxy::route::{BaseUrl, Upstream, UpstreamBase},
    server::{address::ListenAddress, limits::Limits},
    token::access_token::AccessToken,
};

/// The upstream of a route.
#[derive(Debug)]
pub enum RouteUpstream {
    /// A configured one.
    Fixed(Arc<ActiveUpstream>),
    /// The one that a token names.
    Token(Box<TokenUpstream>),
}

/// An upstream that comes with the token.
#[derive(Debug)]
pub struct TokenUpstream {
    id: u64,
    config: Upstream,
    base: ApiBase,
    tunnels: bool,
    limits: Limits,
    /// The listeners of this process, to which no token may lead.
    own: Arc<[ListenAddress]>,
    /// The one that the last token named. Tokens that name the same share its connections.
    latest: Mutex<Option<Arc<ActiveUpstream>>>,
}

impl RouteUpstream {
    /// Makes the upstream of a route. With `tunnels`, its connections must be able to switch protocols.
    ///
    /// `limits` bound the heads of its responses. `own` are the listeners of this process.
    pub fn new(config: Upstream, tunnels: bool, limits: Limits, own: Arc<[ListenAddress]>) -> Self {
        match &config.base {
            UpstreamBase::Fixed(base) => {
                let upstream = ActiveUpstream::new(base.clone(), &config, tunnels, limits);
                Self::Fixed(Arc::new(upstream))
            }
            UpstreamBase::Token(base) => Self::Token(Box::new(TokenUpstream {
                id: next_id(),
                base: base.clone(),
                config,
                tunnels,
                limits,
                own,
                latest: Mutex::default(),
            })),
        }
    }

    /// A number of its own.
    pub fn id(&self) -> u64 {
        match self {
            Self::Fixed(upstream) => upstream.id(),
            Self::Token(upstream) => upstream.id,
        }
    }

    /// The configured upstream.
    pub fn fixed(&self) -> Option<&Arc<ActiveUpstream>> {
        match self {
            Self::Fixed(upstream) => Some(upstream),
            Self::Token(_) => None,
        }
    }

    /// The upstream for requests with `token`. `value` returns the values of variables.
    ///
    /// # Errors
    /// Says why the token names no upstream, or none that it may be sent to.
    pub fn for_token<'v>(
        &self,
        token: &AccessToken,
        value: impl Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Result<Arc<ActiveUpstream>, String> {
        match self {
            Self::Fixed(upstream) => Ok(upstream.clone()),
            Self::Token(upstream) => {
                let url = upstream.url(token, value)?;
                upstream.at(&url)
            }
        }
    }
}

impl TokenUpstream {
    fn url<'v>(
        &self,
        token: &AccessToken,
        value: impl Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Result<Url, String> {
        match &self.base {
            ApiBase::Url(endpoint) => endpoint
                .resolve(value)
                .map_err(|reason| format!("no `api_base`: {reason}")),
            ApiBase::Response { from, allow, .. } => {
                let url = token.context.base.clone();
                let url = url.ok_or_else(|| {
                    format!("no `api_base`: the token response had no URL at {from:?}")
                })?;
                // Checked when it was received. The token must not leave even if that was forgotten.
                let is_protected = url.scheme() == "https" || is_loopback(&url);
                match allow.allows(&url) && is_protected {
                    true => Ok(url),
                    false => Err("its `api_base` is a host that `allow` does not list".to_owned()),
                }
            }
        }
    }

    fn at(&self, url: &Url) -> Result<Arc<ActiveUpstream>, String> {
        let base = BaseUrl::from_url(url).ok_or("its `api_base` is not an http URL")?;
        let leads_to = |own: &ListenAddress| own.is_reached_by(&base.host, base.port);
        if self.own.iter().any(leads_to) {
            return Err("its `api_base` is bearward itself".to_owned());
        }
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Some(known) if *known.base() == base => Ok(known.clone()),
            _ => {
                let upstream = ActiveUpstream::new(base, &self.config, self.tunnels, self.limits);
                Ok(latest.insert(Arc::new(upstream)).clone())
            }
        }
    }
}
