//! URLs of endpoints and upstreams. They have no user information, and use TLS unless they are
//! local or the configuration permits plain text.

use std::rc::Rc;

use url::Url;

use super::{BuildContext, provider::NamedCapture};
use crate::{
    config::{
        diagnostics::Diagnostic,
        problem_code::ProblemCode,
        quote::{is_safe_to_display, quote},
        section::Section,
        spanned::Spanned,
    },
    oauth::{
        provider::{EndpointUrl, HostList, is_protected},
        template::Template,
        variables::BUILT_IN,
    },
};

/// The endpoints of one provider table.
pub(super) struct Endpoints<'s, 'a> {
    section: &'s Section<'a>,
    base_url: Option<Url>,
    /// Whether `base_url` is invalid, which was reported.
    base_url_is_invalid: bool,
    allow_plaintext: bool,
    /// The captured values, and the hosts that each may lead to.
    captures: Rc<[(String, HostList)]>,
}

impl<'s, 'a> Endpoints<'s, 'a> {
    /// The endpoints of `section`, relative to its `base_url`.
    pub(super) fn new(
        section: &'s Section<'a>,
        captures: &[NamedCapture<'_>],
        context: &mut BuildContext<'_>,
    ) -> Self {
        let base_url = context.ok_or_push(parse_base_url(section));
        Self {
            section,
            base_url_is_invalid: section.is_set("base_url") && !matches!(base_url, Some(Some(_))),
            base_url: base_url.flatten(),
            allow_plaintext: section.boolean("allow_plaintext").unwrap_or_default(),
            captures: captures
                .iter()
                .map(|capture| (capture.name.to_owned(), capture.allow.clone()))
                .collect(),
        }
    }

    /// The endpoints of a table in the provider's, with the provider's `base_url`.
    pub(super) fn in_section<'i>(&self, section: &'i Section<'a>) -> Endpoints<'i, 'a> {
        Endpoints {
            section,
            base_url: self.base_url.clone(),
            base_url_is_invalid: self.base_url_is_invalid,
            allow_plaintext: self.allow_plaintext,
            captures: self.captures.clone(),
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
        let whole = if has_scheme(endpoint.value) || endpoint.value.starts_with('{') {
            Spanned {
                value: endpoint.value.to_owned(),
                location: endpoint.location,
            }
        } else if let Some(base) = &self.base_url {
            below(base, &endpoint)
        } else if self.section.is_set_in_file(name) && !self.base_url_is_invalid {
            return Err(endpoint
                .error(
                    format!("`{name}` is relative, and there is no `base_url`"),
                    "write the whole URL, or add base_url = \"https://…\" to the provider",
                )
                .with_code(ProblemCode::MissingKey));
        } else {
            // Reported once: as an invalid `base_url`, or by `check_base_url` for a preset.
            return Ok(None);
        };
        self.complete(name, &whole)
    }

    /// Parses `api_base`, which is never relative.
    pub(super) fn parse_api_base(&self) -> Result<Option<EndpointUrl>, Diagnostic> {
        let Some(found) = self.section.string("api_base") else {
            return Ok(None);
        };
        let whole = Spanned {
            value: found.value.to_owned(),
            location: found.location,
        };
        // A route judges plain text, since it has the permission for it.
        self.with_plaintext().complete("api_base", &whole)
    }

    fn with_plaintext(&self) -> Self {
        Self {
            section: self.section,
            base_url: None,
            base_url_is_invalid: false,
            allow_plaintext: true,
            captures: self.captures.clone(),
        }
    }

    /// Parses a whole URL, which may still have variables whose values are known at run time only.
    fn complete(
        &self,
        name: &str,
        whole: &Spanned<String>,
    ) -> Result<Option<EndpointUrl>, Diagnostic> {
        let Ok(template) = Template::parse(&whole.value) else {
            // The check of the provider's variables reports it.
            return Ok(None);
        };
        if template.variables().is_empty() {
            let text = template.render(|_| None).unwrap_or_default();
            let found = Spanned {
                value: &*text,
                location: whole.location.clone(),
            };
            let url = parse_absolute(name, &found)?;
            check_plaintext(&url, name, "provider", self.allow_plaintext, &found)?;
            return Ok(Some(EndpointUrl::fixed(url)));
        }
        let in_origin = EndpointUrl::origin_variables(&whole.value);
        let mut hosts = HostList::default();
        for variable in &in_origin {
            let capture = self.captures.iter().find(|(known, _)| known == variable);
            let Some((_, allow)) = capture else {
                if BUILT_IN.contains(&variable.as_str()) {
                    return Err(whole.error(
                        format!("`{name}` has {{{variable}}} in its host"),
                        "write the host itself, or use a variable of `vars` or a captured value",
                    ).with_code(ProblemCode::InvalidUrl));
                }
                // A variable without a value was reported.
                return Ok(None);
            };
            if allow.is_empty() {
                return Err(whole.error(
                    format!(
                        "`{name}` has the captured value {{{variable}}} in its host, and that has \
                         no `allow` list"
                    ),
                    format!("add allow = [\"*.example.com\"] to `capture.{variable}`"),
                ).with_code(ProblemCode::MissingKey));
            }
            hosts.extend(allow);
        }
        let endpoint = EndpointUrl::template(&whole.value, hosts);
        let endpoint = endpoint.ok();
        match endpoint {
            Some(endpoint) if endpoint.has_valid_shape() => Ok(Some(endpoint)),
            _ => Err(whole
                .error(
                    format!("`{name}` = {} is not a URL", quote(&whole.value)),
                    "write it like https://host.example/path",
                )
                .with_code(ProblemCode::InvalidUrl)),
        }
    }
}

/// Puts a relative endpoint below the base, not beside it, so that a tenant's path in `base_url` stays.
fn below(base: &Url, endpoint: &Spanned<&str>) -> Spanned<String> {
    let base = base.as_str().trim_end_matches('/');
    let relative = endpoint.value.trim_start_matches('/');
    Spanned {
        value: format!("{base}/{relative}"),
        location: endpoint.location.clone(),
    }
}

/// Parses an issuer identifier (RFC 8414 §2): a URL without query and fragment, as it is written.
pub(super) fn parse_issuer(
    found: &Spanned<&str>,
    allow_plaintext: bool,
) -> Result<String, Diagnostic> {
    let url = parse_absolute("issuer", found)?;
    check_no_query(&url, "issuer", found)?;
    check_plaintext(&url, "issuer", "provider", allow_plaintext, found)?;
    Ok(found.value.to_owned())
}

fn parse_base_url(section: &Section<'_>) -> Result<Option<Url>, Diagnostic> {
    let Some(base_url) = section.string("base_url") else {
        return Ok(None);
    };
    if base_url.value.contains('{') {
        // A variable without a value was reported.
        return Ok(None);
    }
    let url = parse_absolute("base_url", &base_url)?;
    check_no_query(&url, "base_url", &base_url)?;
    // The endpoints below it are not on any line that is wrong.
    let allow_plaintext = section.boolean("allow_plaintext").unwrap_or_default();
    check_plaintext(&url, "base_url", "provider", allow_plaintext, &base_url)?;
    Ok(Some(url))
}

/// Parses an absolute `http://` or `https://` URL without user information and fragment.
pub(super) fn parse_absolute(name: &str, found: &Spanned<&str>) -> Result<Url, Diagnostic> {
    let text = found.value;
    let is_stripped_by_parser = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
    let example = || match with_scheme(text) {
        Some(whole) => format!("write {name} = \"{whole}\""),
        None => "write it like https://host.example/path".to_owned(),
    };
    let (fault, hint) = match Url::parse(text) {
        Ok(url) if url.scheme() != "http" && url.scheme() != "https" => {
            ("is neither http:// nor https://", example())
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => (
            "has user information in it",
            "remove everything between `//` and `@`".to_owned(),
        ),
        Ok(url) if url.fragment().is_some() => {
            ("has a fragment", "remove everything from `#` on".to_owned())
        }
        Ok(url) if url.port() == Some(0) => ("has port 0", "use a port from 1 to 65535".to_owned()),
        Ok(url) if url.has_host() && !text.contains(is_stripped_by_parser) => return Ok(url),
        _ => ("is not a URL", example()),
    };
    Err(found
        .error(format!("`{name}` = {} {fault}", quote(text)), hint)
        .with_code(ProblemCode::InvalidUrl))
}

/// Returns the URL that a text without a scheme probably means.
fn with_scheme(text: &str) -> Option<String> {
    let is_local = ["localhost", "127.", "[::1]"]
        .iter()
        .any(|start| text.starts_with(start));
    let scheme = if is_local { "http" } else { "https" };
    let is_bare =
        !text.contains("//") && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    let whole = format!("{scheme}://{text}");
    let url = Url::parse(&whole).ok().filter(|_| is_bare)?;
    let is_host = is_local || url.host_str().is_some_and(|host| host.contains('.'));
    let is_clean = !text.contains(char::is_whitespace) && is_safe_to_display(text);
    (is_host && is_clean).then_some(whole)
}

/// Checks that `url` has no query.
pub(super) fn check_no_query(
    url: &Url,
    name: &str,
    found: &Spanned<&str>,
) -> Result<(), Diagnostic> {
    match url.query() {
        None => Ok(()),
        Some(_) => Err(found
            .error(
                format!("`{name}` has a query"),
                "remove everything from `?` on",
            )
            .with_code(ProblemCode::InvalidUrl)),
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
    if is_protected(url, allow_plaintext) {
        return Ok(());
    }
    Err(found.error(
        format!("`{name}` is on another machine and would be reached in plain text"),
        format!(
            "write https://, or set allow_plaintext = true in the {table} if you trust the network"
        ),
    ).with_code(ProblemCode::Plaintext))
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
