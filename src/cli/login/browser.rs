//! Opens an address in the browser of the desktop, where there is one.

use std::process::{Command, Stdio};

/// The environment variables that a browser needs to find the desktop and its settings, and prefixes of such names.
const PASSED: [&str; 8] = [
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
    "HOME",
    "PATH",
    "LANG",
    "BROWSER",
];
const PASSED_PREFIXES: [&str; 2] = ["XDG_", "LC_"];

/// Opens `url`. Errors are ignored, since the address is printed as well.
pub(super) fn open(url: &str) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    // The environment may hold a client secret, which the browser and its children must not see.
    let environment = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_passed));
    let child = Command::new(program)
        .arg(url)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    // The browser outlives this process.
    drop(child);
}

fn is_passed(name: &str) -> bool {
    PASSED.contains(&name)
        || PASSED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_desktop_and_nothing_else() {
        for name in [
            "DISPLAY",
            "WAYLAND_DISPLAY",
            "XDG_RUNTIME_DIR",
            "HOME",
            "PATH",
            "LANG",
            "LC_ALL",
            "BROWSER",
        ] {
            assert!(is_passed(name), "{name}");
        }
        for name in [
            "CLIENT_SECRET",
            "HAPN_CLIENT_SECRET",
            "BEARWARD_ADMIN_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "PATH2",
            "",
        ] {
            assert!(!is_passed(name), "{name}");
        }
    }
}
