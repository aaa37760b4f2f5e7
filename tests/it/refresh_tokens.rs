//! A refresh token's life: spent once, replaced on disk before what came with it is used, given up only when it is refused.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    client::{A_WHILE, Client},
    home::Home,
    patience::{lock, until},
    ports,
    problem::assert_problem,
    protected_api::ProtectedApi,
};

fn world() -> (AuthorizationServer, ProtectedApi, Home) {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let home = Home::with_refresh_token(&server, &api);
    (server, api, home)
}

#[test]
fn the_new_refresh_token_is_on_disk_before_its_access_token_is_used() {
    let server = Arc::new(AuthorizationServer::start(Dialect::Happeo));
    server.configure(|server| server.lifetime = 2);
    // The API looks into the store the moment that a token comes.
    let late: Arc<Mutex<Vec<String>>> = Arc::default();
    let home: Arc<Mutex<Option<Arc<Home>>>> = Arc::default();
    let api = ProtectedApi::accepting({
        let (server, late, home) = (Arc::downgrade(&server), late.clone(), home.clone());
        move |access| {
            let Some(server) = server.upgrade() else {
                return false;
            };
            // First the store, then the books: what is in the one is in the other by then.
            let kept = lock(&home)
                .as_ref()
                .map(|home| home.kept())
                .unwrap_or_default();
            let spends = server.ledger().spends.clone();
            // A later renewal may have been written since; what counts is that this one's successor was.
            let at = spends.iter().position(|spend| {
                spend
                    .issued
                    .as_ref()
                    .is_some_and(|(_, issued)| issued == access)
            });
            let mut since = spends[at.unwrap_or(0)..]
                .iter()
                .filter_map(|spend| spend.issued.as_ref());
            let kept = since.any(|(refresh, _)| kept.contains(refresh));
            if at.is_none() || !kept {
                lock(&late).push(access.to_owned());
            }
            server.ledger().accept(access)
        }
    });
    let made = Arc::new(Home::with_refresh_token(&server, &api));
    *lock(&home) = Some(made.clone());
    let sidecar = made.run();
    sidecar.wait_for_ok("api");
    let refreshes = server.refreshes() + 4;
    until("four renewals", || {
        assert_eq!(sidecar.get("/").status, 200);
        (server.refreshes() >= refreshes).then_some(())
    });
    assert_eq!(
        *lock(&late),
        Vec::<String>::new(),
        "access tokens that came before their refresh token was on disk"
    );
    server.assert_no_token_was_spent_twice();
}

#[test]
fn an_answer_without_a_new_refresh_token_keeps_the_old_one() {
    let (server, _api, home) = world();
    server.configure(|server| server.rotates = false);
    let sidecar = home.run_ready();
    for _ in 0..3 {
        assert_eq!(sidecar.renew("api").status, 200);
    }
    sidecar.stop();
    let sidecar = home.run_ready();
    assert_eq!(sidecar.renew("api").status, 200);
    let spent: Vec<_> = server
        .ledger()
        .spends
        .iter()
        .map(|spend| spend.refresh_token.clone())
        .collect();
    assert_eq!(spent.len(), 5);
    assert!(spent.iter().all(|token| *token == spent[0]), "{spent:?}");
}

#[test]
fn a_refused_refresh_token_is_not_sent_again_until_somebody_logs_in() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let redirect_uri = format!("http://{}/back", ports::unused());
    let home = Home::new()
        .provider("api", &server.provider(Some(&redirect_uri)))
        .route("api", &api.origin());
    server.configure(|server| server.lifetime = 2);
    home.log_in("api");
    let sidecar = home.run_ready();
    server.ledger().revoke_all();
    until("the refusal", || {
        (!server.ledger().spends.is_empty()).then_some(())
    });
    let spends = server.ledger().spends.len();
    assert_eq!(spends, 1);
    until("the old access token to be given up", || {
        (sidecar.get("/").status == 503).then_some(())
    });
    assert_problem(&sidecar.get("/"), 503, "login-required");
    let provider = sidecar.wait_for_state("api", "login_required");
    assert!(
        provider["last_error"].to_string().contains("invalid_grant"),
        "{provider}"
    );
    assert_eq!(sidecar.renew("api").status, 502);
    sidecar.stop();

    let sidecar = home.run();
    sidecar.wait_for_state("api", "login_required");
    assert_problem(&sidecar.get("/"), 503, "login-required");
    sidecar.kill();
    let sidecar = home.run();
    sidecar.wait_for_state("api", "login_required");
    thread::sleep(A_WHILE);
    assert_eq!(
        server.ledger().spends.len(),
        spends,
        "what was refused was sent again"
    );

    home.log_in("api");
    sidecar.wait_for_ok("api");
    assert_eq!(sidecar.renew("api").status, 200);
}

