//! The address of a sidecar's admin listener, as it is written on a command line.

use std::{fmt, path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;
use url::Url;

use crate::secret::Secret;

/// `http://127.0.0.1:9900`, `https://…` through an ingress, with `:KEY@` where it asks for one, or `unix:/run/bearward/admin.sock`.
#[derive(Clone, Debug)]
pub(in crate::cli) struct AdminAddress {
    peer: Peer,
    authority: String,
    base_path: String,
    key: Option<Secret>,
}

#[derive(Clone, Debug)]
pub(in crate::cli) enum Peer {
    Tcp { host: String, port: u16 },
    Tls { host: String, port: u16 },
    Unix(PathBuf),
}

impl AdminAddress {
    /// The address of a listener that serves `uri` over plain HTTP. `None` for a URI without a host.
    pub(in crate::cli) fn of_origin(uri: &Url) -> Option<Self> {
        let (name, port) = (uri.host_str()?, uri.port_or_known_default()?);
        format!("http://{name}:{port}").parse().ok()
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The value of `Host`.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// The path of an endpoint, below the path of the address.
    pub(super) fn path(&self, endpoint: &str) -> String {
        format!("{}{endpoint}", self.base_path)
    }

    pub(super) fn key(&self) -> Option<&Secret> {
        self.key.as_ref()
    }
}

impl FromStr for AdminAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if let Some(path) = text.strip_prefix("unix:") {
            let peer = Peer::Unix(path.into());
            return Ok(Self {
                peer,
                authority: "localhost".into(),
                base_path: String::new(),
                key: None,
            });
        }
        // `[admin] listen` is written 127.0.0.1:9900, so that is accepted here too.
        let url = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let url: Url = url.parse().map_err(|_| InvalidAddress)?;
        let (Some(name), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(InvalidAddress);
        };
        let is_tls = url.scheme() == "https";
        if !is_tls && url.scheme() != "http" || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidAddress);
        }
        let credential = url.password().unwrap_or(url.username());
        let key = match credential {
            "" => None,
            _ => Some(Secret::new(
                percent_decode(credential).ok_or(InvalidAddress)?,
            )),
        };
        let host = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let authority = url
            .port()
            .map_or(name.to_owned(), |port| format!("{name}:{port}"));
        let base_path = url.path().trim_end_matches('/').to_owned();
        Ok(Self {
            peer: match is_tls {
                true => Peer::Tls { host, port },
                false => Peer::Tcp { host, port },
            },
            authority,
            base_path,
            key,
        })
    }
}

/// Writes the address as on a command line, without a key.
impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match &self.peer {
            Peer::Unix(path) => return write!(f, "unix:{}", path.display()),
            Peer::Tcp { .. } => "http",
            Peer::Tls { .. } => "https",
        };
        write!(f, "{scheme}://{}{}", self.authority, self.base_path)
    }
}

/// Decodes percent-encoded text; `None` for an incomplete escape, which the decoder would keep, and for invalid UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(is_escape) {
        return None;
    }
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// An address of an admin listener that cannot be parsed. The text is not repeated, since it may hold a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an admin listener is written http://127.0.0.1:9900, https://bearward.example.com or unix:/run/bearward/admin.sock"
)]
pub(in crate::cli) struct InvalidAddress;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String, String, Option<String>) {
        let address: AdminAddress = text.parse().unwrap();
        let peer = match &address.peer {
            Peer::Tcp { host, port } => format!("{host} {port}"),
            Peer::Tls { host, port } => format!("tls {host} {port}"),
            Peer::Unix(path) => path.display().to_string(),
        };
        let key = address.key().map(|key| key.expose().to_owned());
        (
            peer,
            address.authority().to_owned(),
            address.path("/api/status"),
            key,
        )
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let expected = |peer: &str, authority: &str, path: &str, key: Option<&str>| {
            (
                peer.to_owned(),
                authority.to_owned(),
                path.to_owned(),
                key.map(str::to_owned),
            )
        };
        let status = "/api/status";
        assert_eq!(
            read("http://127.0.0.1:9900"),
            expected("127.0.0.1 9900", "127.0.0.1:9900", status, None)
        );
        assert_eq!(
            read("127.0.0.1:9900"),
            expected("127.0.0.1 9900", "127.0.0.1:9900", status, None)
        );
        assert_eq!(
            read("localhost:9900"),
            expected("localhost 9900", "localhost:9900", status, None)
        );
        assert_eq!(
            read("http://[::1]:9900/"),
            expected("::1 9900", "[::1]:9900", status, None)
        );
        assert_eq!(
            read("http://h/base/"),
            expected("h 80", "h", "/base/api/status", None)
        );
        assert_eq!(
            read("https://bearward.example.com"),
            expected(
                "tls bearward.example.com 443",
                "bearward.example.com",
                status,
                None
            )
        );
        assert_eq!(
            read("http://:a%2Fb@h:1"),
            expected("h 1", "h:1", status, Some("a/b"))
        );
        assert_eq!(
            read("http://me:k@h:1"),
            expected("h 1", "h:1", status, Some("k"))
        );
        assert_eq!(
            read("http://k@h:1"),
            expected("h 1", "h:1", status, Some("k"))
        );
        assert_eq!(
            read("unix:/run/x.sock"),
            expected("/run/x.sock", "localhost", status, None)
        );
    }

    #[test]
    fn an_address_is_shown_as_it_is_written() {
        for text in [
            "http://127.0.0.1:9900",
            "https://bearward.example.com/base",
            "http://[::1]:9900",
            "unix:/run/bearward/admin.sock",
        ] {
            let address: AdminAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn an_invalid_address_is_refused_without_repeating_it() {
        for text in [
            "",
            "ftp://canary@h",
            "http://",
            "http://h/?q",
            "h:port",
            "http://:%zz@h",
            "http://:%4@h",
            "http://:%ff@h",
        ] {
            let error = text.parse::<AdminAddress>().unwrap_err();
            assert!(!error.to_string().contains("canary"));
        }
        let address: AdminAddress = "http://:canary@h".parse().unwrap();
        assert!(!format!("{address} {address:?}").contains("canary"));
    }
}
