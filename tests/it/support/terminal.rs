//! A pseudo-terminal, with a process of the binary at it.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::Path,
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex},
    thread,
};

use rustix::{
    fs::OFlags,
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use super::patience::{PATIENCE, lock, until, until_within};

/// A process whose standard input, output and error are a terminal of 80 columns; killed when dropped.
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    // Held open, so that its modes can be looked at after the end of the process.
    line: File,
}

impl Terminal {
    /// Starts `command` at a new terminal.
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&controller).expect("a terminal of this user");
        unlockpt(&controller).expect("a terminal that can be opened");
        let name = ptsname(&controller, Vec::new()).expect("the name of a terminal");
        let line = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOCTTY.bits().cast_signed())
            .open(Path::new(std::ffi::OsStr::from_bytes(name.as_bytes())))
            .expect("the terminal");
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&line, size).expect("a size");
        let end = || line.try_clone().expect("a descriptor");
        let child = command
            .env("TERM", "xterm-256color")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("a process");
        let keyboard = File::from(controller);
        let screen = Arc::<Mutex<Vec<u8>>>::default();
        let mut output = keyboard.try_clone().expect("a descriptor");
        thread::spawn({
            let screen = screen.clone();
            move || {
                let mut piece = [0; 8192];
                while let Ok(length @ 1..) = output.read(&mut piece) {
                    lock(&screen).extend_from_slice(&piece[..length]);
                }
            }
        });
        Self {
            child,
            keyboard,
            screen,
            line,
        }
    }

    /// Everything that was shown so far.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&lock(&self.screen)).into_owned()
    }

    /// Waits until `text` is shown.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let end = std::time::Instant::now() + PATIENCE;
        while !self.shown().contains(text) {
            assert!(
                std::time::Instant::now() < end,
                "{text:?} is not shown:\n{}",
                self.shown()
            );
            thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Waits for the first line that is an address beginning with `begins`.
    #[track_caller]
    pub fn address(&self, begins: &str) -> String {
        until("an address on its own line", || {
            let shown = self.shown();
            let whole = shown.rsplit_once('\n')?.0;
            let mut lines = whole.lines().map(str::trim_end);
            lines
                .find(|line| line.starts_with(begins))
                .map(str::to_owned)
        })
    }

    /// Waits until what is typed is not shown.
    #[track_caller]
    pub fn wait_for_silence(&self) {
        until("an end of the echo", || (!self.echoes()).then_some(()));
    }

    /// Whether what is typed is shown.
    pub fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.line).expect("the modes of a terminal");
        modes.local_modes.contains(LocalModes::ECHO)
    }

    /// Types a line.
    #[track_caller]
    pub fn enter(&mut self, line: &str) {
        self.keyboard
            .write_all(format!("{line}\n").as_bytes())
            .expect("a terminal that takes input");
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a running child");
    }

    /// Whether the process still runs.
    pub fn runs(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the state of a child")
            .is_none()
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        until_within(PATIENCE, "the end of a process", || {
            self.child.try_wait().expect("the state of a child")
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
