//! The settings of the authorization request.

use std::collections::BTreeMap;

use super::{EndpointUrl, ParameterValue};
use crate::oauth::redirect_uri::RedirectUri;

/// The authorization request (RFC 6749 §4.1.1, RFC 7636).
#[derive(Clone, Debug, PartialEq)]
pub struct Authorization {
    /// RFC 6749 §3.1; absent if discovery supplies it, or if every code comes from a sign-in.
    pub endpoint: Option<EndpointUrl>,
    /// RFC 6749 §3.1.2; absent for the admin listener's `/callback`, or for a vendor that needs none.
    pub redirect_uri: Option<RedirectUri>,
    /// The address of the callback where none is configured and nothing listens: in a sign-in, and in variables.
    pub default_redirect_uri: Option<RedirectUri>,
    /// The text that is sent as `redirect_uri` instead, where the vendor wants a name.
    pub redirect_uri_value: Option<String>,
    /// Whether a PKCE challenge (`S256`) is sent.
    pub pkce: bool,
    /// Additional query parameters.
    pub params: BTreeMap<String, ParameterValue>,
    /// The vendor's names of parameters, by those of RFC 6749.
    pub rename: BTreeMap<String, String>,
    /// Parameters that are left out.
    pub omit: Vec<String>,
    /// The callback's parameter that carries the code.
    pub code_parameter: String,
}

impl Authorization {
    /// Returns the text that is sent as `redirect_uri` when the callback goes to `listener`.
    pub fn sent_redirect_uri<'a>(&'a self, listener: Option<&'a RedirectUri>) -> Option<&'a str> {
        let value = self.redirect_uri_value.as_deref();
        value.or_else(|| listener.map(RedirectUri::as_str))
    }

    /// Returns the configured address of the callback, or the default one.
    pub fn callback(&self) -> Option<&RedirectUri> {
        let configured = self.redirect_uri.as_ref();
        configured.or(self.default_redirect_uri.as_ref())
    }
}

impl Default for Authorization {
    fn default() -> Self {
        Self {
            endpoint: None,
            redirect_uri: None,
            default_redirect_uri: None,
            redirect_uri_value: None,
            pkce: true,
            params: BTreeMap::new(),
            rename: BTreeMap::new(),
            omit: Vec::new(),
            code_parameter: "code".to_owned(),
        }
    }
}
