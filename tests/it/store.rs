//! The file store: what it looks like, and what becomes of a login when it cannot be used.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getuid, prlimit};

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    client::get,
    home::Home,
    patience::{PATIENCE, until, until_within},
    protected_api::ProtectedApi,
    sidecar::Process,
};

/// Two providers, each with a login in the store and a sidecar that has stopped.
struct World {
    server: AuthorizationServer,
    _api: ProtectedApi,
    home: Home,
    record: PathBuf,
}

fn world() -> World {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let home = Home::new()
        .refreshing("api", &server)
        .route("api", &api.origin())
        .refreshing("other", &server)
        .route("other", &api.origin());
    let first = home.environment_of("API_REFRESH_TOKEN");
    let sidecar = home.run_ready();
    sidecar.stop();
    let spend = server
        .ledger()
        .spends
        .iter()
        .find(|spend| spend.refresh_token == first)
        .cloned();
    let (token, _) = spend.and_then(|spend| spend.issued).expect("a refresh");
    let record = home.record(&token);
    World {
        server,
        _api: api,
        home,
        record,
    }
}

/// Everything about a file that could be changed.
fn look(path: &Path) -> (Vec<u8>, u32, u64, u32) {
    let meta = fs::symlink_metadata(path).expect("a record");
    (
        fs::read(path).unwrap_or_default(),
        meta.mode(),
        meta.ino(),
        meta.uid(),
    )
}

/// Runs a sidecar whose record of `api` is not to be used, and sees that it is left alone.
#[track_caller]
fn assert_left_alone(world: &World) {
    let spends = world.server.ledger().spends.len();
    let before = look(&world.record);
    let sidecar = world.home.run();
    let provider = sidecar.wait_for_state("api", "failing");
    assert_eq!(provider["last_error"]["kind"], "store", "{provider}");
    let answer = sidecar.get("/");
    assert_eq!(answer.status, 503, "{answer:?}");
    sidecar.wait_for_ok("other");
    assert_eq!(sidecar.renew("other").status, 200);
    assert_eq!(sidecar.renew("api").status, 502);
    assert_eq!(look(&world.record), before, "the record was touched");
    assert_eq!(
        world.server.ledger().spends.len(),
        spends + 1,
        "the other's renewal alone"
    );
    sidecar.stop();
    assert_eq!(
        look(&world.record),
        before,
        "the record was touched at the end"
    );
}

#[test]
fn a_record_is_for_the_owner_alone_in_a_folder_for_the_owner_alone() {
    let world = world();
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(world.home.store()), 0o700);
    for entry in fs::read_dir(world.home.store()).unwrap().flatten() {
        assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
    }
    let sidecar = world.home.run_ready();
    assert_eq!(sidecar.renew("api").status, 200);
    assert_eq!(mode(&world.record), 0o600);
}

#[test]
fn without_a_path_it_is_where_the_system_keeps_state() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    let set =
        |home: Home, name: &str, path: PathBuf| home.environment(name, path.to_str().unwrap());
    for (what, store) in [
        ("systemd", "service"),
        ("xdg", "state/bearward"),
        ("home", "me/.local/state/bearward"),
    ] {
        let mut home = set(
            Home::new()
                .refreshing("api", &server)
                .stored_by_default_at(&at(store)),
            "HOME",
            at("me"),
        );
        if what != "home" {
            home = set(home, "XDG_STATE_HOME", at("state"));
        }
        if what == "systemd" {
            home = set(home, "STATE_DIRECTORY", at("service"));
        }
        let sidecar = home.run();
        sidecar.wait_for_state("api", "ready");
        let newest = server.ledger().newest().unwrap().to_owned();
        assert_eq!(
            home.files_with(&newest).len(),
            1,
            "{what}: no record in {store}"
        );
        let mode = fs::metadata(home.store()).unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o700, "{what}: {mode:o}");
    }
}

#[test]
fn renewals_leave_one_file_with_the_token_and_no_litter() {
    let world = world();
    let names = || {
        let mut names: Vec<_> = fs::read_dir(world.home.store())
            .unwrap()
            .flatten()
            .map(|e| e.file_name())
            .collect();
        names.sort();
        names
    };
    let before = names();
    let sidecar = world.home.run_ready();
    for _ in 0..5 {
        assert_eq!(sidecar.renew("api").status, 200);
    }
    sidecar.stop();
    assert_eq!(names(), before);
    let newest = world.server.ledger().newest().unwrap().to_owned();
    assert_eq!(world.home.files_with(&newest).len(), 1);
    let old = world
        .server
        .ledger()
        .spends
        .iter()
        .map(|spend| spend.refresh_token.clone())
        .collect::<Vec<_>>();
    for token in old {
        assert!(
            world.home.files_with(&token).is_empty(),
            "a spent token is still in the store"
        );
    }
}

#[test]
fn a_record_that_others_can_read_is_left_alone() {
    for mode in [0o640, 0o604, 0o660] {
        let world = world();
        fs::set_permissions(&world.record, PermissionsExt::from_mode(mode)).unwrap();
        assert_left_alone(&world);
    }
}

#[test]
fn a_record_that_is_mended_is_used_again() {
    let world = world();
    fs::set_permissions(&world.record, PermissionsExt::from_mode(0o644)).unwrap();
    let sidecar = world.home.run();
    sidecar.wait_for_state("api", "failing");
    fs::set_permissions(&world.record, PermissionsExt::from_mode(0o600)).unwrap();
    // It is tried again after at most 15 s without a usable token.
    until_within(PATIENCE * 3, "an answer", || {
        (sidecar.get("/").status == 200).then_some(())
    });
    assert_eq!(sidecar.renew("api").status, 200);
    world.server.assert_no_token_was_spent_twice();
}

