//! Time that is not what it was: the time of day jumps by hours, and the process is stopped for longer than a token lives.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    isolation::not_run,
    world::{FaultyServer, PROVIDERS, assert_unavailable, assert_well},
};
use crate::support::{
    client::{Client, get},
    home::Home,
    patience::until,
    protected_api::ProtectedApi,
    sidecar::Sidecar,
};

/// A time of day that a test moves while processes run.
struct WallClock {
    library: String,
    file: PathBuf,
}

impl WallClock {
    /// One that goes right. `None`, with a loud word, without `faketime`.
    fn new(folder: &Path) -> Option<Self> {
        let output = Command::new("faketime")
            .args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"])
            .output();
        let Ok(output) = output else {
            not_run("no faketime is installed");
            return None;
        };
        let clock = Self {
            library: String::from_utf8_lossy(&output.stdout).trim().into(),
            file: folder.join("time"),
        };
        clock.set("+0");
        Some(clock)
    }

    /// Moves it from the true time: `+3h` or `-3h`.
    fn set(&self, offset: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{offset}\n")).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    /// The last line of the log has this time of day, to the hour: the jump was a real one.
    #[track_caller]
    fn assert_is_the_sidecars(&self, sidecar: &Sidecar) {
        let output = Command::new("faketime")
            .args([
                "-m",
                "-f",
                fs::read_to_string(&self.file).unwrap().trim(),
                "date",
            ])
            .args(["-u", "+%Y-%m-%dT%H"])
            .output()
            .unwrap();
        let hour = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let written = sidecar.written();
        let last = written.lines().last().unwrap();
        assert!(last.starts_with(&hour), "{hour} is not in {last}");
    }

    /// A sidecar with this time of day. What it measures time with is not touched.
    fn home(&self, home: Home) -> Home {
        home.environment("LD_PRELOAD", &self.library)
            .environment("FAKETIME_TIMESTAMP_FILE", self.file.to_str().unwrap())
            .environment("FAKETIME_NO_CACHE", "1")
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }
}

/// Asks through both routes for `time`; every answer is a 200, and so every token was good.
#[track_caller]
fn assert_served_for(time: Duration, sidecar: &Sidecar) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        for name in PROVIDERS {
            let got = get(sidecar.route(name), "/");
            assert_eq!(got.status, 200, "{name}: {}", got.text());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_time_of_day_that_jumps_by_hours_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(clock) = WallClock::new(folder.path()) else {
        return;
    };
    let server = FaultyServer::start(4);
    let api = ProtectedApi::start(server.issuer());
    let home = clock.home(server.home(&api, ""));
    let sidecar = home.run();
    for name in PROVIDERS {
        sidecar.wait_for_ok(name);
    }
    let begun = Instant::now();
    for offset in ["+5h", "-7h", "+30d", "+0"] {
        clock.set(offset);
        assert_served_for(Duration::from_secs(3), &sidecar);
        assert_eq!(sidecar.admin("/readyz").status, 200, "{offset}");
        clock.assert_is_the_sidecars(&sidecar);
    }
    // Renewed at half of their lives, less jitter: no jump causes a request, and none delays one.
    let expected = begun.elapsed().as_secs_f64() / 2.0;
    let requests = server.requests().len() as f64 / PROVIDERS.len() as f64;
    assert!(
        requests > expected / 3.0 && requests < expected * 2.0 + 3.0,
        "{requests} token requests for each provider, where {expected} were due"
    );
    assert_well(&server, &sidecar, &api);
}

#[test]
fn a_start_at_another_time_of_day_uses_no_token_beyond_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let Some(clock) = WallClock::new(folder.path()) else {
        return;
    };
    let server = FaultyServer::start(3);
    let api = ProtectedApi::start(server.issuer());
    let home = clock.home(server.home(&api, ""));
    for offset in ["+0", "-5h", "+5h", "-30d"] {
        clock.set(offset);
        let sidecar = home.run();
        for name in PROVIDERS {
            sidecar.wait_for_ok(name);
        }
        sidecar.stop();
        // The token that was stored ends meanwhile.
        thread::sleep(Duration::from_secs(3));
    }
    clock.set("+0");
    let sidecar = home.run();
    assert_served_for(Duration::from_secs(3), &sidecar);
    assert_well(&server, &sidecar, &api);
}

/// Stops every thread: a request that comes afterwards meets none that has already chosen a token for it.
#[track_caller]
fn stop(sidecar: &Sidecar) {
    sidecar.signal(Signal::STOP);
    until("the stop of every thread", || {
        let threads = fs::read_dir(format!("/proc/{}/task", sidecar.id())).unwrap();
        let is_stopped = |thread: fs::DirEntry| {
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            status.is_empty() || status.contains("State:\tT")
        };
        threads.flatten().all(is_stopped).then_some(())
    });
}

#[test]
fn a_process_that_was_stopped_beyond_its_tokens_lives_sends_none_of_them() {
    let server = FaultyServer::start(2);
    let api = ProtectedApi::start(server.issuer());
    let home = server.home(&api, "");
    let sidecar = home.run();
    for name in PROVIDERS {
        sidecar.wait_for_ok(name);
    }
    let mut waiting: Vec<Client> = PROVIDERS
        .iter()
        .cycle()
        .take(32)
        .map(|name| {
            let mut client = Client::connect(sidecar.route(name));
            assert_eq!(client.get("/").status, 200);
            client
        })
        .collect();
    for _ in 0..2 {
        stop(&sidecar);
        for client in &mut waiting {
            client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }
        thread::sleep(Duration::from_secs(4));
        let before = server.requests().len();
        sidecar.signal(Signal::CONT);
        for (client, name) in waiting.iter_mut().zip(PROVIDERS.iter().cycle()) {
            let got = client.answer();
            // A token that was requested before the stop has ended when it comes: that is a failure, with another try soon.
            if got.status != 200 {
                assert_unavailable(&got, name);
            }
        }
        for name in PROVIDERS {
            sidecar.wait_for_ok(name);
        }
        // One for each provider, however many waited, and those that were due meanwhile.
        let requests = server.requests().len() - before;
        assert!(requests <= 6, "{requests} token requests");
        assert_eq!(
            api.refused(),
            Vec::<String>::new(),
            "an expired token was sent"
        );
    }
    assert_well(&server, &sidecar, &api);
}
