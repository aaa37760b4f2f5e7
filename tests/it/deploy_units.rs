//! The units of `deploy/systemd`, as systemd itself reads them.

use std::{fs, path::Path, process::Command};

const UNITS: [&str; 2] = ["bearward.service", "bearward.socket"];

/// Where the units expect the binary.
const INSTALLED: &str = "/usr/local/bin/bearward";

/// The highest exposure of the service, on the scale of `systemd-analyze security` from 0 to 100.
const MAX_EXPOSURE: &str = "--threshold=20";

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("systemd-analyze is not installed: the units are not verified");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd");
    let copies = UNITS.map(|unit| {
        let text = fs::read_to_string(source.join(unit)).unwrap();
        let copy = folder.path().join(unit);
        fs::write(
            &copy,
            text.replace(INSTALLED, env!("CARGO_BIN_EXE_bearward")),
        )
        .unwrap();
        copy
    });
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .args(&copies)
        .output()
        .unwrap();
    // A key that it does not know is a warning, and no failure.
    let found = String::from_utf8_lossy(&verified.stderr);
    let own: Vec<_> = found
        .lines()
        .filter(|line| line.contains("bearward"))
        .collect();
    assert!(verified.status.success() && own.is_empty(), "{found}");

    let security = Command::new("systemd-analyze")
        .args(["security", "--offline=true", MAX_EXPOSURE])
        .arg(&copies[0])
        .output()
        .unwrap();
    let found = String::from_utf8_lossy(&security.stdout);
    assert!(security.status.success(), "{found}");
}
