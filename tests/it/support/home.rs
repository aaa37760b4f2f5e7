//! Where a sidecar lives: a configuration and a store that outlive its processes.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    authorization_server::{AuthorizationServer, CLIENT_SECRET, PASSWORD},
    navigator::{Navigator, Visit},
    patience::{PATIENCE, until},
    ports,
    protected_api::ProtectedApi,
    sidecar::{self, Process, Sidecar, command},
    wire::Answer,
};

/// A configuration with a file store.
pub struct Home {
    folder: TempDir,
    store: PathBuf,
    kind: &'static str,
    by_default: bool,
    admin: SocketAddr,
    admin_lines: String,
    store_lines: String,
    providers: String,
    routes: Vec<Route>,
    log: String,
    environment: Vec<(String, String)>,
}

#[derive(Clone)]
struct Route {
    name: String,
    upstream: String,
    listen: SocketAddr,
    lines: String,
}

impl Home {
    /// One with an empty store and neither provider nor route.
    pub fn new() -> Self {
        Self::at(ports::unused())
    }

    /// The same with its admin listener at `admin`.
    pub fn at(admin: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = folder.path().join("store");
        Self {
            folder,
            store,
            kind: "file",
            by_default: false,
            admin,
            admin_lines: String::new(),
            store_lines: String::new(),
            providers: String::new(),
            routes: Vec::new(),
            log: "level = \"debug\"\nformat = \"text\"\n".into(),
            environment: vec![
                ("CLIENT_SECRET".into(), CLIENT_SECRET.into()),
                ("PASSWORD".into(), PASSWORD.into()),
            ],
        }
    }

    /// The provider `api` at `server`, the route `api` to an API that takes its tokens.
    pub fn of(server: &AuthorizationServer, api: &ProtectedApi) -> Self {
        Self::new()
            .provider("api", &server.provider(None))
            .route("api", &api.origin())
    }

    /// The same with a refresh token by configuration: no login is needed.
    pub fn with_refresh_token(server: &AuthorizationServer, api: &ProtectedApi) -> Self {
        Self::new()
            .refreshing("api", server)
            .route("api", &api.origin())
    }

    /// A further provider.
    pub fn provider(mut self, name: &str, lines: &str) -> Self {
        let _ = write!(self.providers, "[providers.{name}]\n{lines}\n");
        self
    }

    /// Further tables.
    pub fn tables(mut self, text: &str) -> Self {
        let _ = writeln!(self.providers, "{text}");
        self
    }

    /// A provider that begins with a refresh token out of `$NAME_REFRESH_TOKEN`.
    pub fn refreshing(self, name: &str, server: &AuthorizationServer) -> Self {
        let variable = format!("{}_REFRESH_TOKEN", name.to_uppercase());
        let lines = format!(
            "{}grant_type = \"refresh_token\"\nrefresh_token = {{ env = \"{variable}\" }}\n",
            server.provider(None)
        );
        self.provider(name, &lines)
            .environment(&variable, &server.issue_refresh_token())
    }

    /// A route of the same name to `upstream`.
    pub fn route(self, name: &str, upstream: &str) -> Self {
        self.route_with(name, upstream, "")
    }

    /// The same with further lines.
    pub fn route_with(mut self, name: &str, upstream: &str, lines: &str) -> Self {
        self.routes.push(Route {
            name: name.into(),
            upstream: upstream.into(),
            listen: ports::unused(),
            lines: lines.into(),
        });
        self
    }

    /// Encrypts its store.
    pub fn encrypted(mut self, key: &str) -> Self {
        self.store_lines = "encryption_key = { env = \"STORE_KEY\" }\n".into();
        self.environment("STORE_KEY", key)
    }

    /// Keeps nothing.
    pub fn in_memory(mut self) -> Self {
        self.kind = "memory";
        self
    }

    /// Names no path; by the environment it has to be `path`.
    pub fn stored_by_default_at(mut self, path: &Path) -> Self {
        self.by_default = true;
        self.store = path.to_owned();
        self
    }

