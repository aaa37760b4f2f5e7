//! Sockets that systemd passes: a restart loses no connection.

use std::{
    error::Error,
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
    os::unix::net::{UnixDatagram, UnixListener, UnixStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use rustix::process::Signal;

use crate::support::{
    client::{Client, get},
    h2c::{H2Client, empty},
    patience::{PATIENCE, heavy, until},
    setup::Setup,
    sidecar::{Process, Sidecar, run_to_end},
    socket_unit::SocketUnit,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{Wire, ok},
};

/// Clients of a load.
const CLIENTS: usize = 8;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct World {
    _tokens: TokenEndpoint,
    _upstream: Upstream,
    setup: Setup,
}

fn world(listen: &str) -> World {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let setup = Setup::new(&tokens, upstream.origin()).listen(listen);
    World {
        setup,
        _tokens: tokens,
        _upstream: upstream,
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn sockets_with_one_name_are_one_listener_and_show_where_they_are() {
    let mut world = world("systemd:web");
    let (first, v4) = listener();
    let second = TcpListener::bind(("::1", v4.port())).unwrap();
    let unit = SocketUnit::default()
        .socket("web", first)
        .with_admin_of(&mut world.setup)
        .socket("web", second);
    let sidecar = unit.start(&world.setup);
    sidecar.wait_until_ready();

    for address in [v4, ([0, 0, 0, 0, 0, 0, 0, 1], v4.port()).into()] {
        assert_eq!(get(address, "/").text(), "fine");
    }
    let listen = format!("localhost:{}", v4.port());
    let status = sidecar.status();
    assert_eq!(status["routes"]["api"]["listen"], listen);
    let admin = world.setup.admin_address().to_string();
    assert_eq!(status["admin"], admin);
    let written = sidecar.written();
    assert!(
        written.contains(&listen) && written.contains(&admin),
        "{written}"
    );
    sidecar.stop();
}

#[test]
fn a_unix_socket_of_systemd_is_served_and_stays() {
    let world = world("systemd:web");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    let unit = SocketUnit::default().socket("web", UnixListener::bind(&path).unwrap());
    for _ in 0..2 {
        let sidecar = unit.start(&world.setup);
        let mut wire = Wire::new(UnixStream::connect(&path).unwrap());
        wire.send(GET).unwrap();
        assert_eq!(wire.answer("GET").unwrap().text(), "fine");
        let listen = format!("unix:{}", path.display());
        assert_eq!(sidecar.status()["routes"]["api"]["listen"], listen);
        sidecar.stop();
        assert!(path.exists(), "the socket of systemd was removed");
    }
}

#[test]
fn a_name_that_is_missing_ends_the_start_with_what_to_write() {
    let world = world("systemd:web");
    let (file, environment) = world.setup.write();
    let failure = |unit: &SocketUnit| {
        let mut process = Process::spawn(&mut unit.command(&file, &environment));
        assert_eq!(process.wait(PATIENCE).code(), Some(1));
        process.stderr()
    };
    let message = failure(&SocketUnit::default().socket("api", listener().0));
    for part in ["systemd:web", "\"api\"", "FileDescriptorName=web"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let message = failure(&SocketUnit::default());
    for part in ["systemd:web", "passes no sockets", "FileDescriptorName=web"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // Sockets for another process are not ours.
    let message = failure(&SocketUnit::for_process("1").socket("web", listener().0));
    assert!(message.contains("passes no sockets"), "{message}");
}

#[test]
fn a_configuration_is_checked_without_the_sockets() {
    let mut world = world("systemd:web");
    world.setup.admin_from_systemd("admin");
    let (file, environment) = world.setup.write();
    let output = run_to_end(&["check", "-c", file.to_str().unwrap()], &environment);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("warning"));
}

#[test]
fn an_upstream_that_is_a_socket_of_systemd_is_refused() {
    let (socket, address) = listener();
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, format!("http://{address}")).listen("systemd:web");
    let (file, environment) = setup.write();
    let unit = SocketUnit::default().socket("web", socket);
    let mut process = Process::spawn(&mut unit.command(&file, &environment));
    assert_eq!(process.wait(PATIENCE).code(), Some(1));
    assert!(
        process.stderr().contains("bearward itself"),
        "{}",
        process.stderr()
    );
}

#[test]
fn the_host_of_a_socket_of_systemd_is_accepted() {
    let world = world("systemd:web");
    let socket = TcpListener::bind("127.0.0.9:0").unwrap();
    let address = socket.local_addr().unwrap();
    let sidecar = SocketUnit::default()
        .socket("web", socket)
        .start(&world.setup);
    sidecar.wait_until_ready();
    for (host, status) in [("127.0.0.9", 200), ("localhost", 200), ("127.0.0.8", 421)] {
        let mut client = Client::connect(address);
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: {host}:{}\r\n\r\n",
            address.port()
        ));
        assert_eq!(client.answer().status, status, "{host}");
    }
}

#[test]
fn sockets_that_other_machines_reach_are_closed_to_them_or_warned_of() {
    let mut world = world("systemd:web");
    world.setup.admin_from_systemd("admin");
    let everywhere = |port| TcpListener::bind(("0.0.0.0", port)).unwrap();
    let admin = world.setup.admin_address();
    let unit = SocketUnit::default()
        .socket("web", everywhere(0))
        .socket("admin", everywhere(admin.port()))
        .socket("forgotten", listener().0);
    let (file, environment) = world.setup.write();
    let process = Process::spawn(&mut unit.command(&file, &environment));
    assert_eq!(get(admin, "/livez").status, 200);
    // There is no `[admin] key`.
    assert_eq!(get(admin, "/api/status").status, 403);
    let written = process.stderr();
    for warning in ["it has no `client_key`", "name=\"forgotten\""] {
        assert!(written.contains(warning), "{warning}: {written}");
    }
}

#[test]
fn the_service_manager_hears_of_the_start_the_end_and_the_life() {
    for is_abstract in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let (socket, name) = if is_abstract {
            use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
            let name = format!("bearward-it-{}", std::process::id());
            let address = SocketAddr::from_abstract_name(&name).unwrap();
            (
                UnixDatagram::bind_addr(&address).unwrap(),
                format!("@{name}"),
            )
        } else {
            let name = path.display().to_string();
            (UnixDatagram::bind(&path).unwrap(), name)
        };
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let hear = || {
            let mut buffer = [0; 256];
            let length = socket.recv(&mut buffer).expect("a message of the sidecar");
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };

        // Without a token: the sidecar is up when it serves.
        let tokens = TokenEndpoint::issuing("token-1");
        tokens.down();
        let upstream = Upstream::answering(|_| ok("fine"));
        let sidecar = Setup::new(&tokens, upstream.origin())
            .environment("NOTIFY_SOCKET", &name)
            .environment("WATCHDOG_USEC", "200000")
            .start();
        let mut heard: Vec<_> = (0..6).map(|_| hear()).collect();
        heard.sort();
        heard.dedup();
        assert_eq!(heard, ["READY=1\nSTATUS=serving\n", "WATCHDOG=1\n"]);
        assert_eq!(sidecar.admin("/readyz").status, 503);

        sidecar.signal(Signal::TERM);
        let stopping = until("the message of the end", || {
            Some(hear()).filter(|message| message != "WATCHDOG=1\n")
        });
        assert_eq!(stopping, "STOPPING=1\nSTATUS=draining\n");
    }
}

/// Clients that send requests until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    clients: Vec<thread::JoinHandle<Result<(), String>>>,
}

