//! The surroundings of a login: an authorization server on a thread, a configuration, the real binary, a small browser.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use testkit::authorization_server::{AuthorizationServer, Options};
use url::Url;

/// Time for anything that a test waits for.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) server: AuthorizationServer,
    folder: Folder,
    /// Ends the server's thread when it is dropped.
    _running: mpsc::Sender<()>,
}

impl World {
    pub(crate) fn new(options: Options) -> Self {
        let start = || async { AuthorizationServer::start(options).await.unwrap() };
        let (server, running) = on_thread(start);
        Self {
            server,
            folder: Folder::new(),
            _running: running,
        }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.store()
    }

    /// Writes a configuration with the provider `demo`; `more` are lines of its table, `rest` comes after it.
    pub(crate) fn configure(&self, admin: &str, more: &str, rest: &str) {
        let (client_id, client_secret) = self.server.client();
        let text = format!(
            "[admin]\nlisten = \"{admin}\"\n[store]\npath = {store:?}\n[providers.demo]\n\
             grant_type = \"authorization_code\"\nbase_url = {base:?}\ntoken_endpoint = {token:?}\n\
             authorization_endpoint = {authorize:?}\n{revoke}client_id = {client_id:?}\n\
             client_secret = {secret:?}\n{more}\n{rest}",
            store = self.store(),
            base = self.server.base_url(),
            token = self.server.token_endpoint(),
            authorize = self.server.authorization_endpoint().unwrap(),
            revoke = self
                .server
                .revocation_endpoint()
                .map_or_else(String::new, |address| {
                    format!("revocation_endpoint = {address:?}\n")
                }),
            secret = client_secret,
        );
        self.folder.write(&text);
    }

    /// Changes the configuration to a store in memory.
    pub(crate) fn keep_nothing(&self) {
        let file = self.folder.0.path().join("bearward.toml");
        let text = fs::read_to_string(&file).unwrap();
        let path = format!("path = {:?}\n", self.store());
        assert!(text.contains(&path));
        fs::write(file, text.replace(&path, "kind = \"memory\"\n")).unwrap();
    }

    /// Starts the program in an empty environment.
    pub(crate) fn start(&self, arguments: &[&str]) -> Program {
        self.start_in(&[], arguments)
    }

    /// Starts the program in an environment of these variables alone.
    pub(crate) fn start_in(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Program {
        self.folder.start_in(environment, arguments)
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).ended()
    }
}

/// Starts a server on a thread with a runtime, which ends when the sender is dropped.
pub(crate) fn on_thread<T, F>(start: impl FnOnce() -> F + Send + 'static) -> (T, mpsc::Sender<()>)
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let (running, ended) = mpsc::channel::<()>();
    let (started, server) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        started.send(runtime.block_on(start())).unwrap();
        runtime.block_on(async {
            while matches!(ended.try_recv(), Err(mpsc::TryRecvError::Empty)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    });
    (server.recv().unwrap(), running)
}

/// A folder with a configuration, in which the program is run.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    /// Writes the configuration.
    pub(crate) fn write(&self, text: &str) {
        fs::write(self.0.path().join("bearward.toml"), text).unwrap();
    }

    /// Starts the program in an environment of these variables alone.
    pub(crate) fn start_in(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bearward"));
        command
            .env_clear()
            .envs(environment.iter().copied())
            .current_dir(self.0.path())
            .args(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Program { child, out }
    }
}

/// A free port below the system's ephemeral range, so that no other process gets it by chance.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let offset = std::process::id()
            .wrapping_mul(97)
            .wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(12_000 + offset % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub(crate) struct Program {
    child: Child,
    out: BufReader<ChildStdout>,
}

/// Exit status, standard output and standard error.
pub(crate) type Ended = (Option<i32>, String, String);

impl Program {
    /// The next line of standard output, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    pub(crate) fn paste(&mut self, text: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{text}").unwrap();
    }

    /// Tells it to end, as an orchestrator does.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end; returns the exit code and the remaining output.
    pub(crate) fn ended(mut self) -> Ended {
        drop(self.child.stdin.take());
        let since = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < TEST_TIMEOUT, "the program does not end");
            thread::sleep(Duration::from_millis(10));
        }
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        (self.child.wait().unwrap().code(), out, err)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already where a test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A browser that follows redirects and keeps cookies by host.
#[derive(Default)]
pub(crate) struct Browser {
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Browser {
    /// Where a redirect leads, if it is one.
    pub(crate) fn get(&mut self, url: &Url) -> (Page, Option<Url>) {
        self.ask("GET", url, "")
    }

    /// Sends a request and does not wait for the response.
    pub(crate) fn begin(&mut self, url: &Url) -> TcpStream {
        let mut stream =
            TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).unwrap();
        stream
            .write_all(self.request("GET", url, "").as_bytes())
            .unwrap();
        stream
    }

    fn request(&self, method: &str, url: &Url, form: &str) -> String {
        let (host, port) = (url.host_str().unwrap(), url.port().unwrap());
        let cookies = self.cookies.get(host).into_iter().flatten();
        let cookie: Vec<_> = cookies
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        format!(
            "{method} {target} HTTP/1.1\r\nhost: {host}:{port}\r\ncookie: {}\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
            cookie.join("; "),
            form.len()
        )
    }

    pub(crate) fn ask(&mut self, method: &str, url: &Url, form: &str) -> (Page, Option<Url>) {
        let (host, port) = (url.host_str().unwrap(), url.port().unwrap());
        let page = exchange((host, port), &self.request(method, url, form));
        let cookies = self.cookies.entry(host.to_owned()).or_default();
        if let Some(cookie) = page.field("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = page
            .field("location")
            .map(|location| url.join(location).unwrap());
        (page, location)
    }

    /// Follows until there is a page.
    pub(crate) fn open(&mut self, url: &str) -> Page {
        let mut url: Url = url.parse().unwrap();
        for _ in 0..8 {
            match self.get(&url) {
                (page, None) => return page,
                (_, Some(location)) => url = location,
            }
        }
        panic!("it leads in circles");
    }
}

fn exchange(address: (&str, u16), request: &str) -> Page {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no response: {response:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Page {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Waits until something listens there.
pub(crate) fn until_listening(address: SocketAddr) {
    until("a listener", || TcpStream::connect(address).is_ok());
}

/// Waits until it is so.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < TEST_TIMEOUT, "{what} does not come");
        thread::sleep(Duration::from_millis(10));
    }
}
