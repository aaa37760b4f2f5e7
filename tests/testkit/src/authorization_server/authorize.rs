//! The authorization endpoint (RFC 6749 §3.1): consent, and the redirect back to the client.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use url::Url;

use super::{
    State,
    dialect::Dialect,
    grants::Consent,
    oauth_error::OAuthError,
    parameters::{self, Parameters},
    token_endpoint::granted_scope,
    uncached,
};
use crate::serve::{self, Body};

/// Whether consent needs a click.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsentPage {
    /// Every request is granted at once.
    #[default]
    Skipped,
    /// A page with two buttons, `allow` and `deny`.
    Shown,
}

/// Handles a consent redirect, or a button of its page.
pub(super) fn authorize(state: &State, parts: &Parts, body: &Bytes) -> Response<Body> {
    uncached(decide(state, parts, body).unwrap_or_else(OAuthError::into_response))
}

fn decide(state: &State, parts: &Parts, body: &Bytes) -> Result<Response<Body>, OAuthError> {
    let parameters = parameters::of_query(parts)?;
    // Without a valid redirect_uri the error goes to the user, not to the client (RFC 6749 §4.1.2.1).
    if parameters.get("client_id") != Some(&state.client.id) {
        return Err(OAuthError::invalid_request("unknown client"));
    }
    let target = target(state, parameters.get("redirect_uri"))?;
    let back =
        |outcome: Result<&str, OAuthError>| redirect(state, target.clone(), &parameters, outcome);
    let documented = state.dialect.check_authorization(&parameters);
    let consent = match documented.and_then(|()| requested_consent(state, &parameters)) {
        Ok(consent) => consent,
        Err(error) => return Ok(back(Err(error))),
    };
    let allowed = match (state.consent_page, &parts.method) {
        (ConsentPage::Skipped, &Method::GET) => true,
        (ConsentPage::Shown, &Method::GET) => return Ok(page(&consent.scope)),
        (ConsentPage::Shown, &Method::POST) => {
            let form = parameters::of_form(&parts.headers, body)?;
            form.get("decision")
                .is_some_and(|decision| decision == "allow")
        }
        (ConsentPage::Skipped, _) => return Ok(serve::method_not_allowed("GET")),
        (ConsentPage::Shown, _) => return Ok(serve::method_not_allowed("GET, POST")),
    };
    if !allowed {
        return Ok(back(Err(OAuthError::new(
            "access_denied",
            "the user denied the request",
        ))));
    }
    let code = match state.grants.issue_code(consent) {
        Ok(code) => code,
        Err(error) => return Ok(back(Err(error))),
    };
    state.controls.count(|stats| stats.consents += 1);
    Ok(back(Ok(&code)))
}

/// The consent that a request asks for.
pub(super) fn requested_consent(
    state: &State,
    parameters: &Parameters,
) -> Result<Consent, OAuthError> {
    let dialect = state.dialect;
    if parameters
        .get("response_type")
        .is_none_or(|kind| kind != "code")
    {
        return Err(OAuthError::new("unsupported_response_type", "only code"));
    }
    let challenge = parameters.get("code_challenge").cloned();
    let method = parameters.get("code_challenge_method");
    match &challenge {
        None if dialect.needs_challenge() || state.client.public && dialect == Dialect::Rfc => {
            return Err(OAuthError::invalid_request("no code_challenge"));
        }
        Some(challenge) if challenge.len() != 43 => {
            return Err(OAuthError::invalid_request(
                "the code_challenge is not a SHA-256 digest in base64url",
            ));
        }
        Some(_) if !method.is_some_and(|method| dialect.accepts_challenge_method(method)) => {
            return Err(OAuthError::invalid_request(
                "only the challenge method S256",
            ));
        }
        _ => {}
    }
    let scope = granted_scope(parameters.get("scope"), &state.scopes)?;
    Ok(Consent {
        scope,
        redirect_uri: parameters.get("redirect_uri").cloned(),
        challenge,
    })
}

/// The redirect URI: a registered one, or without registered ones a loopback or private-use one (RFC 8252 §7).
fn target(state: &State, given: Option<&String>) -> Result<Url, OAuthError> {
    let refused = || OAuthError::invalid_request("the redirect_uri is not registered");
    let registered = &state.redirect_uris;
    let text = given
        .or_else(|| registered.first())
        .ok_or_else(|| OAuthError::invalid_request("no redirect_uri"))?;
    let url = Url::parse(text).map_err(|_| refused())?;
    let known = match (registered.is_empty(), url.scheme()) {
        (false, _) => registered.contains(text),
        (true, "http" | "https") => {
            matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"))
        }
        (true, "javascript" | "data" | "file" | "blob" | "vbscript") => false,
        (true, _) => true,
    };
    if known { Ok(url) } else { Err(refused()) }
}

/// The redirect to the client (RFC 6749 §4.1.2), with `iss` (RFC 9207 §2) in the RFC dialect.
fn redirect(
    state: &State,
    mut to: Url,
    parameters: &Parameters,
    outcome: Result<&str, OAuthError>,
) -> Response<Body> {
    let is_rfc = state.dialect == Dialect::Rfc;
    let issuer = &state.issuer;
    let mut query = to.query_pairs_mut();
    match outcome {
        Ok(code) => {
            query.append_pair(state.dialect.code_parameter(), code);
        }
        Err(error) => {
            query
                .append_pair("error", error.code)
                .append_pair("error_description", error.description);
        }
    }
    if let Some(state) = parameters.get("state") {
        query.append_pair("state", state);
    }
    if is_rfc {
        query.append_pair("iss", issuer);
    }
    drop(query);
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::FOUND;
    match HeaderValue::from_str(to.as_str()) {
        Ok(location) => response.headers_mut().insert(header::LOCATION, location),
        Err(_) => {
            return OAuthError::invalid_request("the redirect_uri is not a URL").into_response();
        }
    };
    response
}

/// The consent page. Its form posts to the same URL, so the parameters are repeated.
fn page(scope: &str) -> Response<Body> {
    let scopes: String = scope
        .split(' ')
        .map(|scope| format!("<li>{}</li>", escaped(scope)))
        .collect();
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Consent</title>\
         <h1>May the client do this in your name?</h1><ul>{scopes}</ul>\
         <form method=\"post\"><button id=\"allow\" name=\"decision\" value=\"allow\">Allow</button> \
         <button id=\"deny\" name=\"decision\" value=\"deny\">Deny</button></form></html>"
    );
    let mut response = serve::with_body(StatusCode::OK, "text/html; charset=utf-8", html);
    let headers = response.headers_mut();
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
