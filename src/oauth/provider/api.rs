//! The settings of requests to the API: its base, and the fields and parameters beside the token.

use std::collections::BTreeMap;

use http::HeaderName;

use super::{EndpointUrl, HostList, ParameterValue};

/// `api_base`: the address of the API.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiBase {
    /// A configured address; captured values may complete it.
    Url(EndpointUrl),
    /// A member of the token response.
    Response {
        /// The JSON Pointer of the member (RFC 6901).
        from: String,
        /// The hosts that it may name.
        allow: HostList,
        /// The path behind it: empty, or starts with `/`.
        append: String,
    },
}

/// `[providers.NAME.api]`: what every request to the API carries beside the token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApiFields {
    /// Header fields that replace the client's.
    pub headers: Vec<(HeaderName, ParameterValue)>,
    /// Header fields for requests that have none of the name.
    pub default_headers: Vec<(HeaderName, ParameterValue)>,
    /// Query parameters that replace the client's.
    pub query: BTreeMap<String, ParameterValue>,
}

impl ApiFields {
    /// Returns all values.
    pub fn values(&self) -> impl Iterator<Item = &ParameterValue> {
        let headers = self.headers.iter().chain(&self.default_headers);
        headers.map(|(_, value)| value).chain(self.query.values())
    }

    /// Returns whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.default_headers.is_empty() && self.query.is_empty()
    }
}
