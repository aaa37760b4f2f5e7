//! Nobody gets at the memory of the process: it leaves no core dump, and it is no other process's to read.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::Command,
};

use rustix::process::{Signal, geteuid};

use crate::support::{
    patience::until, setup::Setup, sidecar::Process, token_endpoint::TokenEndpoint,
    upstream::Upstream, wire::ok,
};

/// Who runs the sidecar where the tests are run by root, to whom everything belongs anyway.
const NOBODY: u32 = 65_534;

#[test]
fn a_crash_leaves_no_core_dump() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let mut sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    assert_eq!(sidecar.get("/").status, 200);
    let limits = fs::read_to_string(format!("/proc/{}/limits", sidecar.id())).unwrap();
    let limit = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"))
        .unwrap();
    let values: Vec<_> = limit.split_whitespace().take(2).collect();
    assert_eq!(values, ["0", "0"], "the soft and the hard limit");
    sidecar.signal(Signal::ABORT);
    let status = sidecar.wait();
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()));
    assert!(!status.core_dumped());
}

#[test]
fn the_memory_of_the_process_is_not_its_users_to_read() {
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, "http://127.0.0.1:1");
    let (file, environment) = setup.write();
    let folder = file.parent().unwrap();
    let binary = folder.join("bearward");
    fs::copy(env!("CARGO_BIN_EXE_bearward"), &binary).unwrap();
    for path in [folder, &binary] {
        // A program that its user cannot read is not dumped for that reason alone.
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(&binary);
    command
        .args(["run", "-c"])
        .arg(&file)
        .env_clear()
        .envs(environment);
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let process = Process::spawn(&mut command);
    tokens.wait_for(1);
    // What may be dumped belongs to the user whose process it is, and everything else to root (proc(5)).
    let mem = format!("/proc/{}/mem", process.id());
    until("the memory to be root's", || {
        (owner(&mem) == 0).then_some(())
    });
    assert!(fs::metadata(&file).is_ok(), "{}", process.stderr());
}

fn owner(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).expect("a running process").uid()
}
