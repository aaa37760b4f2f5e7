//! Many reloads: no request fails meanwhile, and nothing is left behind.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crate::support::{
    client::{Client, exchange},
    h2c::{H2Client, empty},
    patience::{heavy, until},
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::ok,
};

/// Connections of each version of HTTP.
const CONNECTIONS: usize = 32;

/// A sidecar, and the configurations that it is to have one after another.
struct World {
    sidecar: Sidecar,
    tokens: TokenEndpoint,
    file: PathBuf,
    versions: [String; 3],
    _upstream: Upstream,
}

impl World {
    #[track_caller]
    fn start() -> Self {
        let tokens = TokenEndpoint::issuing("token-1");
        let upstream = Upstream::answering(|_| ok("fine"));
        let setup = Setup::new(&tokens, upstream.origin()).log("level = \"warn\"");
        let (file, _) = setup.write();
        Self {
            versions: versions(&setup.text(), &upstream.origin()),
            sidecar: setup.start_ready(),
            tokens,
            file,
            _upstream: upstream,
        }
    }
}

#[track_caller]
fn reload(sidecar: &Sidecar) {
    let request = "POST /api/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    let response = exchange(sidecar.admin_address(), request);
    assert_eq!(response.status, 200, "{}", response.text());
}

/// Three configurations, of which each differs from the others in routes, timeouts, listeners and a provider.
fn versions(text: &str, upstream: &str) -> [String; 3] {
    let route = |name: &str, more: &str| {
        format!(
            "\n[routes.{name}]\nlisten = \"127.0.0.1:0\"\nhost = \"{name}.localhost\"\nupstream = \"{upstream}\"\n\
             provider = \"api\"\n{more}"
        )
    };
    let provider = |scope: &str| {
        format!(
            "\n[providers.other]\ngrant_type = \"client_credentials\"\ntoken_endpoint = \"{upstream}/token\"\n\
             client_id = \"o\"\nclient_secret = \"an inline secret\"\nscope = \"{scope}\"\n"
        )
    };
    [
        text.to_owned(),
        format!(
            "{text}timeouts.idle = \"50s\"\n{}{}",
            route("one", ""),
            provider("a")
        ),
        format!(
            "{text}timeouts.idle = \"40s\"\n{}{}",
            route("two", "http2 = \"never\"\n"),
            provider("b")
        ),
    ]
}

#[test]
fn a_hundred_reloads_fail_no_request_and_ask_for_no_token() {
    let _alone = heavy();
    let World {
        sidecar,
        tokens,
        file,
        versions,
        _upstream,
    } = World::start();
    let address = sidecar.address();
    let (stop, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );

    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let (stop, served) = (stop.clone(), served.clone());
        clients.push(thread::spawn(move || {
            let mut client = Client::connect(address);
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(client.get("/").text(), "fine");
                served.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    clients.push(thread::spawn({
        let (stop, served) = (stop.clone(), served.clone());
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut all = tokio::task::JoinSet::new();
                for _ in 0..CONNECTIONS {
                    let (stop, served) = (stop.clone(), served.clone());
                    let mut client = H2Client::connect(address).await;
                    all.spawn(async move {
                        while !stop.load(Ordering::Relaxed) {
                            let request = client.request("GET", "/").body(empty()).unwrap();
                            let response = client.send(request).await.expect("a whole response");
                            assert_eq!((response.status, &response.body[..]), (200, &b"fine"[..]));
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
                while let Some(ended) = all.join_next().await {
                    ended.unwrap();
                }
            });
        }
    }));

    for round in 0..100 {
        let before = served.load(Ordering::Relaxed);
        fs::write(&file, &versions[round % versions.len()]).unwrap();
        reload(&sidecar);
        until("requests meanwhile", || {
            (served.load(Ordering::Relaxed) > before).then_some(())
        });
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("no failed request");
    }
    assert_eq!(tokens.count(), 1);
    sidecar.stop();
}

#[test]
fn a_thousand_reloads_leave_nothing_behind() {
    let _alone = heavy();
    let World {
        sidecar,
        tokens,
        file,
        versions,
        _upstream,
    } = World::start();
    let reload_all = |count: usize| {
        for round in 0..count {
            fs::write(&file, &versions[round % versions.len()]).unwrap();
            reload(&sidecar);
            assert_eq!(sidecar.get("/").text(), "fine");
        }
        fs::write(&file, &versions[0]).unwrap();
        reload(&sidecar);
    };
    let descriptors = sidecar.descriptors();
    let settle = || {
        until("the descriptors of the start", || {
            (sidecar.descriptors() <= descriptors + 2).then_some(())
        });
    };
    // What is allocated once and kept, such as the room for connections between two sweeps, counts to the start.
    reload_all(2000);
    settle();
    let (memory, threads) = (sidecar.resident_kib(), sidecar.threads());
    reload_all(1000);
    settle();
    assert!(
        sidecar.threads() <= threads + 2,
        "{} threads after {threads}",
        sidecar.threads()
    );
    let grown = sidecar.resident_kib().saturating_sub(memory);
    assert!(
        grown < 6 * 1024,
        "{grown} KiB more than the {memory} KiB before"
    );
    assert_eq!(tokens.count(), 1);
    sidecar.stop();
}
