//! A store that changes under a running process: put back to an earlier state, removed, or written to by others.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use rustix::process::Signal;

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    home::Home,
    patience::{PATIENCE, until, until_within},
    protected_api::ProtectedApi,
};

/// At least 32 characters, as a store's key has.
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn world() -> (AuthorizationServer, ProtectedApi, Home) {
    let server = AuthorizationServer::start(Dialect::Happeo);
    server.configure(|server| server.lifetime = 2);
    let api = server.api();
    let home = Home::with_refresh_token(&server, &api);
    (server, api, home)
}

fn wait_for_refreshes(server: &AuthorizationServer, count: usize) {
    until_within(PATIENCE * 2, "refreshes", || {
        (server.refreshes() >= count).then_some(())
    });
}

/// The record in the store, whose file is the only one that ends in `.json`.
fn record_file(home: &Home) -> std::path::PathBuf {
    let files = fs::read_dir(home.store()).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    files
        .find(|path| path.extension().is_some_and(|end| end == "json"))
        .expect("a record")
}

/// Replaces a record in one step, so that it is never read half written.
fn put_back(file: &Path, content: &[u8]) {
    let copy = file.with_extension("copy");
    fs::write(&copy, content).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(copy, file).unwrap();
}

#[test]
fn a_record_that_is_put_back_under_a_running_process_spends_no_token_twice() {
    let (server, _api, home) = world();
    let mut sidecar = home.run_ready();
    let file = record_file(&home);
    let earlier = fs::read(&file).unwrap();
    wait_for_refreshes(&server, 3);
    // Again and again: a refresh that is under way replaces it unseen.
    until("a word about it", || {
        put_back(&file, &earlier);
        sidecar.written().contains("store.put_back").then_some(())
    });
    let count = server.refreshes();
    wait_for_refreshes(&server, count + 3);
    server.assert_no_token_was_spent_twice();
    assert_ne!(fs::read(&file).unwrap(), earlier);
    assert_eq!(sidecar.get("/").status, 200);
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait().success());
    // What was written last is what the next process goes on with.
    let sidecar = home.run_ready();
    assert_eq!(sidecar.get("/").status, 200);
    server.assert_no_token_was_spent_twice();
    sidecar.stop();
}

#[test]
fn a_store_folder_that_is_removed_is_made_anew_with_the_login() {
    let (server, _api, home) = world();
    let mut sidecar = home.run_ready();
    for _ in 0..3 {
        let count = server.refreshes();
        fs::remove_dir_all(home.store()).unwrap();
        wait_for_refreshes(&server, count + 1);
    }
    assert_eq!(sidecar.get("/").status, 200);
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait().success(), "{}", sidecar.written());
    let sidecar = home.run_ready();
    assert_eq!(sidecar.get("/").status, 200);
    server.assert_no_token_was_spent_twice();
    sidecar.stop();
}

#[test]
fn a_plain_record_that_appears_in_an_encrypted_store_is_refused() {
    let (server, _api, home) = world();
    let sidecar = home.run_ready();
    sidecar.stop();
    let plain = fs::read(record_file(&home)).unwrap();
    assert!(String::from_utf8_lossy(&plain).contains("refresh_token"));

    // The first start with a key encrypts what is there.
    let sealed = home.encrypted(KEY);
    let sidecar = sealed.run_ready();
    sidecar.stop();
    let file = record_file(&sealed);
    assert!(String::from_utf8_lossy(&fs::read(&file).unwrap()).contains("sealed"));

    // Planted by a program that can write to the volume, and has no key.
    fs::write(&file, &plain).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let spent = server.refreshes();
    let sidecar = sealed.run();
    let error = until("the error", || {
        let status = sidecar.status();
        let error = status["providers"]["api"]["last_error"].clone();
        (!error.is_null()).then_some(error)
    });
    assert_eq!(error["kind"], "store");
    assert!(
        error["message"].as_str().unwrap().contains(".sealed"),
        "{error}"
    );
    assert_eq!(server.refreshes(), spent);
    sidecar.stop();
}

#[test]
fn a_whole_next_record_that_does_not_open_is_an_error_and_nothing_is_spent() {
    let (server, _api, home) = world();
    home.run_ready().stop();
    let file = record_file(&home);
    let plain = fs::read(&file).unwrap();
    let sealed = home.neighbour().encrypted(KEY);
    sealed.run_ready().stop();

    // As after a kill between the write of the next record and its renaming, beside the record from before the key.
    let next = file.with_extension("json.new");
    fs::rename(&file, &next).unwrap();
    fs::write(&file, &plain).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(home.store().join(".sealed")).unwrap();
    let whole = fs::read(&next).unwrap();
    let spent = server.refreshes();
    let other_key = home.neighbour().encrypted(&KEY.replace('0', "x"));
    for start in [&home, &other_key] {
        let sidecar = start.run();
        let error = until("the error", || {
            let status = sidecar.status();
            let error = status["providers"]["api"]["last_error"].clone();
            (!error.is_null()).then_some(error)
        });
        assert_eq!(error["kind"], "store", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(".json.new"), "{error}");
        assert_eq!(server.refreshes(), spent);
        assert_eq!(fs::read(&next).unwrap(), whole);
        sidecar.stop();
    }
    // The key opens it.
    let sidecar = sealed.run_ready();
    assert_eq!(sidecar.get("/").status, 200);
    server.assert_no_token_was_spent_twice();
    sidecar.stop();
}
