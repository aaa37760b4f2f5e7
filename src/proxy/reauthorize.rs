//! A token that the upstream refuses by 401 (`reauthorize_on`): discarded, replaced, and the request replayed once.

use http::StatusCode;

use super::{forward::Outgoing, inject::Access};
use crate::telemetry::access_log::TokenCost;

/// Decides on a replay after a response with this status. Returns the access to replay the request with.
///
/// `None` passes the response on: it does not refuse the token, no better token is to be had, or the request cannot be
/// sent again; the next request then has a new token.
pub async fn access_for_replay(outgoing: &Outgoing<'_>, status: StatusCode) -> Option<Access> {
    let Outgoing { active, body, .. } = outgoing;
    let binding = active.route.provider.as_ref()?;
    let credential = active.credential.as_ref()?;
    let sent = &outgoing.access.token()?.token;
    if !binding.reauthorize_on.contains(&status.as_u16()) {
        sent.mark_accepted();
        return None;
    }
    if outgoing.cost == TokenCost::Replayed {
        sent.mark_refused_when_fresh();
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
