//! Endpoints and upstreams: absolute or relative to a base, never with user information, encrypted unless local.

use std::net::IpAddr;

use url::{Host, Url};

use super::{
    super::{
        raw::{At, Found, Section},
        value::quote,
    },
    Context,
};

/// `base_url` of a provider.
pub(super) fn base(section: &Section<'_>, context: &mut Context<'_>) -> Option<Url> {
    let found = section.text("base_url")?;
    let url = absolute("base_url", &found, context)?;
    if url.query().is_some() {
        context.error(
            &found.at,
            "`base_url` has a query",
            "leave out everything from `?` on",
        );
    }
    Some(url)
}

/// An endpoint of a provider, made absolute. `plaintext` permits `http://` to other machines.
pub(super) fn endpoint(
    section: &Section<'_>,
    name: &'static str,
    base: Option<&Url>,
    plaintext: bool,
    context: &mut Context<'_>,
) -> Option<Url> {
    let found = section.text(name)?;
    let url = if is_absolute(found.value) {
        absolute(name, &found, context)?
    } else {
        let Some(base) = base else {
            // What a preset leaves relative is reported once, as a missing `base_url`.
            if section.has_own(name) {
                let message = format!("`{name}` is relative, and there is no valid `base_url`");
                context.error(
                    &found.at,
                    message,
                    "give the whole URL, or base_url = \"https://…\" in the provider",
                );
            }
            return None;
        };
        // Below the base, not beside it: a tenant's path in `base_url` stays.
        let whole = format!(
            "{}/{}",
            base.as_str().trim_end_matches('/'),
            found.value.trim_start_matches('/')
        );
        absolute(
            name,
            &Found {
                value: &whole,
                at: found.at.clone(),
            },
            context,
        )?
    };
    check_plaintext(&url, name, "provider", plaintext, &found.at, context);
    Some(url)
}

/// An absolute `http://` or `https://` URL without user information and fragment.
pub(super) fn absolute(name: &str, found: &Found<&str>, context: &mut Context<'_>) -> Option<Url> {
    let Found { value, at } = found;
    let fault = match Url::parse(value) {
        Ok(url) if url.scheme() != "http" && url.scheme() != "https" => {
            "is neither http:// nor https://"
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "has user information in it"
        }
        Ok(url) if url.fragment().is_some() => "has a fragment",
        Ok(url) if url.port() == Some(0) => "has port 0",
        Ok(_) if value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') => {
            "is not a URL"
        }
        Ok(url) if url.has_host() => return Some(url),
        _ => "is not a URL",
    };
    let hint = match fault {
        "has user information in it" => "leave out everything between `//` and `@`",
        "has a fragment" => "leave out everything from `#` on",
        _ => "write it as in https://host.example/path",
    };
    context.error(at, format!("`{name}` = {} {fault}", quote(value)), hint);
    None
}

/// Reports `http://` to another machine, unless it is permitted.
pub(super) fn check_plaintext(
    url: &Url,
    name: &str,
    table: &str,
    permitted: bool,
    at: &At,
    context: &mut Context<'_>,
) {
    if url.scheme() == "http" && !permitted && !is_loopback(url) {
        let message =
            format!("`{name}` would be reached in plain text, and is not on this machine");
        let hint = format!(
            "write https://, or allow_plaintext = true in the {table} where the network can be trusted"
        );
        context.error(at, message, hint);
    }
}

/// Whether `url` leads to this machine whatever a resolver says.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => false,
    }
}

/// Whether `text` names a scheme.
fn is_absolute(text: &str) -> bool {
    let scheme = text.split(['/', '?', '#']).next().unwrap_or_default();
    scheme.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}
