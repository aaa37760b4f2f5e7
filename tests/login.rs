//! Logins against `testkit`'s authorization server: with the real binary by command line and browser, and by presets.

#![allow(
    clippy::disallowed_methods,
    reason = "a test aborts its tasks with its runtime, and may measure real time"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "login/presets.rs"]
mod presets;
#[path = "login/sign_in.rs"]
mod sign_in;
#[path = "login/vendor.rs"]
mod vendor;
#[path = "login/world.rs"]
mod world;

use std::{fs, net::TcpListener, time::Duration};

use testkit::authorization_server::{ConsentPage, Health, Options, RawResponse};
use url::Url;
use world::{Browser, Ended, World, free_port, until, until_listening};

/// A port of the system's choice: the default `redirect_uri` follows it.
const ANY: &str = "127.0.0.1:0";

fn world() -> World {
    World::new(Options::default())
}

/// The refresh token in the store.
fn refresh_token(world: &World) -> Option<String> {
    let files = fs::read_dir(world.store())
        .ok()?
        .map(|entry| entry.unwrap().path());
    let records: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    let [record] = records.as_slice() else {
        return None;
    };
    let record: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(record).unwrap()).unwrap();
    record["refresh_token"].as_str().map(str::to_owned)
}

fn assert_no_login_is_stored(world: &World) {
    assert_eq!(refresh_token(world), None);
    assert_eq!(world.server.stats().issued, 0);
}

/// Ended with `status`, and nothing secret was said.
fn assert_ended(world: &World, ended: Ended, status: i32, out: &str) -> String {
    assert_eq!(
        (ended.0, ended.1.as_str()),
        (Some(status), out),
        "{}",
        ended.2
    );
    let said = format!("{}{}", ended.1, ended.2);
    assert!(!said.contains(world.server.client().1), "{said}");
    if let Some(token) = refresh_token(world) {
        assert!(!said.contains(&token), "{said}");
    }
    ended.2
}

#[test]
fn a_login_comes_back_to_a_listener_that_is_up_for_as_long_as_it_takes() {
    let world = world();
    world.configure(ANY, "", "");
    let mut login = world.start(&["login", "demo", "--no-browser"]);
    let address: Url = login.line().parse().unwrap();
    assert!(
        address
            .as_str()
            .starts_with(&world.server.authorization_endpoint().unwrap())
    );
    let mut browser = Browser::default();
    let (_, callback) = browser.get(&address);
    let callback = callback.unwrap();
    assert_eq!(
        (callback.host_str(), callback.path()),
        (Some("127.0.0.1"), "/callback")
    );

    // Forged ones are refused, and the login goes on.
    let forged = callback.as_str().replace("state=", "state=x");
    let page = browser.open(&forged);
    assert_eq!(page.status, 400, "{page:?}");
    let page = browser.open(&callback[..url::Position::AfterPath]);
    assert_eq!(page.status, 400, "{page:?}");
    assert!(login.is_running());
    assert_no_login_is_stored(&world);

    let page = browser.open(callback.as_str());
    assert_eq!(
        (page.status, page.field("referrer-policy")),
        (200, Some("no-referrer")),
        "{page:?}"
    );
    assert!(page.body.contains("Logged in"));
    assert_ended(&world, login.ended(), 0, "logged in\n");
    let token = refresh_token(&world).unwrap();
    assert!(!page.body.contains(&token));
    assert!(
        std::net::TcpStream::connect(("127.0.0.1", callback.port().unwrap())).is_err(),
        "the listener is gone"
    );

    let (status, out, err) = world.run(&["token", "demo"]);
    assert_eq!(status, Some(0), "{err}");
    assert!(out.trim().len() > 20);
}

#[test]
fn a_login_that_is_refused_changes_nothing() {
    let world = World::new(Options {
        consent_page: ConsentPage::Shown,
        ..Options::default()
    });
    world.configure(ANY, "", "");
    let mut login = world.start(&["login", "demo", "--no-browser"]);
    let address: Url = login.line().parse().unwrap();
    let mut browser = Browser::default();
    let (page, none) = browser.get(&address);
    assert_eq!((page.status, none), (200, None), "the consent page");
    let (_, back) = browser.ask("POST", &address, "decision=deny");
    let page = browser.open(back.unwrap().as_str());
    assert_eq!(page.status, 400);
    assert!(page.body.contains("access_denied"), "{}", page.body);
    let said = assert_ended(&world, login.ended(), 1, "");
    assert!(said.contains("access_denied"), "{said}");
    assert_no_login_is_stored(&world);
}

