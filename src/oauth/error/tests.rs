//! The texts of errors, and the party that has to act.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};

use super::*;
use crate::{forward_proxy::ProxyVariable, oauth::fake, secret::LiveSecret};

const TOKEN_ENDPOINT: &str = "https://user:pw@as.example:8443/tenant/token?key=canary";

/// An error of a provider's token endpoint, and of its response.
fn error(fault: Fault, response: Option<(u16, &'static str, &str)>) -> TokenRequestError {
    error_with(fault, response, |_| {})
}

fn error_with(
    fault: Fault,
    response: Option<(u16, &'static str, &str)>,
    change: impl FnOnce(&mut Provider),
) -> TokenRequestError {
    let url: Url = TOKEN_ENDPOINT.parse().unwrap();
    let mut provider = fake::provider(TOKEN_ENDPOINT);
    provider.name = "hapn".into();
    change(&mut provider);
    let error = TokenRequestError::new(fault)
        .under_grant("client_credentials")
        .for_endpoint(EndpointKey::Token, Some(&url), &provider);
    let Some((status, kind, body)) = response else {
        return error;
    };
    let status = StatusCode::from_u16(status).unwrap();
    let name = match status.is_redirection() {
        true => LOCATION,
        false => CONTENT_TYPE,
    };
    let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(kind))]);
    let secrets = provider.secrets();
    error.with_response(ResponseFacts::new(
        status,
        &headers,
        body.as_bytes(),
        &secrets,
    ))
}

fn for_operators(error: &TokenRequestError) -> String {
    error.for_operators().to_string()
}

#[test]
fn the_text_for_clients_names_the_key_and_the_origin_alone() {
    let error = error(Fault::Server(503), None);
    assert_eq!(
        error.to_string(),
        "`[providers.hapn] token_endpoint` (https://as.example:8443) responded with 503 Service Unavailable: see the \
         log of the server"
    );
}

#[test]
fn a_wrong_path_is_named_with_method_and_url() {
    let rejected = Fault::Rejected {
        status: 404,
        code: None,
    };
    let page = "<html><title>Lost in space</title>";
    let error = error(rejected, Some((404, "text/html", page)));
    assert_eq!(
        for_operators(&error),
        "POST https://as.example:8443/tenant/token responded with 404 Not Found (text/html, titled \"Lost in space\") \
         and no OAuth error code: is `[providers.hapn] token_endpoint` right? check its path"
    );
    assert!(!error.to_string().contains("Lost in space"), "{error}");
}

#[test]
fn a_page_in_place_of_a_token_is_named_by_its_title() {
    let error = error(
        Fault::NotAToken("it is neither a JSON object nor a form"),
        Some((200, "text/html", "<!doctype html><title>Sign in</title>")),
    );
    assert_eq!(
        for_operators(&error),
        "POST https://as.example:8443/tenant/token responded with 200 OK (text/html, titled \"Sign in\"): a proxy, a \
         firewall or a login page responds in place of the server; check `[providers.hapn] token_endpoint`"
    );
    assert!(!error.to_string().contains("Sign in"), "{error}");
}

#[test]
fn a_response_of_another_shape_is_described_by_its_members() {
    let error = error(
        Fault::NotAToken("there is no access token in it"),
        Some((
            200,
            "application/json",
            r#"{"ok":1,"data":{"token":"hidden"}}"#,
        )),
    );
    let text = for_operators(&error);
    let end = "its members are `data`, `ok`: set `[providers.hapn.token_response] access_token`";
    assert!(text.ends_with(end), "{text}");
    assert!(!text.contains("hidden"), "{text}");
    assert!(!error.to_string().contains("data"), "{error}");
}

#[test]
fn a_redirect_is_named_with_its_target() {
    let target = "https://login.example.com/oauth/token?state=canary";
    let error = error(Fault::Redirect(302), Some((302, target, "")));
    let text = for_operators(&error);
    assert!(
        text.contains(
            "302 Found, a redirect to https://login.example.com/oauth/token, which is not followed"
        ),
        "{text}"
    );
    assert!(!error.to_string().contains("login.example.com"), "{error}");
}

#[test]
fn a_refused_client_is_told_how_it_authenticated_and_where_its_secret_is_from() {
    let refused = Fault::Refused(TokenRefusal::InvalidClient);
    let error = error_with(refused, None, |provider| {
        let secret = LiveSecret::of_variable("HAPN_CLIENT_SECRET", Secret::new("s3cret"));
        provider.client_secret = Some(Arc::new(secret));
    });
    let text = for_operators(&error);
    for part in [
        "refuses this client with the error \"invalid_client\": check `[providers.hapn] client_id`",
        "`client_secret` (from $HAPN_CLIENT_SECRET)",
        "sent by client_secret_basic, many servers demand",
        "`[providers.hapn] token_endpoint_auth_method` = \"client_secret_post\"",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!error.to_string().contains("HAPN_CLIENT_SECRET"), "{error}");
}

