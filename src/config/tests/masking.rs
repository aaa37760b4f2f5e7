//! Promises of masking: no report holds a secret, for any position and any mistake.

use super::{super::parse, env};

const CANARY: &str = "kan4rie-Z9.x";

/// Returns all output of the report for `text`, which must have at least one problem.
fn shown(text: &str) -> String {
    let report = match parse(text, "test.toml", &env) {
        Ok((config, report)) => {
            assert!(
                !format!("{config:?}").contains(CANARY),
                "Debug of the configuration shows it: {text}"
            );
            report
        }
        Err(report) => report,
    };
    assert!(!report.problems().is_empty(), "nothing to report:\n{text}");
    format!("{report}\n{}\n{report:?}", report.to_json())
}

#[test]
fn a_secret_is_never_shown_in_any_position() {
    let places = [
        // Under its own key, in valid and invalid forms.
        "client_secret = \"CANARY\"",
        "client_secret = 'CANARY'",
        "client_secret = \"\"\"\nCANARY\nCANARY\"\"\"",
        "client_secret = [\"CANARY\"]",
        "client_secret = [\n  \"CANARY\",\n  [\"CANARY\"]]",
        "client_secret = { inline = \"CANARY\" }",
        "client_secret = { env = \"CANARY\" }",
        "client_secret = { env = \"kan4rie\" }",
        "client_secret = { file = \"CANARY\" }",
        "client_secret = { env = [\"CANARY\"] }",
        "client_secret = { env = \"SECRET\", value = \"CANARY\" }",
        "client_secret = { \"CANARY\" = 1 }",
        "client_secret.value = \"CANARY\"",
        "client_secret = \"x\" # formerly CANARY",
        "client_secret = 5 # formerly CANARY",
        "refresh_token = \"CANARY\"\nscope = 1",
        // Under an unknown key.
        "client_secrt = \"CANARY\"",
        "client_secrt = { env = \"x\", b = [\"CANARY\"] }",
        "client_secrt.\"CANARY\" = 1",
        "\"CANARY\" = 1",
        "client_secret =\n[\"CANARY\"]",
        "client_secret =\nCANARY",
        "client_secret =\n\"CANARY\"",
        "client_secret =\n{ env = \"CANARY\" }",
        "password = \"CANARY\"",
        "secrets = [{ a = \"CANARY\" }]",
        // On a line that is not TOML.
        "client_secret = CANARY",
        "client_secret = \"CANARY",
        "client_secret \"CANARY\"",
        "client_secret: CANARY",
        "client_secret = \"a\" CANARY",
        "client_secret = \"\\q CANARY\"",
        "client_secret = { env = \"CANARY\"",
        "client_secret = [\"CANARY\"",
        "client_secret = '''CANARY",
        "client_secret = \"a\"\nclient_secret = \"CANARY\"",
        "CANARY",
        "= \"CANARY\"",
        "[CANARY",
        // In tables with arbitrary keys.
        "token_request.headers = { x-key = \"CANARY\", y = 5 }",
        "token_request.headers = { \"x y\" = \"CANARY\" }",
        "token_request.headers = { x-key = \"CANARY\\u0000\" }",
        "token_request.headers = \"CANARY\"",
        "token_request.params = { password = \"CANARY\", grant_type = \"CANARY\" }",
        "token_request.params = [\"CANARY\"]",
        "token_request.params = { a = { b = \"CANARY\" } }",
        "authorization.params = { state = \"CANARY\" }",
        "token_request = \"CANARY\"",
        "sign_in = { password = \"CANARY\" }",
        "sign_in = \"CANARY\"",
        // In URLs.
        "base_url = \"https://user:CANARY@host.example\"",
        "revocation_endpoint = \"https://user:CANARY@host.example/x\"",
        "revocation_endpoint = \"http://host.example/x?key=CANARY\"",
        "revocation_endpoint = \"https://host.example/x#CANARY\"",
        "revocation_endpoint = \"user:CANARY@host.example\"",
        "api_base = \"ftp://user:CANARY@host.example\"",
        "redirect_uri = \"https://user:CANARY@host.example\"",
        "token_request.proxy = \"http://user:CANARY@proxy.example:3128\"",
        // Under a key of another type.
        "token_request = { timeout = [\"CANARY\"] }",
        "scope = { a = \"CANARY\" }",
        "allow_plaintext = { a = \"CANARY\" }",
    ];
    for place in places {
        let line = place.replace("CANARY", CANARY);
        let text = format!(
            "[providers.p]\ngrant_type = \"client_credentials\"\ntoken_endpoint = \"https://as.example/token\"\n\
             client_id = \"id\"\n{line}\n[routes.r]\nlisten = \"x\"\n"
        );
        let shown = shown(&text);
        for part in [CANARY, "kan4rie", "Z9"] {
            assert!(!shown.contains(part), "{place} shows it:\n{shown}");
        }
    }
}

