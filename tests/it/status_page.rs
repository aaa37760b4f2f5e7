//! The status page in a real browser: it follows the sidecar without a reload, and what it offers works.

use rustix::process::Signal;

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    client::exchange,
    home::Home,
    page::StatusPage,
    patience::until,
    token_endpoint::{TokenEndpoint, error_response, token_response},
    upstream::Upstream,
    wire::ok,
};

/// The lines of a provider at a scripted token endpoint.
fn client_credentials(tokens: &TokenEndpoint) -> String {
    format!(
        "grant_type = \"client_credentials\"\ntoken_endpoint = {:?}\nclient_id = \"x\"\n\
         client_secret = {{ env = \"CLIENT_SECRET\" }}\n",
        tokens.url()
    )
}

/// A mark that a reload of the page would remove.
const MARK: &str = "window.mark = true; document.querySelector('details').open = true;";

#[test]
fn the_page_follows_the_sidecar_says_when_it_is_gone_and_recovers() {
    let tokens = TokenEndpoint::start(|_, number| match number {
        0 => error_response("401 Unauthorized", "invalid_client"),
        _ => token_response("canary-token", 3600),
    });
    let upstream = Upstream::answering(|_| ok("fine"));
    let home = Home::new()
        .provider("api", &client_credentials(&tokens))
        .route("api", &upstream.origin());
    let sidecar = home.run();
    sidecar.wait_for_state("api", "refused");
    let page = StatusPage::open(home.admin());
    let browser = &page.browser;
    browser.run(MARK);
    assert!(browser.run("return document.title") == "Refused: api · bearward");
    // The server's own words, and what to do.
    let card = page.text("article");
    for expected in [
        "invalid client",
        "described-by-the-server",
        "bearward doctor api",
    ] {
        assert!(card.contains(expected), "{expected} is missing from {card}");
    }

    // Another client renews.
    assert_eq!(sidecar.renew("api").status, 200);
    page.wait_for_text("article .state", "ready");
    browser.wait_until("document.title === 'Every provider is ready · bearward'");
    assert_eq!(sidecar.get("/").status, 200);
    page.wait_for_text(".route .numbers", "1");

    let old = sidecar;
    old.signal(Signal::KILL);
    drop(old);
    page.wait_for_text("#gone", "does not respond");
    browser.wait_until("document.title.startsWith('Not responding')");
    let sidecar = home.run_ready();
    browser.wait_until("document.getElementById('gone').textContent === ''");
    browser.wait_until("document.title === 'Every provider is ready · bearward'");
    // Live again.
    let requests = sidecar.provider("api")["token_requests"].as_u64().unwrap() + 1;
    assert_eq!(sidecar.renew("api").status, 200);
    page.wait_for_text("article", &format!("Token requests\n{requests}"));

    assert_eq!(
        browser.run("return window.mark === true"),
        true,
        "it was reloaded"
    );
    assert_eq!(
        browser.run("return document.querySelector('details').open"),
        true,
        "what was opened is closed"
    );
    page.assert_loads_nothing_elsewhere();
    assert!(!browser.source().contains("canary"));
}

#[test]
fn renew_renews_says_so_and_keeps_the_focus() {
    let tokens = TokenEndpoint::start(|_, number| match number {
        2 => error_response("400 Bad Request", "invalid_scope"),
        _ => token_response("t", 3600),
    });
    let upstream = Upstream::answering(|_| ok("fine"));
    let home = Home::new()
        .provider("api", &client_credentials(&tokens))
        .route("api", &upstream.origin());
    let _sidecar = home.run_ready();
    let page = StatusPage::open(home.admin());
    page.browser.run(MARK);
    // By the keyboard.
    page.browser
        .run("document.querySelector('form button').focus()");
    page.browser.enter("//form//button", "\u{e007}");
    page.wait_for_text("#notice", "api: renewed");
    page.wait_for_text("article", "Token requests\n2");
    assert_eq!(
        page.browser
            .run("return document.activeElement.textContent"),
        "Renew"
    );
    page.browser.click("//button[contains(., 'Renew')]");
    page.wait_for_text("#notice", "api: not renewed");
    page.wait_for_text("article .state", "refresh failing");
    assert_eq!(
        page.browser.run("return window.mark"),
        true,
        "it was reloaded"
    );
    page.assert_loads_nothing_elsewhere();
}

#[test]
fn connect_logs_in_and_the_end_leads_back_to_the_page() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let home = Home::of(&server, &api);
    let sidecar = home.run();
    sidecar.wait_for_state("api", "login_required");
    let page = StatusPage::open(home.admin());
    let card = page.text("article");
    assert!(card.contains("bearward login api"), "{card}");
    // Only a login helps.
    assert!(!card.contains("Renew"), "{card}");
    page.browser.click("//a[normalize-space(.) = 'Connect']");
    page.browser
        .wait_for_url("the page at the end", |url| url.contains("/callback"));
    page.browser.click("//a[contains(., 'Status')]");
    page.wait_for_text("article .state", "ready");
    let card = page.text("article");
    assert!(
        card.contains("Renew") && !card.contains("Connect"),
        "{card}"
    );
}

#[test]
fn without_scripts_it_is_a_plain_page_whose_buttons_work() {
    let tokens = TokenEndpoint::issuing("t");
    let upstream = Upstream::answering(|_| ok("fine"));
    let home = Home::new()
        .provider("api", &client_credentials(&tokens))
        .route("api", &upstream.origin());
    let sidecar = home.run_ready();
    let page = sidecar.admin("/").text();
    assert!(
        page.contains("<noscript><meta http-equiv=\"refresh\""),
        "{page}"
    );
    // As a browser submits the form.
    let request = format!(
        "POST /api/providers/api/refresh HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nSec-Fetch-Site: same-origin\r\n\
         Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nContent-Length: 0\r\n\r\n",
        home.admin()
    );
    let answer = exchange(home.admin(), request);
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(answer.head.value("location"), Some("/"));
    until("the second token request", || {
        (tokens.count() == 2).then_some(())
    });
    // Other clients have the status.
    assert_eq!(sidecar.renew("api").json()["state"], "ready");
}
