//! `bearward login` and `bearward logout`, beside a sidecar that runs and without one.

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    client::exchange,
    home::{Home, succeeded},
    navigator::Navigator,
    patience::{PATIENCE, until, until_within},
    ports,
    problem::assert_problem,
    protected_api::ProtectedApi,
    sidecar::Process,
};

struct World {
    server: AuthorizationServer,
    // Goes when the test is over.
    _api: ProtectedApi,
    home: Home,
    redirect_uri: String,
}

fn world_with(more: &str) -> World {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let redirect_uri = format!("http://{}/back", ports::unused());
    let lines = server.provider(Some(&redirect_uri)) + more;
    let home = Home::new()
        .provider("api", &lines)
        .route("api", &api.origin());
    World {
        server,
        _api: api,
        home,
        redirect_uri,
    }
}

fn world() -> World {
    world_with("")
}

impl World {
    fn callback(&self) -> std::net::SocketAddr {
        let url: url::Url = self.redirect_uri.parse().unwrap();
        format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())
            .parse()
            .unwrap()
    }

    fn listens(&self) -> bool {
        crate::support::client::Client::try_connect(self.callback()).is_ok()
    }
}

/// Waits for the end of a login that has to fail; gives what it said of it.
#[track_caller]
fn failed(mut process: Process) -> String {
    let status = process.wait(PATIENCE);
    let (_, stderr) = process.output();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(!said.is_empty(), "it failed without a word");
    said
}

#[test]
fn the_callback_listens_only_while_logging_in() {
    let world = world();
    assert!(!world.listens());
    let (mut process, url) = world.home.begin_login("api", &[]);
    assert!(world.listens());
    assert_eq!(Navigator::new().follow(&url).status(), 200);
    succeeded(&mut process);
    assert!(!world.listens());
}

#[test]
fn every_login_has_a_state_and_a_challenge_of_its_own() {
    let world = world();
    let parameters = |url: &str| {
        let url: url::Url = url.parse().unwrap();
        let of = |name: &str| {
            url.query_pairs()
                .find(|(known, _)| known == name)
                .expect("a parameter")
                .1
                .into_owned()
        };
        [of("state"), of("code_challenge")]
    };
    let (first, url) = world.home.begin_login("api", &[]);
    let one = parameters(&url);
    drop(first);
    let (_second, url) = world.home.begin_login("api", &[]);
    let other = parameters(&url);
    assert!(
        one.iter().all(|value| !other.contains(value)),
        "{one:?} {other:?}"
    );
    assert!(one.iter().all(|value| value.len() >= 43), "{one:?}");
}

