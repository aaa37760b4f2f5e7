//! Notifications: told once when a login is lost or due, once when it is back, and to the operator alone.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::support::{
    authorization_server::{AuthorizationServer, CLIENT_SECRET, Dialect},
    client::exchange,
    home::Home,
    patience::until,
    protected_api::ProtectedApi,
    sidecar::Sidecar,
    upstream::Upstream,
    wire::{answer, ok},
};

/// A sidecar without a login, and the file that its command appends notifications to.
struct World {
    server: AuthorizationServer,
    _api: ProtectedApi,
    home: Home,
    file: PathBuf,
}

impl World {
    fn new(provider: &str, notify: &str) -> Self {
        let server = AuthorizationServer::start(Dialect::Happeo);
        let api = server.api();
        let home = Home::new();
        let file = home.path("told");
        let script = format!("cat >> {0}; echo >> {0}", file.display());
        let home = home
            .provider("api", &format!("{}{provider}", server.provider(None)))
            .tables(&format!(
                "[notify]\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\n{notify}"
            ))
            .route("api", &api.origin());
        Self {
            server,
            _api: api,
            home,
            file,
        }
    }

    /// What was told so far.
    fn told(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.is_empty());
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    #[track_caller]
    fn wait_for(&self, states: &[&str]) -> Vec<Value> {
        until(&format!("the notifications {states:?}"), || {
            let told = self.told();
            (told.len() >= states.len()).then_some(told)
        })
        .into_iter()
        .zip(states)
        .map(|(told, state)| {
            assert_eq!(told["state"], *state, "{told}");
            told
        })
        .collect()
    }
}

fn reload(sidecar: &Sidecar) {
    let request = "POST /api/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(exchange(sidecar.admin_address(), request).status, 200);
}

#[test]
fn a_lost_login_is_told_once_and_its_return_too() {
    let hook = Upstream::answering(|_| ok(""));
    let url = format!("url = \"{}/hook?key=hidden\"\n", hook.origin());
    let world = World::new("", &url);
    let sidecar = world.home.run();
    let told = world.wait_for(&["login_required"]);
    assert_eq!(told[0]["provider"], "api");
    assert_eq!(told[0]["error"], Value::Null);
    let login_url = format!("http://{}/login/api", world.home.admin());
    assert_eq!(told[0]["login_url"], login_url);
    let at = told[0]["at"].as_str().unwrap();
    assert!(at.ends_with('Z') && at.len() == 20, "{at}");
    let text = told[0]["text"].as_str().unwrap();
    assert!(
        text.contains("bearward login api") && text.contains(&login_url),
        "{text}"
    );

    reload(&sidecar);
    world.home.log_in("api");
    sidecar.wait_for_state("api", "ready");
    world.wait_for(&["login_required", "ready"]);

    world.server.ledger().revoke_all();
    sidecar.renew("api");
    let told = world.wait_for(&["login_required", "ready", "login_required"]);
    assert!(
        told[2]["error"].as_str().unwrap().contains("invalid_grant"),
        "{}",
        told[2]
    );
    reload(&sidecar);
    sidecar.renew("api");
    world.home.log_in("api");
    world.wait_for(&["login_required", "ready", "login_required", "ready"]);

    hook.wait_for(4);
    let posted = hook.requests();
    assert_eq!(posted[0].head.start, "POST /hook?key=hidden HTTP/1.1");
    assert_eq!(
        posted[0].head.value("content-type"),
        Some("application/json")
    );
    let states: Vec<Value> = posted
        .iter()
        .map(|request| serde_json::from_slice::<Value>(&request.body).unwrap()["state"].clone())
        .collect();
    assert_eq!(
        states,
        ["login_required", "ready", "login_required", "ready"]
    );
    let log = sidecar.written();
    assert!(
        log.contains("notify.sent") && !log.contains("hidden"),
        "{log}"
    );
}

#[test]
fn a_login_that_no_refresh_extends_is_told_before_its_end() {
    let world = World::new("[providers.api.refresh]\nabsolute = \"8s\"\n", "");
    let _sidecar = world.home.run();
    world.home.log_in("api");
    until("a login that is due", || {
        let told = world.told();
        let due = told.iter().find(|told| told["state"] == "login_due")?;
        assert!(due["login_expires_at"].is_string(), "{due}");
        Some(())
    });
}

#[test]
fn the_command_does_not_get_the_variables_of_secrets() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let home = Home::new();
    let file = home.path("environment");
    let script = format!("env > {0}.new; mv {0}.new {0}", file.display());
    let home = home
        .provider("api", &server.provider(None))
        .tables(&format!(
            "[notify]\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\n"
        ))
        .route("api", &api.origin())
        .environment("OTEL_EXPORTER_OTLP_HEADERS", "key=hidden")
        .environment("OTHER", "kept");
    let _sidecar = home.run();
    let environment = until("the command", || fs::read_to_string(&file).ok());
    assert!(environment.contains("OTHER=kept"), "{environment}");
    for secret in [CLIENT_SECRET, "hidden"] {
        assert!(!environment.contains(secret), "{environment}");
    }
}

#[test]
fn a_failed_notification_is_tried_again_and_no_key_is_logged() {
    let hook = Upstream::answering({
        let calls = std::sync::atomic::AtomicUsize::new(0);
        move |_| match calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => answer("500 Broken", "", ""),
            _ => ok(""),
        }
    });
    let world = World::new("", &format!("url = \"{}/hidden\"\n", hook.origin()));
    let sidecar = world.home.run();
    hook.wait_for(2);
    let log = until("the second attempt in the log", || {
        let log = sidecar.written();
        (log.matches("notify.sent").count() == 2).then_some(log)
    });
    assert!(
        log.contains("notify.failed") && log.contains("500"),
        "{log}"
    );
    assert!(!log.contains("/hidden"), "{log}");
}
