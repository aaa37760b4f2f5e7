//! The commands other than `run`: what they print, and their exit statuses.

use std::process::Output;

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    client::Client,
    home::Home,
    setup::{SECRET, Setup},
    sidecar::run_to_end,
    token_endpoint::{TokenEndpoint, error_response},
    upstream::Upstream,
    wire::ok,
};

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn token_prints_one_token_and_nothing_else() {
    let tokens = TokenEndpoint::issuing("the-token");
    let (file, environment) = {
        let setup = Setup::new(&tokens, "http://127.0.0.1:1");
        let (file, environment) = setup.write();
        // The folder goes with the setup.
        let output = run_to_end(
            &["token", "api", "-c", file.to_str().unwrap()],
            &environment,
        );
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(stdout(&output), "the-token\n");
        assert_eq!(tokens.count(), 1);
        let output = run_to_end(
            &["token", "nobody", "-c", file.to_str().unwrap()],
            &environment,
        );
        assert_eq!(
            (output.status.code(), stdout(&output).as_str()),
            (Some(1), "")
        );
        assert!(stderr(&output).contains("nobody"), "{}", stderr(&output));
        (file, environment)
    };
    let output = run_to_end(
        &["token", "api", "-c", file.to_str().unwrap()],
        &environment,
    );
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(1), ""),
        "a configuration that is not there"
    );
}

#[test]
fn token_says_why_there_is_none() {
    let tokens = TokenEndpoint::start(|_, _| error_response("401 Unauthorized", "invalid_client"));
    let setup = Setup::new(&tokens, "http://127.0.0.1:1");
    let (file, environment) = setup.write();
    let output = run_to_end(
        &["token", "api", "-c", file.to_str().unwrap()],
        &environment,
    );
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(1), "")
    );
    assert!(
        stderr(&output).contains("invalid_client"),
        "{}",
        stderr(&output)
    );
    assert!(!stderr(&output).contains(SECRET));
}

#[test]
fn status_asks_a_running_sidecar() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let admin = format!("http://{}", sidecar.admin_address());
    let text = run_to_end(&["status", "--admin", &admin], &[]);
    assert_eq!(text.status.code(), Some(0), "{}", stderr(&text));
    for word in [
        "api",
        "ready",
        &upstream.origin(),
        &sidecar.address().to_string(),
    ] {
        assert!(
            stdout(&text).contains(word),
            "no {word} in\n{}",
            stdout(&text)
        );
    }
    let json = run_to_end(&["status", "--admin", &admin, "--format", "json"], &[]);
    assert_eq!(json.status.code(), Some(0), "{}", stderr(&json));
    let shown: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(shown["providers"]["api"]["state"], "ready");
    assert_eq!(shown["routes"], sidecar.status()["routes"]);
}

#[test]
fn status_of_nobody_is_unreachable() {
    let nobody = format!("http://{}", crate::support::ports::unused());
    let output = run_to_end(&["status", "--admin", &nobody], &[]);
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(1), "")
    );
    let said = stderr(&output);
    for words in [&nobody, "bearward run", "--admin", "-c FILE"] {
        assert!(said.contains(words), "no {words} in {said}");
    }
}