#[test]
fn what_the_browser_ended_up_at_is_pasted() {
    // An address of an app's own, and a loopback one with --paste: whole, or the code alone.
    for (redirect_uri, paste, whole) in [
        ("myapp://callback", &[][..], true),
        ("myapp://callback", &[][..], false),
        ("http://127.0.0.1:1/callback", &["--paste"][..], true),
    ] {
        let world = world();
        world.configure(ANY, &format!("redirect_uri = {redirect_uri:?}"), "");
        let mut login = world.start(&[&["login", "demo", "--no-browser"], paste].concat());
        let (_, callback) = Browser::default().get(&login.line().parse().unwrap());
        let callback = callback.unwrap();
        assert!(callback.as_str().starts_with(redirect_uri), "{callback}");
        let code = callback
            .query_pairs()
            .find(|(name, _)| name == "code")
            .unwrap()
            .1
            .into_owned();
        login.paste(if whole { callback.as_str() } else { &code });
        let said = assert_ended(&world, login.ended(), 0, "logged in\n");
        assert!(!said.contains(&code), "{said}");
        assert!(refresh_token(&world).is_some());
    }
}

#[test]
fn what_is_pasted_and_is_of_no_login_changes_nothing() {
    let world = world();
    world.configure(ANY, "redirect_uri = \"myapp://callback\"", "");
    for (pasted, told) in [
        (
            "myapp://callback?code=canary&state=another",
            "not the response to the login just started",
        ),
        (
            "myapp://callback?error=access_denied&state=another",
            "not the response to the login just started",
        ),
        ("canary", "invalid_grant"),
        ("", "before anything was pasted"),
    ] {
        let mut login = world.start(&["login", "demo", "--no-browser"]);
        login.line();
        login.paste(pasted);
        let said = assert_ended(&world, login.ended(), 1, "");
        assert!(
            said.contains(told) && !said.contains("canary"),
            "{pasted}: {said}"
        );
    }
    assert_no_login_is_stored(&world);
}

#[test]
fn an_address_that_another_program_has_is_told() {
    let world = world();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    world.configure(
        ANY,
        &format!(
            "redirect_uri = \"http://{}/other\"",
            other.local_addr().unwrap()
        ),
        "",
    );
    let said = assert_ended(&world, world.run(&["login", "demo", "--no-browser"]), 1, "");
    assert!(
        said.contains("cannot listen") && said.contains("--paste"),
        "{said}"
    );
}

#[test]
fn where_a_sidecar_runs_its_own_login_is_waited_for() {
    let world = world();
    let port = free_port();
    world.configure(&format!("127.0.0.1:{port}"), "", "");
    let _sidecar = world.start(&["run"]);
    until_listening(([127, 0, 0, 1], port).into());
    let mut login = world.start(&["login", "demo", "--no-browser"]);
    let address = login.line();
    assert_eq!(address, format!("http://127.0.0.1:{port}/login/demo"));
    let page = Browser::default().open(&address);
    assert_eq!(page.status, 200, "{page:?}");
    assert_ended(&world, login.ended(), 0, "logged in\n");
    let status = Browser::default().open(&format!("http://127.0.0.1:{port}/api/status"));
    assert!(
        status.body.contains("\"state\":\"ready\""),
        "{}",
        status.body
    );
}

#[test]
fn what_a_sidecar_does_to_keep_a_login_alive_is_not_taken_for_a_login() {
    let world = world();
    let port = free_port();
    world.configure(&format!("127.0.0.1:{port}"), "", "");
    let mut first = world.start(&["login", "demo", "--no-browser"]);
    Browser::default().open(&first.line());
    assert_ended(&world, first.ended(), 0, "logged in\n");
    let _sidecar = world.start(&["run"]);
    until_listening(([127, 0, 0, 1], port).into());
    let mut login = world.start(&["login", "demo", "--no-browser"]);
    let address = login.line();
    let before = refresh_token(&world);
    let renewal = format!("http://127.0.0.1:{port}/api/providers/demo/refresh")
        .parse()
        .unwrap();
    assert_eq!(Browser::default().ask("POST", &renewal, "").0.status, 200);
    until("another refresh token in the store", || {
        refresh_token(&world) != before
    });
    // Time for three looks at the store; one that comes late can only hide a mistake, not make one.
    std::thread::sleep(Duration::from_millis(1500));
    assert!(login.is_running(), "a renewal was taken for a login");
    assert_eq!(Browser::default().open(&address).status, 200);
    assert_ended(&world, login.ended(), 0, "logged in\n");
}

