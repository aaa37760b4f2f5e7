//! The four providers by their presets, each from an empty store to answers of its API, over expiries, a restart and a kill.

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect, EMAIL, SignIn},
    client::A_WHILE,
    home::Home,
    navigator::Navigator,
    patience::until,
    ports,
    problem::assert_problem,
    protected_api::ProtectedApi,
    sidecar::Sidecar,
};

/// A vendor, its API, and a sidecar that knows nothing yet.
struct World {
    server: AuthorizationServer,
    api: ProtectedApi,
    home: Home,
}

fn world(dialect: Dialect, redirect_uri: Option<&str>, more: &str) -> World {
    let server = AuthorizationServer::start(dialect);
    let api = server.api();
    let lines = server.provider(redirect_uri) + more;
    let home = Home::new()
        .provider("api", &lines)
        .route("api", &api.origin());
    World { server, api, home }
}

/// A redirect URI on loopback that nothing else uses.
fn callback() -> String {
    format!("http://{}/logged/in", ports::unused())
}

/// The sidecar, waiting for somebody to log in.
fn waiting(world: &World) -> Sidecar {
    let sidecar = world.home.run();
    sidecar.wait_for_state("api", "login_required");
    let problem = assert_problem(&sidecar.get("/"), 503, "login-required");
    assert_eq!(problem["provider"], "api");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains("bearward login api"),
        "the detail does not say how to log in: {detail}"
    );
    assert_eq!(sidecar.admin("/readyz").status, 503);
    assert_eq!(sidecar.provider("api")["has_refresh_token"], false);
    assert_eq!(world.server.ledger().token_requests, 0);
    sidecar
}

/// From the first answer over three expiries, a restart and a kill; `sidecar` has its login, and tokens live for three seconds.
fn lives_on(world: &World, sidecar: Sidecar) {
    sidecar.wait_for_ok("api");
    let count = || world.server.ledger().token_requests;
    let renewals = count() + 3;
    until("three renewals", || {
        assert_eq!(sidecar.get("/").status, 200, "{}", sidecar.written());
        (count() >= renewals).then_some(())
    });

    world.server.configure(|server| server.lifetime = 3600);
    until("a token that lives longer", || {
        // A renewal may be under way with a token that does not.
        assert_eq!(sidecar.renew("api").status, 200);
        sidecar.provider("api")["expires_at"]
            .as_str()
            .and_then(|at| {
                let left = humantime::parse_rfc3339(at)
                    .ok()?
                    .duration_since(std::time::SystemTime::now())
                    .ok()?;
                (left.as_secs() > 1000).then_some(())
            })
    });
    let before = count();
    sidecar.stop();

    let sidecar = world.home.run_ready();
    assert_eq!(sidecar.get("/").status, 200);
    std::thread::sleep(A_WHILE);
    assert_eq!(
        count(),
        before,
        "a restart asked for a token while the old one is good"
    );
    sidecar.kill();

    let sidecar = world.home.run_ready();
    assert_eq!(sidecar.get("/").status, 200);
    assert_eq!(
        count(),
        before,
        "a start after a kill asked for a token while the old one is good"
    );
    assert_eq!(sidecar.renew("api").status, 200);
    assert_eq!(count(), before + 1);
    sidecar.kill();

    let sidecar = world.home.run_ready();
    assert_eq!(sidecar.renew("api").status, 200);
    assert_eq!(sidecar.get("/").status, 200);
    assert_eq!(
        world.api.refused(),
        Vec::<String>::new(),
        "what reached the API without a good token"
    );
    world.server.assert_no_token_was_spent_twice();
}

#[test]
fn happeo_by_the_command_line() {
    let world = world(
        Dialect::Happeo,
        Some(&callback()),
        "scope = \"profile channels:read\"\n",
    );
    world.server.configure(|server| server.lifetime = 3);
    let sidecar = waiting(&world);
    world.home.log_in("api");
    lives_on(&world, sidecar);
}

#[test]
fn happeo_as_a_public_client_before_the_sidecar_runs() {
    let world = world(Dialect::HappeoPublic, Some(&callback()), "");
    world.server.configure(|server| server.lifetime = 3);
    world.home.log_in("api");
    lives_on(&world, world.home.run_ready());
}

