//! Records on a real file system.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
};

use tempfile::TempDir;

use super::*;
use crate::{secret::Secret, token::store::FileError};

struct World {
    parent: TempDir,
    store: FileStore,
}

impl World {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let store = FileStore::open(&parent.path().join("state/bearward"), None).unwrap();
        Self { parent, store }
    }

    fn folder(&self) -> PathBuf {
        self.parent.path().join("state/bearward")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    fn lock(&self) -> Box<dyn Lock> {
        self.store
            .try_lock("a")
            .unwrap()
            .expect("no other holder has it")
    }

    fn saved(token: &str) -> Self {
        let world = Self::new();
        world.lock().save(&record(token)).unwrap();
        world
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn record(token: &str) -> Record {
    Record {
        refresh_token: Some(Secret::new(token)),
        ..Record::default()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_record_is_private_and_no_other_file_is_left() {
    let world = World::saved("r1");
    assert_eq!(world.store.load("a").unwrap(), Some(record("r1")));
    assert_eq!(world.names(), ["a.json", "a.lock"]);
    assert_eq!(
        (
            mode(&world.folder()),
            mode(&world.path("a.json")),
            mode(&world.path("a.lock"))
        ),
        (0o700, 0o600, 0o600)
    );
    assert_eq!(
        fs::read(world.path("a.json")).unwrap(),
        *record("r1").to_json("a")
    );
    world.lock().save(&record("r2")).unwrap();
    assert_eq!(world.store.load("a").unwrap(), Some(record("r2")));
    assert_eq!(world.store.load("b").unwrap(), None);
}

#[test]
fn one_holder_has_the_lock_of_a_record_at_a_time() {
    let world = World::new();
    let other = FileStore::open(&world.folder(), None).unwrap();
    let lock = world.lock();
    assert!(other.try_lock("a").unwrap().is_none());
    assert!(other.try_lock("b").unwrap().is_some());
    drop(lock);
    assert!(other.try_lock("a").unwrap().is_some());
}

#[test]
fn a_lock_file_that_was_replaced_does_not_split_the_lock() {
    let world = World::new();
    let stale = world.lock();
    fs::remove_file(world.path("a.lock")).unwrap();
    let fresh = world.lock();
    drop(stale);
    assert!(
        world.store.try_lock("a").unwrap().is_none(),
        "the fresh one counts"
    );
    drop(fresh);
}

#[test]
fn room_is_reserved_beforehand_and_released_when_it_is_not_needed() {
    let world = World::saved("r1");
    let mut lock = world.lock();
    lock.reserve().unwrap();
    assert_eq!(
        fs::metadata(world.path("a.json.new")).unwrap().len(),
        RESERVED_SIZE as u64
    );
    assert_eq!(mode(&world.path("a.json.new")), 0o600);
    let reserved = fs::metadata(world.path("a.json.new")).unwrap().ino();
    lock.save(&record("r2")).unwrap();
    assert_eq!(
        fs::metadata(world.path("a.json")).unwrap().ino(),
        reserved,
        "that very file was filled"
    );
    lock.reserve().unwrap();
    drop(lock);
    assert_eq!(world.names(), ["a.json", "a.lock"]);
    assert_eq!(world.store.load("a").unwrap(), Some(record("r2")));
}

#[test]
fn a_folder_that_cannot_be_written_is_detected_beforehand() {
    let world = World::saved("r1");
    let mut lock = world.lock();
    // Not even root replaces a folder by a file.
    fs::create_dir(world.path("a.json.new")).unwrap();
    assert!(matches!(lock.reserve(), Err(StoreError::Io { .. })));
    assert!(matches!(
        lock.save(&record("r2")),
        Err(StoreError::Io { .. })
    ));
    assert_eq!(world.store.load("a").unwrap(), Some(record("r1")));
    fs::remove_dir(world.path("a.json.new")).unwrap();
    lock.save(&record("r2")).unwrap();
    assert_eq!(world.store.load("a").unwrap(), Some(record("r2")));
}

#[test]
fn a_process_killed_before_the_response_leaves_the_record_as_it_was() {
    let world = World::saved("r1");
    fs::write(world.path("a.json.new"), vec![b' '; RESERVED_SIZE]).unwrap();
    chmod(&world.path("a.json.new"), 0o600);
    drop(world.lock());
    assert_eq!(world.store.load("a").unwrap(), Some(record("r1")));
    world.lock().save(&record("r2")).unwrap();
    assert_eq!(world.store.load("a").unwrap(), Some(record("r2")));
}

#[test]
fn a_process_killed_at_any_byte_of_the_next_record_leaves_a_whole_one() {
    let next = record("r2").to_json("a");
    for written in 0..=next.len() {
        let world = World::saved("r1");
        let mut bytes = vec![b' '; RESERVED_SIZE];
        bytes[..written].copy_from_slice(&next[..written]);
        fs::write(world.path("a.json.new"), bytes).unwrap();
        chmod(&world.path("a.json.new"), 0o600);
        let whole = if written >= next.len() - 1 {
            "r2"
        } else {
            "r1"
        };
        drop(world.lock());
        assert_eq!(
            world.store.load("a").unwrap(),
            Some(record(whole)),
            "after {written} bytes"
        );
    }
}

#[test]
fn a_rejected_next_record_is_neither_used_nor_removed() {
    let world = World::saved("r1");
    let next = record("r2").to_json("a");
    fs::write(world.path("a.json.new"), &next).unwrap();
    chmod(&world.path("a.json.new"), 0o644);
    match world.store.try_lock("a") {
        Err(StoreError::File {
            path,
            error: FileError::AccessibleToOthers { .. },
        }) => assert_eq!(path, world.path("a.json.new")),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.store.load("a").unwrap(), Some(record("r1")));
    assert_eq!(fs::read(world.path("a.json.new")).unwrap(), *next);
    chmod(&world.path("a.json.new"), 0o600);
    drop(world.lock());
    assert_eq!(world.store.load("a").unwrap(), Some(record("r2")));
}

/// A record whose place is taken by a folder, which no rename replaces.
fn blocked() -> World {
    let world = World::saved("r1");
    fs::remove_file(world.path("a.json")).unwrap();
    fs::create_dir(world.path("a.json")).unwrap();
    world
}

#[test]
fn a_pending_record_stays_until_it_is_the_record() {
    let world = blocked();
    let mut lock = world.lock();
    lock.reserve().unwrap();
    assert!(lock.save(&record("r2")).is_err());
    let inode = || fs::metadata(world.path("a.json.new")).unwrap().ino();
    let first = inode();
    for _ in 0..3 {
        assert!(lock.save(&record("r2")).is_err());
        assert_eq!(inode(), first, "what is whole is not written again");
    }
    fs::remove_dir(world.path("a.json")).unwrap();
    lock.save(&record("r2")).unwrap();
    drop(lock);
    assert_eq!(world.store.load("a").unwrap(), Some(record("r2")));
    assert_eq!(world.names(), ["a.json", "a.lock"]);
}

#[test]
fn a_pending_record_is_replaced_in_one_step_or_not_at_all() {
    let world = blocked();
    let mut lock = world.lock();
    assert!(lock.save(&record("r2")).is_err());
    // Not even root writes to a file that is a folder.
    fs::create_dir(world.path("a.json.newer")).unwrap();
    assert!(lock.save(&record("r3")).is_err());
    assert_eq!(
        fs::read(world.path("a.json.new")).unwrap(),
        *record("r2").to_json("a")
    );
    fs::remove_dir(world.path("a.json.newer")).unwrap();
    assert!(lock.save(&record("r3")).is_err());
    assert_eq!(
        fs::read(world.path("a.json.new")).unwrap(),
        *record("r3").to_json("a")
    );
    drop(lock);
    fs::remove_dir(world.path("a.json")).unwrap();
    drop(world.lock());
    assert_eq!(
        world.store.load("a").unwrap(),
        Some(record("r3")),
        "the next holder completes it"
    );
    assert_eq!(world.names(), ["a.json", "a.lock"]);
}

fn refused(world: &World) -> FileError {
    match world.store.load("a") {
        Err(StoreError::File { path, error }) => {
            assert_eq!(path, world.path("a.json"));
            error
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_that_other_users_can_read_is_rejected_and_left_alone() {
    for bits in [0o640, 0o604, 0o620, 0o601] {
        let world = World::saved("r1");
        chmod(&world.path("a.json"), bits);
        assert!(
            matches!(refused(&world), FileError::AccessibleToOthers { mode, required: 0o600 } if mode == bits)
        );
        assert_eq!(mode(&world.path("a.json")), bits);
        chmod(&world.path("a.json"), 0o600);
        assert_eq!(world.store.load("a").unwrap(), Some(record("r1")));
    }
}

#[test]
fn a_symbolic_link_is_rejected_wherever_it_leads() {
    let world = World::saved("r1");
    fs::rename(world.path("a.json"), world.path("elsewhere")).unwrap();
    symlink(world.path("elsewhere"), world.path("a.json")).unwrap();
    assert!(matches!(refused(&world), FileError::SymbolicLink));
    fs::remove_file(world.path("a.lock")).unwrap();
    symlink("/dev/null", world.path("a.lock")).unwrap();
    assert!(matches!(
        world.store.try_lock("a"),
        Err(StoreError::File {
            error: FileError::SymbolicLink,
            ..
        })
    ));
}

#[test]
fn an_irregular_file_or_an_invalid_record_is_rejected() {
    let world = World::saved("r1");
    fs::remove_file(world.path("a.json")).unwrap();
    fs::create_dir(world.path("a.json")).unwrap();
    assert!(matches!(refused(&world), FileError::NotAFile));
    fs::remove_dir(world.path("a.json")).unwrap();
    for damaged in ["", "{", "nonsense"] {
        fs::write(world.path("a.json"), damaged).unwrap();
        chmod(&world.path("a.json"), 0o600);
        assert!(matches!(refused(&world), FileError::Corrupt(_)));
        assert_eq!(fs::read(world.path("a.json")).unwrap(), damaged.as_bytes());
    }
    fs::write(world.path("a.json"), vec![b' '; 2 * 1024 * 1024]).unwrap();
    assert!(matches!(refused(&world), FileError::TooLarge));
}

/// Only root can give files away.
#[test]
fn a_file_of_another_user_is_rejected() {
    if !rustix::process::geteuid().is_root() {
        assert!(matches!(
            FileStore::open(Path::new("/"), None),
            Err(StoreError::Folder {
                error: FileError::ForeignOwner { owner: 0, .. },
                ..
            })
        ));
        return;
    }
    let world = World::saved("r1");
    std::os::unix::fs::chown(world.path("a.json"), Some(12345), None).unwrap();
    assert!(matches!(
        refused(&world),
        FileError::ForeignOwner { owner: 12345, .. }
    ));
    std::os::unix::fs::chown(world.folder(), Some(12345), None).unwrap();
    assert!(matches!(
        FileStore::open(&world.folder(), None),
        Err(StoreError::Folder {
            error: FileError::ForeignOwner { owner: 12345, .. },
            ..
        })
    ));
}

#[test]
fn a_rejected_folder_is_an_error_of_its_own() {
    let world = World::new();
    let open = |name: &str| match FileStore::open(&world.parent.path().join(name), None) {
        Err(StoreError::Folder { error, .. }) => error,
        other => panic!("{other:?}"),
    };
    fs::write(world.parent.path().join("file"), "").unwrap();
    assert!(matches!(open("file"), FileError::Io(_)));
    assert!(matches!(open("file/below"), FileError::Io(_)));
    for bits in [0o750, 0o705, 0o755, 0o770] {
        chmod(&world.folder(), bits);
        assert!(
            matches!(open("state/bearward"), FileError::AccessibleToOthers { mode, required: 0o700 } if mode == bits)
        );
        assert!(
            matches!(world.store.load("a"), Err(StoreError::Folder { .. })),
            "later too"
        );
    }
}

#[test]
fn a_link_of_this_user_to_a_folder_of_this_user_is_followed() {
    let world = World::saved("r1");
    symlink(world.folder(), world.parent.path().join("link")).unwrap();
    let linked = FileStore::open(&world.parent.path().join("link"), None).unwrap();
    assert_eq!(linked.load("a").unwrap(), Some(record("r1")));
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let world = World::new();
    for name in [
        "",
        ".",
        "..",
        "../a",
        "a/b",
        ".hidden",
        "a\0b",
        "ä",
        &"a".repeat(65),
    ] {
        assert!(
            matches!(world.store.load(name), Err(StoreError::Name)),
            "{name:?}"
        );
        assert!(
            matches!(world.store.try_lock(name), Err(StoreError::Name)),
            "{name:?}"
        );
    }
    for name in ["a", "A-b_c.d", "a..b", "-", "_", &"a".repeat(64)] {
        assert_eq!(world.store.load(name).unwrap(), None, "{name:?}");
    }
}

#[test]
fn a_record_larger_than_the_reserved_room_is_stored_too() {
    let world = World::new();
    let large = record(&"x\"".repeat(RESERVED_SIZE));
    world.lock().save(&large).unwrap();
    assert_eq!(world.store.load("a").unwrap(), Some(large));
}

#[test]
fn a_sealed_record_survives_a_process_that_is_killed_while_it_writes() {
    let world = World::saved("r1");
    let key = Secret::new("k".repeat(32));
    let sealed = FileStore::open(&world.folder(), Some(&key)).unwrap();
    assert_eq!(
        sealed.load("a").unwrap(),
        Some(record("r1")),
        "a plain one is encrypted at the first start with a key"
    );
    sealed
        .try_lock("a")
        .unwrap()
        .unwrap()
        .save(&record("canary"))
        .unwrap();
    assert!(
        !fs::read_to_string(world.path("a.json"))
            .unwrap()
            .contains("canary")
    );
    assert!(matches!(refused(&world), FileError::Encrypted));

    fs::rename(world.path("a.json"), world.path("a.json.new")).unwrap();
    let refused = world.store.try_lock("a").unwrap_err();
    assert!(matches!(
        refused,
        StoreError::File {
            error: FileError::Encrypted,
            ..
        }
    ));
    assert!(world.path("a.json.new").exists());
    drop(sealed.try_lock("a").unwrap().unwrap());
    assert_eq!(sealed.load("a").unwrap(), Some(record("canary")));
}

#[test]
fn a_plain_record_is_refused_where_all_are_encrypted_whatever_becomes_of_the_mark() {
    let world = World::saved("r1");
    let plain = fs::read(world.path("a.json")).unwrap();
    let key = Secret::new("k".repeat(32));
    let sealed = FileStore::open(&world.folder(), Some(&key)).unwrap();
    assert_eq!(sealed.load("a").unwrap(), Some(record("r1")));
    fs::write(world.path("a.json"), &plain).unwrap();
    fs::remove_file(world.path(".sealed")).unwrap();
    let refused = sealed.load("a").unwrap_err();
    assert!(matches!(
        refused,
        StoreError::File {
            error: FileError::NotSealed,
            ..
        }
    ));
}

#[test]
fn a_bad_record_at_the_first_start_with_a_key_keeps_no_other_from_working() {
    use std::os::unix::fs::PermissionsExt;

    let world = World::saved("r1");
    for name in ["b.json", "._c.json"] {
        fs::write(world.path(name), "{").unwrap();
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o640)).unwrap();
    }
    let key = Secret::new("k".repeat(32));
    let sealed = FileStore::open(&world.folder(), Some(&key)).unwrap();
    assert_eq!(sealed.load("a").unwrap(), Some(record("r1")));
    assert!(sealed.load("b").is_err());
    // The mark waits until every record is encrypted.
    assert!(!world.path(".sealed").exists());
}
