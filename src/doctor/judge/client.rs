//! Refusals of the client: its authentication, its secret, its assertion, its account.

use http::header::WWW_AUTHENTICATE;

use super::{Evidence, parameters};
use crate::{
    doctor::cause::{Cause, FindingKind},
    oauth::provider::{ClientAuth, Encoding, GrantType},
};

/// The keys of client authentication.
const CLIENT_KEYS: [&str; 3] = ["client_secret", "client_id", "token_endpoint_auth_method"];

/// Words of servers that know the client, and refuse its secret; or do not know the client.
const CLIENT_WORDS: [&str; 14] = [
    "invalid client secret",
    "invalid_client_secret",
    "incorrect client secret",
    "client secret is incorrect",
    "client secret is invalid",
    "client secret provided",
    "wrong secret",
    "secret has expired",
    "secret is expired",
    "unknown client",
    "client not found",
    "no client",
    "client_id not found",
    "does not exist",
];

/// Words of servers that miss the client's credentials, or want others.
const METHOD_WORDS: [&str; 13] = [
    "not registered for",
    "authentication method",
    "auth method",
    "auth_method",
    "authentication mechanism",
    "client_id is missing",
    "missing client",
    "no client authentication",
    "missing client credentials",
    "client credentials are missing",
    "client_secret_post",
    "client_secret_basic",
    "authorization header",
];

/// Returns the word of a method in the configuration.
pub(in crate::doctor) const fn word(method: ClientAuth) -> &'static str {
    match method {
        ClientAuth::None => "none",
        ClientAuth::SecretBasic => "client_secret_basic",
        ClientAuth::SecretPost => "client_secret_post",
        ClientAuth::SecretJwt => "client_secret_jwt",
        ClientAuth::PrivateKeyJwt => "private_key_jwt",
        ClientAuth::TlsClientAuth => "tls_client_auth",
        ClientAuth::JwtHeader => "jwt_header",
    }
}

/// The server does not accept the client, and says little more.
pub(super) fn refused(evidence: &Evidence<'_>) -> Cause {
    let method = evidence.provider.client_auth;
    let has_assertion = matches!(
        method,
        ClientAuth::SecretJwt | ClientAuth::PrivateKeyJwt | ClientAuth::JwtHeader
    );
    let words = evidence.words();
    if has_assertion || method == ClientAuth::TlsClientAuth {
        return refused_proof(evidence, has_assertion);
    }
    let supported = evidence.supported("token_endpoint_auth_methods_supported");
    let is_unsupported = !supported.is_empty() && !supported.contains(&word(method));
    let says_client = CLIENT_WORDS.iter().any(|said| words.contains(said));
    let says_method = METHOD_WORDS.iter().any(|said| words.contains(said));
    // A server that knows HTTP Basic names it after a request that had something else (RFC 6749 §5.2).
    let challenges = evidence.response().is_some_and(|response| {
        let challenges = response.headers.get_all(WWW_AUTHENTICATE).iter();
        challenges
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.to_ascii_lowercase().starts_with("basic"))
    });
    let is_method = match evidence.tried_methods {
        Some(others_work) => others_work,
        None if says_client => false,
        None if is_unsupported || says_method => true,
        None => match method {
            ClientAuth::SecretBasic => !challenges,
            ClientAuth::SecretPost | ClientAuth::None => challenges,
            _ => false,
        },
    };
    // Credentials in a body of JSON are not seen by a server of forms.
    let is_unread = method == ClientAuth::SecretPost
        && evidence.provider.token_request.encoding != Encoding::Form
        && evidence.tried_methods.is_none()
        && !says_client;
    match is_method {
        _ if is_unread => parameters::encoding(evidence),
        true => wrong_method(evidence, &supported),
        false => wrong_client(evidence),
    }
}

