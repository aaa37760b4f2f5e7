//! Promises about secrets: what is wrong with one is said, and its value never.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{super::parse, Severity, bad, env, good, one_error, route};

/// The problems of an admin key with this value, without the warning of an inline one.
fn problems(key: &str) -> Vec<String> {
    let text = format!("{}[admin]\nkey = {key}\n", route(""));
    let environment = |name: &str| match name {
        "QUOTED" => Some("\"canary-canary-canary\"".to_owned()),
        "TEMPLATE" => Some("${CANARY_CANARY_CANARY}".to_owned()),
        "PADDED" => Some(" canary-canary-canary".to_owned()),
        _ => env(name),
    };
    let report = match parse(&text, "test.toml", &environment) {
        Ok((_, report)) | Err(report) => report,
    };
    let shown = format!("{report}{}", report.to_json());
    assert!(!shown.contains("canary"), "{shown}");
    let problems = report.problems().iter();
    let others = problems.filter(|problem| problem.code.word() != "secret-inline");
    others
        .map(|problem| {
            let (severity, code) = (problem.severity.as_str(), problem.code.word());
            format!("{severity} {code}: {}; {}", problem.message, problem.hint)
        })
        .collect()
}

/// The only problem of a secret.
fn problem(key: &str) -> String {
    let mut problems = problems(key);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

/// A file with this content that only this user can read.
fn secret_file(folder: &Path, content: &[u8]) -> String {
    let path = folder.join("secret");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    format!("{{ file = \"{}\" }}", path.display())
}

#[test]
fn a_variable_that_is_taken_literally_is_an_error_with_the_form_that_works() {
    for written in ["$ADMIN_KEY_OF_MINE", "${ADMIN_KEY_OF_MINE}"] {
        assert_eq!(
            problem(&format!("\"{written}\"")),
            "error literal-variable: `key` is the name of a variable, taken literally: nothing replaces it; \
             write key = { env = \"ADMIN_KEY_OF_MINE\" }"
        );
    }
    assert!(problem("\"${canary}\"").ends_with("write key = { env = \"NAME\" }"));
    assert_eq!(problems("\"$uper-long-passw0rd\""), [""; 0]);
    let error = one_error(
        "[providers.hapn]\npreset = \"hapn\"\nclient_id = \"abc\"\nclient_secret = \"$HAPN_CLIENT_SECRET\"\n",
    );
    assert!(
        error.starts_with("4:17 providers.hapn.client_secret: "),
        "{error}"
    );
    assert!(
        error.ends_with("write client_secret = { env = \"HAPN_CLIENT_SECRET\" }"),
        "{error}"
    );
}

#[test]
fn a_secret_that_looks_like_an_accident_is_warned_of_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for (content, words) in [
        (
            &b"canary-canary-canary\nsecond"[..],
            "has more than one line",
        ),
        (b"\"canary-canary-canary\"\n", "is in quotation marks"),
        (b"ADMIN_KEY=canary-canary-canary\n", "looks like NAME=value"),
        (b"${CANARY_CANARY_CANARY}", "is the name of a variable"),
    ] {
        let warning = problem(&secret_file(folder.path(), content));
        let path = folder.path().join("secret");
        let start = format!(
            "warning suspect-secret: the secret in the file \"{}\" for `key` {words}",
            path.display()
        );
        assert!(warning.starts_with(&start), "{warning}");
    }
    for (variable, words) in [
        (
            "QUOTED",
            "the secret in `QUOTED` for `key` is in quotation marks",
        ),
        (
            "TEMPLATE",
            "the secret in `TEMPLATE` for `key` is the name of a variable",
        ),
        ("PADDED", "has blanks around the secret, which are removed"),
    ] {
        let warning = problem(&format!("{{ env = \"{variable}\" }}"));
        assert!(warning.contains(words), "{warning}");
    }
    let warning = problem("\"canary-canary-canary \"");
    assert!(
        warning.contains("`key` begins or ends with a blank"),
        "{warning}"
    );
}

