//! `[api]`: the header fields and query parameters that go to the API beside the token.
//!
//! They are rendered once for each token. What is left for a request is to insert them, and to make a `{uuid}`.

use std::{borrow::Cow, cell::OnceCell};

use http::{HeaderMap, HeaderName, HeaderValue};
use url::form_urlencoded;
use uuid::Uuid;

use super::route::{Binding, Injection};
use crate::{
    oauth::provider::{ApiFields, ParameterValue},
    token::access_token::AccessToken,
};

/// Stands for `{uuid}` in a rendered value, until a request has one. No header field can carry it.
pub const UUID_MARK: &str = "\0";

/// The mark in an encoded query.
const ENCODED_UUID_MARK: &str = "%00";

/// The `{uuid}` of a request: one for all its attempts, made when it is needed.
#[derive(Debug, Default)]
pub struct RequestUuid(OnceCell<String>);

impl RequestUuid {
    fn as_str(&self) -> &str {
        self.0.get_or_init(|| Uuid::new_v4().to_string())
    }
}

/// The header fields of `[api]`, rendered for a token.
#[derive(Debug, Default)]
pub struct PreparedFields {
    headers: Vec<(HeaderName, PreparedValue)>,
    default_headers: Vec<(HeaderName, PreparedValue)>,
}

#[derive(Debug)]
enum PreparedValue {
    Fixed(HeaderValue),
    /// A text that has the mark of a `{uuid}`.
    WithUuid(String),
}

impl PreparedFields {
    /// Renders the fields with the values of variables, which `value` returns.
    ///
    /// # Errors
    /// Names a field whose variable has no value, or whose value cannot stand in a header field.
    pub fn new<'v>(
        api: &ApiFields,
        value: impl Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Result<Self, String> {
        Ok(Self {
            headers: prepare(&api.headers, &value)?,
            default_headers: prepare(&api.default_headers, &value)?,
        })
    }

    /// The number of fields.
    pub fn count(&self) -> usize {
        self.headers.len() + self.default_headers.len()
    }

    /// Adds the fields. The client's fields that they replace have been removed.
    pub fn apply(&self, headers: &mut HeaderMap, uuid: &RequestUuid) {
        for (name, value) in &self.headers {
            // Appended: a list repeats the field.
            headers.append(name.clone(), value.for_request(uuid));
        }
        for (name, value) in &self.default_headers {
            headers
                .entry(name)
                .or_insert_with(|| value.for_request(uuid));
        }
    }
}

impl PreparedValue {
    fn for_request(&self, uuid: &RequestUuid) -> HeaderValue {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::WithUuid(text) => HeaderValue::try_from(text.replace(UUID_MARK, uuid.as_str()))
                .unwrap_or_else(|_| unreachable!("the rest of the text was checked before")),
        }
    }
}

fn prepare<'v>(
    fields: &[(HeaderName, ParameterValue)],
    value: impl Fn(&str) -> Option<Cow<'v, str>>,
) -> Result<Vec<(HeaderName, PreparedValue)>, String> {
    let mut prepared = Vec::with_capacity(fields.len());
    for (name, configured) in fields {
        let explain = |reason: &str| format!("the header `{name}` of `[api]`: {reason}");
        let texts = configured
            .resolve(&value)
            .map_err(|missing| explain(&missing.to_string()))?;
        let is_secret = matches!(configured, ParameterValue::Secret(_));
        for text in texts {
            let text = prepare_value(&text, is_secret);
            let text = text.ok_or_else(|| explain("its value cannot stand in a header field"))?;
            prepared.push((name.clone(), text));
        }
    }
    Ok(prepared)
}

fn prepare_value(text: &str, is_secret: bool) -> Option<PreparedValue> {
    if !is_secret && text.contains(UUID_MARK) {
        let rest = text.replace(UUID_MARK, "");
        HeaderValue::try_from(rest).ok()?;
        return Some(PreparedValue::WithUuid(text.to_owned()));
    }
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(is_secret);
    Some(PreparedValue::Fixed(value))
}

/// The query parameters that replace the client's: those of `[api]`, and the token where it goes there.
#[derive(Debug)]
pub struct PreparedQuery {
    names: Vec<String>,
    /// Encoded, with `&` between them.
    pairs: String,
    /// The pairs that hold a secret, encoded and as they are.
    pub secret_pairs: Vec<String>,
}

