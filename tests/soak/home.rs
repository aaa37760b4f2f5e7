//! The folder of a run: the configuration, the store, the logs, and commands of the binary in it.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use crate::{
    authorization::Authorization,
    places::{Provider, Route, Upstream},
    ports,
    relay::Relay,
};

/// What a reload changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variant {
    /// A further route at the listener.
    pub(crate) has_route: bool,
    /// A further route at a listener of its own.
    pub(crate) has_listener: bool,
    /// Another timeout of every route.
    pub(crate) has_timeout: bool,
    /// Another scope of the provider `steady`.
    pub(crate) has_scope: bool,
    /// A key that no table has.
    pub(crate) is_invalid: bool,
}

/// The folder, and the addresses that stay the same.
pub(crate) struct Home {
    folder: PathBuf,
    pub(crate) admin: SocketAddr,
    pub(crate) listen: SocketAddr,
    /// The address of the listener that reloads add.
    pub(crate) further: SocketAddr,
    providers: String,
    upstreams: Vec<(Upstream, SocketAddr)>,
}

impl Home {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            // Kept where a run fails, for a look at what went wrong.
            folder: tempfile::tempdir()?.keep(),
            admin: ports::unused(),
            listen: ports::unused(),
            further: ports::unused(),
            providers: String::new(),
            upstreams: Vec::new(),
        })
    }

    /// Sets providers and upstreams, and writes the first configuration.
    pub(crate) fn furnish(
        &mut self,
        servers: &[Arc<Authorization>],
        relays: &[Arc<Relay>],
    ) -> io::Result<()> {
        for server in servers {
            let name = server.provider().name();
            let _ = writeln!(self.providers, "[providers.{name}]\n{}", server.settings());
        }
        let upstreams = relays.iter();
        self.upstreams = upstreams
            .map(|relay| (relay.upstream(), relay.address()))
            .collect();
        self.write(Variant::default())
    }

    /// Writes the configuration, whole or not at all.
    pub(crate) fn write(&self, variant: Variant) -> io::Result<()> {
        let new = self.folder.join("bearward.toml.new");
        fs::write(&new, self.text(variant))?;
        fs::rename(new, self.configuration())
    }

    fn text(&self, variant: Variant) -> String {
        let mut text = format!(
            "[admin]\nlisten = \"{}\"\n[store]\npath = {:?}\n[log]\nlevel = \"info\"\nformat = \"text\"\n\
             [drain]\ntimeout = \"25s\"\n\n{}",
            self.admin,
            self.folder.join("store"),
            self.providers
        );
        if variant.has_scope {
            let head = format!("[providers.{}]\n", Provider::Steady.name());
            let scoped = format!("{head}scope = \"devices.read\"\n");
            text = text.replace(&head, &scoped);
        }
        for route in Route::ALL {
            self.route(&mut text, route, route.name(), self.listen, route.path());
            let idle = if variant.has_timeout { 16 } else { 15 };
            let _ = writeln!(text, "timeouts.idle = \"{idle}s\"");
        }
        if variant.has_route {
            self.route(&mut text, Route::Web, "more", self.listen, "/more");
        }
        if variant.has_listener {
            self.route(&mut text, Route::Web, "further", self.further, "/web");
        }
        if variant.is_invalid {
            text.push_str("\n[routes.broken]\nupstraem = \"http://127.0.0.1:1\"\n");
        }
        text
    }

    fn route(&self, text: &mut String, route: Route, name: &str, listen: SocketAddr, path: &str) {
        let mut upstreams = self.upstreams.iter();
        let upstream = upstreams.find(|(upstream, _)| *upstream == route.upstream());
        let address = upstream.map(|(_, address)| *address).expect("a relay");
        let provider = route.provider().name();
        let _ = write!(
            text,
            "\n[routes.{name}]\nlisten = \"{listen}\"\npath = \"{path}\"\nupstream = \"http://{address}\"\n\
             provider = \"{provider}\"\ntimeouts.response = \"8s\"\n"
        );
        match route.upstream() {
            Upstream::Http2 | Upstream::Grpc => text.push_str("http2 = \"prior-knowledge\"\n"),
            Upstream::WebSocket => text.push_str("upgrade = [\"websocket\"]\n"),
            Upstream::Http1 => {}
        }
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("bearward.toml")
    }

    /// The log of one process.
    pub(crate) fn log(&self, number: usize) -> PathBuf {
        self.folder.join(format!("log-{number}.txt"))
    }

    /// Starts `bearward run`, which logs to a file.
    pub(crate) fn run(&self, number: usize) -> io::Result<Child> {
        let log = File::create(self.log(number))?;
        let mut command = self.command(&["run"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log).spawn()
    }

    /// Logs in by `bearward login --paste`: `visit` follows the address and returns the one of the callback.
    pub(crate) fn log_in(
        &self,
        provider: Provider,
        visit: impl FnOnce(&str) -> Option<String>,
    ) -> io::Result<bool> {
        let arguments = ["login", provider.name(), "--no-browser", "--paste"];
        let mut child = self
            .command(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().map(BufReader::new);
        let address = output.and_then(|mut output| {
            let mut lines = (&mut output).lines();
            let address = lines.find_map(|line| {
                let line = line.ok()?;
                let mut words = line.split_whitespace();
                words
                    .find(|word| word.starts_with("http"))
                    .map(str::to_owned)
            });
            // The rest goes on being read, so that the command can write it.
            std::thread::spawn(move || output.lines().count());
            address
        });
        let pasted = address.and_then(|address| visit(&address));
        if let (Some(pasted), Some(mut input)) = (pasted, child.stdin.take()) {
            // A command that has ended already says so by its status.
            let _ = writeln!(input, "{pasted}");
        }
        Ok(child.wait()?.success())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bearward"));
        command
            .args(arguments)
            .arg("-c")
            .arg(self.configuration())
            .env_clear()
            .env("HOME", &self.folder);
        command
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes the folder.
    pub(crate) fn remove(&self) {
        // What cannot be removed is left to the system.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
