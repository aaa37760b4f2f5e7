//! A vendor, an operator's folder, and the sidecar between them.

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use http::HeaderMap;
use toml::{Table, Value};

use super::{
    fake::Fake,
    fixture::{Api, Fixture},
    keys,
    ledger::CANARY,
    network::{Network, ca_pem},
    program::{Program, ask, until},
    request::Request,
};

/// A fake vendor and an operator who uses it.
pub(crate) struct World {
    pub(crate) fake: Arc<Fake>,
    provider: String,
    admin: SocketAddr,
    environment: BTreeMap<String, String>,
    folder: tempfile::TempDir,
    _network: Network,
}

impl World {
    /// Starts the fake of `fixture` and writes the operator's files.
    pub(crate) fn new(fixture: Fixture, configuration: &str) -> Result<Self, String> {
        let mut configuration: Table = configuration
            .parse()
            .map_err(|error| format!("the operator's block: {error}"))?;
        let provider = only_key(&configuration, "providers")?;
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (redirect_uri, callback) = {
            let table = table(&mut configuration, &["providers", &provider])?;
            let text = |key: &str| table.get(key).and_then(Value::as_str).map(str::to_owned);
            let callback =
                text("redirect_uri").unwrap_or_else(|| format!("http://{admin}/callback"));
            (
                text("redirect_uri_value").unwrap_or_else(|| callback.clone()),
                callback,
            )
        };
        let environment = fixture.environment.clone();
        let files = fixture.files.clone();
        let fake = Arc::new(Fake::new(fixture, redirect_uri, callback));
        let network = Network::start(&fake).map_err(|error| error.to_string())?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        place(
            &mut configuration,
            &provider,
            folder.path(),
            admin,
            &network.proxy(),
        )?;
        for (name, content) in &files {
            write_private(&folder.path().join(name), &keys::fill(content))?;
        }
        write_private(&folder.path().join("ca.pem"), &ca_pem())?;
        let text = toml::to_string(&configuration).map_err(|error| error.to_string())?;
        write_private(&folder.path().join("bearward.toml"), &text)?;
        Ok(Self {
            fake,
            provider,
            admin,
            environment,
            folder,
            _network: network,
        })
    }

    /// Every line that the programs wrote to standard error and that has a secret.
    pub(crate) fn leaks(&self) -> Result<Vec<String>, String> {
        let mut leaks = Vec::new();
        let files = fs::read_dir(self.folder.path()).map_err(|error| error.to_string())?;
        for file in files.flatten().map(|file| file.path()) {
            if file.extension().is_none_or(|extension| extension != "log") {
                continue;
            }
            let text = fs::read(&file).map_err(|error| error.to_string())?;
            let text = String::from_utf8_lossy(&text).into_owned();
            let is_secret = |line: &str| {
                let mut secrets = self.environment.values();
                line.contains(CANARY) || secrets.any(|secret| line.contains(secret.as_str()))
            };
            leaks.extend(
                text.lines()
                    .filter(|line| is_secret(line))
                    .map(str::to_owned),
            );
        }
        Ok(leaks)
    }

    fn start(&self, arguments: &[&str]) -> Result<Program, String> {
        Program::start(self.folder.path(), &self.environment, arguments)
            .map_err(|error| error.to_string())
    }

    /// `bearward login --paste`, with the redirect that the fake answers to the consent request.
    pub(crate) fn log_in(&self) -> Result<(), String> {
        let mut login = self.start(&["login", &self.provider, "--paste"])?;
        let address = login.line().map_err(|error| error.to_string())?;
        if address.is_empty() {
            let _ = login.ended();
            return Err(format!("no address to open:\n{}", login.errors()));
        }
        let (url, query) = match address.split_once('?') {
            Some((url, query)) => (url, Some(query)),
            None => (address.as_str(), None),
        };
        let consent = self.fake.answer(&Request {
            method: "GET".to_owned(),
            url: url.to_owned(),
            query: query.map(str::to_owned),
            headers: HeaderMap::new(),
            body: Vec::new(),
        });
        let callback = consent.location.ok_or("no redirect after the consent")?;
        login.paste(&callback).map_err(|error| error.to_string())?;
        match login.ended()? {
            (Some(0), out) if out == "logged in\n" => Ok(()),
            (code, out) => Err(format!(
                "login ended with {code:?} and {out:?}:\n{}",
                login.errors()
            )),
        }
    }

    /// `bearward logout`.
    pub(crate) fn log_out(&self) -> Result<(), String> {
        let mut logout = self.start(&["logout", &self.provider])?;
        match logout.ended()? {
            (Some(0), out) if out == "logged out\n" => Ok(()),
            (code, out) => Err(format!(
                "logout ended with {code:?} and {out:?}:\n{}",
                logout.errors()
            )),
        }
    }

