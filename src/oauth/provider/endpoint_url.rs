//! URLs of endpoints, and the hosts that captured values may lead to.

use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;
use url::{Host, Url};

use crate::oauth::template::{InvalidTemplate, MissingVariable, Template};

/// An absolute URL, which captured values may complete at run time.
///
/// A value in its authority leads only to the hosts that `allow` lists. A value behind it is percent-encoded.
#[derive(Clone, PartialEq)]
pub struct EndpointUrl {
    text: String,
    /// The URL, if the text has no variables.
    fixed: Option<Url>,
    /// Scheme and authority, or a variable that holds both.
    origin: Template,
    /// The text behind them.
    rest: Template,
    allow: HostList,
}

/// An endpoint whose URL cannot be completed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EndpointUrlError {
    /// A variable has no value.
    #[error(transparent)]
    Missing(#[from] MissingVariable),
    /// The text with its values is not a URL.
    #[error("its variables do not make it a URL")]
    NotAUrl,
    /// The values lead to a host that `allow` does not list.
    #[error("its variables lead to a host that `allow` does not list")]
    Host,
}

/// The characters that may stand in a segment of a path (RFC 3986 §2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl EndpointUrl {
    /// Creates an endpoint without variables.
    pub fn fixed(url: Url) -> Self {
        Self {
            text: url.to_string(),
            fixed: Some(url),
            origin: Template::default(),
            rest: Template::default(),
            allow: HostList::default(),
        }
    }

    /// Creates an endpoint with variables; those in its authority may lead to `allow`.
    ///
    /// # Errors
    /// A brace does not enclose a name.
    pub fn template(text: &str, allow: HostList) -> Result<Self, InvalidTemplate> {
        let (origin, rest) = text.split_at(origin_length(text));
        Ok(Self {
            text: text.to_owned(),
            fixed: None,
            origin: Template::parse(origin)?,
            rest: Template::parse(rest)?,
            allow,
        })
    }

    /// Returns the text as it was configured.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the URL, if the text has no variables.
    pub fn as_fixed(&self) -> Option<&Url> {
        self.fixed.as_ref()
    }

    /// Returns the names of the variables in the authority of `text`.
    pub fn origin_variables(text: &str) -> Vec<String> {
        let origin = Template::parse(&text[..origin_length(text)]);
        origin.map_or_else(|_| Vec::new(), |origin| origin.variables().to_vec())
    }

    /// Returns whether ordinary values make it a URL: then its fixed parts are in order.
    pub fn has_valid_shape(&self) -> bool {
        let origin = match self.origin.as_str().starts_with('{') {
            true => Ok(Cow::Borrowed("https://host.example")),
            false => self.origin.render(|_| Some(Cow::Borrowed("value"))),
        };
        let rest = self.rest.render(|_| Some(Cow::Borrowed("value")));
        origin
            .and_then(|origin| Ok(format!("{origin}{}", rest?)))
            .is_ok_and(|text| parse(&text).is_ok_and(|url| url.fragment().is_none()))
    }

    /// Returns the names of its variables.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let names = self.origin.variables().iter().chain(self.rest.variables());
        names.map(String::as_str)
    }

    /// Completes the URL with the values of its variables, which `value` returns.
    ///
    /// # Errors
    /// A value is missing, or the values do not lead to an allowed URL.
    pub fn resolve<'v>(
        &self,
        value: impl Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Result<Url, EndpointUrlError> {
        if let Some(url) = &self.fixed {
            return Ok(url.clone());
        }
        if self.leaves_authority(&value) {
            return Err(EndpointUrlError::Host);
        }
        let origin = self.origin.render(&value)?;
        let encoded = |name: &str| {
            let value = value(name)?;
            Some(Cow::Owned(
                utf8_percent_encode(&value, UNRESERVED).to_string(),
            ))
        };
        let rest = self.rest.render(encoded)?;
        let url = parse(&format!("{}{rest}", origin.trim_end_matches('/')))?;
        if self.origin.variables().is_empty() || self.allow.allows(&url) {
            Ok(url)
        } else {
            Err(EndpointUrlError::Host)
        }
    }

    /// Returns whether a value ends the authority that it stands in (RFC 3986 §3.2).
    ///
    /// It would move the port or the path. A value that is a whole URL has a path of its own.
    fn leaves_authority<'v>(&self, value: impl Fn(&str) -> Option<Cow<'v, str>>) -> bool {
        let ends_authority = |value: Cow<'_, str>| value.contains(['/', '?', '#', '\\']);
        let mut names = self.origin.variables().iter();
        !self.origin.as_str().starts_with('{')
            && names.any(|name| value(name).is_some_and(ends_authority))
    }
}

