//! Texts without secrets: each is replaced by the fingerprint of the secret as it is configured.

mod guess;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use crate::{
    oauth::{
        endpoint::{RecordedExchange, RecordedResponse},
        provider::Provider,
    },
    secret::Secret,
};

/// The maximum length of a body that is shown, in bytes.
const MAX_SHOWN_BYTES: usize = 4096;

/// The length from which on a secret is looked for within words too, in bytes.
const MIN_PART_BYTES: usize = 6;

/// The secrets of one provider, in all forms in which a message may hold them.
#[derive(Default)]
pub(super) struct Redaction {
    /// Longest first: one may be part of another.
    forms: Vec<(Zeroizing<String>, String)>,
}

/// An exchange that may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShownExchange {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) response: Option<ShownResponse>,
}

/// A response that may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShownResponse {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Redaction {
    /// Knows the secrets of `provider` as they are now.
    pub(super) fn new(provider: &Provider) -> Self {
        let mut redaction = Self::default();
        for secret in provider.secrets() {
            redaction.add(&secret);
        }
        if let Some(secret) = &provider.client_secret {
            let secret = secret.current();
            let label = label(secret.expose());
            let id = &provider.client_id;
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            for pair in [
                format!("{id}:{}", secret.expose()),
                format!("{}:{}", encoded(id), encoded(secret.expose())),
            ] {
                redaction.add_form(&BASE64_STANDARD.encode(&pair), &label);
                redaction.add_form(&BASE64_STANDARD_NO_PAD.encode(&pair), &label);
            }
        }
        redaction.sort();
        redaction
    }

    /// Adds a secret in all its forms.
    fn add(&mut self, secret: &str) {
        if secret.is_empty() || self.forms.iter().any(|(known, _)| known.as_str() == secret) {
            return;
        }
        let label = label(secret);
        for form in forms(secret) {
            self.add_form(&form, &label);
        }
    }

    fn add_form(&mut self, form: &str, label: &str) {
        if !self.forms.iter().any(|(known, _)| known.as_str() == form) {
            self.forms
                .push((Zeroizing::new(form.to_owned()), label.to_owned()));
        }
    }

    fn sort(&mut self) {
        self.forms
            .sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
    }

    /// Learns what else in an exchange is secret: tokens, codes, assertions and cookies.
    fn learn(&mut self, exchange: &RecordedExchange, provider: &Provider) {
        let response = exchange.response.as_ref();
        for secret in guess::secrets(exchange, response, provider) {
            self.add(&secret);
        }
        self.sort();
    }

    /// Returns a text without secrets and without characters that steer a terminal.
    pub(super) fn text(&self, text: &str) -> String {
        escape(&self.replace(text))
    }

    fn replace(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = None;
        while let Some(first) = rest.chars().next() {
            let found = self
                .forms
                .iter()
                .find(|(form, _)| rest.starts_with(form.as_str()) && is_apart(before, form, rest));
            before = rest[..found.map_or(first.len_utf8(), |(form, _)| form.len())]
                .chars()
                .next_back();
            match found {
                Some((form, label)) => {
                    shown.push_str(label);
                    rest = &rest[form.len()..];
                }
                None => {
                    shown.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        shown
    }

    fn body(&self, body: &[u8]) -> String {
        let shown = self.text(&String::from_utf8_lossy(body));
        if shown.len() <= MAX_SHOWN_BYTES {
            return shown;
        }
        let end = shown.floor_char_boundary(MAX_SHOWN_BYTES);
        format!("{} … ({} bytes in all)", &shown[..end], body.len())
    }

    /// Returns exchanges as they may be shown.
    pub(super) fn exchanges(
        &mut self,
        exchanges: &[RecordedExchange],
        provider: &Provider,
    ) -> Vec<ShownExchange> {
        for exchange in exchanges {
            self.learn(exchange, provider);
        }
        let shown = exchanges.iter().map(|exchange| ShownExchange {
            method: exchange.method.to_string(),
            url: self.text(exchange.url.as_str()),
            headers: self.headers(&exchange.headers),
            body: self.body(&exchange.body),
            response: exchange.response.as_ref().map(|one| self.response(one)),
        });
        shown.collect()
    }

    fn response(&self, response: &RecordedResponse) -> ShownResponse {
        ShownResponse {
            status: response.status.as_u16(),
            headers: self.headers(&response.headers),
            body: self.body(&response.body),
        }
    }

    fn headers(&self, headers: &http::HeaderMap) -> Vec<(String, String)> {
        let shown = headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), self.text(&value))
        });
        shown.collect()
    }
}

/// Whether a short form is a word of its own: as a part of others it would garble the text, and tell nothing.
fn is_apart(before: Option<char>, form: &str, rest: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    form.len() >= MIN_PART_BYTES
        || (!is_word(before) && !is_word(rest[form.len()..].chars().next()))
}

/// Returns the text that stands for a secret.
fn label(secret: &str) -> String {
    format!("[redacted {}]", Secret::new(secret).fingerprint())
}

/// The secret as it is, and as forms, URLs, JSON, HTML and Base64 write it.
fn forms(secret: &str) -> Vec<String> {
    let form: String = byte_serialize(secret.as_bytes()).collect();
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let json = serde_json::Value::from(secret).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let ascii: String = json.chars().map(json_ascii).collect();
    let html = secret.replace('&', "&amp;").replace('<', "&lt;");
    let html = html.replace('>', "&gt;").replace('"', "&quot;");
    let mut forms = vec![
        secret.to_owned(),
        form.replace('+', "%20"),
        lower_hex(&percent),
        lower_hex(&form),
        form,
        percent,
        json.replace('/', "\\/"),
        ascii,
        json,
        html.replace('\'', "&#39;"),
        html.replace('\'', "&#x27;"),
        html,
    ];
    // Shorter ones stand in ordinary words.
    if secret.len() > 5 {
        forms.push(BASE64_STANDARD.encode(secret));
        forms.push(BASE64_STANDARD_NO_PAD.encode(secret));
        forms.push(BASE64_URL_SAFE_NO_PAD.encode(secret));
    }
    forms
}

/// Writes the digits of percent-encoded bytes in lower case, as some servers do.
fn lower_hex(text: &str) -> String {
    let mut parts = text.split('%');
    let mut lower = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(part.len().min(2));
        lower.push('%');
        lower.push_str(&digits.to_lowercase());
        lower.push_str(rest);
    }
    lower
}

fn json_ascii(character: char) -> String {
    match character.is_ascii() {
        true => character.to_string(),
        false => character
            .encode_utf16(&mut [0; 2])
            .iter()
            .map(|unit| format!("\\u{unit:04x}"))
            .collect(),
    }
}

/// Writes characters that steer a terminal, or are not seen, as escapes. Line breaks stay.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        let is_hidden = matches!(character, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}');
        match character {
            '\n' | '\t' => escaped.push(character),
            _ if character.is_control() || is_hidden => {
                escaped.extend(character.escape_unicode());
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