#[test]
fn a_secret_is_not_shown_in_other_tables_either() {
    let places = [
        "[routes.r]\nlisten = \"user:CANARY@host\"",
        "[routes.r.guard]\nclient_key = \"CANARY\"",
        "[routes.r.guard]\nclient_key = [\"CANARY\"]",
        "[routes.r.guard]\nhosts = [\"http://u:CANARY@host\"]",
        "[routes.r]\nclient_key = \"CANARY\"",
        "[routes]\nr = \"CANARY\"",
        "routes = \"CANARY\"",
        "routes = [\"CANARY\"]",
        "[[routes]]\nclient_key = \"CANARY\"",
        "[admin]\nkey = \"CANARY\"\nlisten = 5",
        "[admin]\nkey = { env = \"SECRET\", file = \"CANARY\" }",
        "[store]\nencryption_key = \"CANARY\"",
        "[store]\nkey = 5\nencryption_key = \"\"\"CANARY\"\"\"",
        "[unknown]\nkey = \"CANARY\"",
        "[unknown.\"CANARY\"]\nkey = \"CANARY\"",
        "admin = { key = \"CANARY\", listen = 5 }",
        "key = \"CANARY\"",
    ];
    for place in places {
        let shown = shown(&place.replace("CANARY", CANARY));
        for part in [CANARY, "kan4rie", "Z9"] {
            assert!(!shown.contains(part), "{place} shows it:\n{shown}");
        }
    }
}

#[test]
fn a_harmless_value_is_shown_with_a_caret_below_it() {
    let text =
        "[providers.p]\nclient_secret = \"x\"\n\n[routes.r]\n  listen = \"nowhere\" # a comment\n";
    let report = super::bad(text).to_string();
    let wanted = "test.toml:5:12: error: `listen` = \"nowhere\" is not an address to listen on\n  \
                  5 |   listen = \"nowhere\"\n    |            ^^^^^^^^^\nhint: ";
    assert!(report.contains(wanted), "{report}");
    assert!(
        report.contains("  2 | client_secret = ***\n    |                 ^^^\n"),
        "{report}"
    );
}

#[test]
fn the_names_of_tables_are_shown() {
    let text = "[providers.hapn]\npreset = \"hapn\"\n[providers.hapn.injekt]\n[routes.r.gard]\n";
    let report = super::bad(text).to_string();
    assert!(report.contains("| [providers.hapn.injekt]\n"), "{report}");
    assert!(report.contains("| [routes.r.gard]\n"), "{report}");
}

#[test]
fn a_long_line_is_cut_around_the_caret() {
    let text = format!("admin = {{ listen = \"{}\", x = 5 }}", "a".repeat(190));
    let report = super::bad(&text).to_string();
    assert!(
        report.lines().all(|line| line.chars().count() < 260),
        "{report}"
    );
    assert!(report.contains('…'), "{report}");
}

#[test]
fn nothing_in_a_value_can_forge_a_line_of_the_report() {
    let text =
        "[log]\nlevel = \"x\\n/etc/bearward.toml:1:1: error: forged\\u001b[2J\"\n\"a\\nb\" = 1\n";
    let report = super::bad(text);
    assert!(!report.to_string().contains('\u{1b}'));
    assert!(
        report
            .to_string()
            .lines()
            .all(|line| !line.starts_with("/etc")),
        "{report}"
    );
    let named = super::super::parse("x = 1", "a\nb.toml", &env).unwrap_err();
    assert!(
        named
            .to_string()
            .starts_with("a\u{fffd}b.toml:1:1: error: "),
        "{named}"
    );
}
