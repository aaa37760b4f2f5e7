//! Keys and certificates by OpenSSL, which also wrote most of those that operators have.

use std::{path::Path, process::Command};

use serde_json::Value;
use tempfile::TempDir;

/// Runs OpenSSL in `folder`.
#[track_caller]
pub fn run(folder: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(arguments.split(' '))
        .output();
    let output = output.expect("openssl");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {text}");
}

/// The public half of a key in PEM as a JWK, by the JWK export of node.
#[track_caller]
pub fn public_jwk(pem: &str) -> Value {
    let script = "const {createPublicKey}=require('crypto');\
        console.log(JSON.stringify(createPublicKey(process.argv[1]).export({format:'jwk'})))";
    let output = Command::new("node")
        .args(["-e", script, "--", pem])
        .output()
        .expect("node");
    serde_json::from_slice(&output.stdout).expect("a JWK")
}

/// The environment in which a peer speaks TLS with the files of [`certificates`].
pub fn tls_environment(folder: &TempDir) -> [(&'static str, String); 3] {
    [
        ("TLS_CERT", "server.crt"),
        ("TLS_KEY", "server.key"),
        ("TLS_CLIENT_CA", "clients.crt"),
    ]
    .map(|(name, file)| (name, folder.path().join(file).display().to_string()))
}

/// The files `server`, `client` and `other`, each `.crt` with its `.key`, and `clients.crt` with the last two.
///
/// Each is an authority of its own.
#[track_caller]
pub fn certificates() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    run(
        folder.path(),
        &format!(
            "{new} -keyout server.key -out server.crt -subj /CN=server -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
        ),
    );
    for (file, subject) in [("client", "certified_client"), ("other", "other")] {
        run(
            folder.path(),
            &format!("{new} -keyout {file}.key -out {file}.crt -subj /CN={subject}"),
        );
    }
    let both = ["client.crt", "other.crt"]
        .map(|file| std::fs::read_to_string(folder.path().join(file)).expect("a certificate"));
    std::fs::write(folder.path().join("clients.crt"), both.concat()).expect("a file");
    folder
}
