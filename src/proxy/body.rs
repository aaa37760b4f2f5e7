//! Bodies on their way: the client's to the upstream, and the upstream's to the client.

mod download;
mod peeked;
mod upload;

use http::{HeaderMap, HeaderName};

pub use self::{
    download::{Download, ResponseBody},
    peeked::Peeked,
    upload::{RequestBody, UploadError, UploadFault},
};
use super::{
    hop::{NominatedNames, is_same_name, may_trail},
    route::Route,
};

/// Why a body ends before its end.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The trailer fields that may pass from one side to the other (RFC 9110 §6.5).
#[derive(Clone, Debug)]
pub struct TrailerFilter {
    nominated: NominatedNames,
    /// The name that carries the token.
    injected: Option<HeaderName>,
    /// The names of `[api]`.
    api: Vec<HeaderName>,
}

impl TrailerFilter {
    /// Makes the filter for a request with these headers.
    pub fn of_request(headers: &HeaderMap, route: &Route) -> Self {
        Self {
            nominated: NominatedNames::new(headers),
            injected: route.injected_header().cloned(),
            api: route.api_headers().cloned().collect(),
        }
    }

    /// Makes the filter for a response with these headers.
    pub fn of_response(headers: &HeaderMap) -> Self {
        Self {
            nominated: NominatedNames::new(headers),
            injected: None,
            api: Vec::new(),
        }
    }

    /// The names that the message nominates to end at this hop.
    pub fn nominated(&self) -> &NominatedNames {
        &self.nominated
    }

    fn apply(&self, trailers: &mut HeaderMap) {
        super::hop::retain(trailers, |name, _| {
            let mut own = self.injected.iter().chain(&self.api);
            let is_injected = own.any(|own| is_same_name(name.as_str(), own.as_str()));
            may_trail(name) && !is_injected && !self.nominated.contains(name)
        });
    }
}
