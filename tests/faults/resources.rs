//! Descriptors and memory are short: clients may have to wait, and what keeps tokens alive does not.

use std::{
    fs,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use super::{
    isolation::not_run,
    world::{FaultyServer, assert_well},
};
use crate::support::{
    client::{Client, get},
    patience::{heavy, until_within},
    protected_api::ProtectedApi,
};

/// More memory than a sidecar needs at work, and far less than the bodies that pass it.
const MEMORY: u64 = 64 * 1024 * 1024;

/// A group of processes with a limit of memory, beyond which the kernel kills one of them.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// `None`, with a loud word, without the right to make one.
    fn new() -> Option<Self> {
        let name = format!("bearward-faults-{}", process::id());
        // Version 2, mounted in either way, and version 1.
        let places = [
            ("/sys/fs/cgroup", "memory.max"),
            ("/sys/fs/cgroup/unified", "memory.max"),
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ];
        for (root, limit) in places {
            let group = Path::new(root).join(&name);
            if fs::create_dir(&group).is_err() {
                continue;
            }
            if fs::write(group.join(limit), MEMORY.to_string()).is_ok() {
                // Where there is swap, it would hide what is used.
                for swap in ["memory.swap.max", "memory.memsw.limit_in_bytes"] {
                    let value = if swap.contains("memsw") { MEMORY } else { 0 };
                    let _ = fs::write(group.join(swap), value.to_string());
                }
                return Some(Self(group));
            }
            let _ = fs::remove_dir(&group);
        }
        not_run("no control group with a limit of memory can be made");
        None
    }

    /// What a command begins with to become a member.
    fn wrapper(&self) -> [String; 4] {
        let members = self.0.join("cgroup.procs");
        let script = format!("echo $$ > {} && exec \"$0\" \"$@\"", members.display());
        ["sh".into(), "-c".into(), script, String::new()]
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn large_bodies_and_many_connections_do_not_end_a_process_with_little_memory() {
    let _alone = heavy();
    let Some(group) = MemoryGroup::new() else {
        return;
    };
    let server = FaultyServer::start(2);
    let api = ProtectedApi::start(server.issuer());
    let home = server.home(&api, "");
    let [shell, option, script, _] = group.wrapper();
    let sidecar = home.run_through(&[&shell, &option, &script]);
    sidecar.wait_for_ok("api");
    let address = sidecar.route("api");
    let idle: Vec<_> = (0..500).map(|_| Client::connect(address)).collect();
    // Each body alone is twice what there is.
    let size = MEMORY as usize * 2;
    let piece = vec![b'x'; 256 * 1024];
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                let head = "POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length:";
                client.send(format!("{head} {size}\r\n\r\n"));
                for _ in 0..size / piece.len() {
                    client.send(&piece);
                }
                assert_eq!(client.answer().json()["received"], size);
            });
            scope.spawn(|| {
                let mut client = Client::connect(address);
                client.send(format!(
                    "GET /bytes/{size} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                ));
                let head = client.head();
                let mut length = 0;
                let framing = head.answer_framing("GET");
                let read = client
                    .wire()
                    .stream_body(framing, &mut |bytes| length += bytes.len());
                assert!(read.is_ok());
                assert_eq!(length, size);
            });
            // Never read: what is on the way must not gather in the sidecar.
            let mut deaf = Client::connect(address);
            deaf.send(format!(
                "GET /bytes/{size} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            ));
            scope.spawn(move || {
                thread::sleep(Duration::from_secs(2));
                drop(deaf);
            });
        }
    });
    drop(idle);
    assert_well(&server, &sidecar, &api);
    sidecar.stop();
}

#[test]
fn connections_that_take_every_descriptor_stop_no_renewal_no_probe_and_no_store() {
    let _alone = heavy();
    let server = FaultyServer::start(3);
    let api = ProtectedApi::start(server.issuer());
    let home = server.home(&api, "");
    // Soft and hard: there are no more.
    let sidecar = home.run_through(&["prlimit", "--nofile=128:128"]);
    for name in ["api", "login"] {
        sidecar.wait_for_ok(name);
    }
    let address = sidecar.route("api");
    let idle: Vec<_> = (0..400)
        .filter_map(|_| Client::try_connect(address).ok())
        .collect();
    assert!(idle.len() > 200);
    let end = Instant::now() + Duration::from_secs(7);
    while Instant::now() < end {
        assert_eq!(sidecar.admin("/livez").status, 200);
        assert_eq!(sidecar.admin("/readyz").status, 200);
        thread::sleep(Duration::from_millis(100));
    }
    let newest = server.refresh_token();
    assert!(server.requests().len() >= 6, "renewals stopped");
    assert!(
        !home.files_with(&newest).is_empty() || newest != server.refresh_token(),
        "the store stopped"
    );
    drop(idle);
    until_within(Duration::from_secs(20), "an answer", || {
        Some(get(address, "/")).filter(|answer| answer.status == 200)
    });
    assert_well(&server, &sidecar, &api);
}