#[test]
fn a_refused_scope_is_named_and_the_client_is_not_blamed() {
    let error = error_with(
        Fault::Refused(TokenRefusal::InvalidScope),
        None,
        |provider| {
            provider.scope = Some("devices.raed".to_owned());
        },
    );
    let text = for_operators(&error);
    assert!(
        text.contains("refuses the scope \"devices.raed\""),
        "{text}"
    );
    assert!(!text.contains("this client"), "{text}");
}

#[test]
fn a_refused_grant_is_named_for_what_it_is() {
    for (grant, says) in [
        ("authorization_code", "does not accept this code"),
        ("refresh_token", "does not accept the refresh token"),
        ("password", "does not accept the account"),
        ("jwt_bearer", "does not accept the assertion"),
    ] {
        let error = error(Fault::Refused(TokenRefusal::InvalidGrant), None).under_grant(grant);
        let text = for_operators(&error);
        assert!(
            text.contains(says) && text.contains("invalid_grant"),
            "{text}"
        );
    }
}

#[test]
fn a_refused_connection_is_named_with_its_address() {
    let error =
        error(Fault::Connect, None).with_connect_error(Some(std::io::ErrorKind::ConnectionRefused));
    let text = error.to_string();
    assert!(
        text.contains("as.example:8443 refuses connections; check "),
        "{text}"
    );
}

#[test]
fn a_proxy_that_the_environment_names_is_not_used_and_said_so() {
    let find = |name: &str| (name == "HTTPS_PROXY").then(|| "http://proxy:3128".to_owned());
    for fault in [Fault::Dns, Fault::Connect, Fault::Timeout] {
        let error = error_with(fault, None, |provider| {
            provider.token_request.unused_proxy = ProxyVariable::find(&find);
        });
        let text = error.to_string();
        let hint = "HTTPS_PROXY is set and not used: set `[providers.hapn.token_request] proxy`";
        assert!(text.contains(hint), "{text}");
    }
}

#[test]
fn every_text_says_what_to_do_next() {
    for fault in [
        Fault::Dns,
        Fault::Connect,
        Fault::Timeout,
        Fault::Protocol,
        Fault::Limited,
        Fault::Server(500),
        Fault::Redirect(302),
        Fault::Refused(TokenRefusal::InvalidClient),
        Fault::Rejected {
            status: 404,
            code: None,
        },
        Fault::Temporary(400),
        Fault::ApiBase("it is empty"),
        Fault::NotAToken("it is empty"),
        Fault::SignInRefused { code: None },
        Fault::NotACode("it is empty"),
        Fault::NotADeviceCode("it is empty"),
        Fault::MissingVariable(MissingVariable("realm".into())),
        Fault::NotCaptured {
            name: "realm".into(),
            reason: "it is empty",
        },
    ] {
        let text = TokenRequestError::new(fault).to_string();
        let advice = ["check ", "see ", "wait", "configure "];
        assert!(advice.iter().any(|word| text.contains(word)), "{text}");
    }
}

#[test]
fn an_error_code_is_shown_in_quotes() {
    let rejected = |code| error(Fault::Rejected { status: 400, code }, None).to_string();
    let texts = [rejected(ErrorCode::parse("slow_down")), rejected(None)];
    assert!(texts[0].contains("responded with 400 Bad Request and the error \"slow_down\": "));
    assert!(texts[1].contains("responded with 400 Bad Request and no OAuth error code: "));
}

#[test]
fn a_refused_sign_in_is_not_repeated_soon() {
    let provider = fake::provider(TOKEN_ENDPOINT);
    let refused = TokenRequestError::new(Fault::SignInRefused { code: None });
    let refused = refused.for_endpoint(EndpointKey::SignIn, None, &provider);
    assert!(refused.needs_change() && !refused.is_transient() && !refused.may_have_been_received());
    let down = TokenRequestError::new(Fault::Connect);
    let down = down.for_endpoint(EndpointKey::SignIn, None, &provider);
    assert!(!down.needs_change() && down.is_transient());
    assert!(
        down.to_string()
            .starts_with("`[providers.fake.sign_in] endpoint` cannot be reached: ")
    );
}

#[test]
fn a_refusal_is_the_clients_fault_and_other_faults_are_transient() {
    let refused = TokenRequestError::new(Fault::Refused(TokenRefusal::InvalidClient));
    assert_eq!(
        (refused.side(), refused.is_transient(), refused.kind()),
        (FaultSide::Client, false, "invalid_client")
    );
    for fault in [
        Fault::Dns,
        Fault::Limited,
        Fault::Server(500),
        Fault::Rejected {
            status: 404,
            code: None,
        },
    ] {
        assert!(TokenRequestError::new(fault).is_transient());
    }
}
