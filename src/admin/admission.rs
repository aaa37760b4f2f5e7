//! The admission of a request: its guard, and its key, sent or proved.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue, header, request::Parts};

use super::{
    guard::{Audience, Refusal},
    login, respond,
    state::AdminState,
};
use crate::{
    secret::Secret,
    server::key_proof::{ProofFields, ProvedRequest, SCHEME},
};

/// Passes a request of `audience` on, or responds with its refusal.
pub(super) async fn admit(
    State((state, audience)): State<(Arc<AdminState>, Audience)>,
    request: Request,
    next: Next,
) -> Response {
    if request.uri().path().len() > state.limits().path_bytes {
        return respond::path_too_long();
    }
    let (parts, body) = request.into_parts();
    let key = state.view().key.as_ref().map(|key| key.current());
    let key = key.as_deref();
    let guard = state.guard();
    if let Err(refusal) = guard.check_site(&parts, audience, |host| state.is_redirect_host(host)) {
        return respond::refusal(refusal);
    }
    let proof = key.and_then(|key| KeyProof::read(&state, &parts, key));
    let checked = match proof {
        Some(_) => Ok(()),
        None => guard.check_key(&parts.headers, audience, key),
    };
    match checked {
        Ok(()) => {
            let response = next.run(Request::from_parts(parts, body)).await;
            match (proof, key) {
                (Some(proof), Some(key)) => proof.confirm(response, key),
                _ => response,
            }
        }
        Err(refusal) => refuse(&state, &parts, refusal),
    }
}

/// Admits the start of a login, also where this listener itself sent the browser on to another of its names.
pub(super) async fn admit_login(
    State(state): State<Arc<AdminState>>,
    request: Request,
    next: Next,
) -> Response {
    let audience = match login::is_redirected(&state, request.uri()) {
        true => Audience::Redirected,
        false => Audience::Starting,
    };
    admit(State((state, audience)), request, next).await
}

fn refuse(state: &AdminState, parts: &Parts, refusal: Refusal) -> Response {
    let mut response = respond::refusal(refusal);
    if refusal != Refusal::KeyRequired {
        return response;
    }
    // A client that asks for a challenge has sent no key yet.
    if proof_fields(parts) != Some(ProofFields::default()) {
        state.record_refused_key();
        return response;
    }
    let challenge = state.nonces().issue(state.clock().now());
    let challenge = challenge.map(|nonce| format!("{SCHEME} nonce=\"{nonce}\""));
    match challenge.map(HeaderValue::try_from) {
        Ok(Ok(challenge)) => {
            response
                .headers_mut()
                .append(header::WWW_AUTHENTICATE, challenge);
            response
        }
        _ => respond::internal_error(),
    }
}

fn proof_fields(parts: &Parts) -> Option<ProofFields<'_>> {
    let mut fields = parts.headers.get_all(header::AUTHORIZATION).iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => ProofFields::parse(field.to_str().ok()?),
        _ => None,
    }
}

/// A valid proof of the key, by the client of one request.
struct KeyProof {
    nonce: String,
    client_nonce: String,
    method: String,
    target: String,
}

impl KeyProof {
    /// Reads the proof of `key` in a request, and redeems its nonce. `None` without a valid one.
    fn read(state: &AdminState, parts: &Parts, key: &Secret) -> Option<Self> {
        let fields = proof_fields(parts)?;
        let proof = Self {
            nonce: fields.nonce?.to_owned(),
            client_nonce: fields.client_nonce?.to_owned(),
            method: parts.method.as_str().to_owned(),
            target: parts.uri.path_and_query()?.as_str().to_owned(),
        };
        let is_proved = proof.request().is_client_proof(key, fields.proof?)
            && state.nonces().redeem(state.clock().now(), &proof.nonce);
        is_proved.then_some(proof)
    }

    /// Adds the listener's own proof to the response.
    fn confirm(&self, mut response: Response, key: &Secret) -> Response {
        let proof = self.request().listener_proof(key, response.status());
        let info = HeaderValue::try_from(format!("proof=\"{proof}\""));
        match info {
            Ok(info) => {
                response
                    .headers_mut()
                    .insert(HeaderName::from_static("authentication-info"), info);
                response
            }
            Err(_) => respond::internal_error(),
        }
    }

    fn request(&self) -> ProvedRequest<'_> {
        ProvedRequest {
            nonce: &self.nonce,
            client_nonce: &self.client_nonce,
            method: &self.method,
            target: &self.target,
        }
    }
}
