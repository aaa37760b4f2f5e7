//! Secrets in an exchange that no configuration names: tokens, codes, assertions and cookies.

use http::{
    HeaderMap,
    header::{COOKIE, LOCATION, SET_COOKIE},
};
use serde_json::Value;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::oauth::{
    endpoint::{RecordedExchange, RecordedResponse},
    provider::Provider,
};

/// Words in the names of members and parameters that hold a secret.
const SECRET_WORDS: [&str; 12] = [
    "token",
    "secret",
    "password",
    "passwd",
    "assertion",
    "verifier",
    "credential",
    "session",
    "cookie",
    "jwt",
    "ticket",
    "signature",
];

/// Endings of names with such a word that hold none.
const HARMLESS_ENDINGS: [&str; 9] = [
    "_type",
    "_types",
    "tokentype",
    "_type_hint",
    "_endpoint",
    "_method",
    "_supported",
    "_expires_in",
    "_lifetime",
];

/// The shortest text that is taken for a token by its look alone, in bytes.
const MIN_TOKEN_BYTES: usize = 20;

type Secrets = Vec<Zeroizing<String>>;

/// Returns the secrets of an exchange.
pub(super) fn secrets(
    exchange: &RecordedExchange,
    response: Option<&RecordedResponse>,
    provider: &Provider,
) -> Secrets {
    let mut found = Secrets::new();
    of_url(&exchange.url, &mut found);
    of_headers(&exchange.headers, &mut found);
    of_body(&exchange.body, true, &mut found);
    if let Some(response) = response {
        of_headers(&response.headers, &mut found);
        let location = response.headers.get(LOCATION);
        let location = location.and_then(|value| value.to_str().ok());
        if let Some(url) = location.and_then(|text| exchange.url.join(text).ok()) {
            of_url(&url, &mut found);
        }
        of_body(&response.body, false, &mut found);
        if let Ok(json) = serde_json::from_slice::<Value>(&response.body) {
            let layout = &provider.token_response;
            for pointer in [&layout.access_token, &layout.refresh_token] {
                if let Some(Value::String(token)) = json.pointer(pointer) {
                    push(token, &mut found);
                }
            }
        }
    }
    found.retain(|secret| **secret != provider.client_id);
    found
}

/// Whether the name of a parameter, member or header is that of a secret.
pub(in crate::doctor) fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    if HARMLESS_ENDINGS.iter().any(|end| name.ends_with(end)) {
        return false;
    }
    let is_key = ["key", "apikey", "code_challenge", "sid", "otp"].contains(&name.as_str())
        || name.ends_with("_key");
    is_key || SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Whether it is the name of a code. In an error it is that of the error.
fn names_code(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "code",
        "authcode",
        "auth_code",
        "authorization_code",
        "state",
    ]
    .contains(&name.as_str())
}

fn push(secret: &str, found: &mut Secrets) {
    if !secret.is_empty() {
        found.push(Zeroizing::new(secret.to_owned()));
    }
}

fn of_url(url: &Url, found: &mut Secrets) {
    if let Some(password) = url.password() {
        push(password, found);
    }
    of_pairs(url.query().unwrap_or_default().as_bytes(), true, found);
    of_pairs(url.fragment().unwrap_or_default().as_bytes(), true, found);
}

fn of_pairs(pairs: &[u8], with_codes: bool, found: &mut Secrets) {
    for (name, value) in form_urlencoded::parse(pairs) {
        of_member(&name, &value, with_codes, found);
    }
}

fn of_member(name: &str, value: &str, with_codes: bool, found: &mut Secrets) {
    let is_code = names_code(name) && with_codes || name.to_ascii_lowercase().ends_with("e_code");
    if names_secret(name) || is_code || is_token_like(value) {
        push(value, found);
    }
}

fn of_headers(headers: &HeaderMap, found: &mut Secrets) {
    for (name, value) in headers {
        let Ok(value) = value.to_str() else {
            continue;
        };
        match name.as_str() {
            // A scheme, and what it needs.
            "authorization" | "proxy-authorization" => {
                let value = value.split_once(' ').map_or(value, |(_, value)| value);
                push(value, found);
            }
            _ if *name == SET_COOKIE || *name == COOKIE => {
                for pair in value.split(';').take(1) {
                    push(pair.split_once('=').map_or(pair, |(_, value)| value), found);
                }
            }
            name if names_secret(name) => push(value, found),
            _ => {}
        }
    }
}

fn of_body(body: &[u8], is_request: bool, found: &mut Secrets) {
    match serde_json::from_slice::<Value>(body) {
        Ok(json) => of_json("", &json, is_request, found),
        Err(_) if is_form(body) => of_pairs(body, is_request, found),
        Err(_) => of_words(&String::from_utf8_lossy(body), found),
    }
}

fn is_form(body: &[u8]) -> bool {
    body.contains(&b'=')
        && !body
            .iter()
            .any(|byte| byte.is_ascii_whitespace() || matches!(byte, b'<' | b'{' | b'"'))
}

fn of_json(name: &str, value: &Value, with_codes: bool, found: &mut Secrets) {
    match value {
        Value::String(text) => of_member(name, text, with_codes, found),
        Value::Array(items) => {
            for item in items {
                of_json(name, item, with_codes, found);
            }
        }
        Value::Object(members) => {
            for (member, value) in members {
                // `{"token": {"value": …}}`
                let is_value = names_secret(name) && is_opaque(member) && value.is_string();
                let name = if is_value { name } else { member };
                of_json(name, value, with_codes, found);
            }
        }
        // Some vendors have tokens of digits.
        Value::Number(number) if names_secret(name) => {
            let number = number.to_string();
            if number.len() >= 12 {
                push(&number, found);
            }
        }
        _ => {}
    }
}

/// Whether the member of a token may be the token itself.
fn is_opaque(name: &str) -> bool {
    ["value", "id", "content", "data", "jwt", "raw"].contains(&name.to_ascii_lowercase().as_str())
}

/// Finds texts that look like tokens in a text of any kind.
fn of_words(text: &str, found: &mut Secrets) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-._~+=%".contains(c);
    for word in text.split(|c: char| !is_word(c)) {
        for part in word.split('=').chain([word]) {
            if is_token_like(part) {
                push(part, found);
            }
        }
    }
}

/// Whether a text looks random: long, of a token's characters, digits among letters, and no identifier of a trace.
fn is_token_like(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if text.len() < MIN_TOKEN_BYTES || !text.bytes().all(is_token) || text.contains("://") {
        return false;
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    digits >= 3 && letters >= 3 && !is_uuid(text) && !text.starts_with('/')
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().filter(|byte| *byte == b'-').count() == 4
        && text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}
