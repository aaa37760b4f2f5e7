//! `bearward doctor` against a certified authorization server: deliberate mistakes, and the lines that mend them.

use crate::{
    doctor_tools::Patient,
    support::{certified::SERVER, openssl, peers::Peer},
};

/// The client `name` of the server, which is known by its token endpoint.
fn client(server: &Peer, name: &str, endpoint: &str, lines: &str) -> Patient {
    let text = |key: &str| server.text(&format!("/clients/{name}/{key}"));
    Patient::new(&format!(
        "token_endpoint = {endpoint:?}\nclient_id = {:?}\nclient_secret = {{ env = \"PEER_SECRET\" }}\n{lines}",
        text("client_id"),
    ))
    .environment("PEER_SECRET", text("client_secret"))
}

fn usual(server: &Peer, name: &str, lines: &str) -> Patient {
    client(server, name, server.text("/token_endpoint"), lines)
}

#[test]
fn a_good_client_is_examined_with_one_request_and_no_finding() {
    let server = Peer::start(SERVER, &[]);
    let report = usual(&server, "basic", "scope = \"devices.read\"").examine(&[]);
    assert_eq!(report["ok"], true, "{report:#}");
    assert_eq!(report["exchanges"].as_array().map(Vec::len), Some(1));
    let text = report.to_string();
    assert!(
        text.contains("\"authorization\":\"Basic [redacted "),
        "{text}"
    );
    assert!(
        text.contains("\\\"access_token\\\":\\\"[redacted "),
        "{text}"
    );
}

#[test]
fn http_basic_for_a_client_of_the_body_is_named() {
    let server = Peer::start(SERVER, &[]);
    let finding = usual(&server, "post", "").assert_mended("client_authentication", &[]);
    assert_eq!(
        finding["fix"],
        "token_endpoint_auth_method = \"client_secret_post\""
    );
}

#[test]
fn the_body_for_a_client_of_http_basic_is_detected() {
    let server = Peer::start(SERVER, &[]);
    let lines = "token_endpoint_auth_method = \"client_secret_post\"";
    let patient = usual(&server, "basic", lines);
    let finding = patient.assert_mended("client_authentication", &["--detect"]);
    assert_eq!(
        finding["fix"],
        "token_endpoint_auth_method = \"client_secret_basic\""
    );
}

#[test]
fn json_for_a_server_of_forms_is_named() {
    let server = Peer::start(SERVER, &[]);
    let patient = usual(
        &server,
        "basic",
        "[providers.api.token_request]\nencoding = \"json\"",
    );
    patient.assert_mended("client_authentication", &[]);
}

#[test]
fn a_wrong_secret_is_the_client_whatever_else_is_tried() {
    let server = Peer::start(SERVER, &[]);
    let lines = "token_endpoint_auth_method = \"client_secret_basic\"";
    let patient = usual(&server, "basic", lines).environment("PEER_SECRET", "wrong");
    patient.finding("client", &[]);
    let finding = patient.finding("client", &["--detect"]);
    assert!(finding["message"].to_string().contains("client_secret"));
}

#[test]
fn a_wrong_path_is_found_in_the_metadata() {
    let server = Peer::start(SERVER, &[]);
    let endpoint = format!("{}/oauth/tokn", server.text("/issuer"));
    client(&server, "basic", &endpoint, "").assert_mended("not_found", &[]);
}

#[test]
fn a_misspelt_scope_is_corrected() {
    let server = Peer::start(SERVER, &[]);
    let finding = usual(&server, "basic", "scope = \"devices.raed devices.write\"")
        .assert_mended("scope", &[]);
    assert_eq!(
        finding["fix"],
        "scope = [\"devices.read\", \"devices.write\"]"
    );
}

#[test]
fn a_grant_that_the_server_does_not_know_is_named() {
    let server = Peer::start(SERVER, &[]);
    let patient = usual(&server, "basic", "grant_type = \"client_credential\"");
    patient.assert_mended("grant_type", &[]);
}

#[test]
fn a_resource_that_the_server_does_not_know_is_the_audience() {
    let server = Peer::start(SERVER, &[]);
    let lines = "api_base = \"https://devices.example\"\nscope = \"devices.read\"\n\
        [providers.api.token_request.params]\nresource = \"https://devices.exampel\"";
    usual(&server, "basic", lines).assert_mended("audience", &[]);
}

#[test]
fn a_parameter_that_the_settings_take_away_is_named() {
    let server = Peer::start(SERVER, &[]);
    let patient = usual(&server, "basic", "token_request.omit = [\"grant_type\"]");
    patient.assert_mended("parameters", &[]);
}

