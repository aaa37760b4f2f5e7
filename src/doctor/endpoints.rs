//! A provider that needs a login: its endpoints, without a secret, and its stored login.

use std::{sync::Arc, time::SystemTime};

use http::{Method, header::CONTENT_TYPE};
use url::Url;

use super::{
    cause::{Cause, FindingKind},
    consent,
    examination::Session,
    verification,
};
use crate::{
    login::login_hint,
    oauth::{
        api_context::ApiContext,
        endpoint::{EndpointResponse, TokenEndpoint},
        error::{EndpointKey, Fault, TokenRequestError},
        parameters::Parameters,
        provider::{Encoding, EndpointUrl, GrantType, Provider, TokenMethod},
        request,
        variables::Variables,
    },
    token::stored_login::{StoredLogin, read_stored_login},
};

/// Paths at which many servers have their token endpoint.
const COMMON_PATHS: [&str; 8] = [
    "/oauth/token",
    "/oauth2/token",
    "/token",
    "/oauth2/v1/token",
    "/connect/token",
    "/api/oauth/token",
    "/oauth/v2/token",
    "/auth/token",
];

/// Examines a provider that needs a login. No refresh token is sent.
pub(super) async fn examine_login(session: &mut Session<'_>) {
    session.notes.push(format!(
        "{} needs a login. Its refresh token is not sent, since that would use it up: the endpoints are reached \
         without a secret, and the stored login is read.",
        session.provider.name
    ));
    let provider = match session
        .endpoint
        .provider_with(EndpointKey::Authorization)
        .await
    {
        Ok(provider) => provider,
        Err(error) => {
            let exchange = session.recorder.last();
            let cause = session.judge("issuer", &error, exchange.as_ref(), None);
            let cause = cause.await;
            session.causes.push(cause);
            return;
        }
    };
    if provider.grant_type == GrantType::AuthorizationCode && provider.sign_in.is_none() {
        consent::examine(session, &provider).await;
    }
    for (key, endpoint, method) in requests(&provider) {
        reach(session, &provider, key, endpoint, method).await;
    }
    examine_stored_login(session).await;
}

/// The endpoints that are reached by a request without parameters.
fn requests(provider: &Provider) -> Vec<(EndpointKey, &EndpointUrl, Method)> {
    let method = match provider.token_request.method {
        TokenMethod::Post => Method::POST,
        TokenMethod::Get => Method::GET,
    };
    let device = provider.device_authorization_endpoint.as_ref();
    let device = device.filter(|_| provider.grant_type == GrantType::DeviceCode);
    let endpoints = [
        (
            EndpointKey::Token,
            provider.token_endpoint.as_ref(),
            method.clone(),
        ),
        (
            EndpointKey::Refresh,
            provider.refresh_endpoint.as_ref(),
            method,
        ),
        (EndpointKey::DeviceAuthorization, device, Method::POST),
    ];
    let known = endpoints
        .into_iter()
        .filter_map(|(key, endpoint, method)| Some((key, endpoint?, method)));
    known.collect()
}

/// Reaches an endpoint without parameters: any error of OAuth shows that it is one.
async fn reach(
    session: &mut Session<'_>,
    provider: &Provider,
    key: EndpointKey,
    endpoint: &EndpointUrl,
    method: Method,
) {
    let context = ApiContext::default();
    let Ok(url) = Variables::new(provider, &context).complete(endpoint) else {
        session.notes.push(format!(
            "`{}` depends on a value that a login captures, and is not reached.",
            key.as_str()
        ));
        return;
    };
    let address = url.clone();
    let request = match method {
        Method::GET => request::document_request(url),
        _ => request::post_request(url, Encoding::Form, &Parameters::default()),
    };
    let error = match session.endpoint.send(request).await {
        Ok(response) => match endpoint_fault(&response) {
            Some(fault) => TokenRequestError::new(fault),
            None => return,
        },
        Err(error) => error,
    };
    let exchange = session.recorder.last();
    let error = error.for_endpoint(key, Some(&address), provider);
    let cause = session.judge(key.as_str(), &error, exchange.as_ref(), None);
    let cause = cause.await;
    session.causes.push(cause);
}

