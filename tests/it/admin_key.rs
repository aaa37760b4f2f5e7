//! `[admin] key` and `[admin] hosts`: whom a command believes, and the names of an ingress.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    certificates::private_authority,
    client::{Client, exchange, get},
    home::Home,
    navigator::Navigator,
    patience::until,
    ports,
    problem::assert_problem,
    protected_api::ProtectedApi,
    sidecar::{Process, run_to_end},
};

const KEY: &str = "canary-admin-key-0123456789";

struct World {
    _server: AuthorizationServer,
    _api: ProtectedApi,
    home: Home,
}

/// A home whose sidecar has `lines` more in `[admin]`, and one provider that a person logs in at.
fn world(lines: &str, redirect_uri: Option<&str>) -> World {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let home = Home::new()
        .provider("api", &server.provider(redirect_uri))
        .route("api", &api.origin())
        .admin_lines(lines);
    World {
        _server: server,
        _api: api,
        home,
    }
}

fn with_key() -> World {
    with_key_and(None)
}

fn with_key_and(redirect_uri: Option<&str>) -> World {
    let mut world = world("key = { env = \"ADMIN_KEY\" }", redirect_uri);
    world.home.set("ADMIN_KEY", KEY);
    world
}

/// Runs the sidecar, whose status asks for the key.
fn run(home: &Home) -> Process {
    let process = Process::spawn(&mut home.command(&["run"]));
    until("the admin listener", || {
        Client::try_connect(home.admin()).ok()
    });
    process
}

/// A program that took the sidecar's address while it is down, and all that it was told.
fn impostor(world: &World) -> Arc<Mutex<String>> {
    let listener = TcpListener::bind(world.home.admin()).unwrap();
    let told = Arc::<Mutex<String>>::default();
    let theirs = told.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let body = match request.contains("/livez") {
                true => "ok\n",
                false => {
                    r#"{"version":"0.1.0","admin":"x","providers":{"api":{"state":"ready","can_log_in":true}},"routes":{}}"#
                }
            };
            theirs.lock().unwrap().push_str(&request);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    told
}

#[test]
fn status_finds_the_address_and_the_key_in_the_configuration() {
    let world = with_key();
    let down = world.home.run_to_end(&["status"]);
    assert_eq!(down.status.code(), Some(1), "{down:?}");
    let _sidecar = run(&world.home);
    // The first state is `pending`.
    let up = until("the state login_required", || {
        let up = world.home.run_to_end(&["status"]);
        let is_shown = String::from_utf8_lossy(&up.stdout).contains("login_required");
        is_shown.then_some(up)
    });
    let (text, said) = (
        String::from_utf8_lossy(&up.stdout),
        String::from_utf8_lossy(&up.stderr),
    );
    // A person has to log in first.
    assert_eq!(up.status.code(), Some(3), "{text}{said}");

    let admin = format!("http://{}", world.home.admin());
    let without = run_to_end(&["status", "--admin", &admin], &[]);
    assert_eq!(without.status.code(), Some(1), "{without:?}");
    for (key, status) in [(KEY, 3), ("wrong-0123456789", 1)] {
        let key = [("BEARWARD_ADMIN_KEY".to_owned(), key.to_owned())];
        let output = run_to_end(&["status", "--admin", &admin], &key);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
    }
}

#[test]
fn a_wrong_key_is_told_from_a_missing_one() {
    let world = with_key();
    let _sidecar = run(&world.home);
    let admin = format!("http://{}", world.home.admin());
    for command in ["status", "reload"] {
        let with = |environment: &[(String, String)]| {
            let output = run_to_end(&[command, "--admin", &admin], environment);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains(&admin) && !said.contains("canary"), "{said}");
            said
        };
        let without = with(&[]);
        assert!(without.contains("asks for its key"), "{without}");
        let wrong = with(&[("BEARWARD_ADMIN_KEY".into(), "canary-of-another".into())]);
        assert!(
            wrong.contains("the key in $BEARWARD_ADMIN_KEY is not the sidecar's"),
            "{wrong}"
        );
    }
}