impl PreparedQuery {
    /// Renders the parameters; `None` without any.
    ///
    /// # Errors
    /// Names a parameter whose variable has no value.
    pub fn new<'v>(
        binding: &Binding,
        token: &AccessToken,
        value: impl Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Result<Option<Self>, String> {
        let injected = match &binding.inject {
            Injection::Query { name } => Some(name.as_str()),
            Injection::Header { .. } => None,
        };
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        let (mut names, mut secret_pairs) = (Vec::new(), Vec::new());
        let configured = binding.api.query.iter();
        for (name, configured) in configured.filter(|(name, _)| Some(name.as_str()) != injected) {
            let texts = configured
                .resolve(&value)
                .map_err(|missing| format!("the parameter `{name}` of `[api]`: {missing}"))?;
            for text in texts {
                pairs.append_pair(name, &text);
                if matches!(configured, ParameterValue::Secret(_)) {
                    secret_pairs.extend(spellings(name, &text));
                }
            }
            names.push(name.clone());
        }
        if let Some(name) = injected {
            pairs.append_pair(name, token.secret.expose());
            secret_pairs.extend(spellings(name, token.secret.expose()));
            names.push(name.to_owned());
        }
        let prepared = Self {
            names,
            pairs: pairs.finish(),
            secret_pairs,
        };
        Ok(Some(prepared).filter(|prepared| !prepared.names.is_empty()))
    }

    /// Writes the client's query without the parameters of these names, then the parameters (RFC 6750 §2.3).
    ///
    /// Some servers separate parameters by `;` as well (HTML 4.01, appendix B.2.2), so both end a parameter here.
    pub fn write(&self, target: &mut Vec<u8>, client: &str, uuid: &RequestUuid) {
        let own = match self.pairs.contains(ENCODED_UUID_MARK) {
            true => Cow::Owned(self.pairs.replace(ENCODED_UUID_MARK, uuid.as_str())),
            false => Cow::Borrowed(self.pairs.as_str()),
        };
        let (mut is_first, mut read) = (true, 0);
        let mut write = |separator: u8, parameter: &str| {
            target.push(if is_first { b'?' } else { separator });
            target.extend_from_slice(parameter.as_bytes());
            is_first = false;
        };
        for parameter in client.split(['&', ';']).filter(|_| !client.is_empty()) {
            if !self.replaces(parameter) {
                // What stays keeps the separator before it.
                let separator = client.as_bytes()[..read].last();
                write(*separator.unwrap_or(&b'&'), parameter);
            }
            read += parameter.len() + 1;
        }
        if !own.is_empty() {
            write(b'&', &own);
        }
    }

    /// Whether a parameter of the client has one of these names.
    fn replaces(&self, parameter: &str) -> bool {
        let mut pairs = form_urlencoded::parse(parameter.as_bytes());
        pairs
            .next()
            .is_some_and(|(name, _)| self.names.iter().any(|own| *own == name))
    }
}

/// A pair as the query has it, and without its escapes.
fn spellings(name: &str, value: &str) -> [String; 2] {
    let encoded = form_urlencoded::Serializer::new(String::new())
        .append_pair(name, value)
        .finish();
    [encoded, format!("{name}={value}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_parameter_goes_at_either_separator_and_the_rest_stays() {
        let query = PreparedQuery {
            names: vec!["access_token".to_owned()],
            pairs: "access_token=ours".to_owned(),
            secret_pairs: Vec::new(),
        };
        for (client, written) in [
            ("", "?access_token=ours"),
            ("a=1", "?a=1&access_token=ours"),
            ("a=1;access_token=mine", "?a=1&access_token=ours"),
            ("access_token=mine;b=2", "?b=2&access_token=ours"),
            ("a=1;access_token=mine&b=2", "?a=1&b=2&access_token=ours"),
            ("a=1&access%5Ftoken=mine;b=2", "?a=1;b=2&access_token=ours"),
            ("a;b&;&c;", "?a;b&;&c;&access_token=ours"),
            ("access_token;access_token=", "?access_token=ours"),
            (
                "xaccess_token=1;access_tokenx=2",
                "?xaccess_token=1;access_tokenx=2&access_token=ours",
            ),
        ] {
            let mut target = Vec::new();
            query.write(&mut target, client, &RequestUuid::default());
            assert_eq!(String::from_utf8(target).unwrap(), written, "{client}");
        }
    }
}
