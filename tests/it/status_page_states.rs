//! The status page in each state: accessible, whole at any width, in the light and in the dark.
//!
//! With `BEARWARD_SCREENSHOTS` set to a folder, the pictures of the documentation are written there.

use std::{
    env, fs,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use crate::support::{
    client::{exchange, get},
    home::Home,
    navigator::Navigator,
    page::{Scheme, StatusPage, WIDTHS},
    patience::{Gate, until},
    sidecar::Sidecar,
    token_endpoint::{TokenEndpoint, error_response, json_response, token_response},
    upstream::Upstream,
    wire::{answer, ok},
};

/// A sidecar with a provider in each state.
struct World {
    _endpoints: Vec<TokenEndpoint>,
    _upstream: Upstream,
    /// Holds the renewal back.
    gate: Arc<Gate>,
    home: Home,
    sidecar: Sidecar,
}

fn jwt() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let expiry = now.unwrap() + Duration::from_secs(3600);
    let [header, claims] = [
        json!({ "alg": "RS256", "typ": "at+jwt" }),
        json!({ "iss": "https://login.example.com", "sub": "fleet-service", "aud": ["https://api.example.com"],
            "scope": "devices.read devices.write", "exp": expiry.as_secs() }),
    ]
    .map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.c2lnbmF0dXJl")
}

/// The lines of a provider: `more` after its endpoint.
fn provider(tokens: &TokenEndpoint, grant_type: &str, more: &str) -> String {
    format!(
        "grant_type = {grant_type:?}\ntoken_endpoint = {:?}\nclient_id = \"fleet-service\"\n\
         client_secret = {{ env = \"CLIENT_SECRET\" }}\n{more}",
        tokens.url()
    )
}

fn world() -> World {
    let gate = Arc::new(Gate::default());
    let jwt = jwt();
    let ready = TokenEndpoint::start(move |_, _| token_response(&jwt, 3600));
    let renewing = TokenEndpoint::start({
        let gate = gate.clone();
        move |_, number| {
            if number > 0 {
                gate.pass();
            }
            token_response("t", 3600)
        }
    });
    let failing = TokenEndpoint::start(|_, _| {
        json_response(
            "400 Bad Request",
            r#"{"error":"temporarily_unavailable","error_description":"Maintenance until 06:00"}"#,
        )
    });
    // The login ends with its first refresh.
    let login = || {
        TokenEndpoint::start(
            |request, _| match request.body.starts_with(b"grant_type=auth") {
                true => json_response(
                    "200 OK",
                    r#"{"access_token":"access-token-0001","token_type":"Bearer","expires_in":3600,"refresh_token":"refresh-token-0001"}"#,
                ),
                false => error_response("400 Bad Request", "invalid_grant"),
            },
        )
    };
    let (kept, due, required) = (login(), login(), login());
    let upstream = Upstream::answering(|request| match request.head.target() {
        "/missing" => answer("404 Not Found", "", "no"),
        "/broken" => answer("500 Internal Server Error", "", "no"),
        _ => ok("fine"),
    });
    let consent = "authorization_endpoint = \"https://login.example.com/authorize\"\nscope = \"calendar.read\"\n";
    let origin = upstream.origin();
    let home = Home::new()
        .provider(
            "fleet",
            &provider(
                &ready,
                "client_credentials",
                "scope = [\"devices.read\", \"devices.write\"]\n",
            ),
        )
        .provider(
            "reports",
            &provider(
                &renewing,
                "client_credentials",
                "token_request.timeout = \"60s\"\n",
            ),
        )
        .provider("billing", &provider(&failing, "client_credentials", ""))
        .provider(
            "mail",
            &provider(
                &kept,
                "authorization_code",
                &format!("{consent}refresh.absolute = \"12d\"\n"),
            ),
        )
        .provider("intranet", &provider(&due, "authorization_code", consent))
        .provider(
            "calendar",
            &provider(&required, "authorization_code", consent),
        )
        .route("fleet", &origin)
        .route("billing", &origin)
        .route("calendar", &origin);
    let sidecar = home.run();
    for name in ["fleet", "reports"] {
        sidecar.wait_for_state(name, "ready");
    }
    sidecar.wait_for_state("billing", "failing");
    for name in ["mail", "intranet"] {
        log_in(&home, name);
        sidecar.wait_for_state(name, "ready");
    }
    assert_eq!(sidecar.renew("intranet").status, 502);
    sidecar.wait_for_state("calendar", "login_required");
    World {
        _endpoints: vec![ready, renewing, failing, kept, due, required],
        _upstream: upstream,
        gate,
        home,
        sidecar,
    }
}

