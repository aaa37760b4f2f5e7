//! The deviations of token requests from RFC 6749.

use std::{collections::BTreeMap, fmt, time::Duration};

use http::HeaderName;

use super::{BasicEncoding, ParameterValue};
use crate::{
    forward_proxy::{ForwardProxy, ProxyVariable},
    tls::Trust,
};

/// The HTTP method of a token request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenMethod {
    /// RFC 6749 §3.2.
    #[default]
    Post,
    /// Parameters go into the query.
    Get,
}

/// The encoding of a request's parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-www-form-urlencoded`.
    #[default]
    Form,
    /// A JSON object of strings.
    Json,
    /// The query of the URL.
    Query,
}

/// Deviations of token requests from RFC 6749.
#[derive(Clone, PartialEq)]
pub struct TokenRequest {
    /// The HTTP method.
    pub method: TokenMethod,
    /// The encoding of the parameters.
    pub encoding: Encoding,
    /// The encoding of identifier and secret before HTTP Basic.
    pub basic: BasicEncoding,
    /// Additional parameters of every grant.
    pub params: BTreeMap<String, ParameterValue>,
    /// Additional parameters of the exchange of an authorization code.
    pub params_on_exchange: BTreeMap<String, ParameterValue>,
    /// Additional parameters of refresh requests.
    pub params_on_refresh: BTreeMap<String, ParameterValue>,
    /// Additional header fields.
    pub headers: Vec<(HeaderName, ParameterValue)>,
    /// The vendor's names of parameters, by those of RFC 6749.
    pub rename: BTreeMap<String, String>,
    /// Parameters left out of every request.
    pub omit: Vec<String>,
    /// Parameters left out of refresh requests.
    pub omit_on_refresh: Vec<String>,
    /// Parameters left out of the exchange of an authorization code.
    pub omit_on_exchange: Vec<String>,
    /// The time for one exchange, from the name look-up to the end of the response.
    pub timeout: Duration,
    /// Extra trust roots.
    pub trust: Trust,
    /// An HTTP proxy for token requests. The system's proxy is never used.
    pub proxy: Option<ForwardProxy>,
    /// A variable of the environment that names a proxy, where `proxy` is absent.
    pub unused_proxy: Option<ProxyVariable>,
}

impl Default for TokenRequest {
    fn default() -> Self {
        Self {
            method: TokenMethod::default(),
            encoding: Encoding::default(),
            basic: BasicEncoding::default(),
            params: BTreeMap::new(),
            params_on_exchange: BTreeMap::new(),
            params_on_refresh: BTreeMap::new(),
            headers: Vec::new(),
            rename: BTreeMap::new(),
            omit: Vec::new(),
            omit_on_refresh: Vec::new(),
            omit_on_exchange: Vec::new(),
            timeout: Duration::from_secs(10),
            trust: Trust::default(),
            proxy: None,
            unused_proxy: None,
        }
    }
}

/// Shows parameters and headers by name alone, since they may hold a credential.
impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("TokenRequest")
            .field("method", &self.method)
            .field("encoding", &self.encoding)
            .field("params", &self.params.keys())
            .field("headers", &headers)
            .field("omit_on_refresh", &self.omit_on_refresh)
            .field("omit_on_exchange", &self.omit_on_exchange)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