    /// Adds lines to `[admin]`.
    pub fn admin_lines(mut self, lines: &str) -> Self {
        self.admin_lines = lines.into();
        self
    }

    /// Replaces the lines of `[log]`.
    pub fn log(mut self, lines: &str) -> Self {
        self.log = format!("{lines}\n");
        self
    }

    /// Sets a variable of the environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a variable of the environment of what is started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.into(), value.into()));
    }

    /// A variable of the environment.
    #[track_caller]
    pub fn environment_of(&self, name: &str) -> String {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("no {name}")).1.clone()
    }

    /// Another sidecar, with the same store.
    pub fn neighbour(&self) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            store: self.store.clone(),
            kind: self.kind,
            by_default: self.by_default,
            admin: ports::unused(),
            admin_lines: self.admin_lines.clone(),
            store_lines: self.store_lines.clone(),
            providers: self.providers.clone(),
            routes: self
                .routes
                .iter()
                .map(|route| Route {
                    listen: ports::unused(),
                    ..route.clone()
                })
                .collect(),
            log: self.log.clone(),
            environment: self.environment.clone(),
        }
    }

    /// The folder of the store.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Makes the folder of the store before the sidecar does.
    pub fn make_store(&self, mode: u32) {
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&self.store)
            .expect("a new folder");
        fs::set_permissions(
            &self.store,
            std::os::unix::fs::PermissionsExt::from_mode(mode),
        )
        .expect("a mode");
    }

    /// The files of the store that hold `text`.
    pub fn files_with(&self, text: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.store) else {
            return Vec::new();
        };
        // A temporary file may go away while it is looked at.
        let holds = |path: &PathBuf| {
            fs::read(path).is_ok_and(|bytes| {
                bytes
                    .windows(text.len())
                    .any(|window| window == text.as_bytes())
            })
        };
        entries
            .flatten()
            .map(|entry| entry.path())
            .filter(holds)
            .collect()
    }

    /// Everything that stands in the files of the store.
    pub fn kept(&self) -> String {
        let entries = fs::read_dir(&self.store).into_iter().flatten().flatten();
        entries
            .map(|entry| {
                String::from_utf8_lossy(&fs::read(entry.path()).unwrap_or_default()).into_owned()
            })
            .collect()
    }

    /// The record that holds the refresh token `token`.
    #[track_caller]
    pub fn record(&self, token: &str) -> PathBuf {
        until("the record of a refresh token", || {
            self.files_with(token).pop()
        })
    }

    /// The admin listener.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A path of its own beside the configuration.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command of the binary with the configuration: `-c FILE` behind `arguments`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let file = self.path("bearward.toml");
        let path = if self.by_default {
            String::new()
        } else {
            format!("path = \"{}\"\n", self.store.display())
        };
        let mut text = format!(
            "[admin]\nlisten = \"{}\"\n{}\n\n[store]\nkind = \"{}\"\n{path}{}\n[log]\n{}\n{}",
            self.admin, self.admin_lines, self.kind, self.store_lines, self.log, self.providers
        );
        for Route {
            name,
            upstream,
            listen,
            lines,
        } in &self.routes
        {
            let _ = write!(
                text,
                "[routes.{name}]\nlisten = \"{listen}\"\nupstream = \"{upstream}\"\nprovider = \"{name}\"\n{lines}\n"
            );
        }
        // Moved into its place: a sidecar that runs may be reading it.
        let new = self.path("bearward.toml.new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &file))
            .expect("a file in the temporary folder");
        let mut command = command(
            &[
                arguments,
                &["-c", file.to_str().expect("a path of letters")],
            ]
            .concat(),
        );
        command
            .env("HOME", self.folder.path())
            .envs(self.environment.iter().cloned());
        command
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn run_to_end(&self, arguments: &[&str]) -> Output {
        Process::spawn(&mut self.command(arguments)).into_output(PATIENCE * 2)
    }

    /// Starts the sidecar and waits until it serves.
    #[track_caller]
    pub fn run(&self) -> Sidecar {
        sidecar::serving(&mut self.command(&["run"]), self.admin)
    }

    /// Starts the sidecar in another way: through `wrapper`, whose last arguments the command becomes.
    #[track_caller]
    pub fn run_through(&self, wrapper: &[&str]) -> Sidecar {
        let mut outer = sidecar::wrapped(&self.command(&["run"]), wrapper);
        sidecar::serving(&mut outer, self.admin)
    }

    /// Starts the sidecar and waits until it is ready.
    #[track_caller]
    pub fn run_ready(&self) -> Sidecar {
        let sidecar = self.run();
        sidecar.wait_until_ready();
        sidecar
    }

    /// Begins `bearward login NAME --no-browser`, and gives the address that it printed as well.
    #[track_caller]
    pub fn begin_login(&self, name: &str, more: &[&str]) -> (Process, String) {
        let arguments = [&["login", name, "--no-browser"], more].concat();
        let mut process = Process::spawn(&mut self.command(&arguments));
        let url = until("the address to log in at", || {
            let written = process.stdout();
            let whole = written
                .rsplit_once('\n')
                .map(|(whole, _)| whole)
                .unwrap_or_default();
            let url = whole
                .split_whitespace()
                .find(|word| word.starts_with("http"))
                .map(str::to_owned);
            if url.is_none()
                && let Some(status) = process.ended()
            {
                panic!(
                    "`login` ended with {status}:\n{}{}",
                    process.stdout(),
                    process.stderr()
                );
            }
            url
        });
        (process, url)
    }

    /// Logs in by the command line, through a callback on loopback.
    #[track_caller]
    pub fn log_in(&self, name: &str) -> Visit {
        let (mut process, url) = self.begin_login(name, &[]);
        let visit = Navigator::new().follow(&url);
        assert_eq!(visit.answer().status, 200, "{visit:?}");
        succeeded(&mut process);
        visit
    }

    /// Logs in by the command line, pasting what `pick` makes of the address that the browser is sent back to.
    #[track_caller]
    pub fn log_in_pasting(&self, name: &str, pick: impl Fn(&str) -> String) {
        let (mut process, url) = self.begin_login(name, &["--paste"]);
        let back = Navigator::new().get(&url).location().expect("a redirect");
        process.enter(&pick(&back));
        succeeded(&mut process);
    }
}