fn wrong_method(evidence: &Evidence<'_>, supported: &[&str]) -> Cause {
    let method = evidence.provider.client_auth;
    let has_secret = evidence.provider.client_secret.is_some();
    let candidates = match (method, has_secret) {
        (_, false) => ["none", "none"],
        (ClientAuth::SecretBasic, true) => ["client_secret_post", "client_secret_jwt"],
        (_, true) => ["client_secret_basic", "client_secret_post"],
    };
    let is_allowed = |candidate: &&&str| supported.is_empty() || supported.contains(*candidate);
    let other = candidates.iter().find(is_allowed).unwrap_or(&candidates[0]);
    let mut message = format!(
        "{} refuses the client, which authenticates by {}.{} Most likely it is registered for another method, such as \
         {other}; else `client_id` or `client_secret` is wrong.",
        evidence.address(),
        word(method),
        evidence.says()
    );
    if !has_secret {
        message = format!(
            "{} refuses the client, which has no secret.{} Set `client_secret`, or register a public client.",
            evidence.address(),
            evidence.says()
        );
        return Cause::new(FindingKind::ClientAuthentication, message).about(&CLIENT_KEYS);
    }
    Cause::new(FindingKind::ClientAuthentication, message)
        .about(&["token_endpoint_auth_method", "client_secret"])
        .fixed_by("token_endpoint_auth_method", other)
}

/// The method that is most often confused with the one in use.
const fn counterpart(method: ClientAuth) -> &'static str {
    match method {
        ClientAuth::SecretBasic => "client_secret_post",
        _ => "client_secret_basic",
    }
}

fn wrong_client(evidence: &Evidence<'_>) -> Cause {
    let message = format!(
        "{} refuses the client {:?}, which authenticates by {}: `client_id` or `client_secret` is wrong, or the client \
         is disabled.{}",
        evidence.address(),
        evidence.provider.client_id,
        word(evidence.provider.client_auth),
        evidence.says()
    );
    let cause = Cause::new(FindingKind::Client, message).about(&CLIENT_KEYS);
    let other = counterpart(evidence.provider.client_auth);
    // Nothing says that the method is the registered one.
    match evidence.names_method || evidence.tried_methods.is_some() {
        true => cause,
        false => cause
            .with_advice(&format!(" If both are right, the method may be {other}."))
            .fixed_by("token_endpoint_auth_method", other),
    }
}

/// The assertion or the certificate is refused.
fn refused_proof(evidence: &Evidence<'_>, has_assertion: bool) -> Cause {
    let words = evidence.words();
    let address = evidence.address();
    let says = evidence.says();
    if has_assertion && words.contains("aud") {
        let issuer = evidence
            .metadata
            .and_then(|document| document.get("issuer"));
        let issuer = issuer.and_then(serde_json::Value::as_str);
        let message = format!(
            "{address} does not accept the audience of the assertion.{says} Set the claim `aud` in `assertion.claims`."
        );
        return Cause::new(FindingKind::Client, message)
            .about(&["assertion"])
            .perhaps_fixed_by("assertion.claims.aud", issuer);
    }
    let what = match has_assertion {
        true => {
            "the assertion: check its key, `alg`, `kid` and claims, and the public key in the registration"
        }
        false => "the certificate of the client: check `client_certificate` and the registration",
    };
    let message = format!("{address} does not accept {what}.{says}");
    Cause::new(FindingKind::Client, message).about(&[
        "assertion",
        "client_certificate",
        "client_id",
    ])
}

/// The client has no access to what it asks for.
pub(super) fn not_permitted(evidence: &Evidence<'_>) -> Cause {
    let message = format!(
        "{} denies access to the client {:?}: check its permissions in its registration.{}",
        evidence.address(),
        evidence.provider.client_id,
        evidence.says()
    );
    Cause::new(FindingKind::Client, message).about(&["client_id"])
}

/// The grant itself is refused: a password, an assertion, a subject token.
pub(super) fn invalid_grant(evidence: &Evidence<'_>) -> Cause {
    let address = evidence.address();
    let says = evidence.says();
    let words = evidence.words();
    match &evidence.provider.grant_type {
        GrantType::Password => Cause::new(
            FindingKind::Login,
            format!("{address} refuses the account: `username` or `password` is wrong, or it is locked.{says}"),
        )
        .about(&["password", "username"]),
        GrantType::JwtBearer => refused_proof(evidence, true),
        GrantType::TokenExchange => {
            parameters::audience(evidence, &words).unwrap_or_else(|| {
                Cause::new(
                    FindingKind::Parameters,
                    format!("{address} refuses the subject token: check `subject_token` in `token_request.params`.{says}"),
                )
                .about(&["token_request.params", "token_request"])
            })
        }
        _ => Cause::new(
            FindingKind::GrantType,
            format!("{address} refuses the grant: check `grant_type`.{says}"),
        )
        .about(&["grant_type"]),
    }
}
