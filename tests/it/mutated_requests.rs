//! Mutated HTTP/1.1 requests, and a strict parser behind: what arrives there is never in doubt.
//!
//! `MUTATIONS` makes it more than a few seconds' worth.

use std::{
    env,
    sync::{Arc, Mutex},
    thread,
};

use crate::support::{
    client::Client,
    patience::{heavy, lock},
    random::Random,
    setup::Setup,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{Head, ok},
};

const MUTATIONS: usize = 1500;
const THREADS: usize = 8;

const SEEDS: &[&[u8]] = &[
    b"GET /a?b=c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\nConnection: close\r\n\r\n",
    b"PUT /1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\nConnection: close\r\n\r\nGET /x HTTP/1.1\r\nHost: evil\r\n\r\n",
];

const TELLING: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
    b":",
    b";",
    b",",
    b"0\r\n\r\n",
    b"\x0b",
    b"chunked",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Host: evil\r\n",
    b"Authorization: evil\r\n",
    b"authorization_: evil\r\n",
    b"Connection: authorization\r\n",
    b"\xff",
    b"%0d%0a",
    b"HTTP/1.0",
    b"+5",
    b"0x5",
    b"\r\n\r\n",
];

#[test]
fn what_arrives_at_the_upstream_is_never_in_doubt() {
    let _alone = heavy();
    let faults: Arc<Mutex<Vec<String>>> = Arc::default();
    let own = Arc::new(Mutex::new(String::new()));
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::scripted({
        let (faults, own) = (faults.clone(), own.clone());
        move |mut connection| {
            loop {
                match connection.request() {
                    Ok(Some(request)) => {
                        if let Some(fault) = fault(&request.head, &lock(&own)) {
                            let raw = request.head.raw.escape_ascii();
                            lock(&faults).push(format!("{fault}: {raw}"));
                        }
                    }
                    // The end of a request, where its client broke off, is no fault; a head that is none is one.
                    Ok(None) => return,
                    Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                        lock(&faults).push(format!("malformed: {error}"));
                        return;
                    }
                    Err(_) => return,
                }
                if connection.wire.send(ok("fine")).is_err() {
                    return;
                }
            }
        }
    });
    *lock(&own) = upstream.address().to_string();
    let sidecar = Setup::new(&tokens, upstream.origin())
        .route("timeouts.idle = \"200ms\"")
        .tables("[limits]\nhead_timeout = \"200ms\"\nkeep_alive = \"200ms\"")
        .log("level = \"warn\"")
        .start_ready();
    let address = sidecar.address();
    let count = env::var("MUTATIONS").map_or(MUTATIONS, |text| text.parse().unwrap());
    let clients: Vec<_> = (0..THREADS)
        .map(|_| {
            thread::spawn(move || {
                let mut random = Random::new();
                for _ in 0..count / THREADS {
                    let mut client = Client::connect(address);
                    // It may respond, and close, before it has read everything.
                    let _ = client.wire().send(mutated(&mut random));
                    let _ = client.wire().rest();
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    let faults = lock(&faults);
    assert!(faults.is_empty(), "{}: {:?}", faults.len(), faults.first());
    assert!(upstream.count() > count / 20, "hardly any arrived");
    assert_eq!(sidecar.get("/").status, 200);
}

/// What is wrong with a head, in the eyes of a strict reader.
fn fault(head: &Head, own: &str) -> Option<&'static str> {
    let is_token = |text: &str| {
        let is_allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(is_allowed)
    };
    let start: Vec<_> = head.start.split(' ').collect();
    let is_target =
        |text: &str| text.starts_with('/') && text.bytes().all(|byte| (0x21..0x7F).contains(&byte));
    let is_line =
        matches!(*start, [method, target, "HTTP/1.1"] if is_token(method) && is_target(target));
    let lines = head.raw.split(|byte| *byte == b'\n');
    let has_bare_end = lines
        .clone()
        .any(|line| !line.is_empty() && !line.ends_with(b"\r"));
    let has_bare_return = lines
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .any(|line| line.contains(&b'\r'));
    let has_control = head.fields.iter().any(|(_, value)| {
        value
            .bytes()
            .any(|byte| (byte < 0x20 && byte != b'\t') || byte == 0x7F)
    });
    let lengths = head.values("content-length");
    let codings = head.values("transfer-encoding");
    match () {
        () if !is_line => Some("a request line"),
        () if has_bare_end || has_bare_return => Some("a line end"),
        () if has_control => Some("a control byte"),
        () if !head.fields.iter().all(|(name, _)| is_token(name)) => Some("a field name"),
        () if head.values("host") != [own] => Some("the host"),
        () if head.values("authorization") != ["Bearer token-1"] => Some("the token"),
        () if lengths.len() + codings.len() > 1 => Some("two framings"),
        () if lengths
            .iter()
            .any(|text| !text.bytes().all(|byte| byte.is_ascii_digit())) =>
        {
            Some("the length")
        }
        () if codings.iter().any(|text| *text != "chunked") => Some("the coding"),
        () => None,
    }
}

fn mutated(random: &mut Random) -> Vec<u8> {
    let mut below = |bound: usize| (random.number() % bound.max(1) as u64) as usize;
    let mut input = SEEDS[below(SEEDS.len())].to_vec();
    for _ in 0..=below(3) {
        let at = below(input.len() + 1);
        let length = below(4).min(input.len() - at);
        match below(4) {
            0 if at < input.len() => input[at] = below(256) as u8,
            1 => drop(input.drain(at..at + length)),
            2 => {
                let part = TELLING[below(TELLING.len())];
                input.splice(at..at, part.iter().copied());
            }
            _ => {
                // At the beginning of a line, where a field of its own may stand.
                let lines: Vec<usize> = input
                    .windows(2)
                    .enumerate()
                    .filter(|(_, pair)| *pair == b"\r\n")
                    .map(|(at, _)| at + 2)
                    .collect();
                let at = lines.get(below(lines.len())).copied().unwrap_or(at);
                let part = TELLING[below(TELLING.len())];
                input.splice(at..at, part.iter().copied());
            }
        }
    }
    input
}