/// Waits for the end of a login, which has to be a good one.
#[track_caller]
pub fn succeeded(process: &mut Process) {
    let status = process.wait(PATIENCE);
    let (stdout, stderr) = process.output();
    let [stdout, stderr] =
        [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert_eq!(status.code(), Some(0), "{stdout}\n{stderr}");
}

impl Sidecar {
    /// A provider of `/api/status`.
    #[track_caller]
    pub fn provider(&self, name: &str) -> Value {
        self.status()["providers"][name].clone()
    }

    /// Waits until a provider is in `state`.
    #[track_caller]
    pub fn wait_for_state(&self, name: &str, state: &str) -> Value {
        until(&format!("the state {state} of {name}"), || {
            let provider = self.provider(name);
            (provider["state"] == state).then_some(provider)
        })
    }

    /// Waits until a GET through the route `name` is answered with 200.
    #[track_caller]
    pub fn wait_for_ok(&self, name: &str) -> Answer {
        // A failed start may be waiting for up to 15 s before it tries again.
        super::patience::until_within(Duration::from_secs(20), "an answer with 200", || {
            Some(super::client::get(self.route(name), "/")).filter(|answer| answer.status == 200)
        })
    }

    /// Renews now.
    #[track_caller]
    pub fn renew(&self, name: &str) -> Answer {
        let request = format!(
            "POST /api/providers/{name}/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        );
        super::client::exchange(self.admin_address(), request)
    }
}
