//! `bearward login` at a terminal: what it shows while it waits, and what can be pasted there.

use rustix::process::Signal;

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    home::Home,
    navigator::Navigator,
    ports,
    protected_api::ProtectedApi,
    terminal::Terminal,
};

struct World {
    server: AuthorizationServer,
    api: ProtectedApi,
}

impl World {
    fn new() -> Self {
        let server = AuthorizationServer::start(Dialect::Happeo);
        let api = server.api();
        Self { server, api }
    }

    /// A home whose login returns to the admin listener's address.
    fn home(&self) -> Home {
        Home::of(&self.server, &self.api)
    }

    /// A home whose login returns to the command itself.
    fn home_beside_the_sidecar(&self) -> Home {
        let redirect_uri = format!("http://{}/back", ports::unused());
        Home::new()
            .provider("api", &self.server.provider(Some(&redirect_uri)))
            .route("api", &self.api.origin())
    }
}

/// Begins a login at a terminal, and waits until it takes what is pasted.
fn begin(home: &Home, more: &[&str]) -> Terminal {
    let arguments = [&["login", "api", "--no-browser"], more].concat();
    let terminal = Terminal::spawn(&mut home.command(&arguments));
    terminal.wait_for_silence();
    terminal
}

/// The address that a browser on another machine ends up at.
fn end_of(url: &str) -> String {
    Navigator::new().get(url).location().expect("a redirect")
}

#[test]
fn the_address_of_a_browser_elsewhere_can_be_pasted_at_the_prompt() {
    let world = World::new();
    let home = world.home_beside_the_sidecar();
    let mut terminal = begin(&home, &[]);
    let back = end_of(&terminal.address(&world.server.origin()));
    terminal.enter(&back);
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.shown());
    let shown = terminal.shown();
    assert!(shown.contains("logged in"), "{shown}");
    let code = back
        .split(['?', '&'])
        .find(|part| part.starts_with("code="))
        .unwrap();
    assert!(!shown.contains(code), "the code is on the screen: {shown}");
    assert!(terminal.echoes());
    assert_eq!(world.server.ledger().exchanges, 1);
}

#[test]
fn a_browser_on_this_machine_ends_the_wait_at_the_prompt() {
    let world = World::new();
    let home = world.home_beside_the_sidecar();
    let mut terminal = begin(&home, &[]);
    let url = terminal.address(&world.server.origin());
    assert_eq!(Navigator::new().follow(&url).status(), 200);
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.shown());
    assert!(terminal.echoes());
}

#[test]
fn a_wrong_address_at_the_prompt_is_explained_and_the_wait_goes_on() {
    let world = World::new();
    for more in [&[][..], &["--paste"]] {
        let home = world.home_beside_the_sidecar();
        let mut terminal = begin(&home, more);
        let url = terminal.address(&world.server.origin());
        terminal.enter(&url);
        terminal.wait_for("this is the address that you opened");
        let back = end_of(&url);
        let (_, state) = back.rsplit_once("state=").unwrap();
        let state = state.split('&').next().unwrap();
        terminal.enter(&back.replace(state, "of-another-login"));
        terminal.wait_for("this is not the response to the login just started");
        assert!(terminal.runs());
        terminal.enter(&back);
        assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.shown());
    }
    assert_eq!(world.server.ledger().exchanges, 2);
}

#[test]
fn beside_a_running_sidecar_a_browser_elsewhere_logs_in_as_well() {
    let world = World::new();
    let home = world.home();
    let sidecar = home.run();
    let mut terminal = begin(&home, &[]);
    terminal.address(&format!("http://{}/login/api", home.admin()));
    let url = terminal.address(&world.server.origin());
    terminal.enter(&end_of(&url));
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.shown());
    sidecar.wait_for_ok("api");
}

#[test]
fn beside_a_running_sidecar_its_login_ends_the_wait() {
    let world = World::new();
    let home = world.home();
    let sidecar = home.run();
    let mut terminal = begin(&home, &[]);
    let url = terminal.address(&format!("http://{}/login/api", home.admin()));
    assert_eq!(Navigator::new().follow(&url).status(), 200);
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.shown());
    assert!(terminal.echoes());
    sidecar.wait_for_ok("api");
}

#[test]
fn the_wait_shows_a_spinner_at_a_terminal_alone() {
    let world = World::new();
    let home = world.home_beside_the_sidecar();
    let terminal = begin(&home, &[]);
    terminal.wait_for("waiting for the login");
    drop(terminal);
    let (mut process, url) = home.begin_login("api", &[]);
    assert_eq!(Navigator::new().follow(&url).status(), 200);
    crate::support::home::succeeded(&mut process);
    let said = process.stderr();
    assert!(!said.contains("waiting for the login"), "{said}");
    assert!(!said.contains('\u{1b}') && !said.contains('\r'), "{said:?}");
}

#[test]
fn an_interrupt_leaves_a_terminal_that_shows_what_is_typed() {
    let world = World::new();
    let home = world.home_beside_the_sidecar();
    for signal in [Signal::INT, Signal::TERM] {
        let mut terminal = begin(&home, &[]);
        terminal.signal(signal);
        assert_eq!(terminal.wait().code(), Some(1), "{}", terminal.shown());
        assert!(terminal.echoes());
        terminal.wait_for("interrupted: nothing was changed");
    }
    assert!(home.files_with("canary-").is_empty());
}
