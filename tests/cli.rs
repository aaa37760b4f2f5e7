//! The real binary: exit statuses, and what goes to which output.

#![allow(
    clippy::disallowed_methods,
    reason = "a test aborts its tasks with its runtime, and may measure real time"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

/// The program in an empty environment but for what `run` adds, in `folder`.
fn bearward(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bearward"));
    command.env_clear().current_dir(folder).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    ended(bearward(folder.path()).args(arguments).output().unwrap())
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().expect("an exit status"),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Checks `configuration`, with `more` arguments.
fn check(configuration: &str, more: &[&str]) -> (i32, String, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(configuration.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let (status, out, err) = run(&[&["check", "-c", path], more].concat());
    (status, out.replace(path, "FILE"), err)
}

const FINE: &str = "[routes.r]\nlisten = \"127.0.0.1:8080\"\nupstream = \"https://api.example\"\n";

const SIX_MISTAKES: &str = r#"
[providers.hapn]
preset = "hapn"
client_id = "abc"
client_secrt = "canary-one"
client_secret = ["canary-two"]
scope = 5

[providers.hapn.token_request]
headers = { x-key = "canary-three", x-other = 1 }

[routes.devices]
listen = "127.0.0.1:8080"
provider = "happn"
upstream = "https://user:canary-four@api.example"
"#;

#[test]
fn six_different_mistakes_are_all_named_and_none_of_the_secrets() {
    let (status, out, err) = check(SIX_MISTAKES, &[]);
    assert_eq!(status, 2, "{out}{err}");
    for place in [
        "FILE:5:1: error: unknown key `client_secrt`",
        "FILE:6:17: error: `client_secret` must be a secret, not an array",
        "FILE:7:9: error: `scope` must be a string or an array of strings, not an integer",
        "FILE:10:47: error: `headers` must contain strings or arrays of strings, not an integer",
        "FILE:14:12: error: there is no provider \"happn\"",
        "FILE:15:12: error: `upstream` = \"***\" has user information in it",
    ] {
        assert!(out.contains(place), "{place}\n{out}");
    }
    assert!(
        out.contains("hint: did you mean `client_secret`?\n")
            && out.contains("hint: did you mean \"hapn\"?\n")
            && out.contains("\nhelp: docs/errors.md#unknown-key\n")
    );
    assert_eq!(out.matches(": error: ").count(), 6, "{out}");
    assert!(
        !out.contains("canary") && !err.contains("canary"),
        "{out}{err}"
    );
}

#[test]
fn the_json_form_is_one_document_on_standard_output() {
    let (status, out, err) = check(SIX_MISTAKES, &["--format", "json"]);
    assert_eq!((status, err.as_str()), (2, ""));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["ok"], false);
    let problems = json["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 6);
    for problem in problems {
        assert_eq!(
            (problem["severity"].as_str(), problem["file"].as_str()),
            (Some("error"), Some("FILE"))
        );
        assert!(
            problem["line"].is_u64() && problem["column"].is_u64() && problem["key"].is_string()
        );
        assert!(problem["message"].is_string() && problem["hint"].is_string());
    }
    assert!(!out.contains("canary"), "{out}");
    let (status, out, _) = check(FINE, &["--format", "json"]);
    assert_eq!(status, 0);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&out).unwrap(),
        serde_json::json!({"ok": true, "problems": []})
    );
}

#[test]
fn warnings_do_not_change_the_exit_status() {
    let (status, out, err) = check(&FINE.replace("127.0.0.1", "0.0.0.0"), &[]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(
        out.starts_with("FILE:2:10: warning: ") && out.contains("\nhint: "),
        "{out}"
    );
    assert!(
        out.ends_with("FILE: ok, 0 providers, 1 route, 1 warning\n"),
        "{out}"
    );
}

#[test]
fn a_store_that_run_refuses_is_an_error_of_check_too() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let shown = path.display();
    let text = format!("{FINE}[store]\npath = \"{shown}\"\n");
    let set = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };

    // It would be created.
    let (status, out, _) = check(&text, &[]);
    assert_eq!(
        (status, out.as_str()),
        (0, "FILE: ok, 0 providers, 1 route\n")
    );
    assert!(!path.exists());

    fs::create_dir(&path).unwrap();
    set(&path, 0o755);
    let (status, out, _) = check(&text, &[]);
    assert_eq!(status, 2, "{out}");
    let place =
        format!("FILE:4:2: error: the store's folder {shown} cannot be used: its mode is 0755");
    assert!(out.starts_with(&place), "{out}");
    assert!(
        out.contains("\nhelp: docs/errors.md#store-unusable\n"),
        "{out}"
    );
    assert!(
        out.ends_with("FILE: not usable, 0 providers, 1 route, 1 error\n"),
        "{out}"
    );

    set(&path, 0o700);
    let record = path.join("happeo.json");
    fs::write(&record, "{}").unwrap();
    set(&record, 0o644);
    let (status, out, _) = check(&text, &[]);
    assert_eq!(status, 2, "{out}");
    assert!(
        out.contains("happeo.json is not used and left alone: its mode is 0644"),
        "{out}"
    );
    set(&record, 0o600);
    let (status, out, _) = check(&text, &[]);
    assert_eq!(status, 0, "{out}");
}

