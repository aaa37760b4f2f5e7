//! Two sidecars with one store, as a rolling restart has them for a while.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    client::{Client, get},
    home::Home,
    patience::{PATIENCE, until},
};

#[test]
fn two_processes_never_spend_a_refresh_token_twice() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    // Each of the two is due twice a second, at the same time as the other.
    server.configure(|server| {
        server.lifetime = 1;
        server.max_delay = Duration::from_millis(100);
    });
    let api = server.api();
    let home = Home::with_refresh_token(&server, &api);
    let one = home.run();
    let other = home.neighbour().run();
    for sidecar in [&one, &other] {
        sidecar.wait_for_ok("api");
    }
    let end = Instant::now() + Duration::from_secs(60);
    thread::scope(|scope| {
        for sidecar in [&one, &other] {
            scope.spawn(move || {
                let mut asked = 0;
                while Instant::now() < end {
                    asked += 1;
                    // Every tenth by request, on top of those that are due.
                    if asked % 10 == 0 {
                        sidecar.renew("api");
                    } else {
                        get(sidecar.address(), "/");
                    }
                    thread::sleep(Duration::from_millis(40));
                }
            });
        }
    });
    for sidecar in [&one, &other] {
        sidecar.wait_for_ok("api");
    }
    let spends = server.ledger().spends.len();
    assert!(spends >= 60, "{spends} renewals in 60 seconds");
    server.assert_no_token_was_spent_twice();
    // What the one renewed, the other takes from the store.
    server.configure(|server| {
        server.lifetime = 3600;
        server.max_delay = Duration::ZERO;
    });
    assert_eq!(one.renew("api").status, 200);
    one.kill();
    assert_eq!(other.renew("api").status, 200);
    assert_eq!(get(other.address(), "/").status, 200);
    server.assert_no_token_was_spent_twice();
}

#[test]
fn a_second_process_takes_the_token_of_the_first_and_asks_for_none() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let home = Home::with_refresh_token(&server, &api);
    let one = home.run_ready();
    let other = home.neighbour().run_ready();
    assert_eq!(
        (
            get(one.address(), "/").status,
            get(other.address(), "/").status
        ),
        (200, 200)
    );
    assert_eq!(server.ledger().token_requests, 1);
}

#[test]
fn a_process_that_hangs_while_it_renews_keeps_its_token_to_itself_until_it_is_dead() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    // What the hanging one asked for is lost with it, and may be asked for again.
    server.configure(|server| server.accepts_repeats = true);
    let api = server.api();
    let home = Home::with_refresh_token(&server, &api);
    let one = home.run_ready();
    let other = home.neighbour().run_ready();
    server.configure(|server| server.max_delay = Duration::from_secs(2));
    let renewal = format!(
        "POST /api/providers/api/refresh HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n",
        one.admin_address()
    );
    let mut waiting = Client::connect(one.admin_address());
    waiting.send(renewal);
    let spends = until("the spend", || {
        Some(server.ledger().spends.len()).filter(|&spends| spends > 1)
    });
    one.signal(Signal::STOP);
    let begin = Instant::now();
    assert_eq!(
        other.renew("api").status,
        502,
        "it renewed what another is renewing"
    );
    assert!(
        begin.elapsed() < PATIENCE * 2,
        "it waited for {:?}",
        begin.elapsed()
    );
    assert_eq!(
        server.ledger().spends.len(),
        spends,
        "the same token was sent by both"
    );
    assert_eq!(
        get(other.address(), "/").status,
        200,
        "the old token is good"
    );
    one.kill();
    server.configure(|server| server.max_delay = Duration::ZERO);
    until("a renewal of the other", || {
        (other.renew("api").status == 200).then_some(())
    });
    assert_eq!(get(other.address(), "/").status, 200);
}

#[test]
fn a_token_for_the_command_line_is_that_of_the_sidecar() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    server.configure(|server| server.lifetime = 2);
    let api = server.api();
    let home = Home::with_refresh_token(&server, &api);
    let sidecar = home.run_ready();
    let end = server.refreshes() + 4;
    until("four renewals", || {
        let output = home.run_to_end(&["token", "api"]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let token = String::from_utf8(output.stdout).unwrap();
        assert!(server.ledger().accept(token.trim_end()), "{token}");
        assert_eq!(get(sidecar.address(), "/").status, 200);
        (server.refreshes() >= end).then_some(())
    });
    server.assert_no_token_was_spent_twice();
}
