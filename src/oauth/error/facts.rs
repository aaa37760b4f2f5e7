//! What is known about a failed request, for messages and for the doctor.

use std::{io, time::Duration};

use http::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};
use regex_lite::Regex;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use super::{ErrorDescription, description};
use crate::{
    forward_proxy::ProxyVariable,
    oauth::provider::{ClientAuth, Provider},
};

/// The bytes of a page in which its title is looked for.
const MAX_TITLE_SEARCH: usize = 64 * 1024;
/// The maximum length of a shown title, in characters.
const MAX_TITLE_CHARS: usize = 100;
/// The maximum number of shown members.
const MAX_MEMBERS: usize = 8;
/// The maximum length of a shown member's name.
const MAX_MEMBER_CHARS: usize = 32;
/// The maximum length of a shown media type.
const MAX_MEDIA_TYPE_CHARS: usize = 64;
/// The maximum length of a shown target of a redirect, in bytes.
const MAX_LOCATION_BYTES: usize = 300;

/// The facts of a failed request that this side decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// The name of the provider.
    pub provider: String,
    /// The HTTP method.
    pub method: Method,
    /// The URL without user information, query and secrets.
    pub url: Option<Url>,
    /// The authentication of the client.
    pub client_auth: ClientAuth,
    /// The place that the client's secret comes from: a variable or a file.
    pub secret_origin: Option<String>,
    /// The requested scope.
    pub scope: Option<String>,
    /// The time for one exchange.
    pub timeout: Duration,
    /// A variable that names a proxy, which is not used.
    pub unused_proxy: Option<ProxyVariable>,
}

impl RequestFacts {
    /// Gathers the facts of a request to `url`.
    pub fn new(provider: &Provider, method: Method, url: Option<&Url>) -> Self {
        let settings = &provider.token_request;
        let secret = provider.client_secret.as_ref();
        let url = url.and_then(|url| shown_url(url, &provider.secrets()));
        let is_remote = |url: &Url| !crate::oauth::provider::is_loopback(url);
        Self {
            provider: provider.name.to_string(),
            method,
            client_auth: provider.client_auth,
            secret_origin: secret.and_then(|secret| secret.origin()),
            scope: provider.scope.clone(),
            timeout: settings.timeout,
            unused_proxy: settings
                .unused_proxy
                .filter(|_| url.as_ref().is_none_or(is_remote)),
            url,
        }
    }

    /// Returns host and port of the URL.
    pub fn address(&self) -> Option<String> {
        let url = self.url.as_ref()?;
        Some(format!(
            "{}:{}",
            url.host_str()?,
            url.port_or_known_default()?
        ))
    }
}

/// The facts of a response that failed. What the server chose is cleaned and bounded, and for operators alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseFacts {
    /// The status.
    pub status: StatusCode,
    /// The media type, without parameters.
    pub media_type: Option<String>,
    /// Whether the body is an HTML page.
    pub is_page: bool,
    /// The title of an HTML page.
    pub title: Option<String>,
    /// `Location` without user information, query and fragment. It may be relative.
    pub location: Option<String>,
    /// The names of the members of a JSON object, at most [`MAX_MEMBERS`]. Names that may be values are left out.
    pub members: Vec<String>,
}

impl ResponseFacts {
    /// Gathers the facts of a response, without the `secrets`.
    pub fn new(
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        secrets: &[Zeroizing<String>],
    ) -> Self {
        let start = &body[..body.len().min(MAX_TITLE_SEARCH)];
        let text = Zeroizing::new(String::from_utf8_lossy(start).into_owned());
        let media_type = media_type(headers);
        let is_page = media_type.as_deref() == Some("text/html") || starts_as_page(&text);
        Self {
            status,
            is_page,
            title: is_page.then(|| title(&text, secrets)).flatten(),
            location: location(headers, secrets),
            members: members(body, secrets),
            media_type,
        }
    }
}

/// The failure to connect, where the system names one.
pub(super) type ConnectError = io::ErrorKind;

