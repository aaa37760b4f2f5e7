//! The built binary as a process.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    client::{Client, get},
    patience::{PATIENCE, lock, until, until_within},
    wire::Answer,
};

/// The binary, with an environment of its own: nothing of the caller's but `PATH`.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bearward"));
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// `inner`, started through `wrapper`, whose last arguments the command becomes.
pub fn wrapped(inner: &Command, wrapper: &[&str]) -> Command {
    let mut outer = Command::new(wrapper[0]);
    outer
        .args(&wrapper[1..])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env_clear();
    for (name, value) in inner.get_envs() {
        outer.env(name, value.unwrap_or_default());
    }
    outer
}

/// Runs a command of the binary to its end, which has to come in time.
#[track_caller]
pub fn run_to_end(arguments: &[&str], environment: &[(String, String)]) -> Output {
    Process::spawn(command(arguments).envs(environment.iter().cloned())).into_output(PATIENCE)
}

/// A process whose output is captured, killed when dropped.
pub struct Process {
    child: Child,
    stdout: Captured,
    stderr: Captured,
}

struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Process {
    /// Starts `command`.
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = capture(child.stdout.take().expect("a pipe"));
        let stderr = capture(child.stderr.take().expect("a pipe"));
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// What it wrote to standard output so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&lock(&self.stdout.bytes)).into_owned()
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&lock(&self.stderr.bytes)).into_owned()
    }

    /// Everything it wrote; to be called when it has ended.
    pub fn output(&mut self) -> (Vec<u8>, Vec<u8>) {
        let end = |captured: &mut Captured| {
            if let Some(reader) = captured.reader.take() {
                let _ = reader.join();
            }
            lock(&captured.bytes).clone()
        };
        (end(&mut self.stdout), end(&mut self.stderr))
    }

    /// Its status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child")
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self, bound: Duration) -> ExitStatus {
        until_within(bound, "the end of a process", || self.ended())
    }

    /// Waits for its end, and returns all that it wrote.
    #[track_caller]
    pub fn into_output(mut self, bound: Duration) -> Output {
        let status = self.wait(bound);
        let (stdout, stderr) = self.output();
        Output {
            status,
            stdout,
            stderr,
        }
    }

    /// Writes a line to its standard input and closes it.
    #[track_caller]
    pub fn enter(&mut self, line: &str) {
        let mut stdin = self
            .child
            .stdin
            .take()
            .expect("a standard input that is still open");
        stdin
            .write_all(format!("{line}\n").as_bytes())
            .expect("a process that reads");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal to a running child");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn capture(mut pipe: impl Read + Send + 'static) -> Captured {
    let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
    let reader = thread::spawn({
        let bytes = bytes.clone();
        move || {
            let mut piece = [0; 8192];
            while let Ok(length @ 1..) = pipe.read(&mut piece) {
                lock(&bytes).extend_from_slice(&piece[..length]);
            }
        }
    });
    Captured {
        bytes,
        reader: Some(reader),
    }
}

/// `bearward run`, serving.
pub struct Sidecar {
    process: Process,
    admin: SocketAddr,
    routes: BTreeMap<String, SocketAddr>,
    // Goes with the sidecar, where it is not kept for the next one.
    _folder: Option<TempDir>,
}

/// Starts `bearward run -c FILE` and waits until it serves.
#[track_caller]
pub(super) fn start(
    file: &Path,
    admin: SocketAddr,
    environment: &[(String, String)],
    folder: TempDir,
) -> Sidecar {
    let path = file.to_str().expect("a path of letters");
    let mut command = command(&["run", "-c", path]);
    command
        .env("HOME", folder.path())
        .envs(environment.iter().cloned());
    Sidecar {
        _folder: Some(folder),
        ..serving(&mut command, admin)
    }
}

