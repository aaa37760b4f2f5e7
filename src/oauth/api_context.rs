//! The parts of a request to the API that come with the token, and are kept with it.

use std::collections::BTreeMap;

use url::Url;

/// The API's address and the captured values, as far as a login or a token response decides them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiContext {
    /// The API's base from the token response, checked against its `allow` list.
    pub base: Option<Url>,
    /// The captured values by the names of their variables.
    pub captured: BTreeMap<String, String>,
}
