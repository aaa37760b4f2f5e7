//! The authorization request, as a browser would send it: what its response shows of the client's registration.

use std::sync::Arc;

use http::{HeaderValue, header::ACCEPT, header::LOCATION};
use url::Url;

use super::{
    cause::{Cause, FindingKind},
    examination::Session,
};
use crate::{
    login::redirect::{default_redirect_uri, redirect_uri_for},
    oauth::{
        authorization::Attempt,
        endpoint::RecordedExchange,
        error::{EndpointKey, Fault, TokenRequestError},
        provider::Provider,
        redirect_uri::RedirectUri,
        request,
    },
};

/// The callback of an admin listener with its default address.
const DEFAULT_REDIRECT_URI: &str = "http://127.0.0.1:9900/callback";

/// The endpoint's key.
const KEY: &str = "authorization_endpoint";

/// Sends the authorization request, which holds no secret and is not continued.
pub(super) async fn examine(session: &mut Session<'_>, provider: &Arc<Provider>) {
    let admin = session.config.admin.as_ref().map(|admin| &admin.listen);
    let redirect_uri = redirect_uri_for(provider, admin);
    let default = admin.and_then(default_redirect_uri);
    let default = default
        .as_ref()
        .map_or(DEFAULT_REDIRECT_URI, RedirectUri::as_str);
    let url = Attempt::new(provider, redirect_uri.as_ref())
        .map_err(|_| TokenRequestError::new(Fault::Setup("the system provides no randomness")))
        .and_then(|attempt| attempt.url(provider));
    let url = match url {
        Ok(url) => url,
        Err(error) => {
            let cause = Cause::new(
                FindingKind::Parameters,
                format!("{}.", error.for_operators()),
            );
            return session.causes.push(cause.about(&[KEY]));
        }
    };
    let address = url.clone();
    let mut request = request::document_request(url);
    request
        .headers
        .insert(ACCEPT, HeaderValue::from_static("text/html, */*"));
    let cause = match session.endpoint.send(request).await {
        Err(error) => {
            let exchange = session.recorder.last();
            let error = error.for_endpoint(EndpointKey::Authorization, Some(&address), provider);
            Some(session.judge(KEY, &error, exchange.as_ref(), None).await)
        }
        Ok(_) => match session.recorder.last() {
            Some(exchange) => judge(provider, &exchange, redirect_uri.as_ref(), default),
            None => None,
        },
    };
    if let Some(cause) = cause {
        session.causes.push(cause);
    }
}

/// Judges the response to an authorization request; `default` is the callback of the admin listener. Pure.
pub(super) fn judge(
    provider: &Provider,
    exchange: &RecordedExchange,
    redirect_uri: Option<&RedirectUri>,
    default: &str,
) -> Option<Cause> {
    let response = exchange.response.as_ref()?;
    let status = response.status.as_u16();
    let location = response.headers.get(LOCATION);
    let target = location
        .and_then(|value| value.to_str().ok())
        .and_then(|text| exchange.url.join(text).ok());
    if let Some(target) = target {
        return of_target(provider, &target, redirect_uri, default);
    }
    let mut address = exchange.url.clone();
    address.set_query(None);
    let words = String::from_utf8_lossy(&response.body).to_lowercase();
    if status < 400 && !says_error(&words) {
        return None;
    }
    let is = |said: &[&str]| said.iter().any(|said| words.contains(said));
    if is(&[
        "redirect_uri",
        "redirect uri",
        "redirect url",
        "redirect-uri",
        "callback url",
    ]) {
        let told = String::from_utf8_lossy(&response.body).into_owned();
        return Some(redirect_mismatch(provider, redirect_uri, &told, default));
    }
    if is(&[
        "invalid_client",
        "unknown client",
        "client is invalid",
        "client_id",
        "client not found",
    ]) {
        let message = format!(
            "{address} does not know the client {:?}: check `client_id`.",
            provider.client_id
        );
        return Some(Cause::new(FindingKind::Client, message).about(&["client_id"]));
    }
    if is(&["invalid_scope", "scope"]) {
        return Some(scope(provider));
    }
    let kind = match status {
        404 | 405 | 410 => FindingKind::NotFound,
        429 => FindingKind::RateLimited,
        500.. => FindingKind::ServerError,
        _ => FindingKind::Parameters,
    };
    let message = format!("{address} responded with status {status}: check `{KEY}`.");
    Some(Cause::new(kind, message).about(&[KEY, "base_url", "issuer"]))
}

/// Whether a page with a good status is one of an error.
fn says_error(words: &str) -> bool {
    [
        "redirect_uri_mismatch",
        "invalid_client",
        "error=invalid",
        "\"error\":",
    ]
    .iter()
    .any(|said| words.contains(said))
}

