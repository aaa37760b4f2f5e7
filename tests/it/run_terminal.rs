//! `bearward run`, `status` and `--help` at a terminal: the banner, and the colours.

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    home::Home,
    sidecar::{Process, command},
    terminal::Terminal,
    token_endpoint::TokenEndpoint,
};

/// A home with a client of `tokens` and a login that is missing.
fn home(tokens: &TokenEndpoint, server: &AuthorizationServer) -> Home {
    let client = format!(
        "grant_type = \"client_credentials\"\ntoken_endpoint = \"{}\"\nallow_plaintext = true\n\
         client_id = \"a\"\nclient_secret = {{ env = \"CLIENT_SECRET\" }}\n",
        tokens.url()
    );
    Home::new()
        .provider("hapn", &client)
        .provider("happeo", &server.provider(None))
        .route_with("hapn", "http://127.0.0.1:1", "path = \"/v1\"\n")
        .route("happeo", "http://127.0.0.1:1")
}

#[test]
fn run_at_a_terminal_says_what_to_try_and_what_to_do() {
    let tokens = TokenEndpoint::issuing("canary-token");
    let server = AuthorizationServer::start(Dialect::Happeo);
    let home = home(&tokens, &server);
    let mut terminal = Terminal::spawn(home.command(&["run"]).env("NO_COLOR", "1"));
    terminal.wait_for("Press Ctrl-C to stop.");
    let shown = terminal.shown();
    let login = format!(
        "login_required: run `bearward login happeo`, or open http://{}/login/happeo",
        home.admin()
    );
    for words in [
        "hapn    curl http://127.0.0.1:",
        "/v1/\r\n",
        "hapn    ready, its token expires in ",
        &login,
        &format!("Status page: http://{}/", home.admin()),
    ] {
        assert!(shown.contains(words), "no {words:?} in {shown}");
    }
    assert!(
        !shown.contains("canary") && !shown.contains('\u{1b}'),
        "{shown}"
    );
    terminal.signal(rustix::process::Signal::INT);
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.shown());
}

#[test]
fn run_without_a_terminal_shows_no_banner_and_nothing_on_standard_output() {
    let tokens = TokenEndpoint::issuing("token-1");
    let server = AuthorizationServer::start(Dialect::Happeo);
    let home = home(&tokens, &server);
    let mut process = Process::spawn(&mut home.command(&["run"]));
    // By now a terminal would show the banner.
    crate::support::patience::until("the states", || {
        let status = home.run_to_end(&["status"]);
        let shown = String::from_utf8_lossy(&status.stdout).into_owned();
        (shown.contains("ready") && shown.contains("login_required")).then_some(())
    });
    process.signal(rustix::process::Signal::TERM);
    process.wait(crate::support::patience::PATIENCE);
    let (stdout, stderr) = process.output();
    assert!(stdout.is_empty());
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert!(
        !said.contains("Press Ctrl-C") && !said.contains("curl"),
        "{said}"
    );
}

#[test]
fn colours_go_to_a_terminal_alone_and_never_with_no_color() {
    let tokens = TokenEndpoint::issuing("token-1");
    let server = AuthorizationServer::start(Dialect::Happeo);
    let home = home(&tokens, &server);
    let sidecar = home.run();
    sidecar.wait_for_state("hapn", "ready");
    for arguments in [&["--help"][..], &["no-such-command"], &["status"]] {
        let start = || match arguments {
            ["status"] => home.command(arguments),
            _ => command(arguments),
        };
        let coloured = |command: &mut std::process::Command| {
            let mut terminal = Terminal::spawn(command);
            terminal.wait();
            crate::support::patience::until("its output", || {
                terminal.shown().ends_with('\n').then_some(())
            });
            terminal.shown().contains("\u{1b}[")
        };
        assert!(coloured(&mut start()), "{arguments:?}");
        assert!(!coloured(start().env("NO_COLOR", "1")), "{arguments:?}");
        let mut piped = Process::spawn(start().env("CLICOLOR_FORCE", "1"));
        piped.wait(crate::support::patience::PATIENCE);
        let (stdout, stderr) = piped.output();
        assert!(![stdout, stderr].concat().contains(&0x1b), "{arguments:?}");
    }
}
