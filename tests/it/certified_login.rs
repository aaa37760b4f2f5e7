//! A login by a real browser at a certified authorization server, and what its rotation makes of many renewals.

use crate::support::{browser::Browser, client::get, home::Home, peers::Peer, ports};

#[test]
fn a_person_connects_and_fifty_renewals_later_is_still_connected() {
    let admin = ports::unused();
    let callback = format!("http://{admin}/callback");
    let server = Peer::start(
        "authorization_server.mjs",
        &[("TOKEN_LIFETIME", "2"), ("REDIRECT_URI", &callback)],
    );
    let api = Peer::start(
        "protected_api.mjs",
        &[
            (
                "INTROSPECTION_ENDPOINT",
                server.text("/introspection_endpoint"),
            ),
            ("CLIENT_ID", server.text("/clients/api/client_id")),
            ("CLIENT_SECRET", server.text("/clients/api/client_secret")),
        ],
    );
    let lines = format!(
        "grant_type = \"authorization_code\"\nauthorization_endpoint = \"{}\"\ntoken_endpoint = \"{}\"\n\
         revocation_endpoint = \"{}\"\nclient_id = {:?}\nclient_secret = {{ env = \"PEER_SECRET\" }}\n\
         scope = \"openid offline_access devices.read\"\nauthorization.params = {{ prompt = \"consent\" }}\n",
        server.text("/authorization_endpoint"),
        server.text("/token_endpoint"),
        server.text("/revocation_endpoint"),
        server.text("/clients/person/client_id"),
    );
    let home = Home::at(admin)
        .provider("api", &lines)
        .route("api", api.text("/origin"))
        .environment("PEER_SECRET", server.text("/clients/person/client_secret"));
    let sidecar = home.run();
    sidecar.wait_for_state("api", "login_required");

    let browser = Browser::start();
    browser.go(&format!("http://{admin}/"));
    browser.click("//*[self::a or self::button][contains(normalize-space(.), 'Connect')]");
    browser.wait_for_url("the sign-in page", |url| {
        url.starts_with(server.text("/issuer"))
    });
    browser.enter("//input[@name='login']", "a person");
    browser.enter("//input[@name='password']", "any password");
    browser.click("//button[@type='submit']");
    // Of the two pages the second has nothing to fill in.
    browser.click("//form[not(.//input[@name='password'])]//button[@type='submit']");
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
    for renewal in 0..50 {
        let before = requests();
        let renewed = sidecar.renew("api");
        assert_eq!(renewed.status, 200, "renewal {renewal}: {}", renewed.text());
        assert!(requests() > before, "renewal {renewal} asked nobody");
    }
    let answer = devices();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.json()["client_id"],
        server.text("/clients/person/client_id")
    );
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
