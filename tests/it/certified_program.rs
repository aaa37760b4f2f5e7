//! Ways of client authentication and grants that the configuration names, by the program against a certified server.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{
    certified::Certified, home::Home, openssl, problem::assert_problem, sidecar::Sidecar,
};

const CLIENT_CREDENTIALS: &str = "grant_type = \"client_credentials\"\nscope = \"devices.read\"\n";

/// Starts the program as the server's client `name`, and asserts that the API accepts its token.
#[track_caller]
fn assert_in_use(certified: &Certified, home: Home, name: &str, lines: &str) -> Value {
    let sidecar = certified.configure(home, name, lines).run_ready();
    certified.assert_accepted(&sidecar, name)
}

/// Asserts that the server refuses the client.
#[track_caller]
fn assert_refused(sidecar: &Sidecar, error: &str) {
    let body = assert_problem(&sidecar.get("/v1/devices"), 502, "token-refused");
    assert_eq!(body["error"], error, "{body}");
}

/// The server that knows the public half of `key`, and its certificate if there is one.
#[track_caller]
fn server_of(folder: &Path, key: &str, certificate: Option<&str>) -> Certified {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
    let mut jwk = openssl::public_jwk(&read(key));
    if let Some(certificate) = certificate {
        let lines = read(certificate);
        let base64: String = lines
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        jwk["x5c"] = json!([base64]);
    }
    Certified::start(&[("CLIENT_JWKS", &json!({ "keys": [jwk] }).to_string())])
}

/// Lines for a client with the key in `file`.
fn key_lines(folder: &Path, file: &str, more: &str) -> String {
    let path = folder.join(file);
    format!("{CLIENT_CREDENTIALS}assertion.key = {{ file = {path:?} }}\n{more}\n")
}

#[test]
fn private_key_jwt_with_rs256_is_accepted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    openssl::run(folder.path(), "genrsa -out rsa.pem 2048");
    openssl::run(folder.path(), "genrsa -out other.pem 2048");
    let certified = server_of(folder.path(), "rsa.pem", None);
    // RS256 is what an RSA key means.
    for more in ["assertion.alg = \"RS256\"", ""] {
        let lines = key_lines(folder.path(), "rsa.pem", more);
        assert_in_use(&certified, Home::new(), "keys", &lines);
    }
    let lines = key_lines(folder.path(), "other.pem", "");
    let sidecar = certified.configure(Home::new(), "keys", &lines).run();
    assert_refused(&sidecar, "invalid_client");
}

#[test]
fn private_key_jwt_with_es256_is_accepted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let new = "ecparam -genkey -noout -name prime256v1 -out ec.pem";
    openssl::run(folder.path(), new);
    let certified = server_of(folder.path(), "ec.pem", None);
    let lines = key_lines(folder.path(), "ec.pem", "assertion.alg = \"ES256\"");
    assert_in_use(&certified, Home::new(), "keys", &lines);
}

#[test]
fn private_key_jwt_with_ps256_names_its_certificate() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in ["rsa", "other"] {
        let new = format!(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {file}.pem -out {file}.crt -subj /CN={file}"
        );
        openssl::run(folder.path(), &new);
    }
    let certified = server_of(folder.path(), "rsa.pem", Some("rsa.crt"));
    let lines = |certificate: Option<&str>| {
        let certificate = certificate.map_or(String::new(), |file| {
            format!("assertion.certificate = {:?}", folder.path().join(file))
        });
        let more = format!("assertion.alg = \"PS256\"\n{certificate}");
        key_lines(folder.path(), "rsa.pem", &more)
    };
    assert_in_use(&certified, Home::new(), "keys", &lines(Some("rsa.crt")));
    // The server of this test compares `x5t#S256`: without the certificate the signature is not enough.
    for certificate in [None, Some("other.crt")] {
        let home = certified.configure(Home::new(), "keys", &lines(certificate));
        assert_refused(&home.run(), "invalid_client");
    }
}

#[test]
fn client_secret_jwt_is_accepted() {
    let certified = Certified::start(&[]);
    assert_in_use(&certified, Home::new(), "jwt", CLIENT_CREDENTIALS);
    let mut home = certified.configure(Home::new(), "jwt", CLIENT_CREDENTIALS);
    home.set(
        "PEER_SECRET",
        "another secret, which is as long as the right one",
    );
    assert_refused(&home.run(), "invalid_client");
}

#[test]
fn tls_client_auth_is_accepted() {
    let folder = openssl::certificates();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let tls = openssl::tls_environment(&folder);
    let certified = Certified::start(&tls.each_ref().map(|(name, path)| (*name, path.as_str())));
    let lines = |name: &str| {
        let (certificate, key) = (path(&format!("{name}.crt")), path(&format!("{name}.key")));
        format!(
            "{CLIENT_CREDENTIALS}token_request.ca_file = {:?}\n\
             client_certificate = {{ cert = {certificate:?}, key = {{ file = {key:?} }} }}\n",
            path("server.crt")
        )
    };
    assert_in_use(&certified, Home::new(), "certificate", &lines("client"));
    let other = certified.configure(Home::new(), "certificate", &lines("other"));
    assert_refused(&other.run(), "invalid_client");
}

#[test]
fn a_resource_in_the_configuration_is_the_audience_of_the_token() {
    let certified = Certified::start(&[]);
    let one = "token_request.params.resource = \"https://devices.example\"\n";
    let lines = format!("{CLIENT_CREDENTIALS}{one}");
    let body = assert_in_use(&certified, Home::new(), "basic", &lines);
    assert_eq!(body["aud"], "https://devices.example", "{body}");
    // RFC 8707 §2: the parameter may come more than once. This server reads each value, and takes one for this grant.
    let two = "token_request.params.resource = [\"https://devices.example\", \"https://reports.example\"]\n";
    let lines = format!("{CLIENT_CREDENTIALS}{two}");
    let sidecar = certified.configure(Home::new(), "basic", &lines).run();
    let answer = sidecar.get("/v1/devices");
    assert!(answer.text().contains("invalid_target"), "{answer:?}");
}

// oidc-provider has no token exchange of its own. The one that it is used with here is registered with its `registerGrantType`
// (see the script): the library authenticates the client, finds the subject token in its storage and stores the new one.
#[test]
fn a_token_is_exchanged_for_one_for_two_resources() {
    let certified = Certified::start(&[]);
    let subject = certified.configure(Home::new(), "post", CLIENT_CREDENTIALS);
    let output = subject.run_to_end(&["token", "api"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let token = String::from_utf8(output.stdout).expect("UTF-8");

    let lines = "grant_type = \"token_exchange\"\n\
         token_request.params.subject_token = { env = \"SUBJECT\" }\n\
         token_request.params.subject_token_type = \"urn:ietf:params:oauth:token-type:access_token\"\n\
         token_request.params.resource = [\"https://devices.example\", \"https://reports.example\"]\n";
    let home = || certified.configure(Home::new(), "exchange", lines);
    let sidecar = home().environment("SUBJECT", token.trim()).run_ready();
    let body = certified.assert_accepted(&sidecar, "exchange");
    assert_eq!(body["scope"], "devices.read devices.write", "{body}");

    // RFC 8693 §2.2.2.
    let sidecar = home().environment("SUBJECT", "not-a-token").run();
    assert_refused(&sidecar, "invalid_request");
}
