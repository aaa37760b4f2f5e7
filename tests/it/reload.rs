//! Reloads: what takes effect, what stays, and what is refused.

use std::{fs, net::TcpListener, os::unix::fs::symlink, path::PathBuf, sync::Arc};

use rustix::process::Signal;

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    client::{A_WHILE, Client, exchange, get},
    home::Home,
    patience::{Gate, PATIENCE, until, until_within},
    ports,
    setup::Setup,
    sidecar::{Process, Sidecar, run_to_end},
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{Answer, ok},
};

/// A sidecar, and its configuration, which a test changes.
struct World {
    sidecar: Sidecar,
    file: PathBuf,
    text: String,
}

impl World {
    #[track_caller]
    fn start(setup: Setup) -> Self {
        let (file, _) = setup.write();
        let text = setup.text();
        Self {
            sidecar: setup.start_ready(),
            file,
            text,
        }
    }

    /// Replaces `from`, which has to be there, in the file.
    #[track_caller]
    fn change(&mut self, from: &str, to: &str) {
        assert!(self.text.contains(from), "{from} is not in {}", self.text);
        self.text = self.text.replace(from, to);
        self.write();
    }

    fn append(&mut self, tables: &str) {
        self.text.push_str(tables);
        self.write();
    }

    /// Under another name first, as editors do: the file is never seen half written.
    fn write(&self) {
        let other = self.file.with_extension("new");
        fs::write(&other, &self.text).unwrap();
        fs::rename(other, &self.file).unwrap();
    }

    /// Asks for a reload at the admin listener.
    #[track_caller]
    fn reload(&self) -> Answer {
        let request = "POST /api/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
        exchange(self.sidecar.admin_address(), request)
    }

    #[track_caller]
    fn reload_ok(&self) {
        let response = self.reload();
        assert_eq!(response.status, 200, "{}", response.text());
    }

    /// How often a reload ended with this outcome.
    fn count(&self, outcome: &str) -> u64 {
        let name = format!("bearward_config_reloads_total{{outcome=\"{outcome}\"}} ");
        let metrics = self.sidecar.metrics();
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.expect("the counter of reloads").parse().unwrap()
    }

    /// Where a route listens now.
    #[track_caller]
    fn listens_at(&self, route: &str) -> std::net::SocketAddr {
        let status = self.sidecar.status();
        let listen = status["routes"][route]["listen"].as_str();
        listen.expect("a route in the status").parse().unwrap()
    }
}

/// Upstreams that respond with `first` and `second`.
fn two_upstreams() -> (Upstream, Upstream) {
    let responding = |text: &'static str| Upstream::answering(move |_| ok(text));
    (responding("first"), responding("second"))
}

fn route(name: &str, listen: impl ToString, upstream: &str) -> String {
    format!(
        "\n[routes.{name}]\nlisten = \"{}\"\nupstream = \"{upstream}\"\nprovider = \"api\"\n",
        listen.to_string()
    )
}

#[test]
fn routes_providers_and_listeners_are_added_changed_and_removed() {
    let tokens = TokenEndpoint::issuing("token-1");
    let others = TokenEndpoint::issuing("token-2");
    let (first, second) = two_upstreams();
    let mut world = World::start(Setup::new(&tokens, first.origin()));
    let mut kept = Client::connect(world.sidecar.address());
    assert_eq!(kept.get("/").text(), "first");

    world.append(&route("added", ports::unused(), &second.origin()));
    world.append(&format!(
        "\n[providers.other]\ngrant_type = \"client_credentials\"\ntoken_endpoint = \"{}\"\nclient_id = \"o\"\n\
         client_secret = \"inline-secret-of-the-other\"\n",
        others.url()
    ));
    world.reload_ok();
    let added = world.listens_at("added");
    assert_eq!(get(added, "/").text(), "second");
    assert_eq!(
        second.last().head.value("authorization"),
        Some("Bearer token-1")
    );

    world.change(
        &format!("{}\"\nprovider = \"api\"\n", second.origin()),
        &format!("{}\"\nprovider = \"other\"\n", first.origin()),
    );
    world.reload_ok();
    assert_eq!(get(added, "/").text(), "first");
    assert_eq!(
        first.last().head.value("authorization"),
        Some("Bearer token-2")
    );
    assert_eq!(world.listens_at("added"), added, "its listener stays");

    let text = world.text.clone();
    let end = text.find("\n[routes.added]").unwrap();
    world.text = text[..end].to_owned();
    world.write();
    world.reload_ok();
    until("the end of the listener", || {
        Client::try_connect(added).is_err().then_some(())
    });
    assert!(world.sidecar.status()["routes"]["added"].is_null());
    assert!(world.sidecar.status()["providers"]["other"].is_null());
    let metrics = world.sidecar.metrics();
    for gone in ["route=\"added\"", "provider=\"other\"", &added.to_string()] {
        assert!(!metrics.contains(gone), "{gone}: {metrics}");
    }
    assert_eq!(kept.get("/").text(), "first", "on the same connection");
    assert_eq!((tokens.count(), world.count("success")), (1, 3));
    world.sidecar.stop();
}

