//! The upstream of a route: a configured one, or the one that each token names.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use url::Url;

use super::connect::{ActiveUpstream, next_id};
use crate::{
    oauth::provider::{ApiBase, is_protected},
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
                match allow.allows(&url) && is_protected(&url, false) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        clock::{Clock, ManualClock},
        oauth::{
            api_context::ApiContext,
            provider::{EndpointUrl, HostList, Lifetime},
        },
        proxy::route::Http2,
        secret::Secret,
        tls::Trust,
        token::schedule::{RenewalPolicy, TokenDeadlines},
    };

    fn upstream(base: ApiBase) -> RouteUpstream {
        let config = Upstream {
            base: UpstreamBase::Token(base),
            trust: Trust::default(),
            client_certificate: None,
            proxy: None,
            http2: Http2::Auto,
            route: "devices".into(),
            unused_proxy: None,
        };
        let own = [
            "127.0.0.1:8080".parse().unwrap(),
            "localhost:9900".parse().unwrap(),
        ];
        RouteUpstream::new(config, false, Limits::default(), own.into())
    }

    fn from_response() -> RouteUpstream {
        upstream(ApiBase::Response {
            from: "/instance_url".into(),
            allow: HostList::new(["*.example.com", "localhost", "127.0.0.1"]),
            append: String::new(),
        })
    }

    fn token(base: Option<&str>) -> AccessToken {
        let clock = ManualClock::new();
        let deadlines = TokenDeadlines::new(
            clock.now(),
            Lifetime::For(Duration::from_secs(100)),
            RenewalPolicy::default(),
            0.0,
        );
        let mut token = AccessToken::new(Secret::new("t"), deadlines, &clock);
        token.context = Arc::new(ApiContext {
            base: base.map(|base| base.parse().unwrap()),
            ..ApiContext::default()
        });
        token
    }

    fn at(upstream: &RouteUpstream, base: &str) -> Result<Arc<ActiveUpstream>, String> {
        upstream.for_token(&token(Some(base)), |_| None)
    }

    #[test]
    fn tokens_with_one_base_share_its_connections_and_another_base_has_its_own() {
        let upstream = from_response();
        let first = at(&upstream, "https://a.example.com/v1/").unwrap();
        assert_eq!(first.base().path, "/v1");
        assert_eq!(first.authority().as_str(), "a.example.com");
        let again = at(&upstream, "https://a.example.com/v1").unwrap();
        assert_eq!(first.id(), again.id());
        for other in ["https://b.example.com/v1", "https://a.example.com:444/v1"] {
            let other = at(&upstream, other).unwrap();
            assert_ne!(first.id(), other.id());
        }
    }

    #[test]
    fn a_token_is_not_sent_where_it_may_not_go() {
        let upstream = from_response();
        for (base, reason) in [
            ("https://example.com/", "`allow`"),
            ("https://evil.com/", "`allow`"),
            ("http://a.example.com/", "`allow`"),
            ("http://127.0.0.1:8080/", "itself"),
            ("http://localhost:8080/", "itself"),
            ("http://localhost:9900/", "itself"),
        ] {
            let error = at(&upstream, base).unwrap_err();
            assert!(error.contains(reason), "{base}: {error}");
        }
        assert!(at(&upstream, "http://localhost:8081/").is_ok());
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = from_response()
            .for_token(&token(None), |_| None)
            .unwrap_err();
        assert!(error.contains("/instance_url"), "{error}");
        let endpoint = EndpointUrl::template("https://a.example/{realm}", HostList::default());
        let captured = upstream(ApiBase::Url(endpoint.unwrap()));
        let error = captured.for_token(&token(None), |_| None).unwrap_err();
        assert!(error.contains("realm"), "{error}");
        let value = |_: &str| Some(Cow::Borrowed("7"));
        let found = captured.for_token(&token(None), value).unwrap();
        assert_eq!(found.base().path, "/7");
    }
}
