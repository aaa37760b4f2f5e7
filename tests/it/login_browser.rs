//! Logins over the admin listener, and callbacks that are none of theirs.

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    client::exchange,
    home::Home,
    navigator::{Navigator, Visit},
    patience::until,
    problem::assert_problem,
    protected_api::ProtectedApi,
    sidecar::Sidecar,
};

struct World {
    server: AuthorizationServer,
    _api: ProtectedApi,
    home: Home,
    sidecar: Sidecar,
}

fn world() -> World {
    world_with(|_| String::new())
}

/// The same with further lines for the provider at an authorization server.
fn world_with(lines: impl FnOnce(&AuthorizationServer) -> String) -> World {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let provider = format!("{}\n{}", lines(&server), server.provider(None));
    let home = Home::new()
        .provider("api", &provider)
        .route("api", &api.origin());
    let sidecar = home.run();
    sidecar.wait_for_state("api", "login_required");
    World {
        server,
        _api: api,
        home,
        sidecar,
    }
}

impl World {
    fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.home.admin())
    }

    /// Begins a login and consents; gives the callback that the browser is sent to, and does not go there.
    fn consent(&self, browser: &mut Navigator) -> String {
        let login = browser.get(&self.at("/login/api"));
        let authorize = login.location().unwrap_or_else(|| panic!("{login:?}"));
        assert!(authorize.starts_with(&self.server.origin()), "{authorize}");
        browser
            .get_from_elsewhere(&authorize)
            .location()
            .expect("a redirect to the callback")
    }

    #[track_caller]
    fn assert_refused(&self, what: &str, visit: &Visit) {
        let answer = visit.answer();
        assert!((400..500).contains(&answer.status), "{what}: {visit:?}");
        assert_eq!(
            answer.head.value("referrer-policy"),
            Some("no-referrer"),
            "{what}: {visit:?}"
        );
        assert_eq!(
            answer.head.value("cache-control"),
            Some("no-store"),
            "{what}: {visit:?}"
        );
        assert!(!answer.text().contains("canary-"), "{what}: {visit:?}");
        assert_eq!(
            self.server.ledger().token_requests,
            0,
            "{what}: a code went to the token endpoint"
        );
        assert_eq!(
            self.sidecar.provider("api")["state"],
            "login_required",
            "{what}"
        );
        assert!(self.home.files_with("canary-").is_empty(), "{what}");
    }

    #[track_caller]
    fn assert_logs_in(&self, browser: &mut Navigator, callback: &str) -> Visit {
        let visit = browser.get_from_elsewhere(callback);
        assert_eq!(visit.status(), 200, "{visit:?}");
        self.sidecar.wait_for_ok("api");
        assert_eq!(self.server.ledger().exchanges, 1);
        visit
    }
}

/// `url` with another value of a parameter.
fn with(url: &str, name: &str, value: &str) -> String {
    let mut url: url::Url = url.parse().unwrap();
    let pairs: Vec<_> = url
        .query_pairs()
        .into_owned()
        .filter(|(known, _)| known != name)
        .collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(pairs)
        .append_pair(name, value);
    url.into()
}

/// `url` without a parameter.
fn without(url: &str, name: &str) -> String {
    let mut url: url::Url = url.parse().unwrap();
    let pairs: Vec<_> = url
        .query_pairs()
        .into_owned()
        .filter(|(known, _)| known != name)
        .collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    url.into()
}

#[test]
fn the_page_at_the_end_holds_nothing_and_is_kept_by_nobody() {
    let world = world();
    let mut browser = Navigator::new();
    let callback = world.consent(&mut browser);
    let visit = world.assert_logs_in(&mut browser, &callback);
    let answer = visit.answer();
    assert_eq!(
        answer.head.value("referrer-policy"),
        Some("no-referrer"),
        "{visit:?}"
    );
    assert_eq!(
        answer.head.value("cache-control"),
        Some("no-store"),
        "{visit:?}"
    );
    assert!(
        answer
            .head
            .value("content-type")
            .unwrap_or_default()
            .starts_with("text/html"),
        "{visit:?}"
    );
    assert!(
        !format!("{:?}{}", answer.head, answer.text()).contains("canary-"),
        "{visit:?}"
    );
}