#[test]
fn an_address_on_which_nothing_listens_is_replaced_by_the_other_loopback_address() {
    let server = Peer::start(SERVER, &[]);
    let endpoint = server.text("/token_endpoint").replace("127.0.0.1", "[::1]");
    client(&server, "basic", &endpoint, "").assert_mended("connect", &[]);
}

#[test]
fn https_on_a_port_of_plain_text_is_named() {
    let server = Peer::start(SERVER, &[]);
    let endpoint = server.text("/token_endpoint").replace("http:", "https:");
    client(&server, "basic", &endpoint, "").assert_mended("tls", &[]);
}

#[test]
fn plain_text_on_a_port_of_tls_and_a_private_authority_are_named() {
    let folder = openssl::certificates();
    let environment = openssl::tls_environment(&folder);
    let environment = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    let server = Peer::start(SERVER, &environment.collect::<Vec<_>>());
    let endpoint = server.text("/token_endpoint").replace("https:", "http:");
    let authority = folder.path().join("server.crt").display().to_string();
    let patient =
        client(&server, "basic", &endpoint, "").environment("NODE_EXTRA_CA_CERTS", &authority);
    let finding = patient.finding("tls", &[]);
    patient.paste(&finding);
    let finding = patient.assert_mended("tls", &[]);
    assert!(
        finding["fix"].to_string().contains("server.crt"),
        "{finding}"
    );
}

#[test]
fn an_authority_beside_the_configuration_is_found() {
    let folder = openssl::certificates();
    let environment = openssl::tls_environment(&folder);
    let environment = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    let server = Peer::start(SERVER, &environment.collect::<Vec<_>>());
    let patient = usual(&server, "basic", "");
    for file in ["client.crt", "server.crt"] {
        std::fs::copy(folder.path().join(file), patient.path(file)).expect("a file");
    }
    let finding = patient.assert_mended("tls", &[]);
    assert!(
        finding["fix"].to_string().contains("server.crt"),
        "{finding}"
    );
}

#[test]
fn an_issuer_with_a_path_too_many_is_named() {
    assert_issuer_is_mended("/oidc");
}

#[test]
fn an_issuer_with_a_slash_too_many_is_named() {
    assert_issuer_is_mended("/");
}

/// The issuer with `suffix` behind it is not found, and the suggested line names the right one.
#[track_caller]
fn assert_issuer_is_mended(suffix: &str) {
    let server = Peer::start(SERVER, &[]);
    let lines = format!(
        "issuer = \"{}{suffix}\"\nclient_id = {:?}\nclient_secret = {{ env = \"PEER_SECRET\" }}",
        server.text("/issuer"),
        server.text("/clients/basic/client_id"),
    );
    Patient::new(&lines)
        .environment("PEER_SECRET", server.text("/clients/basic/client_secret"))
        .assert_mended("not_found", &[]);
}

/// A login that the configuration gives its first refresh token, which the doctor does not send.
fn person(server: &Peer, lines: &str) -> Patient {
    let lines = format!(
        "grant_type = \"authorization_code\"\nauthorization_endpoint = {:?}\nscope = \"openid\"\n\
         refresh_token = {{ env = \"REFRESH_TOKEN\" }}\n{lines}",
        server.text("/authorization_endpoint")
    );
    usual(server, "person", &lines).environment("REFRESH_TOKEN", "kept")
}

#[test]
fn a_redirect_uri_with_another_name_of_this_machine_is_named() {
    let environment = [("REDIRECT_URI", "http://127.0.0.1:9900/callback")];
    let server = Peer::start(SERVER, &environment);
    let patient = person(&server, "redirect_uri = \"http://localhost:9900/callback\"");
    let finding = patient.assert_mended("redirect_uri", &[]);
    assert!(
        finding["message"]
            .to_string()
            .contains("http://localhost:9900/callback")
    );
    let report = patient.examine(&[]);
    assert!(!report.to_string().contains("kept"), "{report:#}");
}

#[test]
fn an_unknown_client_of_a_login_is_named() {
    let environment = [("REDIRECT_URI", "http://127.0.0.1:9900/callback")];
    let server = Peer::start(SERVER, &environment);
    let patient = person(&server, "");
    let text = patient.text().replace("person client:3", "another");
    std::fs::write(patient.path("bearward.toml"), text).expect("a file");
    patient.finding("client", &[]);
}

#[test]
fn the_path_of_a_login_is_examined_without_a_secret() {
    let environment = [("REDIRECT_URI", "http://127.0.0.1:9900/callback")];
    let server = Peer::start(SERVER, &environment);
    let patient = person(&server, "");
    let right = server.text("/token_endpoint");
    let text = patient.text().replace(right, &format!("{right}n"));
    std::fs::write(patient.path("bearward.toml"), text).expect("a file");
    patient.assert_mended("not_found", &[]);
}
