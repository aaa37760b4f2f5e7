//! Records survive writing and reading; damage is detected, and never quoted.

use proptest::prelude::*;

use super::*;

const CANARY: &str = "canary9f8e7d6c";

fn record() -> Record {
    Record {
        refresh_token: Some(Secret::new(CANARY)),
        refused: false,
        configured: Some("c0ffee".into()),
        taken: vec!["c0ffee".into()],
        client: Some("c1".into()),
        login: Some("ab12".into()),
        generation: 7,
        access: Some(StoredAccessToken {
            token: Secret::new("access"),
            settings: "feed".into(),
            requested_at_wall: 1_700_000_000_000,
            requested_at_boot: 5_000_000,
            lifetime: Some(3_600_000),
            api_base: Some("https://acme.api.example/v1".parse().unwrap()),
        }),
        captured: [("realm_id".to_owned(), "42".to_owned())].into(),
        times: LoginTimes {
            logged_in_at: Some(1_690_000_000_000),
            refreshed_at: Some(1_700_000_000_000),
            refresh_expires_at: Some(1_710_000_000_000),
        },
    }
}

fn json(text: &str) -> Result<Record, FileError> {
    Record::parse(text.as_bytes(), "happeo")
}

#[test]
fn the_format_is_what_the_documentation_shows() {
    let written = record().to_json("happeo");
    let value: serde_json::Value = serde_json::from_slice(&written).unwrap();
    let expected = serde_json::json!({
        "version": 1, "provider": "happeo", "refresh_token": CANARY, "refused": false, "configured": "c0ffee", "login": "ab12",
        "taken": ["c0ffee"], "client": "c1", "generation": 7,
        "access": {
            "token": "access", "settings": "feed",
            "asked_at_ms": 1_700_000_000_000u64, "asked_at_boot_ms": 5_000_000, "lifetime_ms": 3_600_000,
            "api_base": "https://acme.api.example/v1"
        },
        "captured": {"realm_id": "42"},
        "logged_in_at_ms": 1_690_000_000_000u64, "refreshed_at_ms": 1_700_000_000_000u64,
        "refresh_expires_at_ms": 1_710_000_000_000u64
    });
    assert_eq!(value, expected);
}

#[test]
fn blanks_after_a_record_are_ignored() {
    let mut written = record().to_json("happeo").to_vec();
    written.extend([b' '; 100]);
    assert_eq!(Record::parse(&written, "happeo").unwrap(), record());
}

#[test]
fn a_record_cut_anywhere_is_damaged_and_never_quoted() {
    let written = record().to_json("happeo");
    let whole = written.len() - 1;
    for length in 0..whole {
        let Err(error @ FileError::Corrupt(_)) = Record::parse(&written[..length], "happeo") else {
            panic!("cut at {length} it is read all the same");
        };
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
    for text in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"version":"canary"}"#,
        r#"{"version":1}"#,
        r#"{"version":1,"provider":"happeo","refresh_token":7,"refused":false}"#,
        r#"{"version":1,"provider":"happeo","refresh_token":"canary","refused":"canary"}"#,
    ] {
        let error = json(text).unwrap_err();
        assert!(
            matches!(error, FileError::Corrupt(_)) && !error.to_string().contains("canary"),
            "{error}"
        );
    }
}