#[test]
fn status_is_zero_once_every_provider_of_a_route_is_ready() {
    let redirect_uri = format!("http://{}/back", ports::unused());
    let world = with_key_and(Some(&redirect_uri));
    let _sidecar = run(&world.home);
    let status = || world.home.run_to_end(&["status", "--format", "json"]);
    assert_eq!(status().status.code(), Some(3));
    world.home.log_in("api");
    until("a token", || {
        (status().status.code() == Some(0)).then_some(())
    });
}

#[test]
fn no_command_tells_the_key_to_a_program_at_the_address_of_the_sidecar() {
    let world = with_key();
    let told = impostor(&world);
    for arguments in [&["status"][..], &["login", "api", "--no-browser"]] {
        let output = world.home.run_to_end(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("does not prove"), "{arguments:?}: {said}");
    }
    let told = told.lock().unwrap().clone();
    assert!(told.contains("/api/status"), "{told}");
    assert!(!told.contains(KEY) && !told.contains("Bearer "), "{told}");
}

#[test]
fn refused_keys_are_counted_and_logged_once_a_second_at_most() {
    let world = with_key();
    let sidecar = run(&world.home);
    for _ in 0..50 {
        let request =
            "GET /api/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n\r\n";
        let answer = exchange(world.home.admin(), request);
        assert_problem(&answer, 401, "admin-key-required");
    }
    let counted = format!(
        "bearward_keys_refused_total{{listener=\"{}\"}} 50",
        world.home.admin()
    );
    let metrics = get(world.home.admin(), "/metrics");
    assert!(metrics.text().contains(&counted), "{}", metrics.text());
    let written = sidecar.stderr();
    let lines = written.matches("key.refused").count();
    // Fifty requests may take more than a second on a machine that has other things to do.
    assert!((1..25).contains(&lines), "{lines} lines");
    assert!(
        !written.contains(KEY) && !written.contains("wrong"),
        "{written}"
    );
}

#[test]
fn an_ingress_reaches_the_listener_by_its_names() {
    let redirect_uri = "https://login.example.com/callback/api";
    let world = world("hosts = [\"Bearward.Example.com\"]", Some(redirect_uri));
    let _sidecar = world.home.run();
    let ask = |path: &str, host: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        exchange(world.home.admin(), request)
    };
    for host in [
        "bearward.example.com",
        "BEARWARD.example.com:443",
        "localhost",
    ] {
        assert_eq!(ask("/api/status", host).status, 200, "{host}");
    }
    for (path, host) in [
        ("/api/status", "login.example.com"),
        ("/", "login.example.com"),
        ("/api/status", "example.com"),
        ("/login/api", "evil.example"),
    ] {
        assert_problem(&ask(path, host), 421, "host-not-allowed");
    }
    let login = ask("/login/api", "login.example.com");
    assert_eq!(login.status, 302, "{login:?}");
    assert_eq!(
        ask("/callback/api?state=x", "login.example.com").status,
        400
    );
    assert_eq!(ask("/callback?state=x", "login.example.com").status, 400);
    for host in ["localhost:x", "localhost:99999", "[::1]evil"] {
        assert_problem(&ask("/livez", host), 400, "bad-request");
    }
    let renew = "POST /api/providers/api/refresh HTTP/1.1\r\nHost: bearward.example.com\r\n\
                 Origin: https://bearward.example.com\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 0\r\n\r\n";
    assert_problem(&exchange(world.home.admin(), renew), 502, "login-required");
    let foreign = renew.replace("Origin: https://bearward", "Origin: https://evil");
    assert_problem(&exchange(world.home.admin(), foreign), 403, "cross-site");
}