/// An error that is sent to the redirect URI or to a page of the server (RFC 6749 §4.1.2.1).
fn of_target(
    provider: &Provider,
    target: &Url,
    redirect_uri: Option<&RedirectUri>,
    default: &str,
) -> Option<Cause> {
    let query = target.query_pairs().chain(url::form_urlencoded::parse(
        target.fragment().unwrap_or_default().as_bytes(),
    ));
    let parameters: Vec<_> = query.collect();
    let value = |name: &str| {
        let found = parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.to_string())
    };
    let error = value("error").or_else(|| value("authError"))?;
    let description = value("error_description").unwrap_or_default();
    let says = match description.is_empty() {
        true => String::new(),
        false => format!(" The server says: {description:?}."),
    };
    let words = format!("{error} {description}").to_lowercase();
    if words.contains("redirect") {
        return Some(redirect_mismatch(
            provider,
            redirect_uri,
            &description,
            default,
        ));
    }
    Some(match error.as_str() {
        // A person has to decide.
        "login_required" | "interaction_required" | "consent_required" => return None,
        "invalid_scope" => scope(provider),
        "unauthorized_client" | "unsupported_response_type" => Cause::new(
            FindingKind::GrantType,
            format!(
                "The client may not use the authorization code grant ({error}): allow it in the client's \
                 registration.{says}"
            ),
        )
        .about(&["grant_type", "client_id"]),
        "invalid_target" => Cause::new(
            FindingKind::Audience,
            format!("The server does not accept the requested resource.{says}"),
        )
        .about(&["authorization", "token_request"]),
        "server_error" | "temporarily_unavailable" => Cause::new(
            FindingKind::ServerError,
            format!("The authorization endpoint fails ({error}): see the log of the server, or wait.{says}"),
        ),
        _ if words.contains("client") => Cause::new(
            FindingKind::Client,
            format!("The server does not accept the client ({error}): check `client_id`.{says}"),
        )
        .about(&["client_id"]),
        _ => Cause::new(
            FindingKind::Parameters,
            format!("The server refuses the authorization request ({error}).{says}"),
        )
        .about(&["authorization", KEY]),
    })
}

fn scope(provider: &Provider) -> Cause {
    let scope = provider.scope.as_deref().unwrap_or_default();
    let message = format!(
        "The server refuses the scope {scope:?}: check its spelling, and what the client is registered for."
    );
    Cause::new(FindingKind::Scope, message).about(&["scope"])
}

fn redirect_mismatch(
    provider: &Provider,
    redirect_uri: Option<&RedirectUri>,
    told: &str,
    default: &str,
) -> Cause {
    let sent = redirect_uri.map_or("none", RedirectUri::as_str);
    let name = &provider.name;
    let message = format!(
        "`redirect_uri` is {sent}, and that is not registered for the client of {name}: register exactly this text \
         with the vendor, or set `redirect_uri` to the registered one."
    );
    Cause::new(FindingKind::RedirectUri, message)
        .about(&["redirect_uri"])
        .perhaps_fixed_by("redirect_uri", likely(sent, told, default).as_deref())
}

/// The URI that most likely is registered: one that the server names, another spelling, or the default one.
fn likely(sent: &str, told: &str, default: &str) -> Option<String> {
    let is_end = |c: char| c.is_whitespace() || "\"'`<>()[],;&".contains(c);
    let is_page = told.trim_start().starts_with('<');
    let mut words = told.split(is_end).filter(|_| !is_page);
    let named = words.find(|word| {
        let is_url = word.starts_with("http://") || word.starts_with("https://");
        is_url && *word != sent && Url::parse(word).is_ok_and(|url| url.path() != "/")
    });
    let named = named.map(|word| word.trim_end_matches('.').to_owned());
    let other = other_spelling(sent);
    let is_default = sent == default;
    named.or_else(
        || match sent.starts_with("http://127.0.0.1") && !is_default {
            true => Some(default.to_owned()),
            false => other,
        },
    )
}

/// The name of this machine that is most often confused with the one in a URI.
fn other_spelling(uri: &str) -> Option<String> {
    let pairs = [
        ("http://localhost", "http://127.0.0.1"),
        ("http://127.0.0.1", "http://localhost"),
        ("http://[::1]", "http://127.0.0.1"),
    ];
    pairs.iter().find_map(|(from, to)| {
        let rest = uri.strip_prefix(from)?;
        let is_end = rest.is_empty() || rest.starts_with([':', '/']);
        is_end.then(|| format!("{to}{rest}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = DEFAULT_REDIRECT_URI;

    #[track_caller]
    fn suggests(sent: &str, told: &str, expected: Option<&str>) {
        assert_eq!(likely(sent, told, DEFAULT).as_deref(), expected, "{sent}");
    }

    #[test]
    fn the_likeliest_redirect_uri_is_suggested() {
        suggests("http://localhost:1/cb", "", Some("http://127.0.0.1:1/cb"));
        suggests("http://127.0.0.1:1/cb", "", Some(DEFAULT));
        suggests(DEFAULT, "", Some("http://localhost:9900/callback"));
        suggests("https://a.example/cb", "", None);
        let told = "{\"error_description\":\"expected https://b.example/cb.\"}";
        suggests("https://a.example/cb", told, Some("https://b.example/cb"));
        let page = "<html>https://b.example/cb</html>";
        suggests("https://a.example/cb", page, None);
    }
}
