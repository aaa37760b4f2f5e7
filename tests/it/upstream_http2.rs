//! HTTP/2 to the upstream: when it is spoken, and that it carries everything that HTTP/1.1 does.

use std::{collections::HashMap, sync::Arc, thread};

use http::HeaderMap;
use tokio::sync::watch;

use crate::support::{
    certificates::{Certificates, private_authority},
    client::Client,
    either::{Ask, BOTH, Protocol},
    h2_upstream::H2Upstream,
    patience::{lock, until},
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::{TokenEndpoint, token_response},
    upstream::Upstream,
    wire::ok,
};

fn by_prior_knowledge(upstream: &H2Upstream) -> Sidecar {
    let tokens = TokenEndpoint::issuing("token-1");
    Setup::new(&tokens, upstream.origin())
        .route("http2 = \"prior-knowledge\"")
        .start_ready()
}

fn over_tls(origin: &str, certificates: &Certificates, route: &str) -> Sidecar {
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, origin);
    let ca = setup.file("ca.pem", &certificates.ca_pem);
    setup
        .route(&format!("ca_file = \"{}\"\n{route}", ca.display()))
        .start_ready()
}

/// Answers with the request's body.
fn echo() -> H2Upstream {
    H2Upstream::start(|mut call| async move {
        let body = call.collect().await?;
        call.answer(200, &[], body)
    })
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 249) as u8).collect()
}

#[test]
fn an_upstream_that_offers_http2_gets_it() {
    let certificates = private_authority(&["localhost"]);
    let upstream = H2Upstream::over_tls(&certificates.server, |mut call| async move {
        let target = call.target().to_owned();
        call.answer(200, &[], target)
    });
    // "auto" is what a route is by default.
    for route in ["", "http2 = \"auto\""] {
        let sidecar = over_tls(&upstream.origin(), &certificates, &format!("{route}\n"));
        for (number, protocol) in BOTH.into_iter().cycle().take(10).enumerate() {
            let target = format!("/{number}?q={number}");
            let told = Ask::get(&target).told(protocol, sidecar.address());
            assert_eq!((told.status, told.text()), (200, target.clone()));
            let seen = upstream.last();
            assert_eq!(seen.target(), target);
            assert_eq!(seen.value("authorization"), Some("Bearer token-1"));
            assert_eq!(seen.head.uri.scheme_str(), Some("https"));
            assert_eq!(
                seen.head.uri.authority().map(ToString::to_string),
                Some(upstream.authority())
            );
        }
    }
}

#[test]
fn an_upstream_that_offers_http_1_1_alone_gets_that() {
    // One that chooses among protocols, and one that does not know of any choice.
    for protocols in [vec![b"http/1.1".to_vec()], Vec::new()] {
        let certificates = private_authority(&["localhost"]);
        let mut server = (*certificates.server).clone();
        server.alpn_protocols = protocols;
        let upstream = Upstream::answering_over_tls(Arc::new(server), |request| ok(&request.body));
        let sidecar = over_tls(&upstream.origin(), &certificates, "");
        for protocol in BOTH {
            let told = Ask::new("POST", "/a")
                .body(b"hello")
                .told(protocol, sidecar.address());
            assert_eq!((told.status, told.text().as_str()), (200, "hello"));
            assert_eq!(upstream.last().head.start, "POST /a HTTP/1.1");
        }
    }
}

#[test]
fn never_means_that_http2_is_not_offered() {
    let certificates = private_authority(&["localhost"]);
    let mut server = (*certificates.server).clone();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let upstream = Upstream::answering_over_tls(Arc::new(server), |_| ok("fine"));
    let sidecar = over_tls(&upstream.origin(), &certificates, "http2 = \"never\"");
    for protocol in BOTH {
        let told = Ask::get("/a").told(protocol, sidecar.address());
        assert_eq!((told.status, told.text().as_str()), (200, "fine"));
        assert_eq!(upstream.last().head.start, "GET /a HTTP/1.1");
    }
}

#[test]
fn prior_knowledge_holds_over_tls_too() {
    let certificates = private_authority(&["localhost"]);
    let upstream = H2Upstream::over_tls(&certificates.server, |mut call| async move {
        call.answer(200, &[], "fine")
    });
    let sidecar = over_tls(
        &upstream.origin(),
        &certificates,
        "http2 = \"prior-knowledge\"",
    );
    assert_eq!(sidecar.get("/").text(), "fine");
}

