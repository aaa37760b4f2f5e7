//! The world of a page's commands: a fake of the vendor, and a folder with what the page's operator has.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use regex_lite::{Captures, Regex};
use toml::{Table, Value};

use super::configurations::{in_folder, write_private};
use crate::engine::{
    fake::Fake,
    fixture::Fixture,
    keys,
    network::{Network, ca_pem},
};

/// The admin listener where a configuration does not say another.
const DEFAULT_ADMIN: &str = "127.0.0.1:9900";

/// A fake of the vendor, and the folder in which the commands run.
pub(crate) struct Staging {
    pub(crate) fake: Arc<Fake>,
    pub(crate) folder: tempfile::TempDir,
    ports: BTreeMap<String, u16>,
    network: Network,
}

impl Staging {
    /// Starts the fake, and puts the configurations where the page says.
    pub(crate) fn new(
        fixture: &str,
        configurations: &[(String, String)],
        root: &Path,
    ) -> Result<Self, String> {
        let fixture = Fixture::parse(&read_fixture(fixture, root)?)?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut ports = BTreeMap::new();
        place_ports(DEFAULT_ADMIN, &mut ports);
        let texts: Vec<String> = configurations
            .iter()
            .map(|(_, text)| place_ports(text, &mut ports))
            .collect();
        let redirect_uri = texts.iter().find_map(|text| redirect_uri(text));
        let redirect_uri = redirect_uri.unwrap_or_else(|| {
            let admin = place_ports(DEFAULT_ADMIN, &mut ports);
            (format!("http://{admin}/callback"), None)
        });
        let (callback, sent) = redirect_uri;
        let files = fixture.files.clone();
        let sent = sent.unwrap_or_else(|| callback.clone());
        let fake = Arc::new(Fake::new(fixture, sent, callback));
        let network = Network::start(&fake).map_err(|error| error.to_string())?;
        let staging = Self {
            fake,
            folder,
            ports,
            network,
        };
        staging.place_files(&texts, &files, root)?;
        Ok(staging)
    }

    fn place_files(
        &self,
        configurations: &[String],
        files: &BTreeMap<String, String>,
        root: &Path,
    ) -> Result<(), String> {
        let folder = self.folder.path();
        write_private(&folder.join("ca.pem"), &ca_pem())?;
        for (number, text) in configurations.iter().enumerate() {
            let text = self.place(&in_folder(text, folder)?)?;
            write_private(&folder.join(format!("block-{number}.toml")), &text)?;
        }
        for (name, content) in files {
            let name = name.trim_start_matches('/').replace('/', "_");
            write_private(&folder.join(name), &keys::fill(content))?;
        }
        for name in ["deploy", "config"] {
            symlink(root.join(name), folder.join(name)).map_err(|error| error.to_string())?;
        }
        let programs = folder.join("programs");
        fs::create_dir(&programs).map_err(|error| error.to_string())?;
        symlink(env!("CARGO_BIN_EXE_bearward"), programs.join("bearward"))
            .map_err(|error| error.to_string())
    }

    /// The proxy that leads to the fake.
    pub(crate) fn proxy(&self) -> String {
        self.network.proxy()
    }

    /// The text with this session's ports.
    pub(crate) fn place_text(&self, text: &str) -> String {
        place_ports(text, &mut self.ports.clone())
    }

    /// Changes what a test has to change in an operator's configuration: the store, and the network.
    fn place(&self, text: &str) -> Result<String, String> {
        let mut table: Table = text.parse().map_err(|error| format!("{error} in {text}"))?;
        let authority = self.folder.path().join("ca.pem").display().to_string();
        let networked = |table: &mut Table| {
            table.insert("proxy".to_owned(), self.proxy().into());
            table.insert("ca_file".to_owned(), authority.clone().into());
        };
        for provider in tables(&mut table, "providers") {
            let settings = provider
                .entry("token_request")
                .or_insert_with(|| Table::new().into());
            if let Value::Table(settings) = settings {
                networked(settings);
            }
        }
        for route in tables(&mut table, "routes") {
            networked(route);
        }
        let admin = table
            .entry("admin")
            .or_insert_with(|| Table::new().into())
            .as_table_mut()
            .ok_or("[admin] is no table")?;
        admin
            .entry("listen")
            .or_insert_with(|| self.place_text(DEFAULT_ADMIN).into());
        toml::to_string(&table).map_err(|error| error.to_string())
    }
}

fn read_fixture(name: &str, root: &Path) -> Result<String, String> {
    let own = root.join(format!("tests/docs/{name}.toml"));
    let vendors = root.join(format!("tests/vendors/{name}.toml"));
    let path: &PathBuf = if own.exists() { &own } else { &vendors };
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The configured `redirect_uri` and `redirect_uri_value` of the first provider that has one.
fn redirect_uri(text: &str) -> Option<(String, Option<String>)> {
    let mut table: Table = text.parse().ok()?;
    tables(&mut table, "providers").find_map(|provider| {
        let text = |key: &str| provider.get(key)?.as_str().map(str::to_owned);
        Some((text("redirect_uri")?, text("redirect_uri_value")))
    })
}

fn tables<'a>(root: &'a mut Table, name: &str) -> impl Iterator<Item = &'a mut Table> {
    root.get_mut(name)
        .and_then(Value::as_table_mut)
        .into_iter()
        .flat_map(|tables| tables.iter_mut())
        .filter_map(|(_, value)| value.as_table_mut())
}

/// Replaces each port behind a local address by a free one, the same for the same port.
fn place_ports(text: &str, ports: &mut BTreeMap<String, u16>) -> String {
    let address = Regex::new(r"(127\.0\.0\.1|localhost|0\.0\.0\.0|\[::1\]):([0-9]{2,5})\b")
        .expect("a valid expression");
    let replaced = address.replace_all(text, |found: &Captures<'_>| {
        let port = ports.entry(found[2].to_owned()).or_insert_with(free_port);
        format!("{}:{port}", &found[1])
    });
    replaced.into_owned()
}

/// A free port below the system's ephemeral range, so that no other process gets it by chance.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let offset = std::process::id()
            .wrapping_mul(89)
            .wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(12_000 + offset % 20_000).expect("below 32,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
