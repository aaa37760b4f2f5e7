//! Promises for every file: no panic, every position within it, and no secret shown.

use proptest::prelude::*;

use super::{super::parse, env};

const REFERENCE: &str = include_str!("../../../config/reference.toml");

/// Checks the promises that hold for every text.
fn assert_sound(text: &str) {
    let report = match parse(text, "test.toml", &env) {
        Ok((_, report)) => report,
        Err(report) => {
            assert!(!report.is_ok());
            report
        }
    };
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in report.problems() {
        assert!((1..=lines.len()).contains(&problem.line), "{problem}");
        assert!(
            (1..=lines[problem.line - 1].chars().count() + 1).contains(&problem.column),
            "{problem}"
        );
        assert!(!problem.message.is_empty() && !problem.hint.is_empty());
    }
    let _ = (report.to_string(), report.to_json());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_global_rejects: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC*") {
        assert_sound(&text);
    }

    #[test]
    fn anything_that_looks_like_toml_is_read_without_a_panic(text in "([a-z_.]{1,6}|[\\[\\]{}=,\"'#\\n\\\\ ]|[0-9é\\r\\t]){0,120}") {
        assert_sound(&text);
    }

    #[test]
    fn a_file_with_bytes_exchanged_is_read_without_a_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = REFERENCE.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        assert_sound(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_read_without_a_panic(at in any::<prop::sample::Index>(), with in "[\\[\\]{}=\"'\\n]{0,3}") {
        let mut cut = String::from_utf8_lossy(&REFERENCE.as_bytes()[..at.index(REFERENCE.len())]).into_owned();
        cut.push_str(&with);
        assert_sound(&cut);
    }

    #[test]
    fn a_secret_in_a_damaged_file_is_not_shown(
        at in any::<prop::sample::Index>(),
        length in 0_usize..4,
        with in "[\\[\\]{}=\"'\\n#., a]{0,3}",
    ) {
        const CANARY: &str = "kan4rie-Z9";
        let text = format!(
            "[admin]\nkey = \"{CANARY}\"\nlisten = \"x\"\n[providers.p]\nclient_id = \"id\"\nclient_secret = '{CANARY}'\n\
             refresh_token = {{ env = \"{CANARY}\" }}\n[providers.p.token_request]\nheaders = {{ a = \"{CANARY}\", b = 1 }}\n\
             params = {{ x = \"{CANARY}\" }}\n[routes.r.guard]\nclient_key = \"\"\"\n{CANARY}\"\"\"\nhost = [\"{CANARY}\"]\n"
        );
        let from = at.index(text.len());
        let damaged = format!("{}{with}{}", &text[..from], &text[(from + length).min(text.len())..]);
        // Damage that turns a key into another known one makes its value visible, so the keys stay.
        let keys = ["\nkey", "\nclient_secret", "\nrefresh_token", "\nheaders", "\nparams", "\nclient_key", "\nhost"];
        prop_assume!(keys.iter().all(|key| damaged.contains(&format!("{key} ="))));
        let (Ok((_, report)) | Err(report)) = parse(&damaged, "test.toml", &env);
        let shown = format!("{report}{}", report.to_json());
        prop_assert!(!shown.contains("kan4rie"), "{damaged}\n{shown}");
        assert_sound(&damaged);
    }
}

#[test]
fn ten_thousand_providers_and_routes_load() {
    let mut text = String::new();
    for n in 0..10_000 {
        let host = format!("127.0.{}.{}", n / 250, n % 250 + 1);
        text.push_str(&format!(
            "[providers.p{n}]\npreset = \"hapn\"\nclient_id = \"id\"\nclient_secret = {{ env = \"SECRET\" }}\n\
             [routes.r{n}]\nlisten = \"{host}:8080\"\npath = \"/v{n}\"\nprovider = \"p{n}\"\n"
        ));
    }
    let (config, warnings) = super::good(&text);
    assert_eq!(
        (config.providers.len(), config.routes.len()),
        (10_000, 10_000)
    );
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn ten_thousand_mistakes_are_all_reported() {
    let mut text = String::new();
    for n in 0..10_000 {
        text.push_str(&format!(
            "[routes.r{n}]\nlisten = \"127.0.0.1:8080\"\nprovder = \"x\"\nprovider = \"unknown{n}\"\n"
        ));
    }
    let report = super::bad(&text);
    assert!(report.errors() >= 20_000);
    assert!(report.to_string().len() < 20_000_000);
}
