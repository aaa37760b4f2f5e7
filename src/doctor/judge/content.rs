//! Responses that hold no token: redirects, pages, other members, and failures of the server.

use http::header::LOCATION;
use serde_json::Value;

use super::Evidence;
use crate::doctor::cause::{Cause, FindingKind};

/// Names that vendors give to an access token, best first.
const TOKEN_NAMES: [&str; 8] = [
    "access_token",
    "accesstoken",
    "token",
    "id_token",
    "bearer_token",
    "authtoken",
    "jwt",
    "sessiontoken",
];

/// The maximum depth at which a token is looked for.
const MAX_DEPTH: usize = 6;

/// The longest title that is shown, in characters.
const MAX_TITLE_CHARS: usize = 80;

pub(super) fn server_error(evidence: &Evidence<'_>) -> Cause {
    let status = evidence.status().map_or(500, |status| status.as_u16());
    let message = format!(
        "{} failed with status {status}: see the log of the server, or wait.{}",
        evidence.address(),
        evidence.says()
    );
    Cause::new(FindingKind::ServerError, message).about(&[evidence.endpoint, "base_url", "issuer"])
}

pub(super) fn redirect(evidence: &Evidence<'_>) -> Cause {
    let status = evidence.status().map_or(302, |status| status.as_u16());
    let target = evidence.response().and_then(|response| {
        let location = response.headers.get(LOCATION)?.to_str().ok()?;
        evidence.exchange?.url.join(location).ok()
    });
    let place = match &target {
        Some(target) => super::without_query(target),
        None => "an address that it does not name".to_owned(),
    };
    let message = format!(
        "{} redirects to {place} (status {status}). A redirect is never followed, because the request holds the \
         secret: set `{}` to the target.",
        evidence.address(),
        evidence.endpoint
    );
    let right = evidence.right_endpoint().map(str::to_owned);
    let target = right.or_else(|| {
        target.map(|mut target| {
            // In the query is what was sent.
            if target.query() == evidence.exchange.and_then(|exchange| exchange.url.query()) {
                target.set_query(None);
            }
            target.to_string()
        })
    });
    Cause::new(FindingKind::Redirect, message)
        .about(&[evidence.endpoint, "base_url", "issuer"])
        .perhaps_fixed_by(evidence.endpoint, target.as_deref())
}

pub(super) fn not_found(evidence: &Evidence<'_>) -> Cause {
    let status = evidence.status().map_or(404, |status| status.as_u16());
    let what = match title(evidence) {
        Some(title) => format!("an HTML page titled {title:?}"),
        None if evidence.is_html() => "an HTML page".to_owned(),
        None => "no OAuth error".to_owned(),
    };
    let right = evidence.right_endpoint();
    let advice = match right {
        Some(right) => format!("the server has its endpoint at {right}"),
        None => format!("check the path of `{}`", evidence.endpoint),
    };
    let message = format!(
        "{} responded with status {status} and {what}: {advice}.",
        evidence.address()
    );
    Cause::new(FindingKind::NotFound, message)
        .about(&[evidence.endpoint, "base_url", "issuer"])
        .perhaps_fixed_by(evidence.endpoint, right)
}

pub(super) fn wrong_method(evidence: &Evidence<'_>) -> Cause {
    let allowed = evidence.response().and_then(|response| {
        let allowed = response.headers.get("allow")?.to_str().ok()?;
        Some(allowed.to_ascii_uppercase())
    });
    let sent = evidence.exchange.map(|exchange| exchange.method.clone());
    let other = match sent.as_ref().map(http::Method::as_str) {
        Some("GET") => "POST",
        _ => "GET",
    };
    let allows_other = allowed.is_some_and(|allowed| allowed.contains(other));
    if !allows_other {
        return not_found(evidence);
    }
    let message = format!(
        "{} does not accept this method (status 405), and accepts {other}: set `token_request.method`.",
        evidence.address()
    );
    Cause::new(FindingKind::Parameters, message).fixed_by("token_request.method", other)
}