#[test]
fn the_configured_refresh_token_comes_first_then_the_stores_then_a_changed_one() {
    let (server, _api, mut home) = world();
    let first = server.ledger().newest().unwrap().to_owned();
    let spent = |at: usize| server.ledger().spends[at].refresh_token.clone();
    let sidecar = home.run_ready();
    assert_eq!(spent(0), first);
    assert_eq!(sidecar.renew("api").status, 200);
    sidecar.stop();

    let newest = server.ledger().newest().unwrap().to_owned();
    let sidecar = home.run_ready();
    assert_eq!(sidecar.renew("api").status, 200);
    assert_eq!(
        spent(2),
        newest,
        "after a restart the store's newer one is due"
    );
    sidecar.stop();

    let changed = server.issue_refresh_token();
    home.set("API_REFRESH_TOKEN", &changed);
    let sidecar = home.run_ready();
    until("the changed refresh token", || {
        server
            .ledger()
            .spends
            .iter()
            .any(|spend| spend.refresh_token == changed)
            .then_some(())
    });
    sidecar.wait_for_ok("api");
    sidecar.stop();
    let newest = server.ledger().newest().unwrap().to_owned();
    let sidecar = home.run_ready();
    assert_eq!(sidecar.renew("api").status, 200);
    assert_eq!(server.ledger().spends.last().unwrap().refresh_token, newest);
    server.assert_no_token_was_spent_twice();
}

#[test]
fn a_changed_refresh_token_ends_a_refusal() {
    let (server, _api, mut home) = world();
    server.ledger().revoke_all();
    let sidecar = home.run();
    sidecar.wait_for_state("api", "login_required");
    sidecar.stop();
    let sidecar = home.run();
    sidecar.wait_for_state("api", "login_required");
    assert_eq!(
        server.ledger().spends.len(),
        1,
        "what was refused was sent again"
    );
    sidecar.stop();
    home.set("API_REFRESH_TOKEN", &server.issue_refresh_token());
    assert_eq!(home.run_ready().get("/").status, 200);
}

#[test]
fn a_lost_answer_is_asked_for_once_more() {
    let (server, _api, home) = world();
    server.configure(|server| server.accepts_repeats = true);
    let sidecar = home.run_ready();
    let newest = server.ledger().newest().unwrap().to_owned();
    server.configure(|server| server.lost_responses = 1);
    let renewed = sidecar.renew("api");
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    let spends = server.ledger().spends.clone();
    let tokens: Vec<_> = spends
        .iter()
        .skip(1)
        .map(|spend| spend.refresh_token.as_str())
        .collect();
    assert_eq!(tokens, [newest.as_str(); 2]);
    let apart = spends[2].at - spends[1].at;
    assert!(
        apart < Duration::from_secs(2),
        "asked again after {apart:?}"
    );
    // With what the second answer brought it goes on.
    assert_eq!(sidecar.renew("api").status, 200);
    assert_eq!(sidecar.get("/").status, 200);
    sidecar.kill();
    assert_eq!(home.run_ready().renew("api").status, 200);
}

#[test]
fn an_answer_that_is_lost_twice_is_an_ordinary_failure() {
    let (server, _api, home) = world();
    server.configure(|server| server.accepts_repeats = true);
    let sidecar = home.run_ready();
    let newest = server.ledger().newest().unwrap().to_owned();
    let begin = Instant::now();
    server.configure(|server| server.lost_responses = 2);
    assert_eq!(sidecar.renew("api").status, 502);
    let soon = server
        .ledger()
        .spends
        .iter()
        .skip(1)
        .filter(|spend| spend.at - begin < Duration::from_secs(2))
        .count();
    assert!(
        (1..=3).contains(&soon),
        "{soon} requests within two seconds"
    );
    assert_eq!(sidecar.get("/").status, 200, "the old access token is good");
    let provider = sidecar.provider("api");
    assert_eq!(provider["state"], "ready", "{provider}");
    assert!(
        home.files_with(&newest).len() == 1,
        "the refresh token was given up"
    );
    until("a renewal after the failure", || {
        (sidecar.renew("api").status == 200).then_some(())
    });
    assert_eq!(sidecar.renew("api").status, 200);
    sidecar.stop();
    assert_eq!(home.run_ready().get("/").status, 200);
}