impl Load {
    /// One client speaks HTTP/2. Half of the others open a connection for each request; the rest keep theirs, as RFC 9112 §9.3.1 has it: a
    /// connection that was closed before a byte of the response came is no failure, and the request is sent again.
    fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let served = Arc::new(AtomicUsize::new(0));
        let client = |number: usize| {
            let (stop, served) = (stop.clone(), served.clone());
            thread::spawn(move || {
                let mut kept = None;
                while !stop.load(Ordering::Relaxed) {
                    if number.is_multiple_of(2) {
                        fresh(address)?;
                    } else {
                        keep_alive(address, &mut kept)?;
                    }
                    served.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        };
        let mut clients: Vec<_> = (0..CLIENTS).map(client).collect();
        clients.push(thread::spawn({
            let (stop, served) = (stop.clone(), served.clone());
            move || over_http2(address, &stop, &served)
        }));
        Self {
            clients,
            stop,
            served,
        }
    }

    /// Waits until further requests were served.
    fn goes_on(&self) {
        let before = self.served.load(Ordering::Relaxed);
        until("further requests to be served", || {
            (self.served.load(Ordering::Relaxed) > before + 10 * CLIENTS).then_some(())
        });
    }

    /// Ends the load; each failure is in words.
    fn failures(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let ends = self
            .clients
            .into_iter()
            .map(|client| client.join().unwrap());
        ends.filter_map(Result::err).collect()
    }
}

/// Requests over an HTTP/2 connection, and over another one when GOAWAY has ended that.
fn over_http2(address: SocketAddr, stop: &AtomicBool, served: &AtomicUsize) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut client = H2Client::connect(address).await;
        while !stop.load(Ordering::Relaxed) {
            let request = client.request("GET", "/").body(empty()).unwrap();
            match client.send(request).await {
                Ok(answer) if answer.status == 200 => {
                    served.fetch_add(1, Ordering::Relaxed);
                }
                Ok(answer) => return Err(format!("HTTP/2: {}", answer.status)),
                // The server has not seen it, or says that it has not served it.
                Err(error) if is_unserved(&error) => client = H2Client::connect(address).await,
                Err(error) => return Err(format!("HTTP/2: {error:?}")),
            }
        }
        Ok(())
    })
}

