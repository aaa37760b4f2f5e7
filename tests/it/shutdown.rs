//! How the sidecar ends.

use std::sync::Arc;

use rustix::process::Signal;

use crate::support::{
    client::Client,
    patience::{Gate, until},
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::ok,
};

struct World {
    sidecar: Sidecar,
    upstream: Upstream,
    gate: Arc<Gate>,
}

/// An upstream that answers `/slow` when the gate is opened.
fn world(tables: &str) -> World {
    let gate = Arc::new(Gate::default());
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering({
        let gate = gate.clone();
        move |request| {
            if request.head.target() == "/slow" {
                gate.pass();
            }
            ok("done")
        }
    });
    let sidecar = Setup::new(&tokens, upstream.origin())
        .tables(tables)
        .start_ready();
    World {
        sidecar,
        upstream,
        gate,
    }
}

impl World {
    /// A caller whose request is at the upstream.
    fn in_flight(&self) -> Client {
        let mut client = Client::connect(self.sidecar.address());
        let before = self.upstream.count();
        client.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.upstream.wait_for(before + 1);
        client
    }

    fn wait_until_refusing(&self) {
        let address = self.sidecar.address();
        until("new connections to be refused", || {
            Client::try_connect(address).is_err().then_some(())
        });
    }
}

#[test]
fn what_is_in_flight_finishes_and_nothing_new_is_taken() {
    let mut world = world("");
    let mut idle = Client::connect(world.sidecar.address());
    assert_eq!(idle.get("/").status, 200);
    let mut caller = world.in_flight();
    world.sidecar.signal(Signal::TERM);
    world.wait_until_refusing();
    assert!(
        world.sidecar.ended().is_none(),
        "ended with a request in flight"
    );
    // Where the admin listener still answers, it does not say ready.
    if let Ok(mut admin) = Client::try_connect(world.sidecar.admin_address()) {
        let asked = admin
            .wire()
            .send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        if let Ok(answer) = asked.and_then(|()| admin.wire().answer("GET")) {
            assert_eq!(answer.status, 503);
        }
    }
    assert!(idle.is_closed(), "an idle connection holds nothing up");
    world.gate.open();
    let answer = caller.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert!(caller.is_closed());
    assert_eq!(world.sidecar.wait().code(), Some(0));
}

#[test]
fn an_interrupt_is_as_good() {
    let mut world = world("");
    world.sidecar.signal(Signal::INT);
    assert_eq!(world.sidecar.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once_and_not_with_zero() {
    let mut world = world("");
    let _caller = world.in_flight();
    world.sidecar.signal(Signal::TERM);
    world.wait_until_refusing();
    assert!(world.sidecar.ended().is_none());
    world.sidecar.signal(Signal::TERM);
    let status = world.sidecar.wait();
    assert!(!status.success(), "{status}");
    world.gate.open();
}

#[test]
fn the_drain_has_an_end() {
    let mut world = world("[drain]\ntimeout = \"500ms\"");
    let _caller = world.in_flight();
    world.sidecar.signal(Signal::TERM);
    // The request never finishes; the gate stays shut.
    assert_eq!(world.sidecar.wait().code(), Some(0));
    world.gate.open();
}

#[test]
fn a_lame_duck_still_accepts_and_is_not_ready() {
    let mut world = world("[drain]\nlame_duck = \"2s\"");
    world.sidecar.signal(Signal::TERM);
    until("readiness to turn off", || {
        (world.sidecar.admin("/readyz").status == 503).then_some(())
    });
    assert_eq!(world.sidecar.get("/").status, 200);
    assert_eq!(world.sidecar.wait().code(), Some(0));
}

#[test]
fn a_killed_sidecar_leaves_its_address_free() {
    let listen = crate::support::ports::unused();
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let mut first = Setup::new(&tokens, upstream.origin())
        .listen(listen)
        .start_ready();
    let mut client = Client::connect(listen);
    assert_eq!(client.get("/").status, 200);
    first.signal(Signal::KILL);
    assert!(!first.wait().success());
    let second = Setup::new(&tokens, upstream.origin())
        .listen(listen)
        .start_ready();
    assert_eq!(second.get("/").status, 200);
}