pub(super) fn discovery(evidence: &Evidence<'_>) -> Cause {
    let told = evidence
        .json()
        .and_then(|document| Some(document.get("issuer")?.as_str()?.to_owned()));
    let elsewhere = evidence
        .metadata
        .and_then(|document| document.get("issuer")?.as_str());
    let told = told.or_else(|| elsewhere.map(str::to_owned));
    let configured = evidence.provider.issuer.as_deref().unwrap_or_default();
    let message = match &told {
        Some(told) => format!(
            "The discovery document of `issuer` {configured} names another issuer, {told}: they have to be the same, \
             also in a slash at the end."
        ),
        None => format!(
            "{} is no discovery document: check `issuer`, or configure `token_endpoint`.",
            evidence.address()
        ),
    };
    let kind = FindingKind::NotFound;
    Cause::new(kind, message)
        .about(&["issuer"])
        .perhaps_fixed_by("issuer", told.as_deref())
}

pub(super) fn not_a_token(evidence: &Evidence<'_>) -> Cause {
    let kind = FindingKind::NotAToken;
    let address = evidence.address();
    if evidence.is_html() {
        let title = title(evidence).unwrap_or_else(|| "(none)".to_owned());
        let message = format!(
            "{address} responded with an HTML page titled {title:?}: a login page or a proxy responds in place of the \
             token endpoint."
        );
        return Cause::new(kind, message)
            .about(&[evidence.endpoint, "base_url"])
            .perhaps_fixed_by(evidence.endpoint, evidence.right_endpoint());
    }
    let Some(json) = evidence.json() else {
        let message = format!("{address} responded with neither a JSON object nor a form.");
        return Cause::new(kind, message)
            .about(&[evidence.endpoint])
            .perhaps_fixed_by(evidence.endpoint, evidence.right_endpoint());
    };
    let pointer = find_token(&json)
        .filter(|pointer| *pointer != evidence.provider.token_response.access_token);
    match pointer {
        Some(pointer) => {
            let message = format!(
                "{address} responded without an access token at {:?}. It is at {pointer:?}: set \
                 `token_response.access_token`.",
                evidence.provider.token_response.access_token
            );
            Cause::new(kind, message).fixed_by("token_response.access_token", &pointer)
        }
        None => {
            let message = format!(
                "{}. The members of the response are {}.",
                evidence.error.for_operators(),
                members(&json)
            );
            Cause::new(kind, message).about(&["token_response", evidence.endpoint])
        }
    }
}

/// Finds the member that most likely is the access token.
fn find_token(json: &Value) -> Option<String> {
    let mut texts = Vec::new();
    walk(json, String::new(), 0, &mut texts);
    TOKEN_NAMES.iter().find_map(|name| {
        let is_named = |pointer: &&String| {
            let last = pointer.rsplit('/').next().unwrap_or_default();
            let last = last.to_ascii_lowercase().replace('-', "_");
            last == *name || last.replace('_', "") == name.replace('_', "")
        };
        texts.iter().find(is_named).cloned()
    })
}

/// Lists the pointers to the texts of a document.
fn walk(json: &Value, pointer: String, depth: usize, texts: &mut Vec<String>) {
    match json {
        Value::String(text) if !text.is_empty() => texts.push(pointer),
        Value::Object(members) if depth < MAX_DEPTH => {
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                walk(value, format!("{pointer}/{name}"), depth + 1, texts);
            }
        }
        Value::Array(items) if depth < MAX_DEPTH => {
            for (index, value) in items.iter().take(8).enumerate() {
                walk(value, format!("{pointer}/{index}"), depth + 1, texts);
            }
        }
        _ => {}
    }
}

fn members(json: &Value) -> String {
    let names = json.as_object().into_iter().flatten();
    let names: Vec<String> = names
        .take(20)
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

fn title(evidence: &Evidence<'_>) -> Option<String> {
    if !evidence.is_html() {
        return None;
    }
    let body = String::from_utf8_lossy(&evidence.response()?.body).into_owned();
    let lower = body.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    let title = body.get(start..end)?.split_whitespace().collect::<Vec<_>>();
    let title: String = title.join(" ").chars().take(MAX_TITLE_CHARS).collect();
    (!title.is_empty()).then_some(title)
}