/// Removes what may be secret from a URL; `None` if a secret is still in it.
fn shown_url(url: &Url, secrets: &[Zeroizing<String>]) -> Option<Url> {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if description::holds(url.path(), secrets) {
        url.set_path("");
    }
    (!description::holds(url.as_str(), secrets)).then_some(url)
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next()?.trim().to_ascii_lowercase();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"/.+-_".contains(&byte);
    let is_shown = (1..=MAX_MEDIA_TYPE_CHARS).contains(&essence.len());
    (is_shown && essence.bytes().all(is_token)).then_some(essence)
}

fn starts_as_page(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(14).collect();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

fn title(text: &str, secrets: &[Zeroizing<String>]) -> Option<String> {
    let found = Regex::new(r"(?is)<title[^>]*>(.*?)</title").ok()?;
    let title = ErrorDescription::new(found.captures(text)?.get(1)?.as_str(), secrets)?;
    let words: Vec<_> = title.as_str().split_whitespace().collect();
    let shown: String = words.join(" ").chars().take(MAX_TITLE_CHARS).collect();
    (!shown.is_empty()).then_some(shown)
}

/// Reads `Location`, up to its path: a query may hold a code or a state.
fn location(headers: &HeaderMap, secrets: &[Zeroizing<String>]) -> Option<String> {
    let text = headers.get(LOCATION)?.to_str().ok()?;
    let shown = match Url::parse(text) {
        Ok(url) => shown_url(&url, secrets)?.to_string(),
        Err(_) => text.split(['?', '#']).next()?.to_owned(),
    };
    let is_shown = (1..=MAX_LOCATION_BYTES).contains(&shown.len())
        && !description::holds(&shown, secrets)
        && shown.bytes().all(|byte| matches!(byte, 0x21..=0x7E));
    is_shown.then_some(shown)
}

/// Lists the names of the members, never a value. A name that does not look like one may be a value itself.
fn members(body: &[u8], secrets: &[Zeroizing<String>]) -> Vec<String> {
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
        return Vec::new();
    };
    let is_name = |name: &&String| {
        (1..=MAX_MEMBER_CHARS).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte))
            && !description::holds(name, secrets)
    };
    let names = object.keys().filter(is_name).take(MAX_MEMBERS);
    names.cloned().collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(kind: &'static str, body: &str) -> ResponseFacts {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let secrets = [Zeroizing::new("canary9f8e7d6c".to_owned())];
        ResponseFacts::new(StatusCode::OK, &headers, body.as_bytes(), &secrets)
    }

    #[test]
    fn the_title_of_a_page_is_cleaned_and_bounded() {
        let facts = of(
            "text/html; charset=utf-8",
            "<html><title id=a>\n Sign\u{1b}in  to canary9f8e7d6c </title>",
        );
        assert_eq!(facts.media_type.as_deref(), Some("text/html"));
        assert_eq!(facts.title.as_deref(), Some("Sign in to [redacted]"));
        let long = format!("<!DOCTYPE html><title>{}</title>", "x".repeat(500));
        let title = of("text/plain", &long).title.unwrap();
        assert_eq!(title.chars().count(), MAX_TITLE_CHARS);
    }

    #[test]
    fn the_names_of_members_are_shown_and_never_a_value() {
        let facts = of(
            "application/json",
            r#"{"ok":true,"data":{"token":"value"},"canary9f8e7d6c":1,"a b":1}"#,
        );
        assert_eq!(facts.members, ["data", "ok"]);
        // A text that is read as a form may be the token itself.
        assert!(of("text/plain", "c2VjcmV0=").members.is_empty());
    }

    #[test]
    fn the_target_of_a_redirect_ends_at_its_path() {
        for (given, shown) in [
            (
                "https://u:p@as.example/a?code=1#x",
                Some("https://as.example/a"),
            ),
            ("/login?next=1", Some("/login")),
            (
                "https://as.example/canary9f8e7d6c",
                Some("https://as.example/"),
            ),
            ("/canary9f8e7d6c", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_static(given));
            let secrets = [Zeroizing::new("canary9f8e7d6c".to_owned())];
            assert_eq!(location(&headers, &secrets).as_deref(), shown, "{given}");
        }
    }
}
