//! From a failed exchange to its cause. Pure.

mod client;
mod content;
mod parameters;
pub(super) mod scope;
mod transport;

use std::time::Duration;

use http::{StatusCode, header::CONTENT_TYPE};
use serde_json::Value;
use url::Url;

use super::{
    cause::{Cause, FindingKind},
    surroundings::Surroundings,
};
use crate::oauth::{
    endpoint::{RecordedExchange, RecordedResponse},
    error::TokenRequestError,
    provider::Provider,
};

/// The tolerated difference between two clocks.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

/// All that is known of a failed request.
#[derive(Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub(super) provider: &'a Provider,
    /// The key of the endpoint.
    pub(super) endpoint: &'a str,
    pub(super) error: &'a TokenRequestError,
    pub(super) exchange: Option<&'a RecordedExchange>,
    /// The metadata of the authorization server (RFC 8414).
    pub(super) metadata: Option<&'a Value>,
    /// A token endpoint that was found elsewhere on the server.
    pub(super) found_endpoint: Option<&'a str>,
    pub(super) surroundings: &'a Surroundings,
    /// Whether file or preset name the method of client authentication.
    pub(super) names_method: bool,
    /// Whether the client secret is right, and the method of client authentication wrong, as far as was tried.
    pub(super) tried_methods: Option<bool>,
}

impl<'a> Evidence<'a> {
    pub(super) fn response(&self) -> Option<&'a RecordedResponse> {
        self.exchange?.response.as_ref()
    }

    fn status(&self) -> Option<StatusCode> {
        Some(self.response()?.status)
    }

    /// The method and the address of the request, without its query.
    fn address(&self) -> String {
        match self.exchange {
            Some(exchange) => format!("{} {}", exchange.method, without_query(&exchange.url)),
            None => format!("`{}`", self.endpoint),
        }
    }

    fn host(&self) -> String {
        let url = self.exchange.map(|exchange| &exchange.url);
        let host = url.and_then(|url| {
            let port = url.port_or_known_default()?;
            Some(format!("{}:{port}", url.host_str()?))
        });
        host.unwrap_or_else(|| format!("`{}`", self.endpoint))
    }

    /// The response as JSON, or as a form.
    fn json(&self) -> Option<Value> {
        let body = &self.response()?.body;
        if let Ok(json) = serde_json::from_slice(body) {
            return Some(json);
        }
        let is_form = !body.is_empty() && !body.iter().any(|byte| matches!(byte, b'<' | b'{'));
        let pairs = url::form_urlencoded::parse(body).into_owned();
        let members = pairs.map(|(name, value)| (name, Value::String(value)));
        is_form.then(|| Value::Object(members.collect()))
    }

    /// The body in lower case, for words that stand in it.
    fn words(&self) -> String {
        let body = self.response().map(|response| response.body.as_slice());
        String::from_utf8_lossy(body.unwrap_or_default()).to_lowercase()
    }

    /// ` It says "…".`, if the server describes its error.
    fn says(&self) -> String {
        match self.error.description_text() {
            Some(description) => format!(" The server says: {description:?}."),
            None => String::new(),
        }
    }

    fn is_html(&self) -> bool {
        let Some(response) = self.response() else {
            return false;
        };
        let kind = response.headers.get(CONTENT_TYPE);
        let kind = kind.and_then(|value| value.to_str().ok());
        let start = response.body.trim_ascii_start();
        kind.is_some_and(|kind| kind.starts_with("text/html"))
            || start.get(..5).is_some_and(|start| {
                start.eq_ignore_ascii_case(b"<html") || start.eq_ignore_ascii_case(b"<!doc")
            })
    }

    /// The right address of the endpoint, as far as the server tells.
    fn right_endpoint(&self) -> Option<&'a str> {
        let told = self
            .metadata
            .and_then(|document| document.get(self.endpoint));
        told.and_then(Value::as_str).or(self.found_endpoint)
    }

    fn supported(&self, member: &str) -> Vec<&'a str> {
        let list = self.metadata.and_then(|document| document.get(member));
        let list = list.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).collect()
    }
}

fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// Finds the cause of a failed request.
pub(super) fn cause(evidence: &Evidence<'_>) -> Cause {
    let word = fault_word(evidence.error);
    if let Some(cause) = transport::cause(word, evidence) {
        return cause;
    }
    match word {
        "limited" => Cause::new(
            FindingKind::RateLimited,
            format!(
                "{} limits requests (status 429): wait, and let fewer clients share the account.",
                evidence.address()
            ),
        )
        .about(&["client_id"]),
        "server" | "temporary" => content::server_error(evidence),
        "redirect" => content::redirect(evidence),
        "not_a_token" => content::not_a_token(evidence),
        "api_base" => Cause::new(
            FindingKind::Api,
            format!(
                "The token response names no usable API: {}.",
                evidence.error
            ),
        )
        .about(&["api_base"]),
        "discovery" => content::discovery(evidence),
        "setup" => Cause::new(
            FindingKind::Parameters,
            format!("{}.", evidence.error.for_operators()),
        )
        .about(&[evidence.endpoint, "token_request", "assertion"]),
        "rejected" => rejected(evidence),
        _ => refused(word, evidence),
    }
}

/// Finds the cause of an error response without a code of OAuth.
fn rejected(evidence: &Evidence<'_>) -> Cause {
    let status = evidence.status().map_or(0, |status| status.as_u16());
    let words = evidence.words();
    if let Some(cause) = parameters::audience(evidence, &words) {
        return cause;
    }
    match status {
        404 | 410 => content::not_found(evidence),
        405 if !evidence.is_html() => content::wrong_method(evidence),
        _ if evidence.is_html() && status != 401 => content::not_found(evidence),
        415 => parameters::encoding(evidence),
        401 => client::refused(evidence),
        403 if words.contains("client") => client::refused(evidence),
        // Some servers send an error with the status of a success.
        200..300 => content::not_a_token(evidence),
        _ => parameters::invalid_request(evidence),
    }
}

/// Finds the cause of an error with a code of RFC 6749.
fn refused(code: &str, evidence: &Evidence<'_>) -> Cause {
    let words = evidence.words();
    let is_lost = evidence.status() == Some(StatusCode::NOT_FOUND);
    match code {
        "invalid_request" if is_lost => content::not_found(evidence),
        "invalid_client" => client::refused(evidence),
        "invalid_scope" => scope::refused(evidence),
        "unsupported_grant_type" | "unauthorized_client" => parameters::grant_type(code, evidence),
        "access_denied" => parameters::audience(evidence, &words)
            .unwrap_or_else(|| client::not_permitted(evidence)),
        "invalid_grant" => client::invalid_grant(evidence),
        _ => parameters::audience(evidence, &words)
            .unwrap_or_else(|| parameters::invalid_request(evidence)),
    }
}

/// Returns the stable word for a failure.
fn fault_word(error: &TokenRequestError) -> &'static str {
    error.kind()
}

/// Compares the clock of this machine with the `Date` of responses (RFC 9110 §6.6.1).
pub(super) fn clock(exchanges: &[RecordedExchange]) -> Option<Cause> {
    let differences = exchanges.iter().filter_map(|exchange| {
        let response = exchange.response.as_ref()?;
        // A cache repeats an old date.
        if response.headers.contains_key("age") {
            return None;
        }
        let date = response.headers.get("date")?.to_str().ok()?;
        let date = httpdate::parse_http_date(date).ok()?;
        let ahead = exchange.sent_at.duration_since(date).ok();
        let behind = date.duration_since(response.received_at).ok();
        let ahead = ahead.map(|difference| (difference, "ahead of"));
        let behind = behind.map(|difference| (difference, "behind"));
        ahead
            .or(behind)
            .filter(|(difference, _)| *difference > MAX_CLOCK_DIFFERENCE)
    });
    let (difference, side) = differences.into_iter().next()?;
    Some(Cause::new(
        FindingKind::Clock,
        format!(
            "This machine's clock is {} {side} the server's: set it, for example by `timedatectl set-ntp true`. \
             Tokens seem to expire at another time, and assertions are refused.",
            about(difference)
        ),
    ))
}

fn about(difference: Duration) -> String {
    match difference.as_secs() {
        seconds @ ..120 => format!("{seconds} seconds"),
        seconds @ ..7200 => format!("{} minutes", seconds / 60),
        seconds @ ..172_800 => format!("{} hours", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
