//! Promises about accidents: files of another format, words of other languages, and one report for one mistake.

use super::{super::load, bad, env, good, one_error, provider, route};

#[test]
fn a_file_in_another_format_has_one_problem_which_shows_the_form_of_toml() {
    for (text, format, position) in [
        (
            "providers:\n  hapn:\n    preset: hapn\n    client_secret: canary\nroutes:\n  r:\n    listen: \"x\"\n",
            "YAML",
            "1:1",
        ),
        ("# a\n\n---\nlog:\n  level: info\n", "YAML", "3:1"),
        (
            "\n{\n  \"log\": { \"level\": \"canary\" },\n  \"routes\": {}\n}\n",
            "JSON",
            "2:1",
        ),
        (
            "[log]\n; comment\nlevel = canary\n",
            "an INI file or a list of variables",
            "1:1",
        ),
        (
            "CLIENT_ID=abc\nCLIENT_SECRET=canary\nLEVEL=info\n",
            "an INI file or a list of variables",
            "1:1",
        ),
        ("<html>canary</html>", "XML or HTML", "1:1"),
        ("\u{1}\0canary\0", "a binary file", "1:1"),
    ] {
        let report = bad(text);
        assert_eq!(report.problems().len(), 1, "{text}\n{report}");
        assert_eq!(report.problems()[0].code.word(), "another-format");
        let error = one_error(text);
        let start = format!(
            "{position} -: this looks like {format}, and the configuration is TOML; write a table as [providers.hapn]"
        );
        assert!(error.starts_with(&start), "{error}");
        assert!(!report.to_string().contains("canary"), "{report}");
    }
}

#[test]
fn a_switch_is_true_or_false_whatever_other_languages_write() {
    for (word, value) in [
        ("yes", true),
        ("on", true),
        ("True", true),
        ("no", false),
        ("Off", false),
        ("FALSE", false),
    ] {
        let error = one_error(&route(&format!("allow_plaintext = {word}")));
        let hint = format!("TOML writes true or false: allow_plaintext = {value}");
        assert!(error.ends_with(&hint), "{error}");
        // Obeying the hint ends it.
        super::good(&route(&format!("allow_plaintext = {value}")));
    }
    for word in ["\"yes\"", "1", "\"\""] {
        let error = one_error(&route(&format!("strip_path = {word}")));
        assert!(
            error.ends_with("write strip_path = true or strip_path = false"),
            "{error}"
        );
    }
    let error = one_error(&route("strip_path = \"true\""));
    assert!(error.ends_with("remove the quotation marks"), "{error}");
    // A text that reads like a switch is a text.
    let error = one_error(&format!("admin.listen = off\n{}", route("")));
    assert!(
        error.ends_with("put the value in quotation marks"),
        "{error}"
    );
}

#[test]
fn a_port_alone_gets_the_whole_address_as_a_hint() {
    for written in ["8080", "\"8080\"", "\":8080\""] {
        let error = one_error(&route("").replace("\"127.0.0.1:8080\"", written));
        assert!(
            error.ends_with("write listen = \"127.0.0.1:8080\""),
            "{error}"
        );
    }
}

#[test]
fn a_misspelt_key_is_not_reported_as_missing_too() {
    let misspelt = |right: &str, wrong: &str| {
        let text = provider("") + &route("provider = \"p\"");
        assert!(text.contains(right), "{right}");
        one_error(&text.replace(right, wrong))
    };
    for (right, wrong) in [
        ("grant_type", "grant-type"),
        ("token_endpoint", "tokenEndpoint"),
        ("client_id", "ClientId"),
        ("client_secret", "client_secrt"),
        ("listen", "listne"),
        ("upstream", "upstraem"),
    ] {
        let error = misspelt(right, wrong);
        assert!(
            error.ends_with(&format!("did you mean `{right}`?")),
            "{error}"
        );
    }
    let error = misspelt("[providers.p]", "[provider.p]");
    assert!(error.ends_with("did you mean `providers`?"), "{error}");

    let text = provider("") + "[routes.r]\nlisten = \"127.0.0.1:1\"\nprovder = \"p\"\n";
    let text = text.replace("client_id", "api_base = \"https://api.example\"\nclient_id");
    let error = one_error(&text);
    assert!(error.ends_with("did you mean `provider`?"), "{error}");
}

#[test]
fn a_base_in_plain_text_is_reported_at_its_own_line() {
    let error = one_error(
        "[providers.hapn]\npreset = \"hapn\"\nbase_url = \"http://auth.example\"\nclient_id = \"a\"\n\
         client_secret = { env = \"SECRET\" }\n",
    );
    let wanted = "3:12 providers.hapn.base_url: `base_url` is on another machine";
    assert!(error.starts_with(wanted), "{error}");
}

