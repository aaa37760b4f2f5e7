//! Problem details (RFC 9457): the body of every error answer that is bearward's own.

use bytes::Bytes;
use http::StatusCode;
use serde::{Serialize, Serializer};

/// The media type of [`Problem::to_json`].
pub const CONTENT_TYPE: &str = "application/problem+json";

/// One problem. Whoever fills it in answers for it that no member holds a secret, or a byte of what an authorization
/// server sent but its `error` code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Problem<'a> {
    /// The word after `urn:bearward:`, such as `no-route`.
    #[serde(rename = "type", serialize_with = "urn")]
    pub kind: &'static str,
    /// What this kind of problem is called; the same each time.
    pub title: &'a str,
    /// The status of the answer, repeated.
    #[serde(serialize_with = "number")]
    pub status: StatusCode,
    /// What happened this time, and what mends it.
    pub detail: &'a str,
    /// The route that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'a str>,
    /// The provider whose token was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<&'a str>,
    /// The authorization server's `error` code (RFC 6749 §5.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
}

impl Problem<'_> {
    /// The problem as a JSON object.
    pub fn to_json(&self) -> Bytes {
        let json = serde_json::to_vec(self);
        // Strings and a number always serialize; an empty body is the honest answer if that ever changes.
        debug_assert!(json.is_ok());
        json.map(Bytes::from).unwrap_or_default()
    }
}

fn urn<S: Serializer>(kind: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("urn:bearward:{kind}"))
}

fn number<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBLEM: Problem<'_> = Problem {
        kind: "no-route",
        title: "No route",
        status: StatusCode::NOT_FOUND,
        detail: "nothing answers \"/x\"",
        route: None,
        provider: None,
        error: None,
    };

    #[test]
    fn members_without_a_value_are_left_out() {
        let json: serde_json::Value = serde_json::from_slice(&PROBLEM.to_json()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "urn:bearward:no-route", "title": "No route", "status": 404, "detail": "nothing answers \"/x\""
            })
        );
    }

    #[test]
    fn members_with_a_value_are_named_as_documented() {
        let problem = Problem {
            route: Some("devices"),
            provider: Some("hapn"),
            error: Some("invalid_client"),
            ..PROBLEM
        };
        let json: serde_json::Value = serde_json::from_slice(&problem.to_json()).unwrap();
        assert_eq!(json["route"], "devices");
        assert_eq!(json["provider"], "hapn");
        assert_eq!(json["error"], "invalid_client");
    }
}
