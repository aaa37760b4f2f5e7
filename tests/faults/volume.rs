//! The volume of the store: full, and read-only, in earnest. `tests/it/store.rs` has what is wrong with its files.

use std::path::Path;

use super::{
    isolation::Mounts,
    world::{FaultyServer, assert_unavailable},
};
use crate::support::{
    client::get, home::Home, patience::until, protected_api::ProtectedApi, sidecar::Sidecar,
};

/// A store on a small file system of its own.
struct Volume {
    mounts: Mounts,
    home: Home,
    server: FaultyServer,
    api: ProtectedApi,
}

impl Volume {
    fn new() -> Option<Self> {
        let server = FaultyServer::start(3);
        let api = ProtectedApi::start(server.issuer());
        let home = server.home(&api, "");
        home.make_store(0o700);
        let script = "mount -t tmpfs -o size=1m,mode=0700 tmpfs \"$1\"";
        let mounts = Mounts::after(script, &[home.store()])?;
        Some(Self {
            mounts,
            home,
            server,
            api,
        })
    }

    #[track_caller]
    fn run(&self) -> Sidecar {
        let wrapper = self.mounts.wrapper();
        let wrapper: Vec<_> = wrapper.iter().map(String::as_str).collect();
        let sidecar = self.home.run_through(&wrapper);
        sidecar.wait_for_ok("login");
        sidecar
    }

    fn store(&self) -> &Path {
        self.home.store()
    }

    /// What stands in the store.
    #[track_caller]
    fn kept(&self) -> String {
        self.mounts.must("cat \"$1\"/*.json", self.store())
    }

    /// The store fails as soon as a record has to be written: no refresh token is spent, and the token serves to its end.
    #[track_caller]
    fn assert_nothing_is_spent(&self, sidecar: &Sidecar) {
        let refused = until("the end of the token", || {
            Some(get(sidecar.route("login"), "/")).filter(|answer| answer.status != 200)
        });
        assert_unavailable(&refused, "login");
        assert!(!refused.text().contains(self.store().to_str().unwrap()));
        let provider = sidecar.provider("login");
        assert_eq!(provider["state"], "failing", "{provider}");
        assert_eq!(provider["last_error"]["kind"], "store", "{provider}");
        let message = provider["last_error"]["message"].as_str().unwrap();
        assert!(
            message.contains(self.store().to_str().unwrap()),
            "{message}"
        );
        let unspent = self.server.refresh_token();
        for _ in 0..3 {
            assert_eq!(sidecar.renew("login").status, 502);
        }
        assert_eq!(
            self.server.refresh_token(),
            unspent,
            "a refresh token was spent"
        );
        assert!(self.kept().contains(&unspent), "{}", self.kept());
        // Who needs no store is not concerned.
        assert_eq!(get(sidecar.route("api"), "/").status, 200);
        let readiness = sidecar.admin("/readyz");
        assert_eq!(readiness.status, 503);
        assert!(readiness.text().contains("login") && !readiness.text().contains("api"));
    }

    /// All is well, also for the next process after the death of this one.
    #[track_caller]
    fn assert_well(&self, sidecar: Sidecar) {
        sidecar.wait_for_ok("login");
        let provider = sidecar.provider("login");
        assert!(provider["last_error"].is_null(), "{provider}");
        sidecar.kill();
        let sidecar = self.run();
        until("a renewal", || {
            (sidecar.renew("login").status == 200).then_some(())
        });
        until("the newest refresh token in the store", || {
            self.kept()
                .contains(&self.server.refresh_token())
                .then_some(())
        });
        self.server.assert_no_login_is_lost();
        assert_eq!(self.api.refused(), Vec::<String>::new());
    }
}

#[test]
fn a_full_volume_costs_no_login() {
    let Some(volume) = Volume::new() else { return };
    let sidecar = volume.run();
    let fill = "dd if=/dev/zero of=\"$1/ballast\" bs=4k 2>&1 || true";
    let filled = volume.mounts.must(fill, volume.store());
    assert!(filled.contains("No space left"), "{filled}");
    volume.assert_nothing_is_spent(&sidecar);
    volume.mounts.must("rm \"$1/ballast\"", volume.store());
    volume.assert_well(sidecar);
}

#[test]
fn a_volume_that_turns_read_only_costs_no_login() {
    let Some(volume) = Volume::new() else { return };
    let sidecar = volume.run();
    let remount = |mode: &str| {
        let script = format!("mount -o remount,{mode} tmpfs \"$1\"");
        // A record that is being written keeps the volume busy.
        until("a remount", || {
            volume
                .mounts
                .run(&script, volume.store())
                .status
                .success()
                .then_some(())
        });
    };
    remount("ro");
    volume.assert_nothing_is_spent(&sidecar);
    remount("rw");
    volume.assert_well(sidecar);
}

#[test]
fn a_volume_without_a_place_for_one_more_file_costs_no_login() {
    let Some(volume) = Volume::new() else { return };
    let sidecar = volume.run();
    let fill =
        "i=0; while : > \"$1/ballast-$i\" 2>/dev/null; do i=$((i+1)); test $i -lt 100000; done";
    let limit =
        "mount -o remount,nr_inodes=$(($(df --output=iused \"$1\" | tail -1)+1)) tmpfs \"$1\"";
    volume.mounts.must(limit, volume.store());
    volume.mounts.run(fill, volume.store());
    volume.assert_nothing_is_spent(&sidecar);
    volume.mounts.must(
        "rm -f \"$1\"/ballast-*; mount -o remount,nr_inodes=100 tmpfs \"$1\"",
        volume.store(),
    );
    volume.assert_well(sidecar);
}
