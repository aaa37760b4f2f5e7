//! A request as it arrived, and its parameters.

use std::collections::BTreeMap;

use http::{HeaderMap, header};

use super::fixture::{Encoding, Target};

/// A request to any host.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) url: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// The response to it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
}

impl Response {
    /// A response with a JSON body.
    pub(crate) fn json(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "application/json".to_owned(),
            location: None,
            body: body.into(),
        }
    }
}

/// Parameters by name.
pub(crate) type Parameters = BTreeMap<String, String>;

impl Request {
    /// Whether it has this method and this URL, queries apart.
    pub(crate) fn is_to(&self, target: &Target) -> bool {
        let url = target.url.split('?').next().unwrap_or_default();
        self.method == target.method && self.url == url
    }

    /// The only value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        match values.next() {
            None => first.to_str().ok(),
            Some(_) => Some("(several values)"),
        }
    }

    /// Its parameters, all of which have to be where `encoding` says; what is wrong goes to `reasons`.
    pub(crate) fn parameters(&self, encoding: Encoding, reasons: &mut Vec<String>) -> Parameters {
        let query = pairs(self.query.as_deref().unwrap_or_default().as_bytes());
        let mut pairs_found = Vec::new();
        if matches!(encoding, Encoding::Query | Encoding::Either) {
            pairs_found.extend(query);
        } else if !query.is_empty() {
            let names: Vec<_> = query.iter().map(|(name, _)| name.as_str()).collect();
            reasons.push(format!("parameters in the query: {}", names.join(", ")));
        }
        match encoding {
            Encoding::Form | Encoding::Either => {
                if !self.body.is_empty() {
                    self.demand_media_type("application/x-www-form-urlencoded", reasons);
                }
                pairs_found.extend(pairs(&self.body));
            }
            Encoding::Json => pairs_found.extend(self.members(reasons)),
            Encoding::Query if !self.body.is_empty() => reasons.push("a body".to_owned()),
            Encoding::Query => {}
        }
        let mut found = Parameters::new();
        for (name, value) in pairs_found {
            if found.insert(name.clone(), value).is_some() {
                reasons.push(format!("{name} twice"));
            }
        }
        found
    }

    fn members(&self, reasons: &mut Vec<String>) -> Vec<(String, String)> {
        if self.body.is_empty() {
            return Vec::new();
        }
        self.demand_media_type("application/json", reasons);
        let Ok(serde_json::Value::Object(members)) = serde_json::from_slice(&self.body) else {
            reasons.push("a body that is not a JSON object".to_owned());
            return Vec::new();
        };
        let text = |value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        members
            .into_iter()
            .map(|(name, value)| (name, text(value)))
            .collect()
    }

    fn demand_media_type(&self, demanded: &str, reasons: &mut Vec<String>) {
        let found = self
            .field(header::CONTENT_TYPE.as_str())
            .unwrap_or_default();
        let media_type = found.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case(demanded) {
            reasons.push(format!("content-type {found:?} in place of {demanded}"));
        }
    }
}

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).into_owned().collect()
}
