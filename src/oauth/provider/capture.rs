//! The settings of values that a login brings.

use super::{EndpointUrl, HostList};

/// `[providers.NAME.capture.CAPTURE]`: a value that a login brings, stored with it and usable as a variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// The name of the variable.
    pub name: String,
    /// Where the value comes from.
    pub source: CaptureSource,
    /// The hosts that the value may lead to; needed where it is used in a host.
    pub allow: HostList,
}

impl Capture {
    /// Returns the address that the value is read from, if there is one.
    pub fn url(&self) -> Option<&EndpointUrl> {
        match &self.source {
            CaptureSource::Get { url, .. } => Some(url),
            CaptureSource::Callback(_) => None,
        }
    }
}

/// The origin of a captured value.
#[derive(Clone, Debug, PartialEq)]
pub enum CaptureSource {
    /// A parameter of the callback.
    Callback(String),
    /// A member of the response to one GET with the new token.
    Get {
        /// The address.
        url: Box<EndpointUrl>,
        /// The JSON Pointer of the member (RFC 6901).
        pointer: String,
    },
}
