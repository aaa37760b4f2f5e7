//! The scripted authorization server itself, and the client that plays the browser.

use url::Url;

use crate::support::{
    authorization_server::{AuthorizationServer, CLIENT_ID, CLIENT_SECRET, Dialect},
    client::{Client, exchange},
    navigator::Navigator,
    patience::until,
    server::Server,
    wire::{Answer, Wire, answer, ok},
};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// RFC 7636, appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn post(server: &AuthorizationServer, path: &str, form: &str) -> Answer {
    let address = server
        .origin()
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    exchange(address, request)
}

fn client() -> String {
    format!("client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}")
}

fn refresh(server: &AuthorizationServer, token: &str) -> Answer {
    post(
        server,
        "/oauth/token",
        &format!(
            "grant_type=refresh_token&refresh_token={token}&{}",
            client()
        ),
    )
}

/// A code for the challenge above.
fn code(server: &AuthorizationServer) -> String {
    let query = format!(
        "response_type=code&client_id={CLIENT_ID}&redirect_uri=http%3A%2F%2Fx%2Fb&state={}\
         &code_challenge={CHALLENGE}&code_challenge_method=S256",
        "s".repeat(43)
    );
    let back = Navigator::new()
        .get(&format!("{}/oauth/authorize?{query}", server.origin()))
        .location()
        .unwrap();
    let back: Url = back.parse().unwrap();
    assert_eq!(back.as_str().split('?').next(), Some("http://x/b"));
    back.query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned()
}

fn redeem(server: &AuthorizationServer, code: &str, verifier: &str) -> Answer {
    let form = format!(
        "grant_type=authorization_code&code={code}&redirect_uri=http%3A%2F%2Fx%2Fb&code_verifier={verifier}&{}",
        client()
    );
    post(server, "/oauth/token", &form)
}

#[test]
fn a_code_is_good_once_and_for_its_verifier_alone() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let wrong = redeem(&server, &code(&server), &VERIFIER.to_lowercase());
    assert_eq!(wrong.json()["error"], "invalid_grant");
    let code = code(&server);
    let right = redeem(&server, &code, VERIFIER);
    assert_eq!(right.status, 200, "{right:?}");
    assert!(
        server
            .ledger()
            .accept(right.json()["access_token"].as_str().unwrap())
    );
    assert_eq!(
        redeem(&server, &code, VERIFIER).json()["error"],
        "invalid_grant"
    );
    assert_eq!(server.ledger().exchanges, 1);
}

#[test]
fn a_refresh_token_that_comes_again_ends_its_login_and_no_other() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let (first, other) = (server.issue_refresh_token(), server.issue_refresh_token());
    let answer = refresh(&server, &first).json();
    let (second, access) = (
        answer["refresh_token"].as_str().unwrap(),
        answer["access_token"].as_str().unwrap(),
    );
    assert_ne!(first, second);
    assert!(server.ledger().accept(access));
    server.assert_no_token_was_spent_twice();
    assert_eq!(refresh(&server, &first).json()["error"], "invalid_grant");
    assert_eq!(server.ledger().reuses, 1);
    assert!(
        !server.ledger().accept(access),
        "the access token outlived its login"
    );
    assert_eq!(refresh(&server, second).json()["error"], "invalid_grant");
    assert_eq!(refresh(&server, &other).status, 200);
    assert_eq!(server.refreshes(), 2);
    let twice = std::panic::AssertUnwindSafe(|| server.assert_no_token_was_spent_twice());
    assert!(
        std::panic::catch_unwind(twice).is_err(),
        "a token that came twice was not noticed"
    );
}

#[test]
fn a_forgiving_server_takes_a_token_again_until_its_successor_is_used() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    server.configure(|server| {
        server.accepts_repeats = true;
        server.lost_responses = 1;
    });
    let first = server.issue_refresh_token();
    let form = format!(
        "grant_type=refresh_token&refresh_token={first}&{}",
        client()
    );
    let mut lost = Client::connect(
        server
            .origin()
            .trim_start_matches("http://")
            .parse()
            .unwrap(),
    );
    lost.send(format!(
        "POST /oauth/token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ));
    assert!(lost.is_closed());
    let second = refresh(&server, &first).json()["refresh_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(refresh(&server, &second).status, 200);
    assert_eq!(refresh(&server, &first).json()["error"], "invalid_grant");
    // Noted when all is written, which may be after it was read.
    until("the note of every answer but the lost one", || {
        let answered: Vec<_> = server
            .ledger()
            .spends
            .iter()
            .map(|spend| spend.responded.is_some())
            .collect();
        (answered == [false, true, true, true]).then_some(())
    });
}

#[test]
fn what_a_vendor_does_not_show_is_a_violation() {
    let refresh = "grant_type=refresh_token&refresh_token=r";
    for (dialect, path, form) in [
        (
            Dialect::Happeo,
            "/oauth/token",
            format!("{refresh}&client_id={CLIENT_ID}"),
        ),
        (
            Dialect::Happeo,
            "/oauth/token",
            format!("{refresh}&{}&scope=a", client()),
        ),
        (
            Dialect::HappeoPublic,
            "/oauth/token",
            format!("{refresh}&{}", client()),
        ),
        (
            Dialect::HappyrMatch,
            "/oauth/token",
            format!("{refresh}&client_id=other&client_secret={CLIENT_SECRET}"),
        ),
        (
            Dialect::HappyrMatch,
            "/oauth/token",
            format!("{refresh}&{}&{refresh}", client()),
        ),
        (
            Dialect::Happeo,
            "/oauth/token",
            format!("grant_type=client_credentials&{}", client()),
        ),
        (
            Dialect::Hapn,
            "/oauth2/token",
            format!("{refresh}&{}", client()),
        ),
        (Dialect::Feeling, "/token", refresh.to_owned()),
        (Dialect::Happeo, "/token", format!("{refresh}&{}", client())),
    ] {
        let server = AuthorizationServer::start(dialect);
        assert_eq!(post(&server, path, &form).status, 400, "{dialect:?} {form}");
        assert_eq!(server.violations().len(), 1, "{dialect:?} {form}");
        assert!(
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(server))).is_err()
        );
    }
}

#[test]
fn cookies_go_back_to_where_they_came_from_alone() {
    let server = Server::start(|stream, _| {
        let mut wire = Wire::new(stream);
        while let Ok(Some(request)) = wire.request() {
            let bytes = match request.head.target() {
                "/set" => answer(
                    "302 Found",
                    "set-cookie: a=1; Path=/in; HttpOnly\r\nlocation: /in/there\r\n",
                    "",
                ),
                "/unset" => answer("200 OK", "set-cookie: a=; Path=/in; Max-Age=0\r\n", ""),
                _ => ok(request.head.value("cookie").unwrap_or("none")),
            };
            let _ = wire.send(bytes);
        }
    });
    let at = |host: &str, path: &str| format!("http://{host}:{}{path}", server.address().port());
    let mut browser = Navigator::new();
    assert_eq!(
        browser.follow(&at("127.0.0.1", "/set")).answer().text(),
        "a=1"
    );
    assert_eq!(
        browser.get(&at("127.0.0.1", "/out")).answer().text(),
        "none"
    );
    assert_eq!(browser.get(&at("localhost", "/in")).answer().text(), "none");
    assert_eq!(
        Navigator::new()
            .get(&at("127.0.0.1", "/in"))
            .answer()
            .text(),
        "none"
    );
    browser.get(&at("127.0.0.1", "/unset"));
    assert_eq!(browser.get(&at("127.0.0.1", "/in")).answer().text(), "none");
}