/// Logs in as a browser whose authorization server consents at once.
fn log_in(home: &Home, name: &str) {
    let mut browser = Navigator::new();
    let admin = format!("http://{}", home.admin());
    let authorize = browser.get(&format!("{admin}/login/{name}")).location();
    let authorize: url::Url = authorize.expect("a redirect").parse().unwrap();
    let state = authorize.query_pairs().find(|(key, _)| key == "state");
    let state = state.expect("a state").1;
    let callback = format!("{admin}/callback?code=c&state={state}");
    let visit = browser.get_from_elsewhere(&callback);
    assert_eq!(visit.status(), 200, "{visit:?}");
}

impl World {
    /// Begins a renewal that does not end before the gate opens.
    fn begin_renewal(&self) -> thread::JoinHandle<()> {
        let admin = self.home.admin();
        let renewal = thread::spawn(move || {
            let request = "POST /api/providers/reports/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
            exchange(admin, request);
        });
        until("a renewal in flight", || {
            (self.sidecar.provider("reports")["is_refreshing"] == true).then_some(())
        });
        renewal
    }

    /// Sends requests through the route `fleet`.
    fn send_requests(&self, rounds: usize) {
        for round in 0..rounds {
            get(self.sidecar.route("fleet"), "/devices");
            if round % 7 == 0 {
                get(self.sidecar.route("fleet"), "/missing");
            }
            if round % 29 == 0 {
                get(self.sidecar.route("fleet"), "/broken");
            }
        }
        get(self.sidecar.route("calendar"), "/");
        until("the traffic of the route", || {
            let requests = &self.sidecar.status()["routes"]["fleet"]["traffic"]["requests"];
            (requests.as_u64() >= Some(rounds as u64)).then_some(())
        });
    }
}

#[test]
fn the_page_is_accessible_and_whole_in_every_state() {
    let world = world();
    let folder = env::var("BEARWARD_SCREENSHOTS").ok();
    world.send_requests(30);
    if folder.is_some() {
        // A line that goes up and down, for the picture.
        for rounds in [60, 20, 90, 150, 40, 10, 120, 70, 30, 100, 130, 60] {
            world.send_requests(rounds);
            thread::sleep(Duration::from_secs(4));
        }
    }
    let renewal = world.begin_renewal();
    let page = StatusPage::open(world.home.admin());
    for (name, state) in [
        ("fleet", "ready"),
        ("reports", "renewing"),
        ("billing", "failing"),
        ("mail", "ready"),
        ("intranet", "login due"),
        ("calendar", "login required"),
    ] {
        page.wait_for_text(&format!("article:has(#provider-{name}) .state"), state);
    }
    page.wait_for_text("article:has(#provider-fleet)", "https://api.example.com");
    page.wait_for_text("article:has(#provider-mail)", "log in again within 11 days");
    page.wait_for_text("article:has(#provider-billing)", "Maintenance until 06:00");
    page.wait_for_text("article:has(#provider-intranet)", "Connect");
    for scheme in [Scheme::Light, Scheme::Dark] {
        for width in WIDTHS {
            let what = format!("{width}-{scheme:?}").to_lowercase();
            page.show(width, scheme);
            if let Some(folder) = &folder {
                let picture = page.picture();
                fs::write(
                    Path::new(folder).join(format!("states-{what}.png")),
                    picture,
                )
                .unwrap();
            }
            page.assert_fits(&what);
            page.assert_accessible(&what);
        }
    }
    page.browser
        .run("document.querySelectorAll('details').forEach((details) => { details.open = true; })");
    page.assert_fits("with everything opened");
    page.assert_accessible("with everything opened");
    page.assert_loads_nothing_elsewhere();
    world.gate.open();
    renewal.join().unwrap();
    page.wait_for_text("article:has(#provider-reports) .state", "ready");
}

#[test]
fn the_page_of_a_sidecar_that_is_gone_is_accessible() {
    let world = world();
    let page = StatusPage::open(world.home.admin());
    page.wait_for_text("main", "fleet");
    world.gate.open();
    drop(world.sidecar);
    page.wait_for_text("#gone", "does not respond");
    for scheme in [Scheme::Light, Scheme::Dark] {
        page.show(WIDTHS[0], scheme);
        page.assert_fits("gone");
        page.assert_accessible("gone");
    }
}