#[test]
fn a_secret_that_another_user_owns_names_both_users_and_the_mode() {
    use std::{
        fs,
        os::unix::{fs::PermissionsExt, process::CommandExt},
    };
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    // The program itself may be in a folder that is closed to that user.
    let program = folder.path().join("bearward");
    // Copied by another process: one that this one starts meanwhile would hold the copy open for writing.
    let mut copy = Command::new("cp");
    copy.arg(env!("CARGO_BIN_EXE_bearward")).arg(&program);
    assert!(copy.status().unwrap().success());
    let secret = folder.path().join("secret");
    fs::write(&secret, "canary").unwrap();
    set(folder.path(), 0o755);
    set(&secret, 0o600);
    let shown = secret.display();
    let text = format!("{FINE}[admin]\nkey = {{ file = \"{shown}\" }}\n");
    fs::write(folder.path().join("bearward.toml"), text).unwrap();
    let mut command = Command::new(&program);
    command.arg("check").env_clear().current_dir(folder.path());
    let (status, out, _) = ended(command.uid(NOBODY).gid(NOBODY).output().unwrap());
    assert_eq!(status, 2, "{out}");
    let wanted = format!(
        "bearward.toml:5:7: error: the file \"{shown}\" for `key` cannot be read: Permission denied (os error 13): \
         bearward runs as user nobody (65534), and the file belongs to user root (0) with mode 0600\n"
    );
    assert!(out.starts_with(&wanted), "{out}");
    assert!(
        out.contains(&format!("such as: chown nobody {shown}\n")),
        "{out}"
    );
    assert!(!out.contains("canary"), "{out}");
}

#[test]
fn each_problem_in_json_has_its_code() {
    let (_, out, _) = check(SIX_MISTAKES, &["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let problems = json["problems"].as_array().unwrap();
    let codes: Vec<_> = problems.iter().map(|problem| &problem["code"]).collect();
    assert_eq!(
        codes,
        [
            "unknown-key",
            "wrong-type",
            "wrong-type",
            "wrong-type",
            "undefined-provider",
            "invalid-url"
        ]
    );
}

#[test]
fn a_rule_that_can_match_nothing_is_an_error() {
    for rule in [
        "get /x",
        "GET /a%20b",
        "GET /a/../b",
        "GET /./a",
        "GET /x?y",
        "GET /x#y",
        "GET /a\\\\b",
        "GET /é",
    ] {
        let (status, out, err) =
            check(&format!("{FINE}allow = [\"GET /fine\", \"{rule}\"]\n"), &[]);
        assert_eq!((status, err.as_str()), (2, ""), "{rule}: {out}");
        assert!(out.starts_with("FILE:4:23: error: "), "{rule}: {out}");
        assert_eq!(out.matches(": error: ").count(), 1, "{rule}: {out}");
    }
    let (status, out, _) = check(
        &format!("{FINE}allow = [\"GET /fine/*/**\", \"* /\", \"M-SEARCH /a+b:c\"]\n"),
        &[],
    );
    assert_eq!(status, 0, "{out}");
}

#[test]
fn more_fields_than_are_ever_read_are_an_error() {
    let (status, out, _) = check(&format!("{FINE}[limits]\nhead_fields = 1001\n"), &[]);
    assert_eq!(status, 2);
    assert!(
        out.starts_with("FILE:5:15: error: `head_fields`") && out.contains("at most 1000"),
        "{out}"
    );
    let (status, out, _) = check(&format!("{FINE}[limits]\nhead_fields = 1000\n"), &[]);
    assert_eq!(status, 0, "{out}");
}

#[test]
fn an_address_with_a_key_in_it_is_refused_and_not_repeated() {
    for address in [
        "http://:CANARYKEY@h/?q",
        "https://CANARYKEY:x@[",
        "http://h/CANARYKEY#x",
    ] {
        let (status, out, err) = run(&["status", "--admin", address]);
        assert_eq!((status, out.as_str()), (2, ""), "{address}: {err}");
        assert!(
            err.contains("--admin") && !err.contains("CANARYKEY"),
            "{address}: {err}"
        );
    }
}

#[test]
fn a_configuration_that_is_fine_ends_with_zero() {
    let (status, out, err) = check(FINE, &[]);
    assert_eq!(
        (status, out.as_str(), err.as_str()),
        (0, "FILE: ok, 0 providers, 1 route\n", "")
    );
}

#[test]
fn the_configuration_is_found_where_it_is_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bearward.toml"), FINE).unwrap();
    let (status, out, _) = ended(bearward(folder.path()).arg("check").output().unwrap());
    assert_eq!(
        (status, out.as_str()),
        (0, "bearward.toml: ok, 0 providers, 1 route\n")
    );
    let other = folder.path().join("other.toml");
    std::fs::write(&other, "").unwrap();
    let (status, out, _) = ended(
        bearward(folder.path())
            .arg("check")
            .env("BEARWARD_CONFIG", &other)
            .output()
            .unwrap(),
    );
    assert_eq!(status, 2);
    assert!(
        out.contains("other.toml:1:1: error: there is neither a provider nor a route"),
        "{out}"
    );
    let arguments = ["check", "--config", "bearward.toml"];
    let (status, ..) = ended(
        bearward(folder.path())
            .args(arguments)
            .env("BEARWARD_CONFIG", &other)
            .output()
            .unwrap(),
    );
    assert_eq!(status, 0);
}

#[test]
fn a_file_that_is_not_there_is_a_bad_configuration() {
    let (status, out, _) = run(&["check", "-c", "no-such.toml"]);
    assert_eq!(status, 2);
    assert!(
        out.starts_with("no-such.toml:1:1: error: the configuration cannot be read: "),
        "{out}"
    );
}

#[test]
fn secrets_come_from_the_environment_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{FINE}[routes.r.guard]\nclient_key = {{ env = \"CLIENT_KEY\" }}\n");
    std::fs::write(folder.path().join("bearward.toml"), text).unwrap();
    let (status, out, _) = ended(bearward(folder.path()).arg("check").output().unwrap());
    assert_eq!(status, 2);
    assert!(
        out.contains("bearward.toml:5:14: error: the environment variable `CLIENT_KEY`"),
        "{out}"
    );
    let (status, out, _) = ended(
        bearward(folder.path())
            .arg("check")
            .env("CLIENT_KEY", "canary")
            .output()
            .unwrap(),
    );
    assert_eq!(status, 0, "{out}");
    assert!(!out.contains("canary"));
}

#[test]
fn the_reference_is_valid_in_an_empty_environment() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/reference.toml");
    let (status, out, err) = run(&["check", "-c", path]);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
}