#[test]
fn the_cookie_is_for_this_listener_and_no_script() {
    let world = world();
    let mut browser = Navigator::new();
    world.consent(&mut browser);
    assert!(!browser.cookies_set().is_empty());
    for cookie in browser.cookies_set() {
        let attributes: Vec<_> = cookie
            .split(';')
            .skip(1)
            .map(|part| part.trim().to_ascii_lowercase())
            .collect();
        assert!(attributes.contains(&"httponly".into()), "{cookie}");
        assert!(attributes.contains(&"samesite=lax".into()), "{cookie}");
        assert!(
            !attributes.iter().any(|part| part.starts_with("domain")),
            "{cookie}"
        );
    }
}

#[test]
fn a_login_names_its_state_challenge_and_callback() {
    let world = world();
    let login = Navigator::new().get(&world.at("/login/api"));
    assert_eq!(login.status(), 302, "{login:?}");
    assert_eq!(
        login.answer().head.value("cache-control"),
        Some("no-store"),
        "{login:?}"
    );
    let url: url::Url = login.location().unwrap().parse().unwrap();
    let of = |name: &str| {
        url.query_pairs()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    };
    assert_eq!(of("redirect_uri"), Some(world.at("/callback")));
    assert_eq!(of("code_challenge_method").as_deref(), Some("S256"));
    assert!(of("state").is_some_and(|state| state.len() >= 43));
}

#[test]
fn forged_callbacks_are_refused_and_change_nothing() {
    let world = world();
    let mut browser = Navigator::new();
    let callback = world.consent(&mut browser);
    for (what, forged) in [
        (
            "another state",
            with(&callback, "state", "x".repeat(43).as_str()),
        ),
        ("no state", without(&callback, "state")),
        ("an empty state", with(&callback, "state", "")),
        ("nothing", world.at("/callback")),
        (
            "an error of another login",
            world.at("/callback?error=access_denied&state=forged"),
        ),
    ] {
        world.assert_refused(what, &browser.get_from_elsewhere(&forged));
    }
    world.assert_logs_in(&mut browser, &callback);
}

#[test]
fn the_issuer_of_a_callback_is_compared_in_full() {
    let world = world_with(|server| format!("issuer = \"{}/tenant\"", server.origin()));
    let mut browser = Navigator::new();
    let origin = world.server.origin();
    for other in [
        "https://evil.example",
        &origin,
        &format!("{origin}/tenant/"),
    ] {
        // A refused callback ends its attempt.
        let callback = world.consent(&mut browser);
        let forged = with(&callback, "iss", other);
        world.assert_refused("another issuer", &browser.get_from_elsewhere(&forged));
    }
    let callback = world.consent(&mut browser);
    let callback = with(&callback, "iss", &format!("{origin}/tenant"));
    world.assert_logs_in(&mut browser, &callback);
}

#[test]
fn the_issuer_of_a_callback_is_not_compared_where_it_is_not_known() {
    let world = world();
    let mut browser = Navigator::new();
    let callback = world.consent(&mut browser);
    let callback = with(&callback, "iss", "https://api.example.com");
    world.assert_logs_in(&mut browser, &callback);
}

#[test]
fn repeated_parameters_are_refused() {
    let world = world();
    let mut browser = Navigator::new();
    let callback = world.consent(&mut browser);
    world.assert_refused(
        "two codes",
        &browser.get_from_elsewhere(&format!("{callback}&code=other")),
    );
}

#[test]
fn a_callback_in_another_browser_is_refused_and_the_right_one_goes_on() {
    let world = world();
    let mut browser = Navigator::new();
    let callback = world.consent(&mut browser);
    world.assert_refused(
        "a browser without the cookie",
        &Navigator::new().get_from_elsewhere(&callback),
    );
    let mut other = Navigator::new();
    let others = world.consent(&mut other);
    world.assert_refused(
        "a browser with a login of its own",
        &other.get_from_elsewhere(&callback),
    );
    world.assert_refused(
        "the same the other way round",
        &browser.get_from_elsewhere(&others),
    );
    world.assert_logs_in(&mut browser, &callback);
}

#[test]
fn a_callback_counts_once() {
    let world = world();
    let mut browser = Navigator::new();
    let callback = world.consent(&mut browser);
    world.assert_logs_in(&mut browser, &callback);
    let token = world.server.ledger().newest().unwrap().to_owned();
    for _ in 0..2 {
        let again = browser.get_from_elsewhere(&callback);
        assert!((400..500).contains(&again.status()), "{again:?}");
    }
    assert_eq!(
        world.server.ledger().token_requests,
        1,
        "the code was exchanged again"
    );
    assert_eq!(world.server.ledger().newest(), Some(token.as_str()));
    assert!(!world.home.files_with(&token).is_empty());
    assert_eq!(world.sidecar.get("/").status, 200);
}

