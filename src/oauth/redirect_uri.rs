//! A `redirect_uri` (RFC 6749 §3.1.2) in its original text.
//!
//! Authorization servers compare it as a string with the registered one (§3.1.2.3). A URL parser would change it: the
//! host becomes lower case, and default ports and dot segments go.

use std::str::FromStr;

use url::Url;

/// An absolute URI without a fragment, and its original text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUri {
    text: String,
    url: Url,
}

impl RedirectUri {
    /// Returns the original text, as it is sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the parsed URL, as a browser reads it.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Replaces port 0 by `port`, and nothing else; `None` if the port is not 0.
    pub fn with_port(&self, port: u16) -> Option<Self> {
        let start = self.text.find("://")? + 3;
        let end = self.text[start..]
            .find(['/', '?', '#'])
            .map_or(self.text.len(), |length| start + length);
        let (host, zero) = self.text[start..end].rsplit_once(':')?;
        if zero.parse() != Ok(0_u16) {
            return None;
        }
        format!("{}{host}:{port}{}", &self.text[..start], &self.text[end..])
            .parse()
            .ok()
    }
}

/// An invalid `redirect_uri`: not absolute, or with a fragment, user information or blanks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRedirectUri;

impl FromStr for RedirectUri {
    type Err = InvalidRedirectUri;

    fn from_str(text: &str) -> Result<Self, InvalidRedirectUri> {
        // A parser would drop them, but the server compares them.
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(InvalidRedirectUri);
        }
        let url = Url::parse(text).map_err(|_| InvalidRedirectUri)?;
        if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidRedirectUri);
        }
        Ok(Self {
            text: text.to_owned(),
            url,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_stays_as_it_was_written() {
        for text in [
            "https://App.Example.com",
            "http://127.0.0.1:80/callback",
            "https://a.example:443/x/../cb",
            "myapp://callback",
            "com.example.app:/cb",
            "https://a.example/cb?b=%7e",
        ] {
            assert_eq!(text.parse::<RedirectUri>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn an_invalid_uri_is_refused() {
        let invalid = [
            "",
            "/callback",
            "https://a/#f",
            "https://a/#",
            "https://u@a/",
            " https://a/",
            "https://a/\n",
            "https://a/b c",
        ];
        for text in invalid {
            assert_eq!(
                text.parse::<RedirectUri>(),
                Err(InvalidRedirectUri),
                "{text:?}"
            );
        }
    }

    #[test]
    fn port_0_is_replaced() {
        let with_port = |text: &str| {
            let uri: RedirectUri = text.parse().unwrap();
            uri.with_port(7).map(|uri| uri.as_str().to_owned())
        };
        assert_eq!(
            with_port("http://LocalHost:0/A/../cb?x=:0").as_deref(),
            Some("http://LocalHost:7/A/../cb?x=:0")
        );
        assert_eq!(
            with_port("http://[::1]:0").as_deref(),
            Some("http://[::1]:7")
        );
        for text in ["http://[::1]/", "http://127.0.0.1:80/", "myapp:/cb"] {
            assert_eq!(with_port(text), None, "{text}");
        }
    }
}