#[test]
fn an_address_without_a_scheme_gets_the_whole_one_as_a_hint() {
    for (key, written, hint) in [
        (
            "upstream",
            "api.example.com/v1",
            "write upstream = \"https://api.example.com/v1\"",
        ),
        (
            "upstream",
            "localhost:3000",
            "write upstream = \"http://localhost:3000\"",
        ),
        (
            "upstream",
            "ftp://api.example",
            "write it like https://host.example/path",
        ),
        (
            "proxy",
            "proxy.internal:3128",
            "write it like http://proxy.internal:3128",
        ),
        (
            "proxy",
            "http://svc:canary@proxy.internal:3128",
            "write proxy = { url = \"http://proxy.internal:3128\", username = \"NAME\", password = { env = \"NAME\" } }",
        ),
        (
            "proxy",
            "svc:canary@proxy.internal:3128",
            "write proxy = { url = \"http://proxy.internal:3128\", username = \"NAME\", password = { env = \"NAME\" } }",
        ),
    ] {
        let text = format!("[routes.r]\nlisten = \"127.0.0.1:1\"\n{key} = \"{written}\"\n");
        let text = match key {
            "upstream" => text,
            _ => text + "upstream = \"https://api.example\"\n",
        };
        let error = one_error(&text);
        assert!(error.ends_with(hint), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
    let error = one_error(&route(
        "proxy = { url = \"http://svc:canary@proxy.internal:3128\" }",
    ));
    let hint = "write url = \"http://proxy.internal:3128\", username = \"NAME\", password = { env = \"NAME\" }";
    assert!(error.ends_with(hint), "{error}");
}

#[test]
fn commas_between_scopes_are_warned_of_unless_the_vendor_wants_them() {
    let warnings = |more: &str| {
        let (_, warnings) = good(&(provider(more) + &route("provider = \"p\"")));
        warnings
    };
    let commas = ["`scope` has commas, and scopes are separated by blanks"];
    assert_eq!(warnings("scope = \"a,b\""), commas);
    assert_eq!(warnings("scope = [\"a\", \"b,c\"]"), commas);
    for scope in ["scope = \"a b\"", "scope = [\"a\", \"b\"]"] {
        assert_eq!(warnings(scope), [""; 0]);
    }
    let wanted = "scope = [\"a\", \"b\"]\ntoken_request.scope_separator = \",\"";
    assert_eq!(warnings(wanted), [""; 0]);
    assert_eq!(
        warnings(&wanted.replace("\"a\", \"b\"", "\"a,b\"")),
        [""; 0]
    );
}

#[test]
fn a_variable_in_a_text_that_is_no_secret_is_warned_of() {
    let text = provider("").replace("client_id = \"id\"", "client_id = \"$HAPN_CLIENT_ID\"");
    let (_, warnings) = good(&(text + &route("")));
    let wanted = "`client_id` = \"$HAPN_CLIENT_ID\" is taken literally: nothing replaces it";
    assert_eq!(warnings, [wanted]);
}

/// The warnings of a provider with a login in a browser, with `more` in its table.
fn login_warnings(more: &str, admin: &str) -> Vec<String> {
    let text = provider(more).replace("client_credentials", "authorization_code");
    let text = text + "authorization_endpoint = \"https://as.example/authorize\"\n";
    good(&format!(
        "{text}{}[admin]\nlisten = \"{admin}\"\n",
        route("provider = \"p\"")
    ))
    .1
}

#[test]
fn a_login_that_would_not_return_to_the_admin_listener_is_warned_of() {
    for (uri, admin) in [
        ("http://127.0.0.1:3000/callback", "127.0.0.1:9900"),
        ("http://127.0.0.1:9900/oauth", "127.0.0.1:9900"),
        ("https://sidecar.example/oauth2/redirect", "127.0.0.1:9900"),
    ] {
        let warnings = login_warnings(&format!("redirect_uri = \"{uri}\""), admin);
        let wanted =
            "`redirect_uri` does not lead to /callback of the admin listener (127.0.0.1:9900)";
        assert_eq!(warnings, [wanted], "{uri}");
    }
    for (uri, admin) in [
        ("http://127.0.0.1:9900/callback", "127.0.0.1:9900"),
        ("http://localhost:9900/callback/p", "127.0.0.1:9900"),
        ("https://sidecar.example/callback", "127.0.0.1:9900"),
        ("urn:ietf:wg:oauth:2.0:oob", "127.0.0.1:9900"),
        ("http://127.0.0.1:3000/callback", "off"),
        ("http://127.0.0.1:3000/callback", "systemd:admin"),
    ] {
        let warnings = login_warnings(&format!("redirect_uri = \"{uri}\""), admin);
        assert_eq!(warnings, [""; 0], "{uri} {admin}");
    }
}

#[test]
fn a_login_without_a_fixed_redirect_uri_is_warned_of() {
    for (admin, fault) in [
        ("off", "the admin listener is off"),
        (
            "127.0.0.1:0",
            "the admin listener has another port at each start",
        ),
        (
            "unix:/run/bearward/admin",
            "a browser cannot reach the admin listener",
        ),
    ] {
        let wanted = format!("provider `p` has no `redirect_uri`, and {fault}");
        assert_eq!(login_warnings("", admin), [wanted]);
    }
    for admin in ["127.0.0.1:9901", "localhost:9900", "systemd:admin"] {
        assert_eq!(login_warnings("", admin), [""; 0], "{admin}");
    }
}

#[test]
fn an_address_that_the_admin_listener_has_by_default_says_so() {
    let error = one_error(&route("").replace("8080", "9900"));
    let wanted = "which the admin listener (by default: [admin] listen changes it) already uses";
    assert!(error.contains(wanted), "{error}");
}

#[test]
fn a_file_that_is_not_text_is_named_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bearward.toml");
    for (content, message, hint) in [
        (
            &b"\x7fELF\0\xff"[..],
            "the configuration is a binary file",
            "name the file with -c FILE",
        ),
        (
            b"\xff\xfel\0",
            "the configuration is not UTF-8, from line 1 on",
            "save the file as UTF-8",
        ),
        (
            b"[log]\nlevel = \"\xe9\"\n",
            "the configuration is not UTF-8, from line 2 on",
            "save the file as UTF-8",
        ),
    ] {
        std::fs::write(&path, content).unwrap();
        let report = load(&path, &env).unwrap_err();
        let [problem] = report.problems() else {
            panic!("{report}")
        };
        assert_eq!(problem.message, message);
        assert!(problem.hint.starts_with(hint), "{report}");
        assert_eq!(problem.code.word(), "file-unreadable");
    }
}