/// Parses a URL that may receive a token: no user information, and TLS unless it is on this machine.
fn parse(text: &str) -> Result<Url, EndpointUrlError> {
    let url = Url::parse(text).map_err(|_| EndpointUrlError::NotAUrl)?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.has_host();
    if is_plain && is_protected(&url, false) {
        Ok(url)
    } else {
        Err(EndpointUrlError::NotAUrl)
    }
}

/// Returns whether `url` uses TLS, or plain text that stays on this machine or that the configuration permits.
pub fn is_protected(url: &Url, allow_plaintext: bool) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && (allow_plaintext || is_loopback(url)))
}

/// Returns whether `url` is on this machine, whatever a resolver says.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => false,
    }
}

/// Returns the length of scheme and authority, or of the variable that the text begins with.
fn origin_length(text: &str) -> usize {
    let start = match text.starts_with('{') {
        true => 0,
        false => text.find("://").map_or(0, |colon| colon + 3),
    };
    let end = text[start..].find(['/', '?', '#']);
    end.map_or(text.len(), |length| start + length)
}

/// Parses a URL without variables.
impl FromStr for EndpointUrl {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Self, url::ParseError> {
        Url::parse(text).map(Self::fixed)
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EndpointUrl").field(&self.as_str()).finish()
    }
}

/// Names of hosts without ports. `*.x` stands for every subdomain of `x`, and not for `x`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostList(Vec<String>);

impl HostList {
    /// Creates a list of names, which are compared without regard to case.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let names = names.into_iter();
        Self(
            names
                .map(|name| name.as_ref().to_ascii_lowercase())
                .collect(),
        )
    }

    /// Adds the names of another list.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// Returns whether the list has no name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a name of the list stands for the host of `url`.
    pub fn allows(&self, url: &Url) -> bool {
        let Some(host) = url.host_str().map(str::to_ascii_lowercase) else {
            return false;
        };
        self.0.iter().any(|name| match name.strip_prefix('*') {
            // The suffix keeps its dot, so that `*.x` never stands for `evilx`.
            Some(suffix) => {
                suffix.starts_with('.') && host.len() > suffix.len() && host.ends_with(suffix)
            }
            None => host == *name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str, allow: &[&str], value: &str) -> Result<String, EndpointUrlError> {
        let endpoint = EndpointUrl::template(text, HostList::new(allow)).unwrap();
        let value = |name: &str| (name == "v").then_some(Cow::Borrowed(value));
        endpoint.resolve(value).map(String::from)
    }

    #[test]
    fn a_value_behind_the_host_is_one_segment() {
        assert_eq!(
            resolve("https://a.example/x/{v}/y", &[], "../?#@e").as_deref(),
            Ok("https://a.example/x/..%2F%3F%23%40e/y")
        );
    }

    #[test]
    fn a_value_leads_to_allowed_hosts_only() {
        let allow = ["*.example.com"];
        for (text, value) in [
            ("https://{v}.example.com/a", "x"),
            ("https://{v}/a", "x.example.com"),
            ("{v}/a", "https://x.example.com/"),
            ("{v}/a", "https://X.Example.com"),
        ] {
            assert_eq!(
                resolve(text, &allow, value).as_deref(),
                Ok("https://x.example.com/a"),
                "{text} {value}"
            );
        }
        for (text, value) in [
            ("https://{v}.example.com/a", "evil.com/"),
            ("https://{v}.example.com/a", "evil.com#"),
            ("https://{v}.example.com/a", "evil.com?"),
            ("https://{v}/a", "example.com"),
            ("https://{v}/a", "evilexample.com"),
            ("{v}/a", "https://evil.com"),
            ("https://x.example.com{v}", ".evil.com"),
            ("https://{v}:8443/a", "x.example.com/"),
            ("https://{v}/a", "x.example.com/b"),
            ("https://{v}/a", "x.example.com\\\\b"),
        ] {
            assert_eq!(
                resolve(text, &allow, value),
                Err(EndpointUrlError::Host),
                "{text} {value}"
            );
        }
        for (text, value) in [
            ("{v}/a", "http://x.example.com"),
            ("{v}/a", "javascript:x"),
            ("{v}/a", "x.example.com"),
            ("https://{v}/a", "user@x.example.com"),
        ] {
            assert_eq!(
                resolve(text, &allow, value),
                Err(EndpointUrlError::NotAUrl),
                "{text} {value}"
            );
        }
    }

    #[test]
    fn a_missing_value_is_named() {
        let missing = MissingVariable("other".into());
        assert_eq!(
            resolve("https://a.example/{other}", &[], "x"),
            Err(EndpointUrlError::Missing(missing))
        );
    }
}
