//! Opens an address in the browser of whoever sits before the machine, where there is one.

use std::process::{Command, Stdio};

/// Opens `url`. That it does not work is no failure: the address is printed as well.
pub(super) fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let child = Command::new(program).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    // It lives for as long as it likes, and is not waited for.
    drop(child);
}