/// Starts `command`, which is `bearward run` in some way, and waits until it serves.
#[track_caller]
pub(super) fn serving(command: &mut Command, admin: SocketAddr) -> Sidecar {
    let mut process = Process::spawn(command);

    let alive = |process: &mut Process| {
        if let Some(status) = process.ended() {
            panic!("the sidecar ended with {status}:\n{}", process.stderr());
        }
        let mut client = Client::try_connect(admin).ok()?;
        client
            .wire()
            .send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .ok()?;
        client
            .wire()
            .answer("GET")
            .ok()
            .filter(|answer| answer.status == 200)
    };
    until("the sidecar's /livez", || alive(&mut process));

    let mut sidecar = Sidecar {
        process,
        admin,
        routes: BTreeMap::new(),
        _folder: None,
    };
    let status = sidecar.status();
    for (name, route) in status["routes"]
        .as_object()
        .expect("the routes of /api/status")
    {
        if let Some(address) = route["listen"]
            .as_str()
            .and_then(|listen| listen.parse().ok())
        {
            sidecar.routes.insert(name.clone(), address);
        }
    }
    sidecar
}

impl Sidecar {
    /// Where the route `api` listens.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.route("api")
    }

    /// Where a route listens.
    #[track_caller]
    pub fn route(&self, name: &str) -> SocketAddr {
        *self
            .routes
            .get(name)
            .unwrap_or_else(|| panic!("no route {name} in /api/status: {:?}", self.routes))
    }

    /// Where the admin listener listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// A GET through the route `api`.
    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        get(self.address(), target)
    }

    /// A GET at the admin listener.
    #[track_caller]
    pub fn admin(&self, path: &str) -> Answer {
        get(self.admin, path)
    }

    /// `/api/status`.
    #[track_caller]
    pub fn status(&self) -> Value {
        let answer = self.admin("/api/status");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// `/metrics`.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let answer = self.admin("/metrics");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text()
    }

    /// Waits for `/readyz`.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        until("the sidecar's /readyz", || {
            (self.admin("/readyz").status == 200).then_some(())
        });
    }

    /// What it wrote so far, logs and all.
    pub fn written(&self) -> String {
        self.process.stdout() + &self.process.stderr()
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// How many connections to a port on loopback it holds: sockets that it has not closed, whatever the other side has.
    #[track_caller]
    pub fn connections_to(&self, port: u16) -> usize {
        let sockets = std::fs::read_to_string(format!("/proc/{}/net/tcp", self.id()))
            .expect("the sockets of a process");
        let held = std::fs::read_dir(format!("/proc/{}/fd", self.id()))
            .expect("the descriptors of a process");
        let held: Vec<_> = held
            .flatten()
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .collect();
        let is_held = |line: &str| {
            let columns: Vec<_> = line.split_whitespace().collect();
            let (remote, inode) = (columns[2], columns[9]);
            remote.ends_with(&format!(":{port:04X}"))
                && held
                    .iter()
                    .any(|link| link.as_os_str() == format!("socket:[{inode}]").as_str())
        };
        sockets.lines().skip(1).filter(|line| is_held(line)).count()
    }

    /// Its resident memory now, in KiB.
    #[track_caller]
    pub fn resident_kib(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory it ever had, in KiB.
    #[track_caller]
    pub fn peak_resident_kib(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// How many descriptors it has.
    #[track_caller]
    pub fn descriptors(&self) -> usize {
        self.entries("fd")
    }

    /// How many threads it has.
    #[track_caller]
    pub fn threads(&self) -> usize {
        self.entries("task")
    }

    #[track_caller]
    fn entries(&self, folder: &str) -> usize {
        let folder = format!("/proc/{}/{folder}", self.id());
        let entries = std::fs::read_dir(folder).expect("a folder of a running process");
        entries.count()
    }

    #[track_caller]
    fn memory(&self, key: &str) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(&path).expect("the status of a running process");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .expect(key);
        line.trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number of KiB")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait(PATIENCE * 2)
    }

    /// As [`Sidecar::wait`], with another bound.
    #[track_caller]
    pub fn wait_within(&mut self, bound: Duration) -> ExitStatus {
        self.process.wait(bound)
    }

    /// Its status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Ends it as an operator does.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.wait().code(), Some(0), "{}", self.written());
    }

    /// Ends it as a power cut does, and waits until it is dead.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Its process, to be acted upon.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.process.child)
    }
}
