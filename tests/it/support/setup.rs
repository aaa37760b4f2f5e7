//! The configuration of a sidecar under test: one provider `api`, one route `api`, and what a test adds to them.

use std::{fmt::Write as _, net::SocketAddr, path::PathBuf};

use tempfile::TempDir;

use super::{
    ports,
    sidecar::{self, Sidecar},
    token_endpoint::TokenEndpoint,
};

/// The secret of the client unless a test says another.
pub const SECRET: &str = "correct-horse-battery-staple";

/// A configuration in the making.
pub struct Setup {
    admin: SocketAddr,
    admin_listen: String,
    token_endpoint: String,
    upstream: String,
    client: String,
    provider: String,
    route: String,
    log: String,
    rest: String,
    environment: Vec<(String, String)>,
    folder: TempDir,
    grant_type: String,
}

impl Setup {
    /// Tokens from `tokens`, requests to `upstream`.
    pub fn new(tokens: &TokenEndpoint, upstream: impl Into<String>) -> Self {
        let admin = ports::unused();
        Self {
            admin,
            admin_listen: admin.to_string(),
            token_endpoint: tokens.url(),
            upstream: upstream.into(),
            client: "client_id = \"legacy-service\"\nclient_secret = { env = \"API_SECRET\" }\n"
                .into(),
            provider: String::new(),
            route: "listen = \"127.0.0.1:0\"\n".into(),
            log: "level = \"debug\"\nformat = \"text\"\n".into(),
            rest: String::new(),
            environment: vec![("API_SECRET".into(), SECRET.into())],
            folder: tempfile::tempdir().expect("a temporary folder"),
            grant_type: "client_credentials".into(),
        }
    }

    /// Another token endpoint than the scripted one.
    pub fn token_endpoint(mut self, url: &str) -> Self {
        self.token_endpoint = url.into();
        self
    }

    /// Who the client is: replaces `client_id` and `client_secret`.
    pub fn client(mut self, lines: &str) -> Self {
        self.client = format!("{lines}\n");
        self
    }

    /// Further lines of `[providers.api]`; tables in it as dotted keys.
    pub fn provider(mut self, lines: &str) -> Self {
        let _ = writeln!(self.provider, "{lines}");
        self
    }

    /// Another grant than client credentials.
    pub fn grant_type(mut self, name: &str) -> Self {
        self.grant_type = name.into();
        self
    }

    /// Further lines of `[routes.api]`; tables in it as dotted keys.
    pub fn route(mut self, lines: &str) -> Self {
        let _ = writeln!(self.route, "{lines}");
        self
    }

    /// Replaces the `listen` of `[routes.api]`.
    pub fn listen(mut self, address: impl ToString) -> Self {
        self.route = self.route.replacen("127.0.0.1:0", &address.to_string(), 1);
        self
    }

    /// Lets the admin listener have both addresses of `localhost`.
    pub fn admin_on_localhost(&mut self) {
        self.admin_listen = format!("localhost:{}", self.admin.port());
    }

    /// Lets the admin listener have a socket of systemd, which listens at its address.
    pub fn admin_from_systemd(&mut self, name: &str) {
        self.admin_listen = format!("systemd:{name}");
    }

    /// Where the admin listener listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Replaces the lines of `[log]`.
    pub fn log(mut self, lines: &str) -> Self {
        self.log = format!("{lines}\n");
        self
    }

    /// Further tables.
    pub fn tables(mut self, text: &str) -> Self {
        let _ = writeln!(self.rest, "{text}");
        self
    }

    /// A variable of the environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Writes a file beside the configuration and gives its path.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("a file in the temporary folder");
        path
    }

    /// The whole file.
    pub fn text(&self) -> String {
        format!(
            "[admin]\nlisten = \"{}\"\n\n[store]\nkind = \"memory\"\n\n[log]\n{}\n{}\n\
             [providers.api]\ngrant_type = \"client_credentials\"\ntoken_endpoint = \"{}\"\n{}{}\n\
             [routes.api]\nupstream = \"{}\"\nprovider = \"api\"\n{}",
            self.admin_listen,
            self.log,
            self.rest,
            self.token_endpoint,
            self.client,
            self.provider,
            self.upstream,
            self.route
        )
        .replace("\"client_credentials\"", &format!("{:?}", self.grant_type))
    }

    /// Writes the file, for a command other than `run`; gives its path and the environment.
    pub fn write(&self) -> (PathBuf, Vec<(String, String)>) {
        (
            self.file("bearward.toml", &self.text()),
            self.environment.clone(),
        )
    }

    /// Starts the sidecar and waits until it serves; its token may still be on the way.
    #[track_caller]
    pub fn start(self) -> Sidecar {
        let (file, environment) = self.write();
        sidecar::start(&file, self.admin, &environment, self.folder)
    }

    /// Starts the sidecar through `wrapper`, whose last arguments the command becomes, and waits until it is ready.
    #[track_caller]
    pub fn start_through(self, wrapper: &[&str]) -> Sidecar {
        let (file, environment) = self.write();
        let mut command = sidecar::command(&["run", "-c", file.to_str().expect("letters")]);
        command
            .env("HOME", self.folder.path())
            .envs(environment.iter().cloned());
        let sidecar = sidecar::serving(&mut sidecar::wrapped(&command, wrapper), self.admin);
        sidecar.wait_until_ready();
        sidecar
    }

    /// Starts the sidecar and waits until it is ready.
    #[track_caller]
    pub fn start_ready(self) -> Sidecar {
        let sidecar = self.start();
        sidecar.wait_until_ready();
        sidecar
    }
}
