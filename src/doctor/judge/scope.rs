//! Scopes that are refused, or silently not granted.

use super::Evidence;
use crate::{
    config::{nearest, text_value},
    doctor::cause::{Cause, FindingKind},
    oauth::provider::Provider,
};

pub(super) fn refused(evidence: &Evidence<'_>) -> Cause {
    let provider = evidence.provider;
    let configured = provider.scope.as_deref().unwrap_or_default();
    let address = evidence.address();
    let kind = FindingKind::Scope;
    if configured.contains(',') && !configured.contains(' ') {
        let value = list(configured.split(',').map(str::trim));
        let message = format!(
            "{address} refuses the scope {configured:?}. Scopes are separated by blanks: write an array.{}",
            evidence.says()
        );
        return Cause::new(kind, message).fixed_by_value(vec!["scope".into()], value);
    }
    let scopes: Vec<&str> = configured.split_whitespace().collect();
    if scopes.is_empty() {
        let message = format!(
            "{address} wants a scope: set `scope` to what the vendor documents.{}",
            evidence.says()
        );
        let supported = evidence.supported("scopes_supported");
        let first = supported.iter().find(|scope| !is_of_openid(scope));
        return Cause::new(kind, message)
            .about(&["scope"])
            .perhaps_fixed_by("scope", first.copied());
    }
    let refused = refused_scopes(evidence, &scopes);
    let supported = evidence.supported("scopes_supported");
    let repaired = repaired(&scopes, &refused, &supported);
    let message = format!(
        "{address} refuses the scope {:?}: check its spelling, and what the client is registered for.{}",
        refused.join(" "),
        evidence.says()
    );
    // Without a scope the server chooses one (RFC 6749 §3.3).
    Cause::new(kind, message).fixed_by_value(vec!["scope".into()], list(repaired))
}

/// Finds scopes that were asked for and not granted, by the `scope` of a success (RFC 6749 §3.3).
pub(in crate::doctor) fn not_granted<'s>(provider: &'s Provider, response: &[u8]) -> Vec<&'s str> {
    let json: serde_json::Value = serde_json::from_slice(response).unwrap_or_default();
    let granted = json.get("scope").and_then(serde_json::Value::as_str);
    let Some(granted) = granted.filter(|granted| !granted.trim().is_empty()) else {
        return Vec::new();
    };
    let granted: Vec<&str> = granted.split([' ', ',']).collect();
    let asked = provider.scope.as_deref().unwrap_or_default();
    // Some stand for others, and some are for the login alone.
    let is_plain = |scope: &&str| {
        !is_of_openid(scope) && !scope.contains(['*', ',']) && !scope.ends_with(".default")
    };
    asked
        .split_whitespace()
        .filter(is_plain)
        .filter(|scope| !granted.contains(scope))
        .collect()
}

/// The cause of scopes that were not granted.
pub(in crate::doctor) fn narrow_scope(
    provider: &Provider,
    missing: &[&str],
    metadata: Option<&serde_json::Value>,
) -> Cause {
    let supported = metadata.and_then(|document| document.get("scopes_supported"));
    let supported = supported
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten();
    let supported: Vec<&str> = supported.filter_map(serde_json::Value::as_str).collect();
    let asked = provider.scope.as_deref().unwrap_or_default();
    let scopes: Vec<&str> = asked.split_whitespace().collect();
    let message = format!(
        "The server issued a token without the scope {:?}: check its spelling, and what the client is registered for.",
        missing.join(" ")
    );
    let value = list(repaired(&scopes, missing, &supported));
    Cause::new(FindingKind::Scope, message).fixed_by_value(vec!["scope".into()], value)
}

/// The scopes without the refused ones, in whose place similar ones are that the server knows.
fn repaired<'s>(scopes: &[&'s str], refused: &[&str], supported: &[&'s str]) -> Vec<&'s str> {
    let repaired = scopes.iter().filter_map(|scope| {
        if !refused.contains(scope) {
            return Some(*scope);
        }
        let candidates = supported.iter().copied();
        nearest(scope, candidates.filter(|known| !scopes.contains(known)))
    });
    repaired.collect()
}

fn is_of_openid(scope: &str) -> bool {
    [
        "openid",
        "profile",
        "email",
        "address",
        "phone",
        "offline_access",
    ]
    .contains(&scope)
}

/// The scopes that are refused: those that the response names, else those that the server does not know, else all.
fn refused_scopes<'s>(evidence: &Evidence<'_>, scopes: &[&'s str]) -> Vec<&'s str> {
    let json = evidence.json().unwrap_or_default();
    let told = ["scope", "error_description", "message"];
    let told = told.iter().filter_map(|name| json.get(name)?.as_str());
    let told: Vec<String> = told.map(str::to_owned).collect();
    let is_boundary = |c: char| c.is_whitespace() || "\"'`,;()[]{}<>".contains(c);
    let is_told = |scope: &&&str| {
        told.iter().any(|text| {
            let mut words = text.split(is_boundary);
            words.any(|word| word.trim_matches(['.', ':']) == **scope)
        })
    };
    let named: Vec<&str> = scopes.iter().filter(is_told).copied().collect();
    if !named.is_empty() {
        return named;
    }
    let supported = evidence.supported("scopes_supported");
    let unknown = scopes.iter().filter(|scope| !supported.contains(scope));
    let unknown: Vec<&str> = unknown.copied().collect();
    match supported.is_empty() || unknown.is_empty() {
        true => scopes.to_vec(),
        false => unknown,
    }
}

fn list<'s>(scopes: impl IntoIterator<Item = &'s str>) -> String {
    let scopes = scopes.into_iter().filter(|scope| !scope.is_empty());
    let scopes: Vec<String> = scopes.map(text_value).collect();
    match scopes.as_slice() {
        [one] => one.clone(),
        _ => format!("[{}]", scopes.join(", ")),
    }
}
