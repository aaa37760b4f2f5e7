//! The built binary as a process, and requests to it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Time for anything that a test waits for.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A running command; killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    out: BufReader<ChildStdout>,
    errors: PathBuf,
}

impl Program {
    /// Starts the binary in `folder`, in an environment of these variables alone.
    pub(crate) fn start<'a>(
        folder: &Path,
        environment: impl IntoIterator<Item = (&'a String, &'a String)>,
        arguments: &[&str],
    ) -> io::Result<Self> {
        // In a file, so that the process never waits for a reader.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let errors = folder.join(format!(
            "errors-{}.log",
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        let mut child = Command::new(env!("CARGO_BIN_EXE_bearward"))
            .env_clear()
            .envs(environment)
            .current_dir(folder)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors)?)
            .spawn()?;
        let out = BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
        Ok(Self { child, out, errors })
    }

    /// The next line of standard output.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.out.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Writes a line to standard input and closes it.
    pub(crate) fn paste(&mut self, text: &str) -> io::Result<()> {
        let mut input = self.child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(input, "{text}")
    }

    /// What it wrote to standard error so far: its last lines.
    pub(crate) fn errors(&self) -> String {
        let all = std::fs::read(&self.errors).unwrap_or_default();
        let all = String::from_utf8_lossy(&all).into_owned();
        let lines: Vec<_> = all.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end: exit code and the rest of standard output.
    pub(crate) fn ended(&mut self) -> Result<(Option<i32>, String), String> {
        drop(self.child.stdin.take());
        until("the end of the program", || Ok(!self.is_running()))?;
        let mut out = String::new();
        self.out
            .read_to_string(&mut out)
            .map_err(|error| error.to_string())?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        Ok((status.code(), out))
    }

    /// Ends it as an operator does.
    pub(crate) fn terminate(&mut self) -> Result<(), String> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .ok_or("no process id")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(|error| error.to_string())?;
        match self.ended()? {
            (Some(0), _) => Ok(()),
            (code, _) => Err(format!("run ended with {code:?}:\n{}", self.errors())),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already where a test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request without a body; returns the status code and the body.
pub(crate) fn ask(address: SocketAddr, request_line: &str) -> Result<(u16, String), String> {
    let exchange = || -> io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(TEST_TIMEOUT))?;
        let length = if request_line.starts_with("GET") {
            ""
        } else {
            "content-length: 0\r\n"
        };
        write!(
            stream,
            "{request_line} HTTP/1.1\r\nhost: localhost:{}\r\n{length}connection: close\r\n\r\n",
            address.port()
        )?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response)?;
        Ok(String::from_utf8_lossy(&response).into_owned())
    };
    let response = exchange().map_err(|error| format!("{request_line}: {error}"))?;
    let parsed = response.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    });
    parsed.ok_or_else(|| format!("{request_line}: no response: {response:?}"))
}

/// Waits until it is so.
pub(crate) fn until(
    what: &str,
    mut is_so: impl FnMut() -> Result<bool, String>,
) -> Result<(), String> {
    let since = Instant::now();
    while !is_so()? {
        if since.elapsed() > TEST_TIMEOUT {
            return Err(format!("{what} does not come"));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
