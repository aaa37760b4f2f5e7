//! Under load, for longer than a token lives: no caller ever notices a renewal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    client::Client,
    patience::heavy,
    protected_api::ProtectedApi,
    setup::Setup,
    token_endpoint::{Issuer, TokenEndpoint},
};

#[test]
fn sixty_four_connections_see_nothing_of_tokens_that_live_two_seconds() {
    let _alone = heavy();
    let issuer = Arc::new(Issuer::default());
    let tokens = TokenEndpoint::start({
        let issuer = issuer.clone();
        move |_, _| issuer.issue(2)
    });
    let api = ProtectedApi::start(issuer);
    let sidecar = Setup::new(&tokens, api.origin())
        .log("level = \"info\"")
        .start_ready();
    let address = sidecar.address();

    let start = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let (stop, answered) = (stop.clone(), answered.clone());
            thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.get("/v1/devices?page=1");
                    assert_eq!(answer.status, 200, "{answer:?} {}", answer.text());
                    answered.fetch_add(1, Ordering::Relaxed);
                    // Leaves the two processors some air: this is about time, not about throughput.
                    thread::sleep(Duration::from_millis(10));
                }
            })
        })
        .collect();
    thread::sleep(Duration::from_secs(20));
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.join().expect("a caller that got nothing but 200");
    }
    let elapsed = start.elapsed().as_secs_f64();

    assert_eq!(
        api.refused(),
        Vec::<String>::new(),
        "requests that reached the API without a good token"
    );
    // Due after half of the lifetime, less a jitter of a tenth at most: between 0.8 s and 1.0 s. A token is used for 1.8 s.
    let count = tokens.count();
    let most = (elapsed / 0.8).ceil() as usize + 2;
    let least = (elapsed / 1.8).floor() as usize;
    assert!(
        (least..=most).contains(&count),
        "{count} token requests in {elapsed:.1} s, wanted {least} to {most}"
    );
    assert!(
        answered.load(Ordering::Relaxed) > 64 * 20,
        "that was no load"
    );
}