#[test]
fn a_tunnel_is_asked_for_in_http_1_1_where_http2_is_offered() {
    let certificates = private_authority(&["localhost"]);
    let mut server = (*certificates.server).clone();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let upstream = Upstream::scripted_over_tls(Arc::new(server), |mut connection| {
        let Ok(Some(head)) = connection.head() else {
            return;
        };
        // HTTP/2 knows no such switch (RFC 9113 §8.6); its preface would be read as a head here.
        assert_eq!(
            (head.start.as_str(), head.value("upgrade")),
            ("GET /chat HTTP/1.1", Some("websocket"))
        );
        let switch =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        let _ = connection.wire.send(format!("{switch}hello"));
        let _ = connection.wire.rest();
    });
    let sidecar = over_tls(
        &upstream.origin(),
        &certificates,
        "upgrade = [\"websocket\"]",
    );
    let mut client = Client::connect(sidecar.address());
    client.send("GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.head().status(), 101);
    assert_eq!(client.wire().exactly(5).unwrap(), b"hello");
}

#[test]
fn fields_pass_and_those_of_one_hop_do_not() {
    let upstream = H2Upstream::start(|mut call| async move {
        let fields = [
            ("x-repeated", "1"),
            ("x-repeated", "2"),
            ("alt-svc", "h3=\":443\""),
            ("set-cookie", "a=b"),
        ];
        call.answer(200, &fields, "fine")
    });
    let sidecar = by_prior_knowledge(&upstream);
    for protocol in BOTH {
        let mut ask = Ask::get("/a/b?c=d&%C3%A4")
            .field("authorization", "Bearer evil")
            .field("proxy-authorization", "evil")
            .field("x-bearward-key", "evil")
            .field("cookie", "a=b; c=d")
            .field("te", "trailers")
            .field("x-own", "1")
            .field("x-own", "2");
        if protocol == Protocol::Http1 {
            // HTTP/2 has no such fields; a caller that sends them there is malformed.
            ask = ask
                .field("connection", "keep-alive, x-nominated")
                .field("keep-alive", "timeout=5, evil")
                .field("proxy-connection", "keep-alive")
                .field("upgrade", "evil")
                .field("x-nominated", "evil");
        }
        let told = ask.told(protocol, sidecar.address());
        assert_eq!((told.status, told.text().as_str()), (200, "fine"));
        assert_eq!(
            told.fields.get_all("x-repeated").iter().collect::<Vec<_>>(),
            ["1", "2"]
        );
        assert_eq!(told.value("set-cookie"), Some("a=b"));
        assert!(!told.fields.contains_key("alt-svc"), "{told:?}");

        let seen = upstream.last();
        assert_eq!(seen.target(), "/a/b?c=d&%C3%A4");
        assert_eq!(
            seen.head.uri.authority().map(ToString::to_string),
            Some(upstream.authority())
        );
        assert_eq!(
            seen.value("host").unwrap_or(&upstream.authority()),
            upstream.authority()
        );
        assert_eq!(seen.value("authorization"), Some("Bearer token-1"));
        assert_eq!(
            seen.head
                .headers
                .get_all("x-own")
                .iter()
                .collect::<Vec<_>>(),
            ["1", "2"]
        );
        // In one field or in crumbs (RFC 9113 §8.2.3).
        let crumbs: Vec<_> = seen
            .head
            .headers
            .get_all("cookie")
            .iter()
            .map(|crumb| crumb.to_str().unwrap())
            .collect();
        assert_eq!(crumbs.join("; "), "a=b; c=d");
        for name in [
            "connection",
            "keep-alive",
            "proxy-connection",
            "upgrade",
            "x-nominated",
            "transfer-encoding",
        ] {
            assert!(!seen.head.headers.contains_key(name), "{name} in {seen:?}");
        }
        assert!(
            !format!("{:?}", seen.head.headers).contains("evil"),
            "{seen:?}"
        );
    }
}

#[test]
fn bodies_pass_both_ways_whatever_is_known_of_their_length() {
    let upstream = echo();
    let sidecar = by_prior_knowledge(&upstream);
    for protocol in BOTH {
        for length in [0, 1, 16_384, 16_385, 500_000] {
            let body = pattern(length);
            let told = Ask::new("POST", "/known")
                .body(&body)
                .told(protocol, sidecar.address());
            assert!(
                told.status == 200 && told.body == body,
                "{protocol:?}: {length} bytes changed on the way"
            );
            assert!(upstream.last().body == body);
            if length > 0 {
                assert_eq!(
                    upstream.last().value("content-length"),
                    Some(length.to_string().as_str())
                );
            }
            let told = Ask::new("POST", "/unknown")
                .stream(&body, &[])
                .told(protocol, sidecar.address());
            assert!(
                told.status == 200 && told.body == body,
                "{protocol:?}: {length} unannounced bytes changed"
            );
            assert_eq!(upstream.last().value("content-length"), None);
        }
    }
}

#[test]
fn a_length_that_the_upstream_tells_reaches_the_caller() {
    let upstream = H2Upstream::start(|mut call| async move {
        call.answer(200, &[("content-length", "5")], "hello")
    });
    let sidecar = by_prior_knowledge(&upstream);
    for protocol in BOTH {
        let told = Ask::get("/").told(protocol, sidecar.address());
        assert_eq!(
            (told.value("content-length"), told.text().as_str()),
            (Some("5"), "hello"),
            "{protocol:?}"
        );
        assert_eq!(told.value("transfer-encoding"), None);
    }
}

#[test]
fn trailers_pass_both_ways_but_for_those_that_would_be_believed() {
    let upstream = H2Upstream::start(|mut call| async move {
        call.collect().await?;
        let mut stream = call.begin_with(&[("trailer", "x-sum")])?;
        stream.send_data("hello".into(), false)?;
        let mut trailers = HeaderMap::new();
        for (name, value) in [
            ("x-sum", "back"),
            ("authorization", "evil"),
            ("content-length", "1"),
            ("host", "evil"),
        ] {
            trailers.insert(name, value.parse().unwrap());
        }
        stream.send_trailers(trailers)
    });
    let sidecar = by_prior_knowledge(&upstream);
    for protocol in BOTH {
        let trailers = [
            ("x-sum", "there"),
            ("authorization", "evil"),
            ("x-bearward-key", "evil"),
        ];
        let told = Ask::new("POST", "/")
            .field("te", "trailers")
            .stream(b"body", &trailers)
            .told(protocol, sidecar.address());
        assert_eq!((told.status, told.text().as_str()), (200, "hello"));
        assert_eq!(told.trailers.get("x-sum").unwrap(), "back", "{protocol:?}");
        assert_eq!(told.trailers.len(), 1, "{protocol:?}: {told:?}");
        let seen = upstream.last();
        assert_eq!(seen.body, b"body");
        assert_eq!(seen.trailers.get("x-sum").unwrap(), "there", "{protocol:?}");
        assert_eq!(seen.trailers.len(), 1, "{protocol:?}: {seen:?}");
    }
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    let upstream = H2Upstream::start(|mut call| async move {
        match (call.head.method.as_str(), call.target()) {
            ("HEAD", _) => call.answer(200, &[("content-length", "1000")], ""),
            (_, "/204") => call.answer(204, &[], ""),
            (_, "/304") => call.answer(304, &[("etag", "\"x\""), ("content-length", "1000")], ""),
            (_, "/empty") => call.answer(200, &[], ""),
            _ => call.answer(200, &[], "whole"),
        }
    });
    let sidecar = by_prior_knowledge(&upstream);
    let mut client = Client::connect(sidecar.address());
    for (method, path, status) in [
        ("HEAD", "/", 200),
        ("GET", "/204", 204),
        ("GET", "/304", 304),
        ("GET", "/empty", 200),
        ("HEAD", "/", 200),
    ] {
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ));
        let answer = client.wire().answer(method).unwrap();
        assert_eq!(
            (answer.status, answer.body.len()),
            (status, 0),
            "{method} {path}: {answer:?}"
        );
        if method == "HEAD" {
            assert_eq!(answer.head.value("content-length"), Some("1000"));
        }
        assert_eq!(
            client.get("/after").text(),
            "whole",
            "after {method} {path}"
        );
        let told = Ask::new(method, path).told(Protocol::Http2, sidecar.address());
        assert_eq!(
            (told.status, told.body.len()),
            (status, 0),
            "{method} {path}: {told:?}"
        );
        if method == "HEAD" {
            assert_eq!(told.value("content-length"), Some("1000"));
        }
    }
}

