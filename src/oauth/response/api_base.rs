//! The API's base in a token response.

use std::borrow::Cow;

use serde_json::Value;
use url::Url;

use crate::oauth::provider::{ApiBase, EndpointUrl};

/// Reads the API's base from a response, where the provider takes it from there.
///
/// It is `None` where the response does not name one: a refresh may leave it out.
///
/// # Errors
/// The member does not lead to an allowed host.
pub(super) fn read(
    api_base: Option<&ApiBase>,
    response: &Value,
) -> Result<Option<Url>, &'static str> {
    let Some(ApiBase::Response {
        from,
        allow,
        append,
    }) = api_base
    else {
        return Ok(None);
    };
    let told = match response.pointer(from) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(told)) if told.contains("://") => Cow::Borrowed(told.as_str()),
        Some(Value::String(host)) => Cow::Owned(format!("https://{host}")),
        Some(_) => return Err("`api_base.from` is not a text in its response"),
    };
    let endpoint = EndpointUrl::template(&format!("{{base}}{append}"), allow.clone())
        .map_err(|_| "`api_base.append` is not a path")?;
    let url = endpoint.resolve(|_| Some(Cow::Borrowed(&*told)));
    let url = url.map_err(
        |_| "its response leads to a host that `api_base.allow` does not list, or to no https URL",
    )?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("`api_base.from` has a query or a fragment in its response");
    }
    Ok(Some(url))
}