#[test]
fn presets_are_listed_and_printed() {
    let (status, out, err) = run(&["presets"]);
    assert_eq!((status, err.as_str()), (0, ""));
    // Each preset has a line with its title, and one with what it needs.
    let names: Vec<_> = out
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config/presets");
    assert_eq!(names.len(), std::fs::read_dir(folder).unwrap().count());
    for name in names {
        let (status, out, _) = run(&["presets", name]);
        assert_eq!(status, 0, "{name}");
        let file = format!("{}/config/presets/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(out, std::fs::read_to_string(file).unwrap());
    }
    let (status, out, err) = run(&["presets", "nobody"]);
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.contains("there is no preset \"nobody\""), "{err}");
}

#[test]
fn the_schema_is_printed_as_it_stands_in_the_tree() {
    let (status, out, err) = run(&["schema"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert_eq!(out, include_str!("../config/schema.json"));
}

#[test]
fn bad_usage_ends_with_two_in_every_command() {
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["--frobnicate"],
        &["check", "--format", "xml"],
        &["check", "-c"],
        &["check", "extra"],
        &["presets", "a", "b"],
        &["schema", "extra"],
        &["run", "extra"],
        &["status", "--format", "xml"],
        &["login"],
        &["logout"],
        &["token"],
        &["reload", "extra"],
        &["completions"],
        &["demo", "--port", "many"],
    ] {
        let (status, out, err) = run(arguments);
        assert_eq!((status, out.as_str()), (2, ""), "{arguments:?}");
        assert!(!err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let (status, out, _) = run(&["--version"]);
    assert_eq!(
        (status, out.trim()),
        (0, concat!("bearward ", env!("CARGO_PKG_VERSION")))
    );
    for arguments in [
        &["--help"][..],
        &["help"],
        &["check", "--help"],
        &["presets", "-h"],
    ] {
        let (status, out, err) = run(arguments);
        assert_eq!((status, err.as_str()), (0, ""), "{arguments:?}");
        assert!(out.contains("Usage: "), "{out}");
    }
}

#[test]
fn the_program_is_called_bearward_whatever_its_file_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("bw-1.2");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bearward"), &other).unwrap();
    for arguments in [
        &["--help"][..],
        &["status", "--help"],
        &["login"],
        &["completions", "bash"],
        &["man"],
    ] {
        let mut command = Command::new(&other);
        let output = command.args(arguments).env_clear().output().unwrap();
        let (_, out, err) = ended(output);
        assert!(out.contains("bearward") || err.contains("bearward"));
        assert!(
            !out.contains("bw-1.2") && !err.contains("bw-1.2"),
            "{arguments:?}: {out}{err}"
        );
    }
}

/// The commands that `--help` lists.
fn commands() -> Vec<String> {
    let (_, help, _) = run(&["--help"]);
    let listed = help.split("Commands:\n").nth(1).unwrap();
    let listed = listed.lines().map_while(|line| line.strip_prefix("  "));
    let named = listed.filter(|line| !line.starts_with(' '));
    let names = named.filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_help_of_every_command_has_examples_that_it_accepts() {
    for command in commands() {
        if command == "help" {
            continue;
        }
        let (status, help, _) = run(&[&command, "--help"]);
        assert_eq!(status, 0, "{command}");
        let usage = format!("Usage: bearward {command}");
        assert!(help.contains(&usage), "{help}");
        let examples = help.split("Examples:\n").nth(1).unwrap_or_default();
        assert!(
            examples.starts_with(&format!("  bearward {command}")),
            "{help}"
        );
        let longest = examples.lines().map(|line| line.chars().count()).max();
        assert!(longest.is_some_and(|longest| longest <= 80), "{help}");
    }
}

#[test]
fn completions_know_every_command_and_option() {
    for (shell, begins) in [
        ("bash", "_bearward() {"),
        ("zsh", "#compdef bearward"),
        ("fish", "# Print an optspec"),
    ] {
        let (status, out, err) = run(&["completions", shell]);
        assert_eq!((status, err.as_str()), (0, ""), "{shell}");
        assert!(out.starts_with(begins), "{shell}: {out}");
        for word in commands()
            .iter()
            .map(String::as_str)
            .chain(["no-browser", "admin"])
        {
            assert!(out.contains(word), "{shell} does not know {word}");
        }
    }
    let (status, out, err) = run(&["completions", "tcsh"]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.contains("bash") && err.contains("zsh") && err.contains("fish"));
}

#[test]
fn bash_accepts_its_completions() {
    let (_, script, _) = run(&["completions", "bash"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("completions");
    std::fs::write(&file, script + "\ndeclare -F _bearward\n").unwrap();
    let bash = Command::new("bash").arg(&file).output().unwrap();
    let (status, out, err) = ended(bash);
    assert_eq!((status, out.trim(), err.as_str()), (0, "_bearward", ""));
}

#[test]
fn every_command_has_a_manual_page() {
    let (status, page, err) = run(&["man"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(page.contains(".TH bearward 1"), "{page}");
    for command in commands() {
        if command == "help" {
            continue;
        }
        assert!(page.contains(&format!("bearward\\-{command}(1)")), "{page}");
        let (status, page, _) = run(&["man", &command]);
        assert_eq!(status, 0, "{command}");
        assert!(
            page.contains(&format!(".TH bearward-{command} 1")) && page.contains("Examples:"),
            "{page}"
        );
    }
    assert_eq!(run(&["man", "no-such-command"]).0, 2);
}

#[test]
fn a_misspelt_provider_or_preset_gets_the_right_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bearward.toml");
    let text = "[providers.happeo]\npreset = \"happeo\"\nclient_id = \"a\"\nclient_secret = { env = \"S\" }\n";
    std::fs::write(&file, text.to_owned() + FINE).unwrap();
    for command in ["login", "logout", "token"] {
        let of = |name: &str| {
            let mut bearward = bearward(folder.path());
            bearward.args([command, name]).env("S", "canary");
            ended(bearward.output().unwrap())
        };
        let (status, out, err) = of("hapeo");
        assert_eq!((status, out.as_str()), (1, ""), "{command}: {err}");
        assert!(
            err.contains("there is no provider \"hapeo\" in")
                && err.contains("did you mean \"happeo\"?"),
            "{command}: {err}"
        );
        let (_, _, err) = of("salesforce");
        assert!(err.contains("; it has happeo"), "{command}: {err}");
    }
    let (status, _, err) = run(&["presets", "hapeo"]);
    assert_eq!(status, 1);
    assert!(err.contains("did you mean \"happeo\"?"), "{err}");
}

#[test]
fn a_reader_that_goes_away_causes_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["schema"][..],
        &["presets"],
        &["--help"],
        &["check", "-c", "x"],
    ] {
        let mut child = bearward(folder.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code().is_some_and(|status| status != 101),
            "{arguments:?}: {:?} {err}",
            output.status
        );
        assert!(!err.contains("panicked"), "{err}");
    }
}