#[test]
fn the_head_of_an_answer_does_not_wait_for_its_body_nor_for_the_requests() {
    let upstream = H2Upstream::start(|mut call| async move {
        // The head goes back before the request's body is there, then each piece goes back as it comes.
        let mut stream = call.begin()?;
        while let Some(piece) = call.body.data().await {
            stream.send_data(piece?, false)?;
        }
        stream.send_data("end".into(), true)
    });
    let sidecar = by_prior_knowledge(&upstream);
    let mut client = Client::connect(sidecar.address());
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status(), 200);
    assert_eq!(head.value("transfer-encoding"), Some("chunked"));
    for _ in 0..3 {
        client.send("5\r\nhello\r\n");
        assert_eq!(client.wire().exactly(10).unwrap(), b"5\r\nhello\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.wire().exactly(13).unwrap(), b"3\r\nend\r\n0\r\n\r\n");
    assert_eq!(client.get("/").text(), "end");
}

#[test]
fn sixty_four_requests_at_once_share_few_connections() {
    let (open, gate) = watch::channel(false);
    let upstream = H2Upstream::start(move |mut call| {
        let mut gate = gate.clone();
        async move {
            let body = call.collect().await?;
            let _ = gate.wait_for(|open| *open).await;
            let answer = [call.target().as_bytes(), &body].concat();
            call.answer(200, &[], answer)
        }
    });
    let sidecar = by_prior_knowledge(&upstream);
    let address = sidecar.address();
    let callers: Vec<_> = (0..64)
        .map(|number| {
            thread::spawn(move || {
                let (path, body) = (format!("/{number}"), "x".repeat(number * 100));
                let protocol = BOTH[number % 2];
                let told = Ask::new("POST", &path)
                    .body(body.as_bytes())
                    .told(protocol, address);
                assert_eq!((told.status, told.text()), (200, format!("{path}{body}")));
            })
        })
        .collect();
    // None is answered until all are at the upstream.
    upstream.wait_for(64);
    open.send_replace(true);
    for caller in callers {
        caller.join().unwrap();
    }
    let connections = upstream.connections().len();
    assert!(
        connections <= 8,
        "{connections} connections for 64 requests"
    );
}

#[test]
fn an_upstream_that_takes_few_at_a_time_gets_all_of_them_in_the_end() {
    const AT_ONCE: usize = 4;
    let mut settings = h2::server::Builder::new();
    settings.max_concurrent_streams(AT_ONCE as u32);
    let running: Arc<std::sync::Mutex<HashMap<usize, (usize, usize)>>> = Arc::default();
    let upstream = H2Upstream::with(settings, {
        let running = running.clone();
        move |mut call| {
            let running = running.clone();
            async move {
                let connection = call.connection.number();
                {
                    let mut running = lock(&running);
                    let (now, most) = running.entry(connection).or_default();
                    *now += 1;
                    *most = (*most).max(*now);
                }
                let body = call.collect().await?;
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                lock(&running).entry(connection).or_default().0 -= 1;
                call.answer(200, &[], body)
            }
        }
    });
    let sidecar = by_prior_knowledge(&upstream);
    let address = sidecar.address();
    let callers: Vec<_> = (0..64)
        .map(|number| {
            thread::spawn(move || {
                let body = number.to_string();
                let told = Ask::new("POST", "/")
                    .body(body.as_bytes())
                    .told(BOTH[number % 2], address);
                assert_eq!((told.status, told.text()), (200, body));
            })
        })
        .collect();
    for caller in callers {
        caller.join().unwrap();
    }
    assert_eq!(upstream.count(), 64, "a request was done twice");
    assert!(
        lock(&running).values().all(|(_, most)| *most <= AT_ONCE),
        "{:?}",
        lock(&running)
    );
}

#[test]
fn a_refused_token_is_replaced_and_the_request_replayed() {
    let upstream = H2Upstream::start(|mut call| async move {
        let body = call.collect().await?;
        match call
            .head
            .headers
            .get("authorization")
            .map(http::HeaderValue::as_bytes)
        {
            Some(b"Bearer token-1") => {
                call.answer(401, &[("www-authenticate", "Bearer")], "refused")
            }
            _ => call.answer(200, &[], body),
        }
    });
    let body = pattern(60_000);
    for (protocol, stream) in BOTH
        .into_iter()
        .flat_map(|protocol| [(protocol, false), (protocol, true)])
    {
        let tokens = TokenEndpoint::start(|_, number| {
            token_response(&format!("token-{}", number + 1), 3600)
        });
        let sidecar = Setup::new(&tokens, upstream.origin())
            .route("http2 = \"prior-knowledge\"")
            .start_ready();
        let before = upstream.count();
        let ask = Ask::new("POST", "/");
        let ask = if stream {
            ask.stream(&body, &[])
        } else {
            ask.body(&body)
        };
        let told = ask.told(protocol, sidecar.address());
        assert!(
            told.status == 200 && told.body == body,
            "{protocol:?}: {} {}",
            told.status,
            told.body.len()
        );
        let with: Vec<_> = upstream.requests().split_off(before);
        let with: Vec<_> = with
            .iter()
            .map(|seen| seen.value("authorization").unwrap())
            .collect();
        assert_eq!(with, ["Bearer token-1", "Bearer token-2"]);
    }
}

#[test]
fn an_idle_connection_that_the_upstream_ends_is_no_error() {
    let upstream = echo();
    let sidecar = by_prior_knowledge(&upstream);
    for goodbye in [true, false, true, false] {
        for connection in upstream.connections() {
            if goodbye {
                connection.say_goodbye();
            } else {
                connection.cut();
            }
        }
        until("the end of the connections", || {
            (upstream.open_connections() == 0).then_some(())
        });
        for protocol in BOTH {
            // That a connection was cut may not have been noticed yet, and then only what is idempotent is sent again.
            let ask = if goodbye {
                Ask::new("POST", "/").body(b"hello")
            } else {
                Ask::get("/")
            };
            let told = ask.told(protocol, sidecar.address());
            assert_eq!(
                (told.status, told.text().as_str()),
                (200, if goodbye { "hello" } else { "" }),
                "{protocol:?}"
            );
        }
    }
}