#[test]
fn a_no_of_the_user_changes_nothing() {
    let world = world();
    world
        .server
        .configure(|server| server.denies_consent = true);
    let mut browser = Navigator::new();
    let callback = world.consent(&mut browser);
    assert!(callback.contains("error=access_denied"), "{callback}");
    world.assert_refused("a no", &browser.get_from_elsewhere(&callback));
    world
        .server
        .configure(|server| server.denies_consent = false);
    let callback = world.consent(&mut browser);
    world.assert_logs_in(&mut browser, &callback);
}

#[test]
fn a_code_that_is_refused_changes_nothing() {
    let world = world();
    world.server.configure(|server| server.refuses_codes = true);
    let mut browser = Navigator::new();
    let callback = world.consent(&mut browser);
    let visit = browser.get_from_elsewhere(&callback);
    assert!(visit.status() >= 400, "{visit:?}");
    assert!(!visit.answer().text().contains("canary-"), "{visit:?}");
    assert_eq!(world.sidecar.provider("api")["state"], "login_required");
    assert!(world.home.files_with("canary-").is_empty());
    world
        .server
        .configure(|server| server.refuses_codes = false);
    let callback = world.consent(&mut browser);
    world.assert_logs_in(&mut browser, &callback);
}

#[test]
fn only_the_callback_may_be_come_to_from_another_site() {
    let world = world();
    let visit = Navigator::new().get_from_elsewhere(&world.at("/login/api"));
    assert_problem(visit.answer(), 403, "cross-site");
    // Nor may a page of another site load the callback as anything but a page.
    let mut browser = Navigator::new();
    let callback: url::Url = world.consent(&mut browser).parse().unwrap();
    let target = format!("{}?{}", callback.path(), callback.query().unwrap());
    let fields =
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n";
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n",
        world.home.admin()
    );
    let answer = exchange(world.home.admin(), request);
    assert!((400..500).contains(&answer.status), "{answer:?}");
    world.assert_logs_in(&mut browser, callback.as_str());
}

#[test]
fn a_head_neither_begins_nor_ends_a_login() {
    let world = world();
    let head = |target: &str| {
        let mut client = crate::support::client::Client::connect(world.home.admin());
        client.send(format!(
            "HEAD {target} HTTP/1.1\r\nHost: {}\r\n\r\n",
            world.home.admin()
        ));
        client.wire().answer("HEAD").unwrap()
    };
    assert!(head("/login/api").head.values("set-cookie").is_empty());
    let mut browser = Navigator::new();
    let callback = world.consent(&mut browser);
    let url: url::Url = callback.parse().unwrap();
    head(&format!("{}?{}", url.path(), url.query().unwrap()));
    world.assert_logs_in(&mut browser, &callback);
}

#[test]
fn there_is_no_login_of_an_unknown_provider_or_one_that_needs_none() {
    let server = AuthorizationServer::start(Dialect::Hapn);
    let home = Home::new().provider("hapn", &server.provider(None));
    let sidecar = home.run();
    assert_eq!(sidecar.admin("/login/nobody").status, 404);
    let needless = sidecar.admin("/login/hapn");
    assert!((400..500).contains(&needless.status), "{needless:?}");
}

#[test]
fn a_login_begun_at_localhost_comes_back_with_its_cookie() {
    let world = world();
    let url = format!("http://localhost:{}/login/api", world.home.admin().port());
    let visit = Navigator::new().follow(&url);
    assert_eq!(visit.status(), 200, "{visit:?}");
    world.sidecar.wait_for_ok("api");
}

#[test]
fn the_page_offers_to_connect_only_what_needs_it() {
    let world = world();
    let page = || world.sidecar.admin("/").text();
    assert!(
        page().contains("Connect") && page().contains("/login/api"),
        "{}",
        page()
    );
    let mut browser = Navigator::new();
    let callback = world.consent(&mut browser);
    world.assert_logs_in(&mut browser, &callback);
    until("a page without the offer", || {
        (!page().contains("Connect")).then_some(())
    });
    assert!(!page().contains("canary-"));
}

#[test]
fn a_login_is_told_by_the_metrics() {
    let world = world();
    let sample = || {
        let metrics = world.sidecar.metrics();
        metrics
            .lines()
            .find(|line| {
                line.starts_with("bearward_login_required{") && line.contains("provider=\"api\"")
            })
            .and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    assert_eq!(sample(), Some(1.0));
    let mut browser = Navigator::new();
    let callback = world.consent(&mut browser);
    world.assert_logs_in(&mut browser, &callback);
    until("the metric of a login", || {
        (sample() == Some(0.0)).then_some(())
    });
}