#[test]
fn a_server_that_is_down_costs_no_login() {
    let (server, _api, home) = world();
    server.configure(|server| server.lifetime = 2);
    let sidecar = home.run_ready();
    server.down();
    until("the end of the access token", || {
        (sidecar.get("/").status == 503).then_some(())
    });
    assert_problem(&sidecar.get("/"), 503, "token-unavailable");
    assert_eq!(sidecar.provider("api")["has_refresh_token"], true);
    sidecar.stop();
    let sidecar = home.run();
    assert_problem(&sidecar.get("/"), 503, "token-unavailable");
    server.up();
    sidecar.wait_for_ok("api");
    server.assert_no_token_was_spent_twice();
}

#[test]
fn a_memory_store_leaves_nothing_on_disk() {
    let (server, _api, home) = world();
    let home = home.in_memory();
    let sidecar = home.run();
    sidecar.wait_for_ok("api");
    for _ in 0..2 {
        assert_eq!(sidecar.renew("api").status, 200);
    }
    assert!(!home.store().exists());
    sidecar.stop();
    assert!(!home.store().exists());
    server.assert_no_token_was_spent_twice();
}

#[test]
fn a_stop_while_a_renewal_is_under_way_loses_nothing() {
    let (server, _api, home) = world();
    home.run_ready().stop();
    for _ in 0..4 {
        server.configure(|server| server.max_delay = Duration::from_secs(1));
        let mut sidecar = home.run_ready();
        let before = server.ledger().spends.len();
        let mut operator = Client::connect(sidecar.admin_address());
        operator.send(format!(
            "POST /api/providers/api/refresh HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n",
            sidecar.admin_address()
        ));
        // The server has rotated, and takes its time to say so.
        until("the spend", || {
            (server.ledger().spends.len() > before).then_some(())
        });
        sidecar.signal(Signal::TERM);
        assert_eq!(sidecar.wait().code(), Some(0));
        server.configure(|server| server.max_delay = Duration::ZERO);
        let sidecar = home.run_ready();
        assert_eq!(
            sidecar.renew("api").status,
            200,
            "the login was lost by a stop:\n{}",
            sidecar.written()
        );
        sidecar.stop();
    }
    server.assert_no_token_was_spent_twice();
}

#[test]
fn a_login_wins_over_the_configured_refresh_token_until_that_is_changed() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let lines = server.provider(Some(&format!("http://{}/back", ports::unused())))
        + "refresh_token = { env = \"FIRST_REFRESH_TOKEN\" }\n";
    let first = server.issue_refresh_token();
    let mut home = Home::new()
        .provider("api", &lines)
        .route("api", &api.origin())
        .environment("FIRST_REFRESH_TOKEN", &first);
    let last_spent = || {
        server
            .ledger()
            .spends
            .last()
            .expect("a spend")
            .refresh_token
            .clone()
    };
    let sidecar = home.run_ready();
    assert_eq!(last_spent(), first);
    sidecar.stop();

    home.log_in("api");
    let logged_in = server.ledger().newest().unwrap().to_owned();
    let sidecar = home.run_ready();
    assert_eq!(sidecar.renew("api").status, 200);
    assert_eq!(last_spent(), logged_in);
    sidecar.stop();

    let changed = server.issue_refresh_token();
    home.set("FIRST_REFRESH_TOKEN", &changed);
    let sidecar = home.run();
    until("the changed refresh token", || {
        (last_spent() == changed).then_some(())
    });
    sidecar.wait_for_ok("api");
    server.assert_no_token_was_spent_twice();
}

#[test]
fn a_refresh_token_in_a_file_that_is_changed_ends_a_refusal_without_a_restart() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let home = Home::new();
    let file = home.path("refresh-token");
    let first = server.issue_refresh_token();
    std::fs::write(&file, &first).unwrap();
    let lines = format!(
        "{}grant_type = \"refresh_token\"\nrefresh_token = {{ file = \"{}\" }}\n",
        server.provider(None),
        file.display()
    );
    let home = home.provider("api", &lines).route("api", &api.origin());
    server.ledger().revoke_all();
    let sidecar = home.run();
    sidecar.wait_for_state("api", "login_required");
    std::fs::write(&file, server.issue_refresh_token()).unwrap();
    // Noticed within 5 s.
    sidecar.wait_for_ok("api");
    assert_eq!(server.ledger().spends.len(), 2);
}
