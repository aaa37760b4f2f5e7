//! A login by a code that a person enters on another device (RFC 8628), at a certified authorization server.

use serde_json::json;

use crate::support::{
    browser::Browser,
    certified::{Certified, consent},
    home::Home,
    openssl,
    patience::{PATIENCE, until},
    problem::assert_problem,
    sidecar::Process,
};

// The server gives a refresh token only where `prompt` demands the consent.
const DEVICE: &str = "grant_type = \"device_code\"\nscope = \"openid offline_access devices.read\"\n\
    token_request.params = { prompt = \"consent\" }\n";

/// Begins a login, and enters its code at the address that the command printed.
#[track_caller]
fn begin(certified: &Certified, home: &Home) -> (Process, Browser) {
    let (process, address) = home.begin_login("api", &[]);
    let issuer = certified.server.text("/issuer");
    assert!(address.starts_with(issuer), "{address}");
    let code = until("the code", || {
        process.stdout().lines().nth(1).map(str::to_owned)
    });
    let browser = Browser::start();
    browser.go(&address);
    browser.enter("//input[@name='user_code']", &code);
    browser.click("//button[@type='submit']");
    (process, browser)
}

/// Goes through the life of a login of the server's client `name`.
#[track_caller]
fn assert_lives_until_the_logout(certified: &Certified, home: &Home, name: &str) {
    let (mut process, browser) = begin(certified, home);
    browser.click("//button[@form='op.deviceConfirmForm' and not(@name)]");
    consent(&browser);
    // The server gives no interval, so a poll comes every five seconds.
    let status = process.wait(PATIENCE * 2);
    assert_eq!(status.code(), Some(0), "{}", process.stderr());
    drop(browser);

    let sidecar = home.run_ready();
    certified.assert_accepted(&sidecar, name);
    for _ in 0..3 {
        let renewed = sidecar.renew("api");
        assert_eq!(renewed.status, 200, "{}", renewed.text());
    }
    certified.assert_accepted(&sidecar, name);

    let output = home.run_to_end(&["token", "api"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let token = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(certified.ask_api(token.trim()).status, 200);

    let output = home.run_to_end(&["logout", "api"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // RFC 7009 §2.1: with the refresh token went what came of the same login.
    assert_eq!(certified.ask_api(token.trim()).status, 401);
    sidecar.wait_for_state("api", "login_required");
    assert_problem(&sidecar.get("/v1/devices"), 503, "login-required");
}

#[test]
fn a_code_that_a_person_approves_elsewhere_is_a_login_until_the_logout() {
    let certified = Certified::start(&[]);
    let home = certified.configure(Home::new(), "device", DEVICE);
    assert_lives_until_the_logout(&certified, &home, "device");
}

#[test]
fn each_request_of_such_a_login_may_carry_a_signed_assertion() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let new = "ecparam -genkey -noout -name prime256v1 -out ec.pem";
    openssl::run(folder.path(), new);
    let path = folder.path().join("ec.pem");
    let pem = std::fs::read_to_string(&path).expect("a key");
    let keys = json!({ "keys": [openssl::public_jwk(&pem)] }).to_string();
    let certified = Certified::start(&[("CLIENT_JWKS", &keys)]);
    let lines = format!("{DEVICE}assertion.key = {{ file = {path:?} }}\n");
    let home = certified.configure(Home::new(), "keys", &lines);
    assert_lives_until_the_logout(&certified, &home, "keys");
}

#[test]
fn a_code_that_a_person_declines_ends_the_login_with_one() {
    let certified = Certified::start(&[]);
    let home = certified.configure(Home::new(), "device", DEVICE);
    let (mut process, browser) = begin(&certified, &home);
    browser.click("//button[@name='abort']");
    let status = process.wait(PATIENCE * 2);
    assert_eq!(status.code(), Some(1), "{}", process.stderr());
    assert!(
        process.stderr().contains("declined"),
        "{}",
        process.stderr()
    );
}
