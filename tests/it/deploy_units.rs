//! The files of `deploy/systemd`: the units as systemd itself reads them, and their configuration.

use std::{fs, process::Command};

use crate::deploy_tools::{Deployed, project, text};

const UNITS: [&str; 2] = ["bearward.service", "bearward.socket"];

/// How the service names the binary, which systemd looks for in its own path.
const PROGRAM: &str = "ExecStart=bearward ";

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
    let source = project("deploy/systemd");
    let copies = UNITS.map(|unit| {
        let text = fs::read_to_string(source.join(unit)).unwrap();
        assert_eq!(text.contains(PROGRAM), unit == "bearward.service");
        let copy = folder.path().join(unit);
        fs::write(
            &copy,
            text.replace(
                PROGRAM,
                concat!("ExecStart=", env!("CARGO_BIN_EXE_bearward"), " "),
            ),
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

/// The values of a key in a unit, in their order.
#[track_caller]
fn values(unit: &str, key: &str) -> Vec<String> {
    text(&format!("deploy/systemd/{unit}"))
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_configuration_passes_the_check_with_the_credentials_of_the_unit() {
    let configuration = text("deploy/systemd/bearward.toml");
    let credentials = values("bearward.service", "LoadCredential");
    let names: Vec<_> = credentials
        .iter()
        .map(|credential| credential.split(':').next().unwrap())
        .collect();
    Deployed::new(&configuration)
        .mount(
            "/run/credentials/bearward.service",
            names.iter().map(|name| (*name, &b"a secret"[..])),
        )
        .passes();
}

#[test]
fn the_configuration_uses_the_socket_and_the_state_folder_of_the_units() {
    let table = Deployed::new(&text("deploy/systemd/bearward.toml")).table();
    let names = values("bearward.socket", "FileDescriptorName");
    for (_, route) in table["routes"].as_table().unwrap() {
        assert_eq!(
            route["listen"].as_str().unwrap(),
            format!("systemd:{}", names[0])
        );
    }
    // Written out, since a command of another user has no $STATE_DIRECTORY.
    let folders = values("bearward.service", "StateDirectory");
    assert_eq!(
        table["store"]["path"].as_str().unwrap(),
        format!("/var/lib/{}", folders[0])
    );
}

#[test]
fn the_service_runs_as_the_user_that_is_made_for_it() {
    let user = values("bearward.service", "User");
    let created = text("deploy/systemd/bearward.sysusers");
    let line = created.lines().find(|line| line.starts_with("u ")).unwrap();
    assert_eq!(line.split_whitespace().nth(1), Some(&*user[0]));
}

#[test]
fn a_start_that_cannot_succeed_is_not_repeated_for_ever() {
    // What `bearward run` ends with for an invalid configuration.
    assert_eq!(
        values("bearward.service", "RestartPreventExitStatus"),
        ["2"]
    );
    let pause: f64 = values("bearward.service", "RestartSec")[0]
        .trim_end_matches('s')
        .parse()
        .unwrap();
    let starts: f64 = values("bearward.service", "StartLimitBurst")[0]
        .parse()
        .unwrap();
    assert_eq!(
        values("bearward.service", "StartLimitIntervalSec"),
        ["1min"]
    );
    // The starts fit into the interval, so that the limit is reached.
    assert!(
        pause * starts < 30.0,
        "{starts} starts with {pause} s between them"
    );
}
