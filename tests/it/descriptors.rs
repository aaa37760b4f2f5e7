//! Descriptors: none is left, and none is lost.

use std::{sync::Arc, thread, time::Duration};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::{
    client::{A_WHILE, Client, exchange},
    frames::FrameClient,
    patience::{Gate, heavy, until},
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::ok,
};

const RENEW: &str =
    "POST /api/providers/api/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";

fn open_descriptors(sidecar: &Sidecar) -> usize {
    let folder = format!("/proc/{}/fd", sidecar.id());
    std::fs::read_dir(folder)
        .expect("the descriptors of a running process")
        .count()
}

fn process(sidecar: &Sidecar) -> Pid {
    Pid::from_raw(sidecar.id().try_into().expect("a number of a process"))
        .expect("a running process")
}

fn world(upstream: &Upstream) -> Sidecar {
    let tokens = TokenEndpoint::issuing("token-1");
    Setup::new(&tokens, upstream.origin()).start_ready()
}

#[test]
fn when_none_is_left_connections_wait_and_are_served_when_there_are_some_again() {
    let _alone = heavy();
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = world(&upstream);
    assert_eq!(sidecar.get("/").text(), "fine");

    let before = getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(open_descriptors(&sidecar) as u64 + 10),
        ..before
    };
    prlimit(Some(process(&sidecar)), Resource::Nofile, few).unwrap();
    let idle: Vec<Client> = (0..40)
        .map(|_| Client::connect(sidecar.address()))
        .collect();
    let complaint = "cannot accept connections";
    until("a word about it", || {
        sidecar.written().contains(complaint).then_some(())
    });
    // Without pauses between the attempts there would be thousands in this time.
    thread::sleep(Duration::from_secs(1));
    let attempts = sidecar.written().matches(complaint).count();
    assert!(attempts < 100, "{attempts} attempts to accept a connection");

    drop(idle);
    until("an answer", || {
        let mut client = Client::connect(sidecar.address());
        // With so few, the connection to the upstream may be one too many still.
        (client.get("/").status == 200).then_some(())
    });
    prlimit(Some(process(&sidecar)), Resource::Nofile, before).unwrap();
    let mut clients: Vec<Client> = (0..40)
        .map(|_| Client::connect(sidecar.address()))
        .collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "fine");
    }
    sidecar.stop();
}

#[test]
fn an_upstream_that_answers_early_and_stays_leaves_no_socket() {
    let _alone = heavy();
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::scripted({
        let gate = gate.clone();
        move |mut connection| {
            while let Ok(Some(head)) = connection.head() {
                let early = head.target() == "/early";
                let _ = connection.wire.send(ok("fine"));
                if early {
                    // The body is never read, and the connection never closed from here.
                    gate.pass();
                    return;
                }
            }
        }
    });
    let sidecar = world(&upstream);
    assert_eq!(sidecar.get("/").text(), "fine");
    let before = open_descriptors(&sidecar);
    let piece = vec![b'x'; 256 * 1024];
    for leaves_at_once in [true, false] {
        for _ in 0..20 {
            let mut client = Client::connect(sidecar.address());
            client.send(
                "POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n",
            );
            // More than the sockets on the way hold, or a part of it.
            for _ in 0..if leaves_at_once { 1 } else { 64 } {
                if client.wire().send(&piece).is_err() {
                    break;
                }
            }
            // The answer may be lost to a caller that has more in flight when the connection ends.
            if leaves_at_once {
                assert_eq!(client.answer().text(), "fine");
            }
        }
    }
    until("the sockets to be closed", || {
        (open_descriptors(&sidecar) <= before + 4).then_some(())
    });
    assert_eq!(sidecar.get("/").text(), "fine");
    gate.open();
}

/// Runs a command with this hard limit of descriptors, and a lower soft one.
fn limited(soft: usize, hard: usize) -> [String; 4] {
    let script = format!("ulimit -Sn {soft}; ulimit -Hn {hard}; exec \"$@\"");
    ["sh", "-c", &script, "sh"].map(str::to_owned)
}

fn start_limited(setup: Setup, soft: usize, hard: usize) -> Sidecar {
    let wrapper = limited(soft, hard);
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    setup.start_through(&wrapper)
}

#[test]
fn idle_clients_leave_descriptors_for_token_requests_and_probes() {
    let _alone = heavy();
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = start_limited(Setup::new(&tokens, upstream.origin()), 256, 256);
    let written = sidecar.written();
    assert!(written.contains("[limits] connections"), "{written}");
    let clients = |address| -> Vec<Client> { (0..300).map(|_| Client::connect(address)).collect() };
    let idle = [clients(sidecar.address()), clients(sidecar.admin_address())];
    assert_eq!(sidecar.admin("/livez").status, 200);
    let renewed = exchange(sidecar.admin_address(), RENEW);
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    assert_eq!(sidecar.get("/").text(), "fine");
    assert!(open_descriptors(&sidecar) < 256 - 32);
    assert!(!sidecar.written().contains("cannot accept connections"));
    drop(idle);
    sidecar.stop();
}

#[test]
fn requests_of_few_connections_leave_descriptors_for_token_requests_and_probes() {
    let _alone = heavy();
    let upstream = Upstream::scripted(|mut connection| {
        let _ = connection.head();
        let _ = connection.wire.rest();
    });
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = start_limited(Setup::new(&tokens, upstream.origin()), 256, 256);
    let clients: Vec<FrameClient> = (0..4)
        .map(|_| {
            let mut client = FrameClient::connect(sidecar.address(), 65_535);
            for number in 0..128 {
                client.get(2 * number + 1, "/");
            }
            client
        })
        .collect();
    until("requests at the upstream", || {
        (upstream.server().open_connections() >= 32).then_some(())
    });
    thread::sleep(A_WHILE);
    assert!(open_descriptors(&sidecar) < 256 - 32);
    assert_eq!(sidecar.admin("/livez").status, 200);
    let renewed = exchange(sidecar.admin_address(), RENEW);
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    drop(clients);
    sidecar.stop();
}

#[test]
fn the_admin_listener_uses_no_more_than_its_part_of_few_descriptors() {
    let _alone = heavy();
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = start_limited(Setup::new(&tokens, upstream.origin()), 256, 256);
    let before = open_descriptors(&sidecar);
    let idle: Vec<Client> = (0..200)
        .map(|_| Client::connect(sidecar.admin_address()))
        .collect();
    assert_eq!(sidecar.admin("/livez").status, 200);
    let used = open_descriptors(&sidecar) - before;
    assert!(used <= 256 / 8, "{used} descriptors");
    drop(idle);
    sidecar.stop();
}
