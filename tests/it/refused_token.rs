//! The upstream says that a token is no longer good.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    client::{A_WHILE, Client, exchange, get},
    home::Home,
    patience::{Gate, lock},
    problem::assert_problem,
    protected_api::ProtectedApi,
    setup::Setup,
    token_endpoint::{TokenEndpoint, token_response},
    upstream::Upstream,
    wire::{answer, chunked, ok},
};

fn numbered_tokens() -> TokenEndpoint {
    TokenEndpoint::start(|_, number| token_response(&format!("token-{number}"), 3600))
}

/// Refuses the first token and takes every other.
fn refusing_the_first() -> Upstream {
    Upstream::answering(|request| match request.head.value("authorization") {
        Some("Bearer token-0") => answer("401 Unauthorized", "x-from: upstream\r\n", "refused"),
        _ => ok(&request.body),
    })
}

#[test]
fn the_caller_sees_the_answer_to_a_replay_with_a_new_token() {
    let (tokens, upstream) = (numbered_tokens(), refusing_the_first());
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let request =
        "POST /a?b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nx-own: 1\r\n\r\nbody";
    let answer = exchange(sidecar.address(), request);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "body");
    let requests = upstream.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(
        requests[1].head.value("authorization"),
        Some("Bearer token-1")
    );
    assert_eq!(
        (requests[1].head.target(), requests[1].head.value("x-own")),
        ("/a?b", Some("1"))
    );
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(tokens.count(), 2);
}

#[test]
fn a_body_that_was_not_kept_is_not_replayed() {
    let (tokens, upstream) = (numbered_tokens(), refusing_the_first());
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let body = "x".repeat(65 * 1024);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(sidecar.address(), &request);
    assert_eq!((answer.status, answer.body.len()), (401, "refused".len()));
    assert_eq!(answer.head.value("x-from"), Some("upstream"));
    // The next one has the new token.
    let answer = exchange(sidecar.address(), &request);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.len(), body.len());
}

#[test]
fn a_hundred_refusals_at_once_cause_one_token_request() {
    let gate = Arc::new(Gate::default());
    let tokens = numbered_tokens();
    let upstream = Upstream::answering({
        let gate = gate.clone();
        move |request| match request.head.value("authorization") {
            Some("Bearer token-0") => {
                gate.pass();
                answer("401 Unauthorized", "", "")
            }
            _ => ok(""),
        }
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let address = sidecar.address();
    let callers: Vec<_> = (0..100)
        .map(|_| thread::spawn(move || Client::connect(address).get("/").status))
        .collect();
    upstream.wait_for(100);
    gate.open();
    for caller in callers {
        assert_eq!(caller.join().unwrap(), 200);
    }
    assert_eq!(tokens.count(), 2);
}

#[test]
fn an_upstream_that_refuses_fresh_tokens_too_does_not_wear_out_the_token_endpoint() {
    let tokens = numbered_tokens();
    let upstream = Upstream::answering(|_| answer("401 Unauthorized", "", "never"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    for _ in 0..20 {
        let answer = sidecar.get("/");
        assert_eq!((answer.status, answer.text().as_str()), (401, "never"));
    }
    assert_eq!(
        tokens.count(),
        2,
        "one at the start, one renewal in a minute"
    );
}

#[test]
fn an_upstream_that_accepts_and_refuses_in_turn_does_not_wear_out_the_token_endpoint() {
    let tokens = numbered_tokens();
    // As two nodes behind one address, of which one has lost its keys.
    let requests = AtomicUsize::new(0);
    let upstream =
        Upstream::answering(
            move |_| match requests.fetch_add(1, Ordering::Relaxed) % 2 {
                0 => ok("fine"),
                _ => answer("401 Unauthorized", "", "lost"),
            },
        );
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let statuses: Vec<u16> = (0..40).map(|_| sidecar.get("/").status).collect();
    assert_eq!(
        tokens.count(),
        4,
        "one at the start, three renewals in a minute"
    );
    assert!(statuses[..4].iter().all(|status| *status == 200));
    assert!(
        statuses[4..].contains(&401) && statuses[4..].contains(&200),
        "refusals are passed on, and the token stays in use: {statuses:?}"
    );
}

#[test]
fn which_answers_mean_that_is_configured() {
    let tokens = numbered_tokens();
    let upstream = Upstream::answering(|request| match request.head.value("authorization") {
        Some("Bearer token-0") if request.head.target() == "/403" => {
            answer("403 Forbidden", "", "")
        }
        Some("Bearer token-0") => answer("401 Unauthorized", "", ""),
        _ => ok(""),
    });
    let sidecar = Setup::new(&tokens, upstream.origin())
        .provider("refresh.reauthorize_on = [403]")
        .start_ready();
    assert_eq!(sidecar.get("/401").status, 401);
    assert_eq!(tokens.count(), 1);
    assert_eq!(sidecar.get("/403").status, 200);
    assert_eq!(tokens.count(), 2);
}

/// Sends a body of `length` bytes, the last part of it after a while, and gives the status and how many requests that made.
fn replay_of(length: usize, chunked: bool) -> (u16, usize) {
    let (tokens, upstream) = (numbered_tokens(), refusing_the_first());
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let mut client = Client::connect(sidecar.address());
    let body = "x".repeat(length);
    let (framing, parts) = if chunked {
        let chunks: String = body
            .as_bytes()
            .chunks(1000)
            .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), "x".repeat(chunk.len())))
            .collect();
        (
            "Transfer-Encoding: chunked".to_owned(),
            [chunks, "0\r\n\r\n".to_owned()],
        )
    } else {
        (
            format!("Content-Length: {length}"),
            [body[1..].to_owned(), "x".to_owned()],
        )
    };
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n"
    ));
    for part in parts {
        client.send(part);
        thread::sleep(A_WHILE);
    }
    let answer = client.answer();
    for request in upstream.requests() {
        assert_eq!(request.body.len(), length);
    }
    if answer.status == 200 {
        assert!(answer.body == body.as_bytes(), "another body came back");
    }
    (answer.status, upstream.count())
}