#[test]
fn status_shows_what_failed_when_and_what_to_run() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let refusing =
        TokenEndpoint::start(|_, _| error_response("401 Unauthorized", "invalid_client"));
    let refused = format!(
        "grant_type = \"client_credentials\"\ntoken_endpoint = \"{}\"\nallow_plaintext = true\n\
         client_id = \"a\"\nclient_secret = {{ env = \"CLIENT_SECRET\" }}\n",
        refusing.url()
    );
    let home = Home::new()
        .provider("api", &server.provider(None))
        .provider("hapn", &refused)
        .route("api", &server.api().origin())
        .route("hapn", "http://127.0.0.1:1");
    let sidecar = home.run();
    sidecar.wait_for_state("hapn", "refused");
    let output = home.run_to_end(&["status"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let shown = stdout(&output);
    assert!(shown.contains("\n  run: bearward login api\n"), "{shown}");
    assert!(
        shown.contains("\n  invalid_client, ") && shown.contains("s ago: "),
        "{shown}"
    );
    let is_table = |line: &&str| !line.starts_with("  ");
    for line in shown.lines().filter(is_table) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(!shown.contains('\u{1b}'), "colours in a pipe: {shown:?}");
}

#[test]
fn a_usage_error_exits_with_two() {
    for arguments in [
        &["no-such-command"][..],
        &["run", "--no-such-option"],
        &["check", "--format", "xml"],
        &["token"],
        &["status", "--format"],
        &["demo", "--port", "many"],
    ] {
        let output = run_to_end(arguments, &[]);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
}

#[test]
fn the_configuration_is_found_by_the_environment() {
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, "http://127.0.0.1:1");
    let (file, mut environment) = setup.write();
    environment.push(("BEARWARD_CONFIG".into(), file.display().to_string()));
    let output = run_to_end(&["check"], &environment);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// Six mistakes, and secrets on and beside the lines of some.
const SIX_MISTAKES: &str = r#"
[admin]
listne = "127.0.0.1:0"

[providers.one]
grant_type = "client_credentials"
token_endpoint = "http://tokens.example.com/token"
client_id = "one"
client_secrt = "canary-in-a-misspelt-key"

[providers.two]
grant_type = "client_credentials"
token_endpoint = "https://tokens.example.com/token"
client_id = "two"
client_secret = { env = "NOT_SET_ANYWHERE" }

[providers.three]
grant_type = "client_credentials"
token_endpoint = "https://tokens.example.com/token"
client_id = "three"
client_secret = ["canary-of-a-wrong-type"]

[routes.first]
listen = "127.0.0.1:0"
upstream = "https://api.example.com"
provider = "oen"
"#;

#[test]
fn check_names_every_mistake_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bearward.toml");
    std::fs::write(&file, SIX_MISTAKES).unwrap();
    let path = file.to_str().unwrap();
    let text = run_to_end(&["check", "-c", path], &[]);
    assert_eq!(text.status.code(), Some(2));
    let shown = stdout(&text) + &stderr(&text);
    for (line, words) in [
        (3, "listne"),
        (7, "allow_plaintext"),
        (9, "client_secret"),
        (15, "NOT_SET_ANYWHERE"),
        (21, "client_secret"),
        (26, "oen"),
    ] {
        assert!(
            shown.contains(&format!("{path}:{line}:")),
            "no problem in line {line}:\n{shown}"
        );
        assert!(shown.contains(words), "no {words} in\n{shown}");
    }
    assert!(shown.contains("hint:"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");

    let json = run_to_end(&["check", "-c", path, "--format", "json"], &[]);
    assert_eq!(json.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let problems = report["problems"].as_array().unwrap();
    let lines: Vec<_> = problems
        .iter()
        .filter(|problem| problem["severity"] == "error")
        .map(|problem| problem["line"].as_u64().unwrap())
        .collect();
    for line in [3, 7, 9, 15, 21, 26] {
        assert!(lines.contains(&line), "no problem in line {line}: {report}");
    }
    for problem in problems {
        assert_eq!(problem["file"], path);
        assert!(
            problem["column"].as_u64().is_some_and(|column| column > 0),
            "{problem}"
        );
        assert!(
            problem["message"].is_string()
                && problem.get("key").is_some()
                && problem.get("hint").is_some()
        );
    }
    assert!(!report.to_string().contains("canary"), "{report}");
}

#[test]
fn a_broken_configuration_opens_no_socket() {
    let tokens = TokenEndpoint::issuing("token-1");
    let listen = crate::support::ports::unused();
    let setup = Setup::new(&tokens, "http://127.0.0.1:1")
        .listen(listen)
        .route("no_such_key = 1");
    let (file, environment) = setup.write();
    // Somebody else has the address already: whoever tries to listen there says so.
    let taken = std::net::TcpListener::bind(listen).unwrap();
    let output = run_to_end(&["run", "-c", file.to_str().unwrap()], &environment);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("no_such_key"),
        "{}",
        stderr(&output)
    );
    assert!(
        !stderr(&output).to_lowercase().contains("in use"),
        "{}",
        stderr(&output)
    );
    assert_eq!(tokens.count(), 0, "a token was asked for");
    drop(taken);
    assert!(Client::try_connect(listen).is_err());
}

#[test]
fn an_address_that_is_taken_ends_the_sidecar_with_one() {
    let tokens = TokenEndpoint::issuing("token-1");
    let listen = crate::support::ports::unused();
    let _taken = std::net::TcpListener::bind(listen).unwrap();
    let setup = Setup::new(&tokens, "http://127.0.0.1:1").listen(listen);
    let (file, environment) = setup.write();
    let output = run_to_end(&["run", "-c", file.to_str().unwrap()], &environment);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains(&listen.to_string()),
        "{}",
        stderr(&output)
    );
}
