//! The host that a request asks for, as `Host` or `:authority` names it.

use std::net::Ipv6Addr;

/// A name with an optional port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedHost<'a> {
    /// The name without its port, IPv6 addresses in brackets.
    pub name: &'a str,
    /// The port, where it is named.
    pub port: Option<u16>,
}

impl<'a> RequestedHost<'a> {
    /// Parses `NAME[:PORT]`, where the port may be empty (RFC 3986 §3.2.3). IPv6 addresses stand in brackets.
    ///
    /// `None` for anything else: every listener refuses it.
    pub fn parse(authority: &'a str) -> Option<Self> {
        let length = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let end = bracketed.find(']')?;
                bracketed[..end].parse::<Ipv6Addr>().ok()?;
                end + 2
            }
            None => {
                let end = authority.find(':').unwrap_or(authority.len());
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
                (end > 0 && authority[..end].bytes().all(is_name)).then_some(end)?
            }
        };
        let (name, rest) = authority.split_at(length);
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            _ => return None,
        };
        Some(Self { name, port })
    }

    /// The port, or `default` where none is named.
    pub fn port_or(&self, default: u16) -> u16 {
        self.port.unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_name_with_an_optional_port() {
        for (text, name, port) in [
            ("localhost", "localhost", None),
            ("a.b-c_d~e:80", "a.b-c_d~e", Some(80)),
            ("a:", "a", None),
            ("[::1]:65535", "[::1]", Some(65535)),
        ] {
            assert_eq!(
                RequestedHost::parse(text),
                Some(RequestedHost { name, port }),
                "{text}"
            );
        }
        for text in [
            "",
            ":80",
            "localhost:x",
            "localhost:99999",
            "localhost:+1",
            "localhost:1:2",
            "[::1]evil",
            "[::1",
            "[evil]",
            "[127.0.0.1]",
            "user@localhost",
            "a b",
            "localhost/",
            "lo%63alhost",
        ] {
            assert_eq!(RequestedHost::parse(text), None, "{text}");
        }
    }
}