    /// `bearward run`, serving.
    pub(crate) fn run(&self) -> Result<Sidecar<'_>, String> {
        let mut program = self.start(&["run"])?;
        until("the sidecar", || {
            if program.is_running() {
                Ok(ask(self.admin, "GET /livez").is_ok_and(|(status, _)| status == 200))
            } else {
                Err(format!("run has ended:\n{}", program.errors()))
            }
        })?;
        let mut sidecar = Sidecar {
            world: self,
            program,
            route: self.admin,
        };
        let status = sidecar.status()?;
        let routes = status["routes"].as_object().ok_or("no routes")?;
        let route = routes.values().next().ok_or("no route")?;
        sidecar.route = route["listen"]
            .as_str()
            .and_then(|address| address.parse().ok())
            .ok_or_else(|| format!("the route listens nowhere: {route}"))?;
        Ok(sidecar)
    }
}

/// A running sidecar.
pub(crate) struct Sidecar<'a> {
    world: &'a World,
    program: Program,
    route: SocketAddr,
}

impl Sidecar<'_> {
    fn status(&self) -> Result<serde_json::Value, String> {
        let (_, body) = ask(self.world.admin, "GET /api/status")?;
        serde_json::from_str(&body).map_err(|error| format!("{error} in {body:?}"))
    }

    /// The provider's part of the status.
    pub(crate) fn provider(&self) -> Result<serde_json::Value, String> {
        Ok(self.status()?["providers"][&self.world.provider].take())
    }

    /// Waits until it has read its store and decided on the login.
    pub(crate) fn wait_until_loaded(&self) -> Result<(), String> {
        until("the provider's state", || {
            Ok(self.provider()?["state"] != "pending")
        })
    }

    /// The client's call of the API.
    pub(crate) fn call(&self, api: &Api) -> Result<(u16, String), String> {
        ask(self.route, &api.send)
    }

    /// Renews the token now.
    pub(crate) fn renew(&self) -> Result<(u16, String), String> {
        let path = format!("POST /api/providers/{}/refresh", self.world.provider);
        ask(self.world.admin, &path)
    }

    /// What it wrote to standard error last.
    pub(crate) fn errors(&self) -> String {
        self.program.errors()
    }

    /// Ends it as an operator does.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        self.program.terminate()
    }
}

/// Changes what a test has to change in an operator's configuration: addresses, the store and the way to the vendor.
fn place(
    configuration: &mut Table,
    provider: &str,
    folder: &Path,
    admin: SocketAddr,
    proxy: &str,
) -> Result<(), String> {
    let path = |name: &str| Value::from(folder.join(name).display().to_string());
    let token_request = table(configuration, &["providers", provider, "token_request"])?;
    token_request.insert("proxy".to_owned(), proxy.into());
    token_request.insert("ca_file".to_owned(), path("ca.pem"));
    let route = only_key(configuration, "routes")?;
    let route = table(configuration, &["routes", &route])?;
    route.insert("listen".to_owned(), "127.0.0.1:0".into());
    route.insert("proxy".to_owned(), proxy.into());
    route.insert("ca_file".to_owned(), path("ca.pem"));
    table(configuration, &["admin"])?.insert("listen".to_owned(), admin.to_string().into());
    table(configuration, &["store"])?.insert("path".to_owned(), path("store"));
    Ok(())
}

/// The table at `path`, which is made where there is none.
fn table<'a>(root: &'a mut Table, path: &[&str]) -> Result<&'a mut Table, String> {
    let mut table = root;
    for key in path {
        table = table
            .entry(*key)
            .or_insert_with(|| Table::new().into())
            .as_table_mut()
            .ok_or_else(|| format!("{key} is no table"))?;
    }
    Ok(table)
}

fn only_key(configuration: &Table, name: &str) -> Result<String, String> {
    let keys: Vec<_> = configuration
        .get(name)
        .and_then(Value::as_table)
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default();
    match keys.as_slice() {
        [key] => Ok(key.clone()),
        _ => Err(format!(
            "the operator's block has {} [{name}.*]",
            keys.len()
        )),
    }
}

fn write_private(path: &PathBuf, content: &str) -> Result<(), String> {
    let written = fs::write(path, content)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

/// A free port below the system's ephemeral range, so that no other process gets it by chance.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let offset = std::process::id()
            .wrapping_mul(97)
            .wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(12_000 + offset % 20_000).expect("below 32,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