#[test]
fn the_largest_body_that_is_replayed_has_64_kib_however_it_is_framed() {
    for chunked in [false, true] {
        assert_eq!(replay_of(65_536, chunked), (200, 2), "chunked: {chunked}");
        assert_eq!(replay_of(65_537, chunked), (401, 1), "chunked: {chunked}");
    }
}

/// Refuses the first token at the head, before it reads the body.
fn refusing_early() -> Upstream {
    Upstream::scripted(|mut connection| {
        while let Ok(Some(head)) = connection.head() {
            if head.value("authorization") == Some("Bearer token-0") {
                let _ = connection
                    .wire
                    .send(answer("401 Unauthorized", "", "refused"));
                let _ = connection.wire.rest();
                return;
            }
            let Ok((body, _)) = connection.wire.body(head.request_framing()) else {
                return;
            };
            if connection.wire.send(ok(body)).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_refusal_that_comes_before_a_small_body_is_no_reason_not_to_replay_it() {
    let (tokens, upstream) = (numbered_tokens(), refusing_early());
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let mut client = Client::connect(sidecar.address());
    client.send(
        "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert_eq!(client.head().status(), 100);
    upstream.wait_for(1);
    thread::sleep(A_WHILE);
    client.send("hello");
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_refusal_that_comes_before_a_malformed_body_leaves_no_doubt_where_the_next_request_begins() {
    let (tokens, upstream) = (numbered_tokens(), refusing_early());
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let mut client = Client::connect(sidecar.address());
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    upstream.wait_for(1);
    thread::sleep(A_WHILE);
    client.send("zz\r\n");
    assert_problem(&client.answer(), 400, "bad-request");
    // Were the body read on behind its fault, this would be its end and a request.
    let _ = client
        .wire()
        .send("0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(client.is_closed());
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_body_that_proves_too_large_for_a_replay_goes_on_without_a_gap() {
    let tokens = numbered_tokens();
    let received = Arc::new(Mutex::new(None));
    let recorded = received.clone();
    let upstream = Upstream::scripted(move |mut connection| {
        while let Ok(Some(head)) = connection.head() {
            let (start, end) = (
                "HTTP/1.1 401 Unauthorized\r\nContent-Length: 7\r\n\r\nrefus",
                "ed",
            );
            if connection.wire.send(start).is_err() {
                return;
            }
            let body = connection.wire.body(head.request_framing());
            *lock(&recorded) = body.ok().map(|(body, _)| body);
            if connection.wire.send(end).is_err() {
                return;
            }
        }
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let body: Vec<u8> = (0..200_000_u32).map(|at| (at / 100) as u8).collect();
    let bytes = chunked(&body, 1000, "");
    let (first, rest) = bytes.split_at(1007);
    let mut client = Client::connect(sidecar.address());
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(first);
    upstream.wait_for(1);
    thread::sleep(A_WHILE);
    client.send(rest);
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (401, "refused"));
    assert!(lock(&received).as_ref() == Some(&body), "another body came");
}

#[test]
fn a_client_that_stalls_behind_a_refusal_is_not_waited_for_longer_than_elsewhere() {
    let (tokens, upstream) = (numbered_tokens(), refusing_early());
    let sidecar = Setup::new(&tokens, upstream.origin())
        .route("timeouts.idle = \"1s\"")
        .start_ready();
    let mut client = Client::connect(sidecar.address());
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello");
    assert_problem(&client.answer(), 408, "request-timeout");
    assert!(client.is_closed());
}

#[test]
fn after_a_refusal_that_could_not_be_replayed_readiness_comes_back_by_itself() {
    let (tokens, upstream) = (numbered_tokens(), refusing_the_first());
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let body = "x".repeat(70_000);
    let request =
        format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n{body}");
    assert_eq!(exchange(sidecar.address(), request).status, 401);
    tokens.wait_for(2);
    sidecar.wait_until_ready();
    assert_eq!(sidecar.get("/").status, 200);
    assert_eq!((tokens.count(), upstream.count()), (2, 2));
}

#[test]
fn tokens_that_are_revoked_one_after_the_other_are_all_renewed() {
    let tokens = numbered_tokens();
    let good = Arc::new(Mutex::new(0));
    let upstream = Upstream::answering({
        let good = good.clone();
        move |request| match request.head.value("authorization")
            == Some(format!("Bearer token-{}", lock(&good)).as_str())
        {
            true => ok("fine"),
            false => answer("401 Unauthorized", "", ""),
        }
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    for number in 0..4 {
        *lock(&good) = number;
        for _ in 0..2 {
            assert_eq!(sidecar.get("/").status, 200, "token-{number}");
        }
        assert_eq!(tokens.count(), number + 1);
    }
}

#[test]
fn requests_that_no_token_is_good_enough_for_do_not_wear_out_the_token_endpoint() {
    let tokens = numbered_tokens();
    let upstream = Upstream::answering(|request| match request.head.target() {
        "/forbidden" => answer("401 Unauthorized", "", "never"),
        _ => ok("fine"),
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    for _ in 0..10 {
        // The token is good, as other requests prove in between.
        assert_eq!(sidecar.get("/").status, 200);
        assert_eq!(sidecar.get("/forbidden").text(), "never");
    }
    assert_eq!(
        tokens.count(),
        2,
        "one at the start, one renewal in a minute"
    );
}

#[test]
fn a_token_refused_during_an_outage_is_not_sent_again_after_a_restart() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let good = Arc::new(AtomicBool::new(true));
    let api = ProtectedApi::accepting({
        let good = good.clone();
        move |_| good.load(Ordering::SeqCst)
    });
    let home = Home::with_refresh_token(&server, &api);
    let sidecar = home.run_ready();
    let other = home.neighbour().run_ready();
    assert_eq!(
        (sidecar.get("/").status, get(other.address(), "/").status),
        (200, 200)
    );
    server.down();
    good.store(false, Ordering::SeqCst);
    assert_eq!(sidecar.get("/").text(), "refused");
    assert_eq!(api.refused().len(), 1);
    sidecar.kill();

    let sidecar = home.run();
    assert_problem(&sidecar.get("/"), 503, "token-unavailable");
    assert_eq!(sidecar.provider("api")["has_refresh_token"], true);
    sidecar.stop();
    assert_eq!(
        api.refused().len(),
        1,
        "the refused token came back from the store"
    );

    // Who has it in memory finds out on its own, and does not bring it back.
    assert_eq!(get(other.address(), "/").text(), "refused");
    other.stop();
    let sidecar = home.run();
    assert_problem(&sidecar.get("/"), 503, "token-unavailable");
    assert_eq!(api.refused().len(), 2);

    server.up();
    good.store(true, Ordering::SeqCst);
    sidecar.wait_for_ok("api");
    server.assert_no_token_was_spent_twice();
}

#[test]
fn a_token_refused_together_with_its_login_is_not_sent_again_after_a_restart() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let home = Home::with_refresh_token(&server, &api);
    let sidecar = home.run_ready();
    assert_eq!(sidecar.get("/").status, 200);
    // Here the refusal of the login comes first, and the token in hand is used on.
    server.ledger().revoke_all();
    assert_eq!(sidecar.renew("api").status, 502);
    assert_eq!(sidecar.provider("api")["state"], "ready");
    assert_eq!(sidecar.get("/").text(), "refused");
    sidecar.stop();

    let sidecar = home.run();
    sidecar.wait_for_state("api", "login_required");
    assert_problem(&sidecar.get("/"), 503, "login-required");
    assert_eq!(
        api.refused().len(),
        1,
        "the refused token came back from the store"
    );
}

#[test]
fn refusals_that_cannot_be_replayed_do_not_wear_out_the_token_endpoint_either() {
    let tokens = numbered_tokens();
    let upstream = Upstream::answering(|request| match request.head.target() {
        "/forbidden" => answer("401 Unauthorized", "", "never"),
        _ => ok("fine"),
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let body = "x".repeat(70_000);
    let request = format!(
        "POST /forbidden HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n{body}"
    );
    for _ in 0..10 {
        assert_eq!(sidecar.get("/").status, 200);
        assert_eq!(exchange(sidecar.address(), &request).text(), "never");
    }
    assert_eq!(sidecar.get("/").status, 200);
    assert_eq!(
        tokens.count(),
        2,
        "one at the start, one renewal in a minute"
    );
}

#[test]
fn a_small_body_that_keeps_moving_is_waited_for_and_replayed() {
    let (tokens, upstream) = (numbered_tokens(), refusing_early());
    let sidecar = Setup::new(&tokens, upstream.origin())
        .route("timeouts.idle = \"1s\"")
        .start_ready();
    let mut client = Client::connect(sidecar.address());
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n");
    upstream.wait_for(1);
    for byte in b"0123456789" {
        thread::sleep(A_WHILE);
        client.send([*byte]);
    }
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "0123456789"));
}

#[test]
fn a_stream_that_goes_on_gets_the_refusal_as_it_is() {
    let (tokens, upstream) = (numbered_tokens(), refusing_early());
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let mut client = Client::connect(sidecar.address());
    // Of no known length, and no end: its client waits for the response.
    client.send(
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    );
    assert_eq!(client.head().status(), 401);
}
