//! Connections on both sides: kept, used again, and never mixed up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::support::{
    client::{A_WHILE, Client, exchange, get, raw},
    patience::{Gate, until},
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::{Connection, Upstream},
    wire::{answer, ok},
};

fn world(upstream: &Upstream) -> Sidecar {
    let tokens = TokenEndpoint::issuing("token-1");
    Setup::new(&tokens, upstream.origin())
        .tables("[runtime]\nworkers = 1")
        .start_ready()
}

#[test]
fn one_connection_serves_many_requests_on_both_sides() {
    let upstream = Upstream::answering(|request| ok(request.head.target()));
    let sidecar = world(&upstream);
    let mut client = Client::connect(sidecar.address());
    for number in 0..50 {
        let target = format!("/{number}");
        let got = client.get(&target);
        assert_eq!((got.status, got.text()), (200, target));
    }
    assert_eq!(upstream.connections(), 1, "connections to the upstream");
    // Callers with a connection for each request share it too.
    for _ in 0..10 {
        assert_eq!(get(sidecar.address(), "/").status, 200);
    }
    assert!(
        upstream.connections() <= 2,
        "{} connections to the upstream",
        upstream.connections()
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::answering(|request| ok(request.head.target()));
    let sidecar = world(&upstream);
    let mut client = Client::connect(sidecar.address());
    let requests: String = (0..20)
        .map(|number| match number % 2 {
            0 => format!("GET /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            _ => format!(
                "POST /{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nGET /"
            ),
        })
        .collect();
    client.send(requests);
    for number in 0..20 {
        assert_eq!(client.answer().text(), format!("/{number}"));
    }
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let upstream = Upstream::answering(|request| ok(&request.body));
    let sidecar = world(&upstream);
    let mut client = Client::connect(sidecar.address());
    for byte in b"POST /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.answer().text(), "abc");
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = world(&upstream);
    let mut client = Client::connect(sidecar.address());
    assert_eq!(client.get("/").status, 200);
    client.send("\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.answer().status, 200);
}

#[test]
fn close_is_respected() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = world(&upstream);
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let bytes = raw(sidecar.address(), [request, request].concat()).expect("a closed connection");
    let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    assert_eq!(text.matches("http/1.1 200").count(), 1, "{text}");
    assert!(text.contains("connection: close"), "{text}");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_client_that_closes_its_sending_side_counts_as_gone() {
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::answering({
        let gate = gate.clone();
        move |request| {
            gate.pass();
            ok(&request.body)
        }
    });
    let sidecar = world(&upstream);
    let mut client = Client::connect(sidecar.address());
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
    upstream.wait_for(1);
    client.finish_sending();
    assert!(client.is_closed());
    until("the end of the request at the upstream", || {
        (sidecar.connections_to(upstream.address().port()) == 0).then_some(())
    });
    gate.open();
}

#[test]
fn http_1_0_gets_its_answer_and_a_closed_connection() {
    let upstream = Upstream::answering(|request| match request.head.target() {
        "/chunked" => {
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec()
        }
        "/hints" => [&b"HTTP/1.1 103 Early Hints\r\n\r\n"[..], &ok("hello")].concat(),
        _ => ok("hello"),
    });
    let sidecar = world(&upstream);
    for target in ["/length", "/chunked", "/hints"] {
        let bytes = raw(
            sidecar.address(),
            format!("GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n"),
        )
        .unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.0 200"),
            "{target}: {text}"
        );
        assert_eq!(body, "hello", "{target}: {text}");
        assert!(
            !head.to_ascii_lowercase().contains("transfer-encoding"),
            "{target}: {text}"
        );
        assert_eq!(upstream.last().head.start, format!("GET {target} HTTP/1.1"));
    }
}

#[test]
fn http_1_0_may_keep_its_connection() {
    let upstream = Upstream::answering(|_| ok("hello"));
    let sidecar = world(&upstream);
    let mut client = Client::connect(sidecar.address());
    for _ in 0..3 {
        client.send("GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n");
        let got = client.answer();
        assert_eq!(got.text(), "hello");
        let connection = got.head.value("connection").map(str::to_ascii_lowercase);
        assert_eq!(connection.as_deref(), Some("keep-alive"), "{:?}", got.head);
    }
}

/// An upstream that closes each connection when the gate is opened after its first answer.
fn closing_after_one(gates: Vec<Arc<Gate>>) -> Upstream {
    Upstream::scripted(move |mut connection: Connection| {
        let Ok(Some(request)) = connection.request() else {
            return;
        };
        if connection
            .wire
            .send(ok(format!(
                "{}:{}",
                connection.number,
                request.head.method()
            )))
            .is_err()
        {
            return;
        }
        if let Some(gate) = gates.get(connection.number) {
            gate.pass();
        }
    })
}

#[test]
fn an_upstream_that_closes_idle_connections_is_no_error() {
    let gates: Vec<Arc<Gate>> = (0..4).map(|_| Arc::default()).collect();
    let upstream = closing_after_one(gates.clone());
    let sidecar = world(&upstream);
    let mut client = Client::connect(sidecar.address());
    for (number, method) in ["GET", "GET", "POST", "DELETE"].into_iter().enumerate() {
        client.send(format!(
            "{method} / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        ));
        let got = client.answer();
        assert_eq!(
            (got.status, got.text()),
            (200, format!("{number}:{method}"))
        );
        gates[number].open();
        until("the end of the connection", || {
            (upstream.server().open_connections() == 0).then_some(())
        });
    }
}

#[test]
fn a_connection_that_dies_under_an_idempotent_request_is_replaced_once() {
    let upstream = Upstream::scripted(|mut connection| {
        // The second request of each connection gets no byte of an answer.
        let Ok(Some(_)) = connection.request() else {
            return;
        };
        if connection
            .wire
            .send(ok(connection.number.to_string()))
            .is_err()
        {
            return;
        }
        let _ = connection.request();
        connection.reset();
    });
    let sidecar = world(&upstream);
    let mut client = Client::connect(sidecar.address());
    for number in 0..4 {
        client.send(match number % 2 {
            0 => format!("GET /{number} HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n\r\n"),
            _ => format!(
                "PUT /{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\ntwice"
            ),
        });
        let got = client.answer();
        assert_eq!(got.status, 200, "{got:?} {}", got.text());
    }
    let seen = upstream.requests();
    for number in 1..4 {
        let target = format!("/{number}");
        let sent: Vec<_> = seen
            .iter()
            .filter(|request| request.head.target() == target)
            .collect();
        let [lost, repeated] = sent[..] else {
            panic!("{target} was sent {} times", sent.len())
        };
        assert_eq!(
            (&repeated.head.raw, &repeated.body),
            (&lost.head.raw, &lost.body)
        );
        assert!(repeated.head.has("authorization"), "{:?}", repeated.head);
    }
}

#[test]
fn a_connection_that_dies_under_a_post_is_not_replaced() {
    let sent = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::scripted({
        let sent = sent.clone();
        move |mut connection| {
            while let Ok(Some(request)) = connection.request() {
                if request.head.method() == "POST" {
                    sent.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if connection.wire.send(ok("")).is_err() {
                    return;
                }
            }
        }
    });
    let sidecar = world(&upstream);
    let mut client = Client::connect(sidecar.address());
    assert_eq!(client.get("/").status, 200);
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nonce");
    crate::support::problem::assert_problem(&client.answer(), 502, "upstream-protocol");
    assert_eq!(
        sent.load(Ordering::SeqCst),
        1,
        "a request that may have taken effect was sent again"
    );
}

#[test]
fn bytes_after_an_answer_do_not_poison_the_next() {
    let evil = answer("200 OK", "x-evil: 1\r\n", "evil");
    let upstream = Upstream::answering(move |request| match request.head.target() {
        "/first" => [ok("/first"), evil.clone()].concat(),
        "/head" => [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"[..],
            &evil,
        ]
        .concat(),
        "/204" => [&b"HTTP/1.1 204 No Content\r\n\r\n"[..], &evil].concat(),
        "/304" => [
            &b"HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\nevil"[..],
            &evil,
        ]
        .concat(),
        target => ok(target),
    });
    let sidecar = world(&upstream);
    let mut client = Client::connect(sidecar.address());
    for (method, target) in [
        ("GET", "/first"),
        ("HEAD", "/head"),
        ("GET", "/204"),
        ("GET", "/304"),
    ] {
        client.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ));
        client.wire().answer(method).unwrap();
        for number in 0..3 {
            let next = format!("/next/{number}");
            let got = client.get(&next);
            assert_eq!(
                (got.status, got.text()),
                (200, next),
                "after {method} {target}"
            );
        }
    }
}

#[test]
fn bytes_before_a_request_do_not_poison_it() {
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::scripted({
        let gate = gate.clone();
        move |mut connection| {
            while let Ok(Some(request)) = connection.request() {
                let _ = connection.wire.send(ok(request.head.target()));
                if request.head.target() == "/first" {
                    gate.pass();
                    let _ = connection.wire.send(ok("unasked"));
                }
            }
        }
    });
    let sidecar = world(&upstream);
    let mut client = Client::connect(sidecar.address());
    assert_eq!(client.get("/first").text(), "/first");
    gate.open();
    thread::sleep(A_WHILE);
    for number in 0..3 {
        let target = format!("/{number}");
        assert_eq!(client.get(&target).text(), target);
    }
}

#[test]
fn an_early_answer_leaves_no_half_request_in_the_pool() {
    let upstream = Upstream::scripted(|mut connection| {
        while let Ok(Some(head)) = connection.head() {
            if head.method() == "POST" {
                // An answer before the body, and the connection stays open.
                let _ = connection.wire.send(answer("403 Forbidden", "", ""));
                if connection.wire.body(head.request_framing()).is_err() {
                    return;
                }
            } else if connection.wire.send(ok(head.target())).is_err() {
                return;
            }
        }
    });
    let sidecar = world(&upstream);
    for number in 0..5 {
        let post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nGET /smuggled HTTP/1.1\r\n";
        assert_eq!(exchange(sidecar.address(), post).status, 403);
        let target = format!("/{number}");
        let got = get(sidecar.address(), &target);
        assert_eq!((got.status, got.text()), (200, target));
    }
    assert!(
        upstream
            .requests()
            .iter()
            .all(|request| request.head.target() != "/smuggled")
    );
}

#[test]
fn many_callers_never_see_each_others_answers() {
    let upstream = Upstream::answering(|request| {
        ok([request.head.target().as_bytes(), &request.body].concat())
    });
    let sidecar = world(&upstream);
    let address = sidecar.address();
    let callers: Vec<_> = (0..32)
        .map(|caller| {
            thread::spawn(move || {
                let mut client = Client::connect(address);
                for number in 0..50 {
                    let (target, body) = (format!("/{caller}/{number}"), "x".repeat(caller * 97 + number));
                    let length = body.len();
                    client.send(format!(
                        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
                    ));
                    assert_eq!(client.answer().text(), target + &body);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().unwrap();
    }
}
