//! `hosts` of a listener: the `Host` names that it accepts.

use std::net::Ipv6Addr;

use super::BuildContext;
use crate::config::{diagnostics::Diagnostic, quote::quote, spanned::Spanned};

/// The longest host name, in bytes (RFC 1035 §2.3.4).
const MAX_HOST_NAME: usize = 253;

/// Parses the names of `hosts`, each once, and reports those that no `Host` can have.
pub(super) fn parse(
    found: &Spanned<Vec<Spanned<&str>>>,
    context: &mut BuildContext<'_>,
) -> Vec<String> {
    let mut hosts = Vec::with_capacity(found.value.len());
    for host in &found.value {
        match context.ok_or_push(parse_accepted_host(host)) {
            Some(host) if !hosts.contains(&host) => hosts.push(host),
            _ => {}
        }
    }
    hosts
}

fn parse_accepted_host(host: &Spanned<&str>) -> Result<String, Diagnostic> {
    parse_host(host.value).ok_or_else(|| {
        host.error(
            format!("{} in `hosts` is not a host name", quote(host.value)),
            "write names without scheme, port and path, such as [\"localhost\", \"127.0.0.1\", \
             \"[::1]\"]",
        )
    })
}

/// Parses a host name without a port. Returns it in lower case, an IPv6 address in brackets.
pub(super) fn parse_host(text: &str) -> Option<String> {
    let address = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(address) = address.parse::<Ipv6Addr>() {
        return Some(format!("[{address}]"));
    }

    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let is_valid = (1..=MAX_HOST_NAME).contains(&text.len())
        && !text.starts_with('.')
        && text.chars().all(is_allowed);
    is_valid.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_name_without_a_port() {
        assert_eq!(
            parse_host("Hapn.LocalHost").as_deref(),
            Some("hapn.localhost")
        );
        assert_eq!(parse_host("::1").as_deref(), Some("[::1]"));
        assert_eq!(parse_host("[0:0::1]").as_deref(), Some("[::1]"));
        for text in [
            "",
            "localhost:80",
            "http://x",
            "a/b",
            "a b",
            "[x]",
            "*.example.com",
            "münchen.de",
        ] {
            assert_eq!(parse_host(text), None, "{text}");
        }
    }
}