#[test]
fn a_later_version_is_distinguished_from_damage() {
    assert!(matches!(
        json(r#"{"version":2,"whatever":true}"#),
        Err(FileError::NewerFormat(2))
    ));
    assert!(matches!(
        json(r#"{"version":0}"#),
        Err(FileError::Corrupt(_))
    ));
}

#[test]
fn another_providers_record_is_rejected() {
    assert!(matches!(
        Record::parse(&record().to_json("other"), "happeo"),
        Err(FileError::Corrupt(_))
    ));
}

#[test]
fn no_secret_is_shown() {
    assert!(!format!("{:?}", record()).contains(CANARY));
}

fn at(boot: u64, day: u64) -> (BootInstant, SystemTime) {
    (
        BootInstant::from_boot(Duration::from_secs(boot)),
        SystemTime::UNIX_EPOCH + Duration::from_secs(day),
    )
}

/// Requested at second 1000 of the boot, second 50000 of the day.
fn access() -> StoredAccessToken {
    let (now, wall) = at(1010, 50_010);
    let requested_at = now - Duration::from_secs(10);
    StoredAccessToken::new(
        Secret::new("t"),
        String::new(),
        requested_at,
        Lifetime::For(Duration::from_secs(3600)),
        now,
        wall,
    )
}

fn age(boot: u64, day: u64) -> Option<u64> {
    let (now, wall) = at(boot, day);
    access().age(now, wall).map(|age| age.as_secs())
}

#[test]
fn the_age_of_a_token_is_known_while_both_clocks_agree() {
    assert_eq!(age(1000, 50_000), Some(0));
    assert_eq!(age(1600, 50_600), Some(600));
}

#[test]
fn where_they_differ_a_little_the_older_age_counts() {
    assert_eq!(age(1600, 50_602), Some(602));
    assert_eq!(age(1602, 50_600), Some(602));
}

#[test]
fn a_clock_that_jumped_or_a_reboot_leaves_the_age_unknown() {
    assert_eq!(age(8200, 50_600), None, "the day was set back");
    assert_eq!(
        age(1600, 57_800),
        None,
        "the day was set forward, or the machine slept unnoticed"
    );
    assert_eq!(age(20, 50_600), None, "rebooted");
    assert_eq!(age(1600, 49_000), None, "before it was requested");
}

#[test]
fn a_token_that_cannot_be_renewed_is_as_old_as_one_of_the_clocks_tells() {
    let longest = |boot, day| {
        let (now, wall) = at(boot, day);
        access().longest_age(now, wall).map(|age| age.as_secs())
    };
    assert_eq!(longest(20, 57_200), Some(7200), "rebooted");
    assert_eq!(longest(8200, 50_600), Some(7200), "the day was set back");
    assert_eq!(longest(20, 49_000), None, "before it was requested");
}

#[test]
fn a_record_of_an_early_version_has_no_times_and_captured_nothing() {
    let text = r#"{"version":1,"provider":"happeo","refresh_token":"r","refused":false,"configured":null,"access":
        {"token":"a","settings":"s","asked_at_ms":1,"asked_at_boot_ms":2,"lifetime_ms":3}}"#;
    let record = json(text).unwrap();
    assert_eq!(
        (record.times, record.captured.len()),
        (LoginTimes::default(), 0)
    );
    let access = record.access.unwrap();
    assert_eq!((access.lifetime, access.api_base), (Some(3), None));
}

#[test]
fn a_token_that_never_expires_survives_writing_and_reading() {
    let mut endless = record();
    endless.access.as_mut().unwrap().lifetime = None;
    let written = endless.to_json("happeo");
    assert_eq!(Record::parse(&written, "happeo").unwrap(), endless);
}

#[test]
fn the_last_sixteen_configured_tokens_are_remembered() {
    let mut record = Record::default();
    for number in 0..20 {
        let configured = Some(format!("d{number}"));
        record = Record {
            taken: record.taken_with(configured.as_deref()),
            configured,
            ..Record::default()
        };
    }
    assert_eq!(record.taken.len(), 16);
    assert!(record.has_taken("d4") && record.has_taken("d19") && !record.has_taken("d3"));
    let older = Record {
        configured: Some("of an older version".into()),
        ..Record::default()
    };
    assert!(older.has_taken("of an older version"));
    assert_eq!(older.taken_with(Some("d1")), ["of an older version", "d1"]);
}

#[test]
fn a_record_without_a_login_name_is_read() {
    let text = r#"{"version":1,"provider":"happeo","refresh_token":"r","refused":false,"configured":null,"access":null}"#;
    assert_eq!(
        json(text).unwrap(),
        Record {
            refresh_token: Some(Secret::new("r")),
            ..Record::default()
        }
    );
}

proptest! {
    #[test]
    fn any_record_survives_writing_and_reading(
        refresh_token in prop::option::of("[ -~]{1,40}"), refused: bool, configured in prop::option::of("[0-9a-f]{64}"),
        login in prop::option::of("[0-9a-f]{16}"), taken in prop::collection::vec("[0-9a-f]{64}", 0..16),
        client in prop::option::of("[0-9a-f]{64}"),
        access in prop::option::of(("[ -~]{1,40}", "[0-9a-f]{64}", any::<u64>(), any::<u64>(), any::<Option<u64>>())),
        captured in prop::collection::btree_map("\\PC{1,20}", "\\PC{0,200}", 0..4), generation: u64
    ) {
        let access = access.map(|(token, settings, requested_at_wall, requested_at_boot, lifetime)| StoredAccessToken {
            token: Secret::new(token), settings, requested_at_wall, requested_at_boot, lifetime, api_base: None
        });
        let record = Record { refresh_token: refresh_token.map(Secret::new), refused, configured, taken, client, login, generation, access, captured, times: LoginTimes::default() };
        let written = record.to_json("happeo");
        prop_assert_eq!(Record::parse(&written, "happeo").unwrap(), record);
    }
}