/// Returns what a response to a request without parameters says against the address.
fn endpoint_fault(response: &EndpointResponse) -> Option<Fault> {
    let status = response.status.as_u16();
    let kind = response.headers.get(CONTENT_TYPE);
    let kind = kind
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let is_json = kind.contains("json");
    match status {
        300..400 => Some(Fault::Redirect(status)),
        404 | 405 | 410 if !is_json => Some(Fault::Rejected { status, code: None }),
        502..=504 => Some(Fault::Server(status)),
        _ if kind.starts_with("text/html") && status < 400 => Some(Fault::Rejected {
            status: 404,
            code: None,
        }),
        _ => None,
    }
}

/// Finds the token endpoint among common paths, without a secret.
pub(super) async fn find_token_endpoint(endpoint: &TokenEndpoint, base: &Url) -> Option<String> {
    for path in COMMON_PATHS {
        let mut url = base.clone();
        url.set_path(path);
        let request = request::post_request(url.clone(), Encoding::Form, &Parameters::default());
        // A server that cannot be reached stays so.
        let response = endpoint.send(request).await.ok()?;
        let json: Option<serde_json::Value> = serde_json::from_slice(&response.body).ok();
        let is_error = json.is_some_and(|json| json.get("error").is_some());
        if is_error && matches!(response.status.as_u16(), 400 | 401) {
            return Some(url.into());
        }
    }
    None
}

/// Reads the stored login, and calls the API with its access token if that is still good.
async fn examine_stored_login(session: &mut Session<'_>) {
    let (provider, location) = (session.provider.clone(), session.config.store.clone());
    let read = {
        let provider = provider.clone();
        tokio::task::spawn_blocking(move || {
            read_stored_login(&provider, &location, SystemTime::now())
        })
    };
    let login = match read.await {
        Ok(Ok(login)) => login,
        Ok(Err(error)) => {
            let message = format!("The stored login cannot be read: {error}.");
            return session.causes.push(Cause::new(FindingKind::Store, message));
        }
        Err(_) => return,
    };
    let admin = session.config.admin.as_ref().map(|admin| &admin.listen);
    let hint = login_hint(&provider, admin);
    let signs_in = provider.sign_in.is_some();
    let what = match login {
        StoredLogin::Hidden => {
            let note = "The login is in the memory of the sidecar (`[store] kind = \"memory\"`), and is not seen here.";
            return session.notes.push(note.to_owned());
        }
        StoredLogin::Usable(login) => {
            session.notes.push(describe(&provider, login.expires_at));
            if let Some(token) = &login.access_token {
                verification::verify(session, token, &login.context).await;
            }
            return;
        }
        // The sidecar signs in by itself.
        _ if signs_in => return,
        StoredLogin::Missing => "There is no login".to_owned(),
        StoredLogin::LoggedOut => "The login was ended by a logout".to_owned(),
        StoredLogin::Refused => {
            "The login has ended: the authorization server refused its refresh token for good"
                .to_owned()
        }
        StoredLogin::OtherClient => {
            "The stored login was made with another `client_id` or at another authorization server"
                .to_owned()
        }
        StoredLogin::Expired(since) => {
            format!(
                "The login has expired on {}",
                httpdate::fmt_http_date(since)
            )
        }
    };
    let cause = Cause::new(FindingKind::Login, format!("{what}: {hint}."));
    session.causes.push(cause.about(&["refresh_token"]));
}

fn describe(provider: &Arc<Provider>, expires_at: Option<SystemTime>) -> String {
    let name = &provider.name;
    match expires_at {
        Some(end) => format!("{name} has a login until {}.", httpdate::fmt_http_date(end)),
        None => format!("{name} has a login."),
    }
}
