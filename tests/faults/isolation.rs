//! Mounts of a process's own: other files under `/etc`, and file systems that are full or read-only, for it alone.

use std::{
    fmt::Display,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use rustix::process::getuid;

use crate::support::{patience::until, sidecar::Process};

/// Says loudly that the test of this thread did not run, past the capture of its output.
pub(crate) fn not_run(reason: impl Display) {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "\nNOT RUN: {name}: {reason}\n");
}

/// A mount namespace, held open by a process that waits in it.
///
/// Root makes it as it is; another user as the root of a user namespace, where the system permits that.
pub(crate) struct Mounts {
    holder: Process,
}

impl Mounts {
    /// Makes one, after `script`, in which `$1` and so on are `arguments`; `None`, with a loud word, where that is not possible.
    pub(crate) fn after(script: &str, arguments: &[&Path]) -> Option<Self> {
        let mut unshare = Command::new("unshare");
        if !getuid().is_root() {
            unshare.arg("--map-root-user");
        }
        unshare
            .args(["--mount", "sh", "-ec"])
            .arg(format!("{script}\necho made\nexec cat"))
            .arg("sh")
            .args(arguments);
        let mut holder = Process::spawn(&mut unshare);
        let made = until("a mount namespace", || {
            if holder.stdout().contains("made") {
                return Some(true);
            }
            holder.ended().map(|_| false)
        });
        if made {
            return Some(Self { holder });
        }
        not_run(format!("no mounts of its own: {}", holder.stderr()));
        None
    }

    /// What a command has to begin with to run there.
    pub(crate) fn wrapper(&self) -> Vec<String> {
        let mut words = vec!["nsenter".to_owned(), "--mount".into()];
        if !getuid().is_root() {
            words.extend(["--user".into(), "--preserve-credentials".into()]);
        }
        words.push(format!("--target={}", self.holder.id()));
        words
    }

    /// Runs a shell script there; `$1` is `path`.
    pub(crate) fn run(&self, script: &str, path: &Path) -> Output {
        let wrapper = self.wrapper();
        Command::new(&wrapper[0])
            .args(&wrapper[1..])
            .args(["sh", "-c", script, "sh"])
            .arg(path)
            .stdin(Stdio::null())
            .output()
            .expect("nsenter")
    }

    /// As [`Mounts::run`], where it has to succeed; gives what it wrote.
    #[track_caller]
    pub(crate) fn must(&self, script: &str, path: &Path) -> String {
        let output = self.run(script, path);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{script}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }
}
