//! Promises about accidents: files of another format, words of other languages, and one report for one mistake.

use super::{bad, one_error, provider, route};

#[test]
fn a_file_in_another_format_has_one_problem_which_shows_the_form_of_toml() {
    for (text, format, position) in [
        (
            "providers:\n  hapn:\n    preset: hapn\n    client_secret: canary\nroutes:\n  r:\n    listen: \"x\"\n",
            "YAML",
            "1:1",
        ),
        ("# a\n---\nlog:\n  level: info\n", "YAML", "1:1"),
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