#[test]
fn a_symbolic_link_for_a_record_is_left_alone() {
    let world = world();
    let elsewhere = world.home.path("elsewhere");
    fs::rename(&world.record, &elsewhere).unwrap();
    symlink(&elsewhere, &world.record).unwrap();
    let before = look(&elsewhere);
    assert_left_alone(&world);
    assert_eq!(look(&elsewhere), before);
}

#[test]
fn a_foreign_record_is_left_alone() {
    // Nobody else can give a file away.
    if !getuid().is_root() {
        return;
    }
    let world = world();
    std::os::unix::fs::chown(&world.record, Some(65_534), Some(65_534)).unwrap();
    assert_left_alone(&world);
}

#[test]
fn a_corrupt_record_is_left_alone() {
    let cut = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let none = |_: &[u8]| Vec::new();
    let zeros = |bytes: &[u8]| vec![0; bytes.len()];
    let other = |_: &[u8]| b"{\"version\":999}".to_vec();
    for corrupt in [&cut as &dyn Fn(&[u8]) -> Vec<u8>, &none, &zeros, &other] {
        let world = world();
        let bytes = corrupt(&fs::read(&world.record).unwrap());
        fs::write(&world.record, bytes).unwrap();
        assert_left_alone(&world);
    }
}

/// `run` ends with 1 and says where the matter lies.
#[track_caller]
fn assert_unusable(home: &Home) {
    let mut process = Process::spawn(&mut home.command(&["run"]));
    let status = process.wait(PATIENCE);
    let (_, stderr) = process.output();
    let written = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1), "{written}");
    assert!(
        written.contains(home.store().to_str().unwrap()),
        "the folder is not named:\n{written}"
    );
}

#[test]
fn a_folder_that_cannot_be_used_at_all_ends_run_with_one() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let home = || Home::new().refreshing("api", &server);
    let file = home();
    fs::write(file.store(), "a file").unwrap();
    assert_unusable(&file);
    for mode in [0o755, 0o777, 0o770] {
        let open = home();
        open.make_store(mode);
        assert_unusable(&open);
    }
    let link = home();
    symlink(link.path("nowhere"), link.store()).unwrap();
    assert_unusable(&link);
    if getuid().is_root() {
        let foreign = home();
        foreign.make_store(0o700);
        std::os::unix::fs::chown(foreign.store(), Some(65_534), Some(65_534)).unwrap();
        assert_unusable(&foreign);
    }
    assert_eq!(server.ledger().token_requests, 0);
}

#[test]
fn a_store_that_turns_read_only_costs_no_login() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    server.configure(|server| server.lifetime = 2);
    let api = server.api();
    let home = Home::with_refresh_token(&server, &api);
    // Modes do not bind root, unless that power is taken away.
    let sidecar = if getuid().is_root() {
        home.run_through(&[
            "setpriv",
            "--bounding-set=-dac_override,-dac_read_search",
            "--inh-caps=-all",
        ])
    } else {
        home.run()
    };
    sidecar.wait_for_ok("api");
    fs::set_permissions(home.store(), PermissionsExt::from_mode(0o500)).unwrap();
    until("the end of the access token", || {
        (sidecar.get("/").status == 503).then_some(())
    });
    let provider = sidecar.wait_for_state("api", "failing");
    assert_eq!(provider["last_error"]["kind"], "store", "{provider}");
    let spends = server.ledger().spends.len();
    assert_eq!(sidecar.renew("api").status, 502);
    assert_eq!(
        server.ledger().spends.len(),
        spends,
        "a refresh token was spent before the store was proved writable"
    );
    let newest = server.ledger().newest().unwrap().to_owned();
    assert_eq!(home.files_with(&newest).len(), 1);

    fs::set_permissions(home.store(), PermissionsExt::from_mode(0o700)).unwrap();
    sidecar.wait_for_ok("api");
    sidecar.kill();
    home.run().wait_for_ok("api");
    server.assert_no_token_was_spent_twice();
}

#[test]
fn a_full_disk_costs_no_login() {
    // A limit on the size of files: a write beyond it fails as on a full disk, at different points of a record.
    for bytes in [0, 1, 100, 300] {
        let server = AuthorizationServer::start(Dialect::Happeo);
        server.configure(|server| server.lifetime = 2);
        let api = server.api();
        let home = Home::with_refresh_token(&server, &api);
        // Ignored, the signal that comes with the failed write does not end the process.
        let sidecar = home.run_through(&["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
        sidecar.wait_for_ok("api");
        let limit = |current| {
            let limit = Rlimit {
                current,
                maximum: None,
            };
            prlimit(Some(sidecar.pid()), Resource::Fsize, limit).expect("a limit on a child");
        };
        limit(Some(bytes));
        // Longer than a token lives: at least one renewal was due.
        std::thread::sleep(Duration::from_millis(2500));
        if bytes == 0 {
            let provider = sidecar.wait_for_state("api", "failing");
            assert_eq!(provider["last_error"]["kind"], "store", "{provider}");
        }
        limit(None);
        sidecar.wait_for_ok("api");
        let newest = server.ledger().newest().unwrap().to_owned();
        // What was kept in memory is written as soon as it can be.
        until("the newest token on disk", || {
            let now = server.ledger().newest().unwrap().to_owned();
            (!home.files_with(&newest).is_empty() || !home.files_with(&now).is_empty())
                .then_some(())
        });
        sidecar.kill();
        let sidecar = home.run();
        sidecar.wait_for_ok("api");
        assert_eq!(get(sidecar.address(), "/").status, 200);
        server.assert_no_token_was_spent_twice();
    }
}
