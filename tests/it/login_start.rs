//! The browser that `bearward login` opens: nothing of the consent URL in an argument, and a callback for it alone.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    browser::Browser,
    home::{Home, succeeded},
    navigator::Navigator,
    patience::until,
    ports,
    protected_api::ProtectedApi,
    sidecar::Process,
};

struct World {
    server: AuthorizationServer,
    // Goes when the test is over.
    _api: ProtectedApi,
    home: Home,
}

/// A command that logs in with a browser, and the addresses that it printed and opened.
struct Opened {
    process: Process,
    printed: String,
    opened: String,
}

fn world_with(redirect_uri: &str) -> World {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let mut home = Home::new()
        .provider("api", &server.provider(Some(redirect_uri)))
        .route("api", &api.origin());
    let program = home.path("xdg-open");
    let script = format!(
        "#!/bin/sh\necho \"$@\" > {0}.new && /bin/mv {0}.new {0}\n",
        home.path("opened").display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let folder = program.parent().unwrap().display().to_string();
    home.set("PATH", &folder);
    World {
        server,
        _api: api,
        home,
    }
}

fn world() -> World {
    world_with(&format!("http://{}/back", ports::unused()))
}

impl World {
    #[track_caller]
    fn open(&self, more: &[&str]) -> Opened {
        let arguments = [&["login", "api"], more].concat();
        let process = Process::spawn(&mut self.home.command(&arguments));
        let opened = until("the browser", || {
            fs::read_to_string(self.home.path("opened")).ok()
        });
        let written = process.stdout();
        let printed = written.split_whitespace().next().expect("an address");
        Opened {
            printed: printed.to_owned(),
            opened: opened.trim().to_owned(),
            process,
        }
    }
}

#[track_caller]
fn assert_says_nothing(opened: &str) {
    let url: url::Url = opened
        .parse()
        .unwrap_or_else(|error| panic!("{opened}: {error}"));
    assert_eq!(url.host_str(), Some("127.0.0.1"), "{opened}");
    assert_eq!(
        (url.path(), url.query(), url.fragment()),
        ("/start", None, None)
    );
}

#[test]
fn the_browser_is_opened_with_no_part_of_the_consent_url() {
    let world = world();
    let mut login = world.open(&[]);
    assert_says_nothing(&login.opened);
    let mut browser = Navigator::new();
    let start = browser.get(&login.opened);
    assert_eq!(start.status(), 302, "{start:?}");
    let consent = start.location().unwrap();
    assert!(consent.starts_with(&world.server.origin()), "{consent}");
    assert_ne!(consent, login.printed, "a state of its own");
    let cookie = browser.cookies_set().last().unwrap().to_ascii_lowercase();
    assert!(
        cookie.contains("httponly") && cookie.contains("samesite=lax"),
        "{cookie}"
    );
    assert_eq!(browser.follow(&consent).status(), 200);
    succeeded(&mut login.process);
}

#[test]
fn a_callback_without_the_cookie_is_refused_and_the_login_goes_on() {
    let world = world();
    let mut login = world.open(&[]);
    let mut browser = Navigator::new();
    let consent = browser.get(&login.opened).location().unwrap();
    let back = browser.get(&consent).location().expect("a redirect");
    let other = Navigator::new().get_from_elsewhere(&back);
    assert_eq!(other.status(), 400, "{other:?}");
    assert_eq!(world.server.ledger().token_requests, 0);
    assert!(login.process.ended().is_none());
    assert_eq!(browser.get_from_elsewhere(&back).status(), 200);
    succeeded(&mut login.process);
}

#[test]
fn a_start_that_is_visited_twice_ends_and_the_printed_address_does_not() {
    let world = world();
    let mut login = world.open(&[]);
    let (mut first, mut second) = (Navigator::new(), Navigator::new());
    let consent = first.get(&login.opened).location().unwrap();
    let refused = second.get(&login.opened);
    assert_eq!(refused.status(), 400, "{refused:?}");
    let back = first.get(&consent).location().expect("a redirect");
    assert_eq!(first.get_from_elsewhere(&back).status(), 400);
    assert_eq!(world.server.ledger().token_requests, 0);
    assert_eq!(Navigator::new().follow(&login.printed).status(), 200);
    succeeded(&mut login.process);
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_of_another_user_does_not_get_the_consent_page() {
    let world = world();
    let mut login = world.open(&[]);
    let visit = |user: &str| {
        let output = std::process::Command::new("setpriv")
            .args([
                "--reuid",
                user,
                "--clear-groups",
                "curl",
                "-sS",
                "-i",
                &login.opened,
            ])
            .output()
            .expect("setpriv and curl");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // Only root can become another user.
    if rustix::process::geteuid().is_root() {
        let theirs = visit("65534");
        assert!(theirs.starts_with("HTTP/1.1 403"), "{theirs}");
        assert!(!theirs.contains("state="), "{theirs}");
    }
    let visit = Navigator::new().follow(&login.opened);
    assert_eq!(visit.status(), 200, "{visit:?}");
    succeeded(&mut login.process);
}

#[test]
fn a_browser_that_cannot_be_opened_leaves_the_printed_address() {
    let world = world();
    let mut login = world.open(&[]);
    assert_eq!(Navigator::new().follow(&login.printed).status(), 200);
    succeeded(&mut login.process);
}

#[test]
fn a_login_that_is_pasted_opens_the_browser_the_same_way() {
    let world = world_with("myapp://callback");
    let mut login = world.open(&["--paste"]);
    assert_says_nothing(&login.opened);
    let consent = Navigator::new().get(&login.opened).location().unwrap();
    assert_eq!(consent, login.printed, "a bare code belongs to one attempt");
    let back = Navigator::new()
        .get(&consent)
        .location()
        .expect("a redirect");
    login.process.enter(&back);
    succeeded(&mut login.process);
}

#[test]
fn chromium_logs_in_from_the_start_to_the_callback() {
    let world = world_with(&format!(
        "http://localhost:{}/start",
        ports::unused().port()
    ));
    let mut login = world.open(&[]);
    let url: url::Url = login.opened.parse().unwrap();
    assert_eq!(
        (url.host_str(), url.path()),
        (Some("localhost"), "/start-login")
    );
    let browser = Browser::start();
    browser.go(&login.opened);
    succeeded(&mut login.process);
    assert!(
        browser.source().contains("Logged in"),
        "{}",
        browser.source()
    );
}

#[test]
fn a_sidecar_with_a_callback_for_each_provider_takes_the_login() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let admin = ports::unused();
    let redirect_uri = format!("http://{admin}/callback/api");
    let home = Home::at(admin)
        .provider("api", &server.provider(Some(&redirect_uri)))
        .route("api", &api.origin());
    let sidecar = home.run();
    let (mut process, url) = home.begin_login("api", &[]);
    assert_eq!(url, format!("http://{admin}/login/api"));
    assert_eq!(Navigator::new().follow(&url).status(), 200);
    succeeded(&mut process);
    sidecar.wait_for_ok("api");

    sidecar.stop();
    // Without the sidecar, the command listens at the same address itself.
    assert_eq!(home.log_in("api").status(), 200);
}
