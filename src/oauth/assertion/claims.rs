//! The claims of an assertion (RFC 7523 §3).

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::oauth::{
    provider::{Assertion, ClaimValue, Provider},
    template::{MissingVariable, Template},
    variables::Variables,
};

/// The claims of a JWT (RFC 7519 §4).
pub(super) type Claims = Map<String, Value>;

/// Merges the configured claims over the defaults. `now` is in seconds since 1970.
pub(super) fn build(
    assertion: &Assertion,
    provider: &Provider,
    variables: &Variables<'_>,
    now: u64,
) -> Result<Claims, MissingVariable> {
    let mut claims = defaults(assertion, provider, variables, now)?;
    for (name, value) in &assertion.claims {
        match resolve(value, variables)? {
            Some(value) => claims.insert(name.clone(), value),
            None => claims.remove(name),
        };
    }
    Ok(claims)
}

fn defaults(
    assertion: &Assertion,
    provider: &Provider,
    variables: &Variables<'_>,
    now: u64,
) -> Result<Claims, MissingVariable> {
    let mut claims = Claims::new();
    claims.insert("iss".into(), provider.client_id.as_str().into());
    claims.insert("sub".into(), provider.client_id.as_str().into());
    if !assertion.claims.contains_key("aud") {
        // Without an audience the assertion would be good at every server.
        let audience = variables.value("token_endpoint");
        let audience = audience.ok_or_else(|| MissingVariable("token_endpoint".into()))?;
        claims.insert("aud".into(), audience.into());
    }
    let issued = now.saturating_sub(assertion.backdate.as_secs());
    claims.insert("iat".into(), issued.into());
    let expiry = now.saturating_add(assertion.lifetime.as_secs());
    claims.insert("exp".into(), expiry.into());
    claims.insert("jti".into(), Uuid::new_v4().to_string().into());
    Ok(claims)
}

/// Returns the claim's value, or `None` for one that is removed or left out.
fn resolve(
    value: &ClaimValue,
    variables: &Variables<'_>,
) -> Result<Option<Value>, MissingVariable> {
    match value {
        ClaimValue::Text(template) => text(template, variables),
        ClaimValue::List(templates) => {
            let values = templates.iter().map(|template| text(template, variables));
            let values: Vec<_> = values
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()?;
            Ok((!values.is_empty()).then_some(Value::Array(values)))
        }
    }
}

fn text(template: &Template, variables: &Variables<'_>) -> Result<Option<Value>, MissingVariable> {
    if template.lacks_optional(|name| variables.value(name)) {
        return Ok(None);
    }
    let text = template.render(|name| variables.value(name))?;
    Ok((!text.is_empty()).then(|| text.into_owned().into()))
}
