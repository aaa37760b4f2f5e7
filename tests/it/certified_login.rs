//! A login by a real browser at a certified authorization server, and what its rotation makes of many renewals.

use crate::support::{
    browser::Browser,
    certified::{Certified, consent},
    client::get,
    home::{Home, succeeded},
    ports,
};

/// A login that the server gives a refresh token (it demands `prompt` for that).
const LOGIN: &str = "grant_type = \"authorization_code\"\nscope = \"openid offline_access devices.read devices.write\"\n\
    authorization.params.prompt = \"consent\"\n";

#[test]
fn a_person_connects_and_fifty_renewals_later_is_still_connected() {
    let admin = ports::unused();
    let callback = format!("http://{admin}/callback");
    let certified = Certified::start(&[("TOKEN_LIFETIME", "2"), ("REDIRECT_URI", &callback)]);
    let server = &certified.server;
    let lines = LOGIN.to_owned()
        + &[
            "authorization_endpoint",
            "token_endpoint",
            "revocation_endpoint",
        ]
        .map(|key| format!("{key} = {:?}\n", server.text(&format!("/{key}"))))
        .concat();
    let home = certified.configure(Home::at(admin), "person", &lines);
    let sidecar = home.run();
    sidecar.wait_for_state("api", "login_required");

    let browser = Browser::start();
    browser.go(&format!("http://{admin}/"));
    browser.click("//*[self::a or self::button][contains(normalize-space(.), 'Connect')]");
    browser.wait_for_url("the sign-in page", |url| {
        url.starts_with(server.text("/issuer"))
    });
    consent(&browser);
    browser.wait_for_url("the page at the end", |url| url.starts_with(&callback));
    assert!(!browser.source().contains("code="), "{}", browser.source());
    drop(browser);

    let devices = || get(sidecar.address(), "/v1/devices");
    crate::support::patience::until("an answer of the API", || {
        (devices().status == 200).then_some(())
    });
    let requests = || {
        sidecar.provider("api")["token_requests"]
            .as_u64()
            .expect("a number")
    };
    // One that comes while another is in flight shares it.
    let enough = requests() + 50;
    while requests() < enough {
        let renewed = sidecar.renew("api");
        assert_eq!(renewed.status, 200, "{}", renewed.text());
    }
    certified.assert_accepted(&sidecar, "person");
    assert!(
        !sidecar.written().contains("invalid_grant"),
        "{}",
        sidecar.written()
    );

    // The certified server has no mercy either with a login that is over.
    let output = home.run_to_end(&["logout", "api"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Logs in by the command line with a browser that consents.
#[track_caller]
fn log_in(home: &Home, callback: &str) -> String {
    let (mut process, url) = home.begin_login("api", &[]);
    let browser = Browser::start();
    browser.go(&url);
    consent(&browser);
    browser.wait_for_url("the page at the end", |url| url.starts_with(callback));
    succeeded(&mut process);
    url
}

#[test]
fn the_issuer_alone_is_enough_for_a_login_with_pkce() {
    let admin = ports::unused();
    let callback = format!("http://{admin}/callback");
    let certified = Certified::start(&[("REDIRECT_URI", &callback)]);
    let home = certified.configure(Home::at(admin), "person", LOGIN);
    let url = log_in(&home, &callback);
    // The server refuses a code without its verifier.
    assert!(url.contains("code_challenge_method=S256"), "{url}");
    let sidecar = home.run_ready();
    certified.assert_accepted(&sidecar, "person");
    assert_eq!(sidecar.renew("api").status, 200);
    certified.assert_accepted(&sidecar, "person");
    drop(sidecar);
    // RFC 7009, at the endpoint out of the same document.
    let output = home.run_to_end(&["logout", "api"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_consent_to_two_resources_gives_a_token_for_either() {
    let admin = ports::unused();
    let callback = format!("http://{admin}/callback");
    let certified = Certified::start(&[("REDIRECT_URI", &callback)]);
    let lines = format!(
        "{LOGIN}authorization.params.resource = [\"https://reports.example\", \"https://devices.example\"]\n\
         token_request.params.resource = \"https://devices.example\"\n"
    );
    let home = certified.configure(Home::at(admin), "person", &lines);
    log_in(&home, &callback);
    let sidecar = home.run_ready();
    let body = certified.assert_accepted(&sidecar, "person");
    assert_eq!(body["aud"], "https://devices.example", "{body}");
    assert_eq!(body["scope"], "devices.read", "{body}");
}