/// Whether a request was left unserved by a connection that ended in an orderly way.
fn is_unserved(error: &hyper::Error) -> bool {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<h2::Error>());
    let is_goaway =
        |cause: &h2::Error| cause.is_go_away() && cause.reason() == Some(h2::Reason::NO_ERROR);
    error.is_closed() || error.is_canceled() || cause.is_some_and(is_goaway)
}

/// One request over a connection of its own, for which no failure is forgiven.
fn fresh(address: SocketAddr) -> Result<(), String> {
    let mut client = Client::try_connect(address).map_err(|error| format!("connect: {error}"))?;
    let sent = client.wire().send(GET);
    sent.map_err(|error| format!("send: {error}"))?;
    match client.wire().answer("GET") {
        Ok(answer) if answer.status == 200 => Ok(()),
        other => Err(format!("fresh: {other:?}")),
    }
}

/// One request over the connection that is kept; over another one, if that was closed meanwhile.
fn keep_alive(address: SocketAddr, kept: &mut Option<Client>) -> Result<(), String> {
    if let Some(mut client) = kept.take() {
        match ask(&mut client) {
            Ok(true) => *kept = Some(client),
            Ok(false) => {}
            Err(error) if is_closed(&error) => {
                drop(client);
                return keep_alive(address, kept);
            }
            Err(error) => return Err(format!("kept: {error}")),
        }
        return Ok(());
    }
    let mut client = Client::try_connect(address).map_err(|error| format!("connect: {error}"))?;
    let stays = ask(&mut client).map_err(|error| format!("first: {error}"))?;
    *kept = stays.then_some(client);
    Ok(())
}

/// Sends a request; gives whether the connection stays open.
fn ask(client: &mut Client) -> io::Result<bool> {
    client.wire().send(GET)?;
    let Some(head) = client.wire().head()? else {
        return Err(ErrorKind::ConnectionReset.into());
    };
    let body = client.wire().body(head.answer_framing("GET"));
    let (body, _) = body.map_err(|error| io::Error::other(format!("in the body: {error}")))?;
    if (head.status(), &body[..]) != (200, b"fine") {
        return Err(io::Error::other(format!("{head:?}")));
    }
    Ok(head.value("connection") != Some("close"))
}

fn is_closed(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

#[test]
fn a_restart_under_load_fails_no_request() {
    let _alone = heavy();
    let world = world("systemd:web");
    let (socket, address) = listener();
    let unit = SocketUnit::default().socket("web", socket);
    let mut sidecar = unit.start(&world.setup);
    sidecar.wait_until_ready();
    let load = Load::start(address);
    for _ in 0..5 {
        load.goes_on();
        sidecar.signal(Signal::TERM);
        assert_eq!(sidecar.wait().code(), Some(0), "{}", sidecar.written());
        sidecar = unit.start(&world.setup);
    }
    load.goes_on();
    assert_eq!(load.failures(), Vec::<String>::new());
}

#[test]
fn a_successor_that_starts_while_the_other_one_drains_fails_no_request() {
    let _alone = heavy();
    let mut world = world("systemd:web");
    let (socket, address) = listener();
    let unit = SocketUnit::default()
        .socket("web", socket)
        .with_admin_of(&mut world.setup);
    let mut sidecar = unit.start(&world.setup);
    sidecar.wait_until_ready();
    let load = Load::start(address);
    for _ in 0..5 {
        load.goes_on();
        sidecar.signal(Signal::TERM);
        let successor = unit.start(&world.setup);
        assert_eq!(sidecar.wait().code(), Some(0), "{}", sidecar.written());
        sidecar = successor;
    }
    load.goes_on();
    assert_eq!(load.failures(), Vec::<String>::new());
}

#[test]
fn what_waits_in_the_kernel_between_two_processes_is_served_by_the_second() {
    let world = world("systemd:web");
    let (socket, address) = listener();
    let unit = SocketUnit::default().socket("web", socket);
    let start = || -> Sidecar { unit.start(&world.setup) };
    start().stop();
    let mut waiting: Vec<_> = (0..20).map(|_| Client::connect(address)).collect();
    for client in &mut waiting {
        client.send(GET);
    }
    let _successor = start();
    for client in &mut waiting {
        assert_eq!(client.answer().text(), "fine");
    }
}
