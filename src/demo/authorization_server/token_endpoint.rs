//! What a token request asks for and whether it is granted. Decides only; nothing is issued here.

use std::collections::BTreeMap;

use http::{HeaderMap, StatusCode, header};
use url::form_urlencoded;

/// An error answer (RFC 6749 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OAuthError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) description: &'static str,
}

impl OAuthError {
    pub(super) const fn invalid_request(description: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "invalid_request", description }
    }

    pub(super) const fn invalid_client(description: &'static str) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, code: "invalid_client", description }
    }

    pub(super) const fn temporarily_unavailable(description: &'static str) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code: "temporarily_unavailable", description }
    }
}

/// The parameters of a form, of which none may come twice (RFC 6749 §3.2). Empty ones count as absent.
pub(super) fn parameters(headers: &HeaderMap, body: &[u8]) -> Result<BTreeMap<String, String>, OAuthError> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(OAuthError::invalid_request("the body is not a form"));
    }
    let mut parameters = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        if value.is_empty() {
            continue;
        }
        if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(OAuthError::invalid_request("a parameter comes twice"));
        }
    }
    Ok(parameters)
}

/// The scope that is granted to the authenticated client.
pub(super) fn grant(parameters: &BTreeMap<String, String>, scopes: &[String]) -> Result<String, OAuthError> {
    match parameters.get("grant_type").map(String::as_str) {
        Some("client_credentials") => granted_scope(parameters.get("scope"), scopes),
        Some(_) => Err(OAuthError {
            status: StatusCode::BAD_REQUEST,
            code: "unsupported_grant_type",
            description: "only client_credentials",
        }),
        None => Err(OAuthError::invalid_request("no grant_type")),
    }
}

/// RFC 6749 §3.3: all that the client may have when it does not say.
fn granted_scope(asked: Option<&String>, scopes: &[String]) -> Result<String, OAuthError> {
    let Some(asked) = asked else { return Ok(scopes.join(" ")) };
    if asked.split(' ').all(|scope| scopes.iter().any(|ours| ours == scope)) {
        Ok(asked.clone())
    } else {
        Err(OAuthError {
            status: StatusCode::BAD_REQUEST,
            code: "invalid_scope",
            description: "not for this client, or unknown",
        })
    }
}
