//! Reads the parameters of a request and checks their names.

use std::collections::BTreeMap;

use http::{HeaderMap, header, request::Parts};
use url::form_urlencoded;

use super::oauth_error::OAuthError;

/// Names and values, each name once. Empty values are dropped (RFC 6749 §3.1, §3.2).
pub(super) type Parameters = BTreeMap<String, String>;

/// The parameters of a form.
pub(super) fn of_form(headers: &HeaderMap, body: &[u8]) -> Result<Parameters, OAuthError> {
    if media_type(headers) != "application/x-www-form-urlencoded" {
        return Err(OAuthError::invalid_request("the body is not a form"));
    }
    without_repeats(form_urlencoded::parse(body).into_owned())
}

/// The parameters of the query.
pub(super) fn of_query(parts: &Parts) -> Result<Parameters, OAuthError> {
    without_repeats(
        form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned(),
    )
}

/// The parameters of a JSON object of strings.
pub(super) fn of_json(headers: &HeaderMap, body: &[u8]) -> Result<Parameters, OAuthError> {
    if media_type(headers) != "application/json" {
        return Err(OAuthError::invalid_request("the body is not JSON"));
    }
    let object: Parameters = serde_json::from_slice(body)
        .map_err(|_| OAuthError::invalid_request("the body is not an object of strings"))?;
    without_repeats(object.into_iter())
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

fn without_repeats(
    pairs: impl Iterator<Item = (String, String)>,
) -> Result<Parameters, OAuthError> {
    let mut parameters = Parameters::new();
    for (name, value) in pairs.filter(|(_, value)| !value.is_empty()) {
        if parameters.insert(name, value).is_some() {
            return Err(OAuthError::invalid_request("a parameter is repeated"));
        }
    }
    Ok(parameters)
}

/// The parameter names that a request must and may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) required: &'static [&'static str],
    pub(super) optional: &'static [&'static str],
}

impl Shape {
    /// Refuses missing and undocumented parameters.
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