#[test]
fn line_breaks_around_the_secret_of_a_file_are_usual_and_blanks_are_removed_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    for content in [
        &b"canary-canary-canary"[..],
        b"canary-canary-canary\n",
        b"canary-canary-canary\r\n\r\n",
    ] {
        let key = secret_file(folder.path(), content);
        assert_eq!(problems(&key), [""; 0]);
    }
    for content in [
        &b"canary-canary-canary \n"[..],
        b"\xef\xbb\xbfcanary-canary-canary",
        b"\tcanary-canary-canary",
    ] {
        let key = secret_file(folder.path(), content);
        let warning = problem(&key);
        let words = "has blanks or a byte order mark around it, which are removed";
        assert!(warning.contains(words), "{warning}");
        let (config, _) = good(&format!("{}[admin]\nkey = {key}\n", route("")));
        let key = config.admin.unwrap().key.unwrap();
        assert_eq!(key.current().expose(), "canary-canary-canary");
    }
}

#[test]
fn a_secret_file_that_other_users_can_read_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let key = secret_file(folder.path(), b"canary-canary-canary");
    let path = folder.path().join("secret");
    let set =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(folder.path(), 0o755);
    set(&path, 0o644);
    let shown = path.display();
    assert_eq!(
        problem(&key),
        format!(
            "warning secret-readable: other users can read the file \"{shown}\" for `key`: its mode is 0644; \
             run: chmod 0600 {shown} (in Kubernetes: defaultMode: 0440 in the volume)"
        )
    );
    set(&path, 0o640);
    assert_eq!(problems(&key), [""; 0]);
    // Its folder is closed to other users.
    set(&path, 0o644);
    set(folder.path(), 0o700);
    assert_eq!(problems(&key), [""; 0]);
}

#[test]
fn a_secret_file_that_may_not_be_read_names_user_owner_and_mode() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let key = secret_file(folder.path(), b"canary");
    let path = folder.path().join("secret");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let error = problem(&key);
    let uid = rustix::process::geteuid().as_raw();
    assert!(error.starts_with("error secret-unreadable: "), "{error}");
    assert!(
        error.contains("Permission denied (os error 13): bearward runs as user "),
        "{error}"
    );
    assert!(
        error.contains(&format!("{uid}")) && error.contains("with mode 0000; "),
        "{error}"
    );
    assert!(error.contains(&format!(" {}", path.display())), "{error}");
}

#[test]
fn a_credential_of_a_unit_is_found_in_the_folder_that_systemd_names() {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), b"canary-canary-canary");
    fs::rename(
        folder.path().join("secret"),
        folder.path().join("client-secret"),
    )
    .unwrap();
    let text = format!(
        "{}[admin]\nkey = {{ file = \"/run/credentials/no-such.service/client-secret\" }}\n",
        route("")
    );
    let path = folder.path().to_str().unwrap().to_owned();
    let environment = move |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| path.clone());
    let (config, report) = parse(&text, "test.toml", &environment).unwrap();
    assert!(report.problems().is_empty(), "{report}");
    let key = config.admin.unwrap().key.unwrap();
    assert_eq!(key.current().expose(), "canary-canary-canary");

    // Before the unit runs, and outside of it.
    let report = bad(&text);
    let hint = &report.problems()[0].hint;
    assert!(
        hint.contains(
            "systemd-run --pipe --wait -p LoadCredential=client-secret:FILE bearward check"
        ),
        "{hint}"
    );
    let errors = report.problems().iter();
    assert_eq!(
        errors
            .filter(|problem| problem.severity == Severity::Error)
            .count(),
        1
    );
}

#[test]
fn a_binary_certificate_or_key_gets_the_command_that_converts_it() {
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let der = folder.path().join("ca.der");
    fs::write(&der, certified.cert.der()).unwrap();
    let error = one_error(&route(&format!("ca_file = \"{}\"", der.display())));
    let shown = der.display();
    let command = format!("convert it: openssl x509 -inform DER -in {shown} -out {shown}.pem");
    assert!(error.ends_with(&command), "{error}");

    let archive = folder.path().join("client.p12");
    fs::write(&archive, b"\x30\x82\x01\x00\x02\x01\x03\x30\x82\x00").unwrap();
    let error = one_error(&route(&format!("ca_file = \"{}\"", archive.display())));
    assert!(error.contains("convert it: openssl pkcs12 -in "), "{error}");

    let key = folder.path().join("key.der");
    fs::write(&key, certified.signing_key.serialize_der()).unwrap();
    let pem = folder.path().join("ca.pem");
    fs::write(&pem, certified.cert.pem()).unwrap();
    let error = one_error(&route(&format!(
        "client_certificate = {{ cert = \"{}\", key = {{ file = \"{}\" }} }}",
        pem.display(),
        key.display()
    )));
    assert!(
        error.contains("convert it: openssl pkey -inform DER"),
        "{error}"
    );
}
