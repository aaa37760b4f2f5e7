//! The parameters of a request: read from where they belong, and held against what may be there.

use std::collections::BTreeMap;

use http::{HeaderMap, header, request::Parts};
use url::form_urlencoded;

use super::oauth_error::OAuthError;

/// Names and values, each name once. Empty values count as absent (RFC 6749 §3.1, §3.2).
pub(super) type Parameters = BTreeMap<String, String>;

/// Those of a form.
pub(super) fn of_form(headers: &HeaderMap, body: &[u8]) -> Result<Parameters, OAuthError> {
    if essence(headers) != "application/x-www-form-urlencoded" {
        return Err(OAuthError::invalid_request("the body is not a form"));
    }
    once(form_urlencoded::parse(body).into_owned())
}

/// Those of the query.
pub(super) fn of_query(parts: &Parts) -> Result<Parameters, OAuthError> {
    once(form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned())
}

/// Those of a JSON object of strings.
pub(super) fn of_json(headers: &HeaderMap, body: &[u8]) -> Result<Parameters, OAuthError> {
    if essence(headers) != "application/json" {
        return Err(OAuthError::invalid_request("the body is not JSON"));
    }
    let object: Parameters = serde_json::from_slice(body)
        .map_err(|_| OAuthError::invalid_request("the body is not an object of strings"))?;
    once(object.into_iter())
}

fn essence(headers: &HeaderMap) -> String {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

fn once(pairs: impl Iterator<Item = (String, String)>) -> Result<Parameters, OAuthError> {
    let mut parameters = Parameters::new();
    for (name, value) in pairs.filter(|(_, value)| !value.is_empty()) {
        if parameters.insert(name, value).is_some() {
            return Err(OAuthError::invalid_request("a parameter comes twice"));
        }
    }
    Ok(parameters)
}

/// The names that a request has to have, and those that it may have beside them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) required: &'static [&'static str],
    pub(super) optional: &'static [&'static str],
}

impl Shape {
    /// Refuses what is missing and what nobody asked for.
    pub(super) fn check(self, parameters: &Parameters) -> Result<(), OAuthError> {
        if !self
            .required
            .iter()
            .all(|name| parameters.contains_key(*name))
        {
            return Err(OAuthError::invalid_request("a parameter is missing"));
        }
        let known = |name: &str| self.required.contains(&name) || self.optional.contains(&name);
        if !parameters.keys().all(|name| known(name)) {
            return Err(OAuthError::invalid_request(
                "a parameter that is not documented",
            ));
        }
        Ok(())
    }
}