#[test]
fn a_configuration_with_a_problem_changes_nothing_and_is_named_with_its_line() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let mut world = World::start(Setup::new(&tokens, upstream.origin()));
    let good = world.text.clone();
    world.append("\n[routes.added]\nlisten = \"127.0.0.1:0\"\nupstrem = \"http://127.0.0.1:1\"\n");
    let line = world
        .text
        .lines()
        .position(|line| line.starts_with("upstrem"))
        .unwrap()
        + 1;

    let response = world.reload();
    assert_eq!(response.status, 422);
    let report = response.json();
    assert_eq!(report["ok"], false);
    let problems = report["problems"].as_array().unwrap();
    let problem = problems
        .iter()
        .find(|problem| problem["line"] == line)
        .expect("a problem of the line");
    assert!(
        problem["message"].as_str().unwrap().contains("upstrem"),
        "{problem}"
    );
    assert_eq!(world.sidecar.get("/").text(), "fine");
    assert!(world.sidecar.status()["routes"]["added"].is_null());
    assert_eq!(world.sidecar.status()["last_reload"]["outcome"], "failure");
    assert!(
        world.sidecar.admin("/").text().contains("upstrem"),
        "the page names it too"
    );
    let logged = world.sidecar.written();
    assert!(
        logged.contains("config.refused") && logged.contains(&format!("line={line}")),
        "{logged}"
    );
    assert!(world.count("failure") >= 1);

    world.text = good;
    world.write();
    world.reload_ok();
    assert_eq!(tokens.count(), 1);
    world.sidecar.stop();
}

#[test]
fn a_listener_that_cannot_be_bound_is_refused_and_nothing_changes() {
    let tokens = TokenEndpoint::issuing("token-1");
    let (first, second) = two_upstreams();
    let mut world = World::start(Setup::new(&tokens, first.origin()));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    world.change(&first.origin(), &second.origin());
    world.append(&route(
        "added",
        taken.local_addr().unwrap(),
        &second.origin(),
    ));
    let response = world.reload();
    assert_eq!(response.status, 422);
    let problem = &response.json()["problems"][0];
    assert_eq!(problem["key"], "routes.added.listen");
    let line = world
        .text
        .lines()
        .position(|line| line.contains(&taken.local_addr().unwrap().to_string()))
        .unwrap()
        + 1;
    assert_eq!(problem["line"], line);
    assert_eq!(world.sidecar.get("/").text(), "first");
    world.sidecar.stop();
}

#[test]
fn tables_of_the_process_wait_for_a_restart_and_the_rest_is_in_force() {
    let tokens = TokenEndpoint::issuing("token-1");
    let (first, second) = two_upstreams();
    let mut world = World::start(Setup::new(&tokens, first.origin()));
    world.change(&first.origin(), &second.origin());
    let admin = world.sidecar.admin_address().to_string();
    world.change(&admin, &ports::unused().to_string());
    world.change("kind = \"memory\"", "path = \"elsewhere\"");
    world.append("\n[runtime]\nworkers = 7\n");
    world.append("\n[telemetry]\notlp_endpoint = \"http://127.0.0.1:4318\"\n");
    let response = world.reload();
    assert_eq!(response.status, 200, "{}", response.text());
    for table in ["[admin]", "[store]", "[runtime]", "[telemetry]"] {
        let problems = response.json();
        let problems = problems["problems"].as_array().unwrap().clone();
        let of_table = |problem: &&serde_json::Value| {
            let message = problem["message"].as_str().unwrap();
            message.contains(table) && message.contains("restart")
        };
        let problem = problems
            .iter()
            .find(of_table)
            .unwrap_or_else(|| panic!("{table}: {problems:?}"));
        assert_eq!(problem["severity"], "warning");
        until("a line about the table", || {
            world.sidecar.written().contains(table).then_some(())
        });
    }
    assert_eq!(world.sidecar.get("/").text(), "second");
    world.sidecar.stop();
}