#[test]
fn a_sidecar_of_another_configuration_is_told_at_once() {
    let world = world();
    let port = free_port();
    let admin = format!("127.0.0.1:{port}");
    world.configure(&admin, "", "");
    let (ours, file) = (world.store(), world.store().with_file_name("bearward.toml"));
    let text = std::fs::read_to_string(&file).unwrap();
    for (text, told) in [
        (
            text.replace("[providers.demo]", "[providers.other]"),
            "has no such provider",
        ),
        (
            text.replace(
                ours.to_str().unwrap(),
                world.store().with_file_name("elsewhere").to_str().unwrap(),
            ),
            "elsewhere",
        ),
        (
            text.replace("\"authorization_code\"", "\"client_credentials\""),
            "without a login there",
        ),
    ] {
        let other = world.store().with_file_name("other.toml");
        std::fs::write(&other, text).unwrap();
        let _sidecar = world.start(&["run", "-c", other.to_str().unwrap()]);
        until_listening(([127, 0, 0, 1], port).into());
        let said = assert_ended(&world, world.run(&["login", "demo", "--no-browser"]), 1, "");
        assert!(said.contains(told), "{told}: {said}");
    }
}

#[test]
fn a_sidecar_that_ends_ends_the_wait() {
    let world = world();
    let port = free_port();
    world.configure(&format!("127.0.0.1:{port}"), "", "");
    let sidecar = world.start(&["run"]);
    until_listening(([127, 0, 0, 1], port).into());
    let mut login = world.start(&["login", "demo", "--no-browser"]);
    let address = login.line();
    drop(sidecar);
    let said = assert_ended(&world, login.ended(), 1, "");
    assert!(said.contains("has ended") && !address.is_empty(), "{said}");
}

#[test]
fn a_sidecar_that_keeps_logins_in_memory_is_asked_whether_one_came() {
    let world = world();
    let port = free_port();
    world.configure(&format!("127.0.0.1:{port}"), "", "");
    world.keep_nothing();
    let said = assert_ended(&world, world.run(&["login", "demo", "--no-browser"]), 1, "");
    assert!(said.contains("in memory"), "{said}");
    let _sidecar = world.start(&["run"]);
    until_listening(([127, 0, 0, 1], port).into());
    let mut login = world.start(&["login", "demo", "--no-browser"]);
    let address = login.line();
    assert_eq!(address, format!("http://127.0.0.1:{port}/login/demo"));
    assert_eq!(Browser::default().open(&address).status, 200);
    assert_ended(&world, login.ended(), 0, "logged in\n");
    assert!(!world.store().exists());

    // A second one could not be told from the first, which is said and not waited for.
    let (status, out, err) = world.run(&["login", "demo", "--no-browser"]);
    assert_eq!((status, out), (Some(1), format!("{address}\n")), "{err}");
    assert!(err.contains("cannot be seen from here"), "{err}");
}

#[test]
fn a_browser_that_goes_away_takes_no_login_along() {
    let world = world();
    let port = free_port();
    world.configure(&format!("127.0.0.1:{port}"), "", "");
    let _sidecar = world.start(&["run"]);
    until_listening(([127, 0, 0, 1], port).into());
    let mut browser = Browser::default();
    let (_, out) = browser.get(
        &format!("http://127.0.0.1:{port}/login/demo")
            .parse()
            .unwrap(),
    );
    let (_, callback) = browser.get(&out.unwrap());
    // The response waits for long enough that the browser is gone before it comes.
    world.server.set_delay(Duration::from_secs(1));
    let connection = browser.begin(&callback.unwrap());
    until("the exchange", || world.server.stats().token_requests == 1);
    drop(connection);
    until("the login in the store", || refresh_token(&world).is_some());
}

#[test]
fn who_cannot_log_in_is_told_why() {
    let world = world();
    world.configure(ANY, "", "[providers.client]\ngrant_type = \"client_credentials\"\ntoken_endpoint = \"http://127.0.0.1:1/\"\nclient_id = \"x\"\nclient_secret = \"y\"\n");
    for (command, provider, told) in [
        ("login", "client", "it uses a client id and secret only"),
        ("logout", "client", "it uses a client id and secret only"),
        ("login", "nobody", "there is no provider \"nobody\""),
        ("logout", "nobody", "there is no provider \"nobody\""),
    ] {
        let said = assert_ended(&world, world.run(&[command, provider]), 1, "");
        assert!(said.contains(told), "{command} {provider}: {said}");
    }
    assert_eq!(world.run(&["login"]).0, Some(2));
}

