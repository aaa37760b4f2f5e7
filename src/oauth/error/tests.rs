//! The texts of errors, and the party that has to act.

use super::*;

#[test]
fn the_text_names_the_key_and_the_origin_without_secrets() {
    let url: Url = "https://user:pw@as.example:8443/tenant/token?key=canary"
        .parse()
        .unwrap();
    let error =
        TokenRequestError::new(Fault::Server(503)).for_endpoint(EndpointKey::Token, Some(&url));
    assert_eq!(
        error.to_string(),
        "`token_endpoint` (https://as.example:8443) responded with status 503: see the log of the server"
    );
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
    let rejected = |code| Fault::Rejected { status: 400, code };
    let texts = [
        rejected(ErrorCode::parse("slow_down")).to_string(),
        rejected(None).to_string(),
    ];
    assert!(texts[0].starts_with("responded with status 400 and the error \"slow_down\": "));
    assert!(texts[1].starts_with("responded with status 400 and no OAuth error code: "));
}

#[test]
fn a_refused_sign_in_is_not_repeated_soon() {
    let refused = TokenRequestError::new(Fault::SignInRefused { code: None })
        .for_endpoint(EndpointKey::SignIn, None);
    assert!(refused.needs_change() && !refused.is_transient() && !refused.may_have_been_received());
    let down = TokenRequestError::new(Fault::Connect).for_endpoint(EndpointKey::SignIn, None);
    assert!(!down.needs_change() && down.is_transient());
    assert!(
        down.to_string()
            .starts_with("`sign_in.endpoint` accepts no connection: ")
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