#[test]
fn a_changed_file_is_noticed_also_behind_a_symbolic_link_that_is_swapped() {
    let tokens = TokenEndpoint::issuing("token-1");
    let (first, second) = two_upstreams();
    let setup = Setup::new(&tokens, first.origin());
    let (file, _) = setup.write();
    // As Kubernetes mounts it: bearward.toml → ..data/bearward.toml, and `..data` is what is swapped.
    let folder = file.parent().unwrap().to_owned();
    let text = setup.text();
    for (version, text) in [
        ("..one", &text),
        ("..two", &text.replace(&first.origin(), &second.origin())),
    ] {
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("bearward.toml"), text).unwrap();
    }
    symlink("..one", folder.join("..data")).unwrap();
    fs::remove_file(&file).unwrap();
    symlink("..data/bearward.toml", &file).unwrap();
    let sidecar = setup.start();
    sidecar.wait_until_ready();
    assert_eq!(sidecar.get("/").text(), "first");
    symlink("..two", folder.join("..new")).unwrap();
    fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    until_within(PATIENCE * 2, "the other upstream", || {
        (get(listen(&sidecar), "/").text() == "second").then_some(())
    });
    assert_eq!(tokens.count(), 1);
    sidecar.stop();
}

fn listen(sidecar: &Sidecar) -> std::net::SocketAddr {
    let status = sidecar.status();
    status["routes"]["api"]["listen"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn a_refused_configuration_is_taken_once_the_file_that_it_lacks_is_there() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let mut world = World::start(Setup::new(&tokens, upstream.origin()));
    let secret = world.file.with_file_name("late");
    world.append(&format!(
        "\n[providers.late]\ngrant_type = \"client_credentials\"\ntoken_endpoint = \"{}\"\nclient_id = \"l\"\n\
         client_secret = {{ file = \"{}\" }}\n",
        tokens.url(),
        secret.display()
    ));
    assert_eq!(world.reload().status, 422);
    fs::write(&secret, "arrives late").unwrap();
    until_within(PATIENCE * 2, "the late provider", || {
        (!world.sidecar.status()["providers"]["late"].is_null()).then_some(())
    });
    world.sidecar.stop();
}

#[test]
fn a_hangup_reloads() {
    let tokens = TokenEndpoint::issuing("token-1");
    let (first, second) = two_upstreams();
    let mut world = World::start(Setup::new(&tokens, first.origin()));
    world.change(&first.origin(), &second.origin());
    world.sidecar.signal(Signal::HUP);
    until("the other upstream", || {
        (world.sidecar.get("/").text() == "second").then_some(())
    });
    world.sidecar.stop();
}

#[test]
fn the_command_reloads_and_prints_the_problems() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let mut world = World::start(Setup::new(&tokens, upstream.origin()));
    let admin = format!("http://{}", world.sidecar.admin_address());
    let reload = |admin: &str| run_to_end(&["reload", "--admin", admin], &[]);
    let output = reload(&admin);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("in force"));

    world.append("\nwrong = 1\n");
    let output = reload(&admin);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("wrong") && told.contains("hint: "), "{told}");
    assert!(
        told.contains(&format!("{}:", world.file.display())),
        "{told}"
    );
    let output = reload(&format!("http://{}", ports::unused()));
    assert_eq!(output.status.code(), Some(1));
    world.sidecar.stop();
}

/// A sidecar whose route `gone` is about to be removed, and what its upstream waits for.
struct Removal {
    world: World,
    upstream: Upstream,
    gate: Arc<Gate>,
    table: String,
}

impl Removal {
    #[track_caller]
    fn start(drain: &str) -> Self {
        let tokens = TokenEndpoint::issuing("token-1");
        let gate = Arc::new(Gate::default());
        let upstream = Upstream::scripted({
            let gate = gate.clone();
            move |mut connection| {
                while let Ok(Some(request)) = connection.request() {
                    if request.head.target() == "/tunnel" {
                        let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                        connection.wire.send(switch).unwrap();
                        let _ = connection.wire.rest();
                        return;
                    }
                    gate.pass();
                    connection.wire.send(ok("late")).unwrap();
                }
            }
        });
        let table =
            route("gone", ports::unused(), &upstream.origin()) + "upgrade = [\"websocket\"]\n";
        let setup = Setup::new(&tokens, upstream.origin());
        Self {
            world: World::start(setup.tables(drain).tables(&table)),
            upstream,
            gate,
            table,
        }
    }