#[test]
fn a_logout_revokes_and_forgets() {
    let world = world();
    world.configure(ANY, "", "");
    assert_ended(
        &world,
        world.run(&["logout", "demo"]),
        0,
        "there was no login\n",
    );
    let mut login = world.start(&["login", "demo", "--no-browser"]);
    Browser::default().open(&login.line());
    assert_ended(&world, login.ended(), 0, "logged in\n");
    assert_ended(&world, world.run(&["logout", "demo"]), 0, "logged out\n");
    assert_eq!(refresh_token(&world), None);
    assert_eq!(world.server.stats().revocations, 1);
    let (status, out, _) = world.run(&["token", "demo"]);
    assert_eq!((status, out.as_str()), (Some(1), ""));
}

#[test]
fn a_login_that_cannot_be_revoked_is_forgotten_all_the_same() {
    let world = world();
    world.configure(ANY, "", "");
    let mut login = world.start(&["login", "demo", "--no-browser"]);
    Browser::default().open(&login.line());
    assert_ended(&world, login.ended(), 0, "logged in\n");
    world.server.set_health(Health::ClosesConnections);
    let said = assert_ended(&world, world.run(&["logout", "demo"]), 1, "");
    assert!(said.contains("not revoked"), "{said}");
    assert_eq!(refresh_token(&world), None);
}

#[test]
fn the_end_waits_for_a_login_whose_code_is_being_exchanged() {
    let world = world();
    let port = free_port();
    world.configure(&format!("127.0.0.1:{port}"), "", "");
    let sidecar = world.start(&["run"]);
    until_listening(([127, 0, 0, 1], port).into());
    let mut browser = Browser::default();
    let (_, out) = browser.get(
        &format!("http://127.0.0.1:{port}/login/demo")
            .parse()
            .unwrap(),
    );
    let (_, callback) = browser.get(&out.unwrap());
    // Longer than the timeout of the admin listener's own responses.
    world.server.set_delay(Duration::from_secs(3));
    let coming_back = std::thread::spawn(move || browser.get(&callback.unwrap()).0);
    until("the exchange", || world.server.stats().token_requests == 1);
    sidecar.terminate();
    assert_eq!(sidecar.ended().0, Some(0));
    let page = coming_back.join().unwrap();
    assert_eq!(page.status, 200, "{page:?}");
    assert!(refresh_token(&world).is_some(), "the login is lost");
}

#[test]
fn a_login_without_a_refresh_token_has_its_access_token_revoked() {
    let world = world();
    world.configure(ANY, "", "");
    let body = r#"{"access_token":"canary-alone","token_type":"Bearer","expires_in":300}"#;
    let response = RawResponse {
        status: http::StatusCode::OK,
        headers: http::HeaderMap::new(),
        body: body.into(),
    };
    world.server.set_raw_response(Some(response));
    let mut login = world.start(&["login", "demo", "--no-browser"]);
    Browser::default().open(&login.line());
    // It ends with its access token, which is said, and is no success.
    assert_eq!(login.ended().0, Some(1));
    world.server.set_raw_response(None);
    let said = assert_ended(&world, world.run(&["logout", "demo"]), 0, "logged out\n");
    assert!(
        said.contains("no refresh token") && !said.contains("canary"),
        "{said}"
    );
    let revocations: Url = world.server.revocation_endpoint().unwrap().parse().unwrap();
    let asked = world
        .server
        .requests_to(revocations.path())
        .pop()
        .expect("a revocation");
    assert_eq!(asked.parameter("token").as_deref(), Some("canary-alone"));
    assert_eq!(
        asked.parameter("token_type_hint").as_deref(),
        Some("access_token")
    );
    assert_ended(
        &world,
        world.run(&["logout", "demo"]),
        0,
        "there was no login\n",
    );
}

#[cfg(target_os = "linux")]
#[test]
fn the_browser_that_is_opened_gets_no_secret_out_of_the_environment() {
    let world = world();
    world.configure(ANY, "", "");
    let folder = world.store().parent().unwrap().to_owned();
    let (program, told) = (folder.join("xdg-open"), folder.join("environment"));
    std::fs::write(
        &program,
        format!(
            "#!/bin/sh\n/usr/bin/env > {0}.new && /bin/mv {0}.new {0}\n",
            told.display()
        ),
    )
    .unwrap();
    std::fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    let path = folder.to_str().unwrap();
    let environment = [
        ("PATH", path),
        ("DISPLAY", ":7"),
        ("CLIENT_SECRET", "canary-secret"),
        ("BEARWARD_ADMIN_KEY", "canary-key"),
    ];
    let mut login = world.start_in(&environment, &["login", "demo"]);
    let address = login.line();
    until("the browser", || told.exists());
    let told = std::fs::read_to_string(told).unwrap();
    assert!(
        told.contains("DISPLAY=:7") && !told.contains("canary"),
        "{told}"
    );
    Browser::default().open(&address);
    assert_ended(&world, login.ended(), 0, "logged in\n");
}