#[test]
fn happyrmatch_in_the_browser() {
    // Its redirect_uri is the admin listener's, by default.
    let world = world(Dialect::HappyrMatch, None, "");
    world.server.configure(|server| server.lifetime = 3);
    let sidecar = waiting(&world);
    let visit = Navigator::new().follow(&format!("http://{}/login/api", world.home.admin()));
    assert_eq!(visit.status(), 200, "{visit:?}");
    lives_on(&world, sidecar);
}

#[test]
fn happyrmatch_by_pasting_the_address() {
    let world = world(
        Dialect::HappyrMatch,
        Some("https://elsewhere.example/oauth/back"),
        "",
    );
    world.server.configure(|server| server.lifetime = 3);
    world.home.log_in_pasting("api", str::to_owned);
    lives_on(&world, world.home.run_ready());
}

#[test]
fn feeling_by_pasting_the_code() {
    let world = world(Dialect::Feeling, Some("myapp://callback"), "");
    world.server.configure(|server| server.lifetime = 3);
    let sidecar = waiting(&world);
    world.home.log_in_pasting("api", |back| {
        let url: url::Url = back.parse().unwrap();
        let code = url
            .query_pairs()
            .find(|(name, _)| name == "authorization_code")
            .expect("a code");
        code.1.into_owned()
    });
    lives_on(&world, sidecar);
}

/// Feeling, with an account to sign in with.
fn signing_in() -> World {
    let account = format!(
        "[providers.api.sign_in]\nemail = \"{EMAIL}\"\npassword = {{ env = \"PASSWORD\" }}\n"
    );
    world(Dialect::Feeling, Some("myapp://callback"), &account)
}

#[test]
fn feeling_by_an_account_without_anybody() {
    let world = signing_in();
    world.server.configure(|server| server.lifetime = 3);
    let sidecar = world.home.run_ready();
    lives_on(&world, sidecar);
    assert_eq!(world.server.ledger().consents, 1);

    // Refused, it signs in again by itself.
    let sidecar = world.home.run_ready();
    world.server.ledger().revoke_all();
    sidecar.renew("api");
    until("an answer after signing in again", || {
        let answer = sidecar.get("/");
        assert_ne!(answer.status, 401, "{answer:?}");
        (answer.status == 200 && world.server.ledger().consents == 2).then_some(())
    });
}

#[test]
fn a_refused_account_is_not_tried_over_and_over() {
    let world = signing_in();
    world
        .server
        .configure(|server| server.sign_in = SignIn::Refuses);
    let sidecar = world.home.run();
    until("the sign-in", || {
        (world.server.ledger().consents > 0).then_some(())
    });
    // Whoever repeats a wrong password gets the account locked: the next is due after a minute.
    std::thread::sleep(std::time::Duration::from_secs(3));
    for _ in 0..3 {
        let answer = sidecar.get("/");
        assert!(matches!(answer.status, 502 | 503), "{answer:?}");
    }
    assert_eq!(world.server.ledger().consents, 1);
    assert_eq!(world.server.ledger().token_requests, 0);
}

#[test]
fn a_code_for_another_sign_in_is_not_exchanged() {
    let world = signing_in();
    world
        .server
        .configure(|server| server.sign_in = SignIn::WrongState);
    let sidecar = world.home.run();
    until("the sign-in", || {
        (world.server.ledger().consents > 0).then_some(())
    });
    until("the failure", || {
        (!sidecar.provider("api")["last_error"].is_null()).then_some(())
    });
    assert!(matches!(sidecar.get("/").status, 502 | 503));
    assert_eq!(world.server.ledger().token_requests, 0);
    assert!(world.home.files_with("canary-").is_empty());
}

#[test]
fn hapn_by_its_client_alone() {
    let world = world(Dialect::Hapn, None, "");
    world.server.configure(|server| server.lifetime = 3);
    let sidecar = world.home.run_ready();
    let count = || world.server.ledger().token_requests;
    until("three renewals", || {
        assert_eq!(sidecar.get("/").status, 200);
        (count() >= 4).then_some(())
    });
    world.server.configure(|server| server.lifetime = 3600);
    assert_eq!(sidecar.renew("api").status, 200);
    sidecar.stop();
    let sidecar = world.home.run_ready();
    assert_eq!(sidecar.get("/").status, 200);
    sidecar.kill();
    assert_eq!(world.home.run_ready().get("/").status, 200);
    assert_eq!(world.api.refused(), Vec::<String>::new());
}
