//! A token that the upstream refuses: discarded, replaced, and the request replayed once.
//!
//! A response refuses the token by its status (`reauthorize_on`), or by a member of its JSON body (`reauthorize_if`).

use std::time::Duration;

use http::{HeaderMap, Response, header::CONTENT_TYPE};
use hyper::body::Incoming;
use serde_json::Value;

use super::{
    body::Peeked,
    forward::Outgoing,
    inject::Access,
    route::{Binding, ReauthorizeIf},
    upstream::Checkout,
};
use crate::{help, oauth::content_coding::decode, telemetry::access_log::TokenCost};

/// Bytes of such a body without its content coding.
const MAX_DECODED_BYTES: usize = 256 * 1024;

/// The wait for a body that may refuse the token.
const PEEK_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the body of a response that may refuse the token by it.
pub async fn peek(
    outgoing: &Outgoing<'_>,
    response: &mut Response<Incoming>,
    checkout: &mut Checkout,
) -> Peeked {
    let route = &outgoing.active.route;
    let condition = route.provider.as_ref().and_then(condition);
    let may_refuse = |condition: &ReauthorizeIf| {
        response.status() == condition.status && is_json(response.headers())
    };
    match condition.is_some_and(may_refuse) {
        true => {
            let bound = route.timeouts.idle.min(PEEK_TIMEOUT);
            Peeked::read(checkout, response.body_mut(), bound).await
        }
        false => Peeked::default(),
    }
}

/// Decides on a replay after a response. Returns the access to replay the request with.
///
/// `None` passes the response on: it does not refuse the token, no better token is to be had, or the request cannot be
/// sent again; the next request then has a new token.
pub async fn access_for_replay(
    outgoing: &Outgoing<'_>,
    response: &Response<Incoming>,
    peeked: &Peeked,
) -> Option<Access> {
    let Outgoing { active, body, .. } = outgoing;
    let binding = active.route.provider.as_ref()?;
    let credential = active.credential.as_ref()?;
    let sent = &outgoing.access.token()?.token;
    if !is_refusal(binding, response, peeked) {
        sent.mark_accepted();
        return None;
    }
    if outgoing.cost == TokenCost::Replayed {
        if sent.mark_refused_when_fresh() {
            tracing::warn!(
                route = &*active.route.name,
                provider = &*binding.provider,
                status = response.status().as_u16(),
                help = help::place("api"),
                "token.refused_twice: the API refused two tokens in a row; check the scope and the audience of the provider"
            );
        }
        return None;
    }
    if !body.receive_for_replay(active.route.timeouts.idle).await {
        // Where another token would not help, the credential keeps this one and has reported so.
        let _ = credential.invalidate(sent).await;
        return None;
    }
    let renewed = credential.replace(sent).await.ok()?;
    let replay = outgoing.worker.tokens.prepare(active, renewed).ok()?;
    active.metrics.record_replay();
    Some(replay)
}

fn is_refusal(binding: &Binding, response: &Response<Incoming>, peeked: &Peeked) -> bool {
    let (status, headers) = (response.status(), response.headers());
    binding.reauthorize_on.contains(&status.as_u16())
        || condition(binding).is_some_and(|condition| {
            let content = peeked.content();
            let decoded =
                content.and_then(|content| decode(headers, content, MAX_DECODED_BYTES).ok());
            decoded.is_some_and(|content| condition.is_met_by(&content))
        })
}

fn condition(binding: &Binding) -> Option<&ReauthorizeIf> {
    let condition = binding.reauthorize_if.as_ref()?;
    // The status alone decides there.
    let is_decided = binding.reauthorize_on.contains(&condition.status);
    (!is_decided).then_some(condition)
}

/// Whether a body is JSON, as far as its type tells.
fn is_json(headers: &HeaderMap) -> bool {
    let has = |text: &[u8]| {
        let mut windows = text.windows(4);
        windows.any(|window| window.eq_ignore_ascii_case(b"json"))
    };
    let kind = headers.get(CONTENT_TYPE);
    kind.is_some_and(|kind| has(kind.as_bytes()))
}

impl ReauthorizeIf {
    /// Whether a JSON text has one of the values at the pointer. Numbers compare as they are written.
    pub fn is_met_by(&self, content: &[u8]) -> bool {
        let parsed = serde_json::from_slice::<Value>(content);
        let found = parsed
            .as_ref()
            .ok()
            .and_then(|json| json.pointer(&self.pointer));
        let text = match found {
            Some(Value::String(text)) => text.clone(),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            _ => return false,
        };
        self.values.contains(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_compared_as_text() {
        let is_met = |content: &str| {
            let condition = ReauthorizeIf {
                status: 200,
                pointer: "/errors/0/code".into(),
                values: vec!["601".into(), "expired".into(), "true".into()],
            };
            condition.is_met_by(content.as_bytes())
        };
        for content in [
            r#"{"errors":[{"code":601}]}"#,
            r#"{"errors":[{"code":"601"}]}"#,
            r#"{"errors":[{"code":"expired"}]}"#,
            r#"{"errors":[{"code":true}]}"#,
        ] {
            assert!(is_met(content), "{content}");
        }
        for content in [
            r#"{"errors":[{"code":"602"}]}"#,
            r#"{"errors":[{"code":6010}]}"#,
            r#"{"errors":[{"code":null}]}"#,
            r#"{"errors":[{"code":["601"]}]}"#,
            r#"{"errors":[]}"#,
            r#"{"errors":[{"code":601}]"#,
            "601",
            "",
        ] {
            assert!(!is_met(content), "{content}");
        }
    }
}