    #[track_caller]
    fn connect(&self) -> Client {
        Client::connect(self.world.listens_at("gone"))
    }

    #[track_caller]
    fn remove(&mut self) {
        self.world.change(&self.table, "");
        self.world.reload_ok();
    }
}

#[test]
fn what_is_removed_finishes_its_requests() {
    let mut removal = Removal::start("");
    let mut client = removal.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    removal.upstream.wait_for(1);
    let address = removal.world.listens_at("gone");
    removal.remove();
    // Then the workers know that they drain.
    until("the end of the listener", || {
        Client::try_connect(address).is_err().then_some(())
    });
    removal.gate.open();
    let response = client.answer();
    assert_eq!(response.text(), "late");
    assert_eq!(response.head.value("connection"), Some("close"));
    assert!(client.is_closed());
    removal.world.sidecar.stop();
}

#[test]
fn what_is_removed_is_cut_after_its_time_to_drain() {
    let mut removal = Removal::start("[drain]\ntimeout = \"1s\"\n");
    let mut tunnel = removal.connect();
    tunnel.send(
        "GET /tunnel HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(tunnel.head().status(), 101);
    let mut client = removal.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    removal.upstream.wait_for(2);
    removal.remove();
    // Neither has an end of its own.
    assert!(client.is_closed());
    assert!(tunnel.is_closed());
    removal.gate.open();
    removal.world.sidecar.stop();
}

#[test]
fn a_login_stays_when_its_provider_does() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let home = Home::with_refresh_token(&server, &api);
    let mut sidecar = home.run_ready();
    let file = home.path("bearward.toml");
    assert_eq!(sidecar.get("/").status, 200);
    for round in 1..=3 {
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}\n# {round}\n")).unwrap();
        sidecar.signal(Signal::HUP);
        until("a reload", || {
            sidecar
                .metrics()
                .contains(&format!("outcome=\"success\"}} {round}\n"))
                .then_some(())
        });
    }
    assert_eq!(sidecar.get("/").status, 200);
    assert_eq!(server.refreshes(), 1);
    server.assert_no_token_was_spent_twice();
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait().success());
}

#[test]
fn the_number_of_connections_changes_with_a_reload() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, upstream.origin()).tables("[limits]\nconnections = 3\n");
    let mut world = World::start(setup);
    let address = world.sidecar.address();
    let slow = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n";
    // None of them is idle.
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(address)).collect();
    clients.iter_mut().for_each(|client| client.send(slow));
    // The workers accept in any order.
    let served = format!("bearward_connections{{listener=\"{address}\"}} 3\n");
    until("the three connections", || {
        world.sidecar.metrics().contains(&served).then_some(())
    });
    let mut next = Client::connect(address);
    next.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    std::thread::sleep(A_WHILE);
    assert_eq!(upstream.count(), 0, "more connections than allowed");
    world.change("connections = 3", "connections = 4");
    world.reload_ok();
    assert_eq!(next.answer().text(), "fine");
    for client in &mut clients {
        client.send("hello");
        assert_eq!(client.answer().text(), "fine");
    }
}

#[test]
fn the_metrics_of_the_admin_listener_go_on() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let home = Home::with_refresh_token(&server, &api)
        .admin_lines("key = \"an admin key of some length\"");
    let mut process = Process::spawn(&mut home.command(&["run"]));
    let admin = home.admin();
    until("the admin listener", || Client::try_connect(admin).ok());
    for count in 1..=2 {
        assert_eq!(get(admin, "/api/status").status, 401);
        let refused = format!("bearward_keys_refused_total{{listener=\"{admin}\"}} {count}\n");
        let metrics = get(admin, "/metrics").text();
        assert!(metrics.contains(&refused), "{refused}: {metrics}");
        process.signal(Signal::HUP);
        until("a reload", || {
            let success = format!("outcome=\"success\"}} {count}\n");
            get(admin, "/metrics")
                .text()
                .contains(&success)
                .then_some(())
        });
    }
    process.signal(Signal::TERM);
    assert!(process.wait(PATIENCE).success());
}
