//! URLs of endpoints and upstreams. They have no user information, and use TLS unless they are
//! local or the configuration permits plain text.

use url::Url;

use super::BuildContext;
use crate::{
    config::{diagnostics::Diagnostic, quote::quote, section::Section, spanned::Spanned},
    oauth::provider::{EndpointUrl, is_loopback},
};

/// The endpoints of one provider table.
pub(super) struct Endpoints<'s, 'a> {
    section: &'s Section<'a>,
    base_url: Option<Url>,
    /// Whether `base_url` is invalid, which was reported.
    base_url_is_invalid: bool,
    allow_plaintext: bool,
}

impl<'s, 'a> Endpoints<'s, 'a> {
    /// The endpoints of `section`, relative to its `base_url`.
    pub(super) fn new(section: &'s Section<'a>, context: &mut BuildContext<'_>) -> Self {
        let base_url = context.ok_or_push(parse_base_url(section));
        Self {
            section,
            base_url_is_invalid: base_url.is_none(),
            base_url: base_url.flatten(),
            allow_plaintext: section.boolean("allow_plaintext").unwrap_or_default(),
        }
    }

    /// The endpoints of a table in the provider's, with the provider's `base_url`.
    pub(super) fn in_section<'i>(&self, section: &'i Section<'a>) -> Endpoints<'i, 'a> {
        Endpoints {
            section,
            base_url: self.base_url.clone(),
            base_url_is_invalid: self.base_url_is_invalid,
            allow_plaintext: self.allow_plaintext,
        }
    }

    /// Reports a preset whose endpoints need a `base_url` that is not set.
    pub(super) fn check_base_url(&self, provider: &str) -> Result<(), Diagnostic> {
        let needs_base = |name: &str| {
            let endpoint = self.section.string(name);
            let is_relative = endpoint.is_some_and(|endpoint| endpoint.value.starts_with('/'));
            is_relative && !self.section.is_set_in_file(name)
        };
        let has_base = self.base_url.is_some() || self.section.is_set_in_file("base_url");
        if has_base
            || !["token_endpoint", "authorization_endpoint"]
                .into_iter()
                .any(needs_base)
        {
            return Ok(());
        }
        Err(self.section.error(
            format!("provider `{provider}` has no `base_url`"),
            "add base_url = \"https://…\"; this preset's vendor has no fixed host",
        ))
    }

    /// Parses the endpoint `name` to an absolute URL.
    pub(super) fn parse(&self, name: &str) -> Result<Option<EndpointUrl>, Diagnostic> {
        let Some(endpoint) = self.section.string(name) else {
            return Ok(None);
        };
        let url = if has_scheme(endpoint.value) {
            parse_absolute(name, &endpoint)?
        } else if let Some(base) = &self.base_url {
            parse_below(base, name, &endpoint)?
        } else if self.section.is_set_in_file(name) && !self.base_url_is_invalid {
            return Err(endpoint.error(
                format!("`{name}` is relative, and there is no `base_url`"),
                "write the whole URL, or add base_url = \"https://…\" to the provider",
            ));
        } else {
            // Reported once: as an invalid `base_url`, or by `check_base_url` for a preset.
            return Ok(None);
        };
        check_plaintext(&url, name, "provider", self.allow_plaintext, &endpoint)?;
        Ok(Some(EndpointUrl::fixed(url)))
    }
}

fn parse_base_url(section: &Section<'_>) -> Result<Option<Url>, Diagnostic> {
    let Some(base_url) = section.string("base_url") else {
        return Ok(None);
    };
    let url = parse_absolute("base_url", &base_url)?;
    check_no_query(&url, "base_url", &base_url)?;
    Ok(Some(url))
}

/// Parses a relative endpoint. It is put below the base, not beside it, so that a tenant's path in
/// `base_url` stays.
fn parse_below(base: &Url, name: &str, endpoint: &Spanned<&str>) -> Result<Url, Diagnostic> {
    let base = base.as_str().trim_end_matches('/');
    let relative = endpoint.value.trim_start_matches('/');
    let whole = format!("{base}/{relative}");
    let whole = Spanned {
        value: whole.as_str(),
        location: endpoint.location.clone(),
    };
    parse_absolute(name, &whole)
}

/// Parses an absolute `http://` or `https://` URL without user information and fragment.
pub(super) fn parse_absolute(name: &str, found: &Spanned<&str>) -> Result<Url, Diagnostic> {
    let text = found.value;
    let is_stripped_by_parser = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
    let (fault, hint) = match Url::parse(text) {
        Ok(url) if url.scheme() != "http" && url.scheme() != "https" => (
            "is neither http:// nor https://",
            "write it like https://host.example/path",
        ),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => (
            "has user information in it",
            "remove everything between `//` and `@`",
        ),
        Ok(url) if url.fragment().is_some() => ("has a fragment", "remove everything from `#` on"),
        Ok(url) if url.port() == Some(0) => ("has port 0", "use a port from 1 to 65535"),
        Ok(url) if url.has_host() && !text.contains(is_stripped_by_parser) => return Ok(url),
        _ => ("is not a URL", "write it like https://host.example/path"),
    };
    Err(found.error(format!("`{name}` = {} {fault}", quote(text)), hint))
}

/// Checks that `url` has no query.
pub(super) fn check_no_query(
    url: &Url,
    name: &str,
    found: &Spanned<&str>,
) -> Result<(), Diagnostic> {
    match url.query() {
        None => Ok(()),
        Some(_) => Err(found.error(
            format!("`{name}` has a query"),
            "remove everything from `?` on",
        )),
    }
}

/// Checks that `url` is encrypted, local or permitted by `allow_plaintext` of its `table`.
pub(super) fn check_plaintext<T>(
    url: &Url,
    name: &str,
    table: &str,
    allow_plaintext: bool,
    found: &Spanned<T>,
) -> Result<(), Diagnostic> {
    if url.scheme() != "http" || allow_plaintext || is_loopback(url) {
        return Ok(());
    }
    Err(found.error(
        format!("`{name}` is on another machine and would be reached in plain text"),
        format!(
            "write https://, or set allow_plaintext = true in the {table} if you trust the network"
        ),
    ))
}

fn has_scheme(text: &str) -> bool {
    let start = text.split(['/', '?', '#']).next().unwrap_or_default();
    start.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}