#[test]
fn a_code_for_another_providers_login_is_refused_at_the_callback_of_one() {
    let (honest, other) = (
        AuthorizationServer::start(Dialect::Happeo),
        AuthorizationServer::start(Dialect::Happeo),
    );
    let (api, other_api) = (honest.api(), other.api());
    let admin = ports::unused();
    let uri = |name: &str| format!("http://{admin}/callback/{name}");
    let home = Home::at(admin)
        .provider("honest", &honest.provider(Some(&uri("honest"))))
        .provider("other", &other.provider(Some(&uri("other"))))
        .route("honest", &api.origin())
        .route("other", &other_api.origin());
    let sidecar = home.run();
    let mut browser = Navigator::new();
    let consent = browser
        .get(&format!("http://{admin}/login/other"))
        .location()
        .unwrap();
    assert!(consent.starts_with(&other.origin()), "{consent}");
    let back = browser.get_from_elsewhere(&consent).location().unwrap();
    assert!(back.starts_with(&uri("other")), "{back}");
    // The other server sent the browser on to the honest one, with its own state.
    for path in ["/callback/honest", "/callback"] {
        let mixed = back.replace("/callback/other", path);
        let visit = browser.get_from_elsewhere(&mixed);
        assert_eq!(visit.status(), 400, "{visit:?}");
    }
    for server in [&honest, &other] {
        assert_eq!(server.ledger().token_requests, 0);
    }
    let visit = browser.get_from_elsewhere(&back);
    assert_eq!(visit.status(), 200, "{}", visit.answer().text());
    sidecar.wait_for_state("other", "ready");
    assert_eq!(sidecar.provider("honest")["state"], "login_required");
}

/// A TLS proxy in front of the admin listener, which publishes it below `/base`.
fn ingress(admin: SocketAddr, tls: Arc<rustls::ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that distrusts the certificate breaks off.
            let _ = pass_on(stream.unwrap(), admin, tls.clone());
        }
    });
    address
}

fn pass_on(stream: TcpStream, admin: SocketAddr, tls: Arc<rustls::ServerConfig>) -> io::Result<()> {
    let connection = rustls::ServerConnection::new(tls).unwrap();
    let mut client = rustls::StreamOwned::new(connection, stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        request.push(char::from(byte[0]));
    }
    let mut upstream = TcpStream::connect(admin)?;
    upstream.write_all(request.replace("GET /base/", "GET /").as_bytes())?;
    let mut response = Vec::new();
    upstream.read_to_end(&mut response)?;
    client.write_all(&response)?;
    client.conn.send_close_notify();
    client.flush()
}

#[test]
fn a_sidecar_behind_an_ingress_is_asked_over_tls_and_proves_the_key_through_it() {
    let world = with_key();
    let _sidecar = run(&world.home);
    let certificates = private_authority(&["localhost"]);
    let ca_file = world.home.path("ca.pem");
    std::fs::write(&ca_file, &certificates.ca_pem).unwrap();
    let address = ingress(world.home.admin(), certificates.server);
    let admin = format!("https://localhost:{}/base", address.port());
    let mut environment = vec![("BEARWARD_ADMIN_KEY".to_owned(), KEY.to_owned())];
    let distrusted = run_to_end(&["status", "--admin", &admin], &environment);
    assert_eq!(distrusted.status.code(), Some(1), "{distrusted:?}");
    environment.push(("SSL_CERT_FILE".to_owned(), ca_file.display().to_string()));
    let status = run_to_end(&["status", "--admin", &admin], &environment);
    // A person has to log in first.
    assert_eq!(status.status.code(), Some(3), "{status:?}");
}

#[test]
fn nothing_that_a_hostile_sidecar_sends_reorders_the_terminal() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let hostile = "a\u{202e}b\u{2066}c\u{9b}2Jd";
            let body = format!(
                r#"{{"version":"{hostile}","admin":"x","providers":{{"{hostile}":{{"state":"{hostile}"}}}},"routes":{{}}}}"#
            );
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
            );
        }
    });
    for format in ["text", "json"] {
        let output = run_to_end(&["status", "--admin", &admin, "--format", format], &[]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let is_hostile = |c: char| matches!(c, '\u{202e}' | '\u{2066}' | '\u{9b}');
        assert!(text.contains('b') && !text.contains(is_hostile), "{text:?}");
    }
}
