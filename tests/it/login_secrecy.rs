//! Canaries in everything that a login deals with: nothing that is said holds one, at any level.

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect, EMAIL},
    home::{Home, succeeded},
    navigator::{Navigator, Visit},
    patience::until,
    ports,
    sidecar::run_to_end,
};

/// What was said, and where.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn add(&mut self, what: &str, text: impl Into<String>) {
        self.0.push((what.into(), text.into()));
    }

    fn visit(&mut self, what: &str, visit: &Visit) {
        self.add(
            what,
            format!("{:?}\n{}", visit.answer().head, visit.answer().text()),
        );
    }

    /// Nothing of it is a secret: nothing that the server issued or the account has, and no verifier that the client made up.
    #[track_caller]
    fn assert_clean(&self, server: &AuthorizationServer) {
        let mut secrets = server.ledger().verifiers.clone();
        secrets.push("canary-".into());
        for (what, text) in &self.0 {
            for secret in &secrets {
                if let Some(at) = text.find(secret.as_str()) {
                    let around: String = text[at.saturating_sub(200)..].chars().take(400).collect();
                    panic!("{secret} stands in {what}: …{around}…");
                }
            }
        }
    }
}

/// Everything that a sidecar shows of itself.
fn listen(said: &mut Said, sidecar: &crate::support::sidecar::Sidecar) {
    said.add("the metrics", sidecar.metrics());
    said.add("the status", sidecar.status().to_string());
    said.add("/readyz", sidecar.admin("/readyz").text());
    said.add("the page", sidecar.admin("/").text());
    let shown = run_to_end(
        &[
            "status",
            "--admin",
            &format!("http://{}", sidecar.admin_address()),
        ],
        &[],
    );
    said.add(
        "the table",
        String::from_utf8_lossy(&[shown.stdout, shown.stderr].concat()),
    );
}

fn logs_in_and_out(format: &str, dialect: Dialect) {
    let server = AuthorizationServer::start(dialect);
    let api = server.api();
    let redirect_uri = format!("http://{}/back", ports::unused());
    let lines = server.provider(Some(&redirect_uri)) + "revocation_endpoint = \"/oauth/revoke\"\n";
    let browser_lines = server.provider(None);
    let home = Home::new()
        .provider("api", &lines)
        .route("api", &api.origin())
        .provider("browser", &browser_lines)
        .route("browser", &api.origin())
        .log(&format!("level = \"trace\"\nformat = \"{format}\""));
    let mut said = Said::default();
    let sidecar = home.run();
    listen(&mut said, &sidecar);
    said.add("the problem", sidecar.get("/").text());

    let mut navigator = Navigator::new();
    let login = navigator
        .get(&format!("http://{}/login/browser", home.admin()))
        .location()
        .unwrap();
    let callback = navigator.get_from_elsewhere(&login).location().unwrap();
    said.visit(
        "the refused page",
        &Navigator::new().get_from_elsewhere(&callback),
    );
    said.visit(
        "the page at the end",
        &navigator.get_from_elsewhere(&callback),
    );
    said.visit(
        "the replayed page",
        &navigator.get_from_elsewhere(&callback),
    );
    sidecar.wait_for_ok("browser");

    let (mut process, url) = home.begin_login("api", &[]);
    said.visit("the page of the command", &Navigator::new().follow(&url));
    succeeded(&mut process);
    said.add("the login command", process.stdout() + &process.stderr());
    sidecar.wait_for_ok("api");
    for name in ["api", "browser"] {
        said.add("a renewal", sidecar.renew(name).text());
    }
    server.configure(|server| server.lost_responses = 2);
    said.add("a failed renewal", sidecar.renew("api").text());
    listen(&mut said, &sidecar);

    let output = home.run_to_end(&["logout", "api"]);
    said.add(
        "the logout command",
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()),
    );
    server.ledger().revoke_all();
    said.add("a refused renewal", sidecar.renew("browser").text());
    until("the refusal", || {
        (crate::support::client::get(sidecar.route("browser"), "/").status == 503).then_some(())
    });
    listen(&mut said, &sidecar);

    let written = sidecar.written();
    assert!(
        written.lines().count() > 20,
        "that is no log at `trace`:\n{written}"
    );
    assert!(
        written.contains("browser"),
        "the providers are not in the log:\n{written}"
    );
    said.add("the log", written);
    assert!(server.ledger().verifiers.len() >= 2);
    said.assert_clean(&server);
}

#[test]
fn logs_pages_and_commands_hold_nothing_of_a_login() {
    logs_in_and_out("text", Dialect::Happeo);
}

#[test]
fn json_logs_hold_nothing_of_a_login_either() {
    logs_in_and_out("json", Dialect::HappeoPublic);
}

#[test]
fn a_query_full_of_secrets_and_an_account_are_in_no_log() {
    let server = AuthorizationServer::start(Dialect::Feeling);
    let api = server.api();
    let account = format!(
        "[providers.api.sign_in]\nemail = \"{EMAIL}\"\npassword = {{ env = \"PASSWORD\" }}\n"
    );
    let lines = server.provider(Some("myapp://callback")) + &account;
    let home = Home::new()
        .provider("api", &lines)
        .route("api", &api.origin())
        .log("level = \"trace\"\nformat = \"text\"");
    let mut said = Said::default();
    let sidecar = home.run_ready();
    assert_eq!(sidecar.renew("api").status, 200);
    server.down();
    said.add("a failed renewal", sidecar.renew("api").text());
    listen(&mut said, &sidecar);
    said.add("the log", sidecar.written());
    server.up();
    said.assert_clean(&server);
}