#[test]
fn the_page_at_the_end_holds_nothing_and_is_kept_by_nobody() {
    let world = world();
    let visit = world.home.log_in("api");
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
fn a_forged_callback_does_not_end_a_login() {
    let world = world();
    let (mut process, url) = world.home.begin_login("api", &[]);
    let path = url::Url::parse(&world.redirect_uri)
        .unwrap()
        .path()
        .to_owned();
    for query in [
        "code=forged&state=forged",
        "code=forged",
        "state=",
        "error=access_denied&state=forged",
        "",
    ] {
        let request = format!(
            "GET {path}?{query} HTTP/1.1\r\nHost: {}\r\n\r\n",
            world.callback()
        );
        let answer = exchange(world.callback(), request);
        assert!((400..500).contains(&answer.status), "{query}: {answer:?}");
    }
    assert!(
        process.ended().is_none(),
        "{}{}",
        process.stdout(),
        process.stderr()
    );
    assert_eq!(
        world.server.ledger().token_requests,
        0,
        "a forged code went to the token endpoint"
    );
    assert_eq!(Navigator::new().follow(&url).status(), 200);
    succeeded(&mut process);
}

#[test]
fn a_no_of_the_user_ends_it_with_one() {
    let world = world();
    world
        .server
        .configure(|server| server.denies_consent = true);
    let (process, url) = world.home.begin_login("api", &[]);
    let visit = Navigator::new().follow(&url);
    assert!(visit.status() >= 400, "{visit:?}");
    assert!(failed(process).contains("access_denied"));
    assert!(world.home.files_with("canary-").is_empty());
}

#[test]
fn a_code_that_is_refused_ends_it_with_one() {
    let world = world();
    world.server.configure(|server| server.refuses_codes = true);
    let (process, url) = world.home.begin_login("api", &[]);
    let visit = Navigator::new().follow(&url);
    assert!(visit.status() >= 400, "{visit:?}");
    assert!(failed(process).contains("invalid_grant"));
}

#[test]
fn a_pasted_answer_to_another_login_is_refused() {
    let world = world();
    let (mut process, url) = world.home.begin_login("api", &["--paste"]);
    let back = Navigator::new().get(&url).location().expect("a redirect");
    let state = url::Url::parse(&back)
        .unwrap()
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    process.enter(&back.replace(&state, "of-another-login"));
    failed(process);
    assert_eq!(world.server.ledger().token_requests, 0);
}

#[test]
fn nothing_pasted_is_no_login() {
    let world = world();
    let (mut process, _) = world.home.begin_login("api", &["--paste"]);
    process.enter("");
    failed(process);
    assert_eq!(world.server.ledger().token_requests, 0);
}

#[test]
fn a_login_says_what_to_register_where_to_browse_and_where_it_is_stored() {
    let world = world();
    let (mut process, url) = world.home.begin_login("api", &[]);
    assert_eq!(Navigator::new().follow(&url).status(), 200);
    succeeded(&mut process);
    let said = process.stderr();
    let port = world.callback().port();
    for words in [
        &format!(
            "redirect_uri is {}: it has to be registered",
            world.redirect_uri
        ),
        "10 minutes",
        "The browser has to run on this machine",
        &format!("ssh -L {port}:127.0.0.1:{port} "),
        "--paste",
        &format!(
            "stored in {}",
            world.home.store().join("api.json").display()
        ),
    ] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    assert_eq!(process.stdout().lines().last(), Some("logged in"));
}

#[test]
fn the_address_that_was_opened_is_not_taken_for_the_one_it_led_to() {
    let world = world();
    let (mut process, url) = world.home.begin_login("api", &["--paste"]);
    process.enter(&url);
    let said = failed(process);
    assert!(
        said.contains("this is the address that you opened"),
        "{said}"
    );
    let (mut process, _) = world.home.begin_login("api", &["--paste"]);
    let (_, other) = world.home.begin_login("api", &["--paste"]);
    process.enter(&Navigator::new().get(&other).location().unwrap());
    let said = failed(process);
    assert!(
        said.contains("this is not the response to the login just started"),
        "{said}"
    );
    assert_eq!(world.server.ledger().token_requests, 0);
}

#[test]
fn a_wrong_code_is_called_a_wrong_code() {
    let world = world();
    let (mut process, _) = world.home.begin_login("api", &["--paste"]);
    process.enter("a-code-of-another-day");
    let said = failed(process);
    assert!(
        said.contains("does not accept this code (invalid_grant)")
            && !said.contains("refuses this client"),
        "{said}"
    );
}

#[test]
fn a_login_that_the_running_sidecar_would_not_find_is_refused_before_anyone_consents() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let callback = format!("http://{}/back", ports::unused());
    for redirect_uri in [None, Some(callback.as_str()), Some("myapp://callback")] {
        let mut home = Home::new()
            .provider("api", &server.provider(redirect_uri))
            .stored_by_default_at(&at("a"));
        home.make_store(0o700);
        home.set("STATE_DIRECTORY", at("a").to_str().unwrap());
        let sidecar = home.run();
        sidecar.wait_for_state("api", "login_required");
        home.set("STATE_DIRECTORY", at("b").to_str().unwrap());
        std::fs::create_dir_all(at("b")).unwrap();
        std::fs::set_permissions(at("b"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .unwrap();
        for more in [&["--paste"][..], &[]] {
            let arguments = [&["login", "api", "--no-browser"], more].concat();
            let output = home.run_to_end(&arguments);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{said}");
            for path in [at("a"), at("b")] {
                assert!(said.contains(path.to_str().unwrap()), "{said}");
            }
            assert!(said.contains("STATE_DIRECTORY"), "{said}");
        }
        sidecar.stop();
        std::fs::remove_dir_all(at("a")).unwrap();
    }
    assert_eq!(server.ledger().token_requests, 0);
}

#[test]
fn a_callback_address_that_somebody_else_has_ends_it_with_one() {
    let world = world();
    let _somebody = std::net::TcpListener::bind(world.callback()).unwrap();
    let output = world.home.run_to_end(&["login", "api", "--no-browser"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains(&world.callback().to_string()),
        "the address is not named: {said}"
    );
}

#[test]
fn a_store_that_cannot_be_used_ends_it_before_anybody_consents() {
    let world = world();
    std::fs::write(world.home.store(), "a file").unwrap();
    let output = world.home.run_to_end(&["login", "api", "--no-browser"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains(world.home.store().to_str().unwrap()),
        "the store is not named: {said}"
    );
}

#[test]
fn an_unknown_provider_and_one_without_logins_end_with_one() {
    let server = AuthorizationServer::start(Dialect::Hapn);
    let home = Home::new().provider("hapn", &server.provider(None));
    for name in ["hapn", "nobody"] {
        for command in ["login", "logout"] {
            let output = home.run_to_end(&[command, name]);
            // There is nothing to forget of a client's own tokens, and forgetting nothing may succeed.
            if (command, name) != ("logout", "hapn") {
                assert_eq!(output.status.code(), Some(1), "{command} {name}");
            }
            if name == "nobody" {
                assert!(
                    String::from_utf8_lossy(&output.stderr).contains(name),
                    "{command} {name}"
                );
            }
        }
    }
}

#[test]
fn a_login_beside_a_running_sidecar_is_in_use_within_seconds() {
    let world = world();
    let sidecar = world.home.run();
    assert_problem(&sidecar.get("/"), 503, "login-required");
    world.home.log_in("api");
    // Five seconds by its promise; the rest is for a machine that has other things to do.
    until_within(PATIENCE, "an answer with the new login", || {
        (sidecar.get("/").status == 200).then_some(())
    });
    let provider = sidecar.provider("api");
    assert_eq!(
        (&provider["state"], &provider["has_refresh_token"]),
        (&"ready".into(), &true.into()),
        "{provider}"
    );
    assert_eq!(world.server.ledger().exchanges, 1);
}

#[test]
fn a_second_login_takes_the_place_of_the_first() {
    let world = world();
    let sidecar = world.home.run();
    world.home.log_in("api");
    sidecar.wait_for_ok("api");
    let first = world.server.ledger().newest().unwrap().to_owned();
    world.home.log_in("api");
    let second = world.server.ledger().newest().unwrap().to_owned();
    assert_ne!(first, second);
    until("the second login in use", || {
        sidecar.renew("api");
        let ledger = world.server.ledger();
        ledger
            .spends
            .iter()
            .any(|spend| spend.refresh_token == second)
            .then_some(())
    });
    assert!(
        world.home.files_with(&first).is_empty(),
        "the first login is still in the store"
    );
    assert_eq!(sidecar.get("/").status, 200);
    world.server.assert_no_token_was_spent_twice();
}

#[test]
fn where_the_sidecar_has_the_callback_its_login_page_is_named() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let home = Home::of(&server, &api);
    let sidecar = home.run();
    let (mut process, url) = home.begin_login("api", &[]);
    assert_eq!(url, format!("http://{}/login/api", home.admin()));
    assert_eq!(Navigator::new().follow(&url).status(), 200);
    succeeded(&mut process);
    sidecar.wait_for_ok("api");
    assert_eq!(server.ledger().exchanges, 1);
}

#[test]
fn without_the_sidecar_it_has_the_default_callback_itself() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let home = Home::of(&server, &api);
    home.log_in("api");
    assert_eq!(home.run_ready().get("/").status, 200);
    assert_eq!(server.ledger().exchanges, 1);
}

#[test]
fn logout_revokes_and_forgets() {
    let world = world_with("revocation_endpoint = \"/oauth/revoke\"\n");
    world.home.log_in("api");
    let token = world.server.ledger().newest().unwrap().to_owned();
    assert!(!world.home.files_with(&token).is_empty());
    let output = world.home.run_to_end(&["logout", "api"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(world.server.ledger().revocations, [token]);
    assert_eq!(
        world.home.files_with("canary-"),
        Vec::<std::path::PathBuf>::new()
    );
    let sidecar = world.home.run();
    sidecar.wait_for_state("api", "login_required");
    assert_problem(&sidecar.get("/"), 503, "login-required");
    assert_eq!(world.server.ledger().spends.len(), 0);
}

#[test]
fn logout_forgets_where_nothing_can_be_revoked() {
    let world = world();
    world.home.log_in("api");
    assert_eq!(
        world.home.run_to_end(&["logout", "api"]).status.code(),
        Some(0)
    );
    assert_eq!(
        world.home.files_with("canary-"),
        Vec::<std::path::PathBuf>::new()
    );
    assert_eq!(world.server.ledger().revocations, Vec::<String>::new());
}

#[test]
fn logout_forgets_also_where_the_server_is_down_and_says_so() {
    let world = world_with("revocation_endpoint = \"/oauth/revoke\"\n");
    world.home.log_in("api");
    world.server.down();
    let output = world.home.run_to_end(&["logout", "api"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stderr.is_empty());
    assert_eq!(
        world.home.files_with("canary-"),
        Vec::<std::path::PathBuf>::new()
    );
}

#[test]
fn a_logout_beside_a_running_sidecar_ends_its_login() {
    let world = world_with("revocation_endpoint = \"/oauth/revoke\"\n");
    world.server.configure(|server| server.lifetime = 4);
    let sidecar = world.home.run();
    world.home.log_in("api");
    sidecar.wait_for_ok("api");
    assert_eq!(
        world.home.run_to_end(&["logout", "api"]).status.code(),
        Some(0)
    );
    sidecar.wait_for_state("api", "login_required");
    assert_problem(&sidecar.get("/"), 503, "login-required");
    // Nothing came back from its memory.
    assert_eq!(
        world.home.files_with("canary-"),
        Vec::<std::path::PathBuf>::new()
    );
    world.home.log_in("api");
    sidecar.wait_for_ok("api");
}
