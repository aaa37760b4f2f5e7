//! Promises of reports: each mistake is named at its position, with a hint.

use super::{
    super::{environment, find, keys, load, parse},
    bad, env, good, one_error, provider, route,
};

#[test]
fn six_different_mistakes_are_all_named_in_one_go() {
    let text = "[providers.hapn]\npreset = \"hapn\"\nclient_id = \"abc\"\nclient_secrt = \"x\"\nclient_secret = { env = \"UNSET\" }\n\
                scope = 5\n[routes.a]\nlisten = \"127.0.0.1:8080\"\nprovider = \"happn\"\nupstream = \"http://api.example\"\n\
                [routes.b]\nlisten = \"127.0.0.1:8080\"\nupstream = \"https://api.example\"\n";
    let report = bad(text);
    let places: Vec<_> = report
        .problems()
        .iter()
        .map(|problem| (problem.line, problem.key.clone().unwrap()))
        .collect();
    let wanted = [
        (4, "providers.hapn.client_secrt"),
        (5, "providers.hapn.client_secret"),
        (6, "providers.hapn.scope"),
        (9, "routes.a.provider"),
        (10, "routes.a.upstream"),
        (11, "routes.b"),
    ];
    assert_eq!(
        places,
        wanted.map(|(line, key)| (line, key.to_owned())),
        "{report}"
    );
    assert!(
        report
            .problems()
            .iter()
            .all(|problem| !problem.hint.is_empty() && problem.column > 0)
    );
}

#[test]
fn an_unknown_key_suggests_a_similar_key_or_the_table_it_belongs_to() {
    assert_eq!(
        one_error(&provider("client_secrt = 1")),
        "6:1 providers.p.client_secrt: unknown key `client_secrt`; did you mean `client_secret`?"
    );
    assert!(one_error(&route("hosts = []")).ends_with("move `hosts` to [routes.r.guard]"));
    assert!(one_error(&provider("upstream = 1")).ends_with("move `upstream` to [routes.NAME]"));
    assert!(
        one_error(&format!("{}[log]\nzzz = 1", route(""))).ends_with("use one of format, level")
    );
    assert!(
        one_error(&format!("[provders.x]\n{}", route(""))).ends_with("did you mean `providers`?")
    );
}

#[test]
fn a_wrong_type_names_the_expected_type_and_the_actual_one() {
    for (more, wanted) in [
        (
            "strip_path = \"yes\"",
            "`strip_path` must be true or false, not a string",
        ),
        ("path = 5", "`path` must be a string, not an integer"),
        (
            "allow = \"GET /\"",
            "`allow` must be an array of strings, not a string",
        ),
        ("allow = [5]", "`allow` must contain strings only"),
        ("guard = 5", "`guard` must be a table, not an integer"),
        (
            "timeouts.connect = 5",
            "`connect` must be a duration in quotation marks, not an integer",
        ),
        (
            "timeouts.connect = \"5\"",
            "`connect` = \"5\" is not a duration",
        ),
        ("timeouts.connect = \"0s\"", "`connect` must not be zero"),
        (
            "guard.max_body = \"10MB\"",
            "`max_body` = \"10MB\" is not a size",
        ),
        ("host = \"\"", "`host` is empty"),
        (
            "http2 = \"always\"",
            "`http2` = \"always\" is not a known value",
        ),
        ("host = 1979-05-27", "`host` must be a string, not a date"),
    ] {
        let error = one_error(&route(more));
        assert!(error.contains(wanted), "{error}");
    }
    for (text, wanted) in [
        ("limits.connections = 0", "`connections` is out of range"),
        ("limits.connections = -1", "`connections` is out of range"),
        (
            "limits.connections = 99999999999999999999",
            "`connections` is out of range",
        ),
        (
            "limits.head_bytes = \"1B\"",
            "`head_bytes` = \"1B\" is out of range",
        ),
        (
            "limits.head_bytes = \"2GiB\"",
            "`head_bytes` = \"2GiB\" is out of range",
        ),
        ("runtime.workers = 0", "`workers` is out of range"),
        (
            "runtime.workers = \"many\"",
            "`workers` must be \"auto\" or an integer, not a string",
        ),
        (
            "log.level = \"inof\"",
            "`level` = \"inof\" is not a log level",
        ),
        (
            "log.level = \"a=b=c\"",
            "`level` = \"a=b=c\" is not a log level",
        ),
        (
            "log.format = \"yaml\"",
            "`format` = \"yaml\" is not a known value",
        ),
        (
            "store.kind = \"sql\"",
            "`kind` = \"sql\" is not a known value",
        ),
    ] {
        let error = one_error(&format!("{text}\n{}", route("")));
        assert!(error.starts_with("1:") && error.contains(wanted), "{error}");
    }
    assert!(
        bad("providers = 5")
            .to_string()
            .contains("`providers` must be a table of tables, not an integer")
    );
    assert!(
        bad("[[routes]]\nlisten = \"x\"")
            .to_string()
            .contains("`routes` must be a table of tables, not an array")
    );
}

#[test]
fn a_value_of_another_type_is_refused_for_every_key() {
    let mut paths = Vec::new();
    keys::walk(keys::ROOT, "", &mut |path, _| {
        paths.push(path.replace('*', "x"));
    });
    for path in paths {
        let report = bad(&format!("{path} = 1979-05-27\n"));
        let key = Some(path.as_str());
        let named: Vec<_> = report
            .problems()
            .iter()
            .filter(|problem| problem.key.as_deref() == key)
            .collect();
        assert_eq!(named.len(), 1, "{report}");
        assert!(named[0].message.contains("must be"), "{report}");
        assert!(named[0].message.contains("not a date"), "{report}");
    }
}

#[test]
fn an_invalid_base_is_reported_once_and_not_for_each_endpoint_below_it() {
    let text = provider("base_url = \"as.example\"\nrevocation_endpoint = \"/revoke\"");
    let error = one_error(&text);
    assert!(
        error.contains("`base_url` = \"as.example\" is not a URL"),
        "{error}"
    );
}

#[test]
fn syntax_errors_and_other_problems_are_reported_together() {
    let report = bad(&format!("log.level = verbose\n{}", route("pth = \"/v1\"")));
    let messages: Vec<_> = report
        .problems()
        .iter()
        .map(|problem| (problem.line, &*problem.message))
        .collect();
    assert_eq!(messages.len(), 2, "{report}");
    assert!(
        messages[0]
            .1
            .starts_with("this is not valid TOML: string values must be quoted"),
        "{report}"
    );
    assert_eq!(messages[1], (5, "unknown key `pth`"));
    assert!(
        one_error(&route("listen = \"127.0.0.1:1\""))
            .starts_with("4:1 -: this is not valid TOML: duplicate key")
    );
    let report = bad("[routes.r]\nlisten \"127.0.0.1:8080\"\nupstream = 5\n");
    assert_eq!(report.problems().len(), 1, "{report}");
    // The rest of this file cannot be checked.
    let report = bad("[routes.r]\nlisten = \"\"\"127.0.0.1:8080\nupstream = 5\n");
    assert_eq!(report.problems().len(), 1, "{report}");
}

#[test]
fn a_file_with_neither_provider_nor_route_is_an_error_and_one_without_routes_a_warning() {
    for text in [
        "",
        "# nothing\n",
        "[log]\nlevel = \"info\"",
        "[providers]",
        "[providers]\n[routes]",
    ] {
        assert!(
            one_error(text).contains("there is neither a provider nor a route"),
            "{text}"
        );
    }
    assert_eq!(
        good(&provider("")).1,
        ["there is no route, so nothing is forwarded"]
    );
    assert_eq!(good(&route("")).1, [""; 0]);
}

#[test]
fn an_unreadable_secret_is_named_by_its_source() {
    let secret = |form: &str| format!("{}[admin]\nkey = {form}\n", route(""));
    assert!(
        one_error(&secret("{ env = \"UNSET\" }"))
            .contains("the environment variable `UNSET` for `key` is not set")
    );
    assert!(
        one_error(&secret("{ env = \"EMPTY\" }"))
            .contains("the environment variable `EMPTY` for `key` is empty")
    );
    assert!(
        one_error(&secret("{ env = \"no name\" }"))
            .contains("`env` of `key` is not the name of an environment variable")
    );
    assert!(
        one_error(&secret("{ file = \"/no/such/file\" }"))
            .contains("the file \"/no/such/file\" for `key` cannot be read")
    );
    assert!(one_error(&secret("\"\"")).contains("`key` is empty"));
    assert!(one_error(&secret("{}")).contains("`key` must have exactly one source"));
    assert!(
        one_error(&secret("{ env = \"SECRET\", file = \"/x\" }"))
            .contains("`key` must have exactly one source")
    );
    assert!(
        one_error(&secret("{ vault = \"x\" }")).contains("`key` must come from `env` or `file`")
    );
    assert_eq!(
        good(&secret("\"inline-and-long-enough\"")).1,
        ["`key` is written in the configuration itself"]
    );
}

#[test]
fn a_key_that_can_be_guessed_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let warnings = |key: &str| {
        std::fs::write(&path, key).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, private).unwrap();
        let key = format!("[admin]\nkey = {{ file = \"{}\" }}\n", path.display());
        good(&(route("") + &key)).1
    };
    let short = ["`key` has fewer than 16 characters, so it can be guessed"];
    assert_eq!(warnings("x"), short);
    assert_eq!(warnings("CANARY-15-chars"), short);
    assert_eq!(warnings("CANARY-16-chars!"), [""; 0]);
}

#[test]
fn files_are_found_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bearward.toml");
    std::fs::write(folder.path().join("secret"), "from-a-file\n").unwrap();
    std::fs::write(
        &path,
        format!("{}[admin]\nkey = {{ file = \"secret\" }}\n", route("")),
    )
    .unwrap();
    let (config, report) = load(&path, &env).unwrap_or_else(|report| panic!("{report}"));
    assert!(report.is_ok());
    assert_eq!(config.path.as_deref(), Some(&*path));
    assert_eq!(
        config.admin.unwrap().key.unwrap().current().expose(),
        "from-a-file"
    );
}

#[test]
fn an_unreadable_file_is_a_problem_with_a_position() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent.toml");
    let report = load(&path, &env).unwrap_err();
    assert!(report.to_string().starts_with(&format!(
        "{}:1:1: error: the configuration cannot be read: ",
        path.display()
    )));
    assert!(load(folder.path(), &env).is_err());
    std::fs::write(&path, b"[log]\nlevel = \"\xff\"").unwrap();
    assert!(
        load(&path, &env)
            .unwrap_err()
            .to_string()
            .contains("not UTF-8, from line 2 on")
    );
}

#[test]
fn the_file_is_the_option_then_the_variable_then_the_default() {
    let set = |name: &str| (name == "BEARWARD_CONFIG").then(|| "/from/env.toml".to_owned());
    assert_eq!(
        find(Some("given.toml".as_ref()), &set).to_str(),
        Some("given.toml")
    );
    assert_eq!(find(None, &set).to_str(), Some("/from/env.toml"));
    let empty = |_: &str| Some(String::new());
    assert_eq!(
        find(None, &empty).to_str(),
        Some("/etc/bearward/bearward.toml")
    );
    assert_eq!(environment("BEARWARD_SURELY_UNSET"), None);
}

#[test]
fn the_json_form_has_the_same_problems() {
    let json = parse("[log]\nlevl = 1", "a.toml", &env)
        .unwrap_err()
        .to_json();
    assert_eq!(json["ok"], false);
    let problem = json["problems"]
        .as_array()
        .unwrap()
        .iter()
        .find(|problem| problem["line"] == 2)
        .unwrap();
    assert_eq!(
        *problem,
        serde_json::json!({
            "severity": "error", "code": "unknown-key", "file": "a.toml", "line": 2, "column": 1,
            "key": "log.levl", "message": "unknown key `levl`", "hint": "did you mean `level`?",
        })
    );
}

#[test]
fn columns_count_characters() {
    let error = one_error(&format!("{}[admin]\n\"ключ\" = 1\n", route("")));
    assert!(error.starts_with("6:1 "), "{error}");
    let error = one_error(&format!(
        "admin = {{ listen = \"off\", \"é\" = 1 }}\n{}",
        route("")
    ));
    assert!(error.starts_with("1:27 "), "{error}");
    let error = one_error(&format!("log.level = \"é\"\n{}", route("")));
    assert!(error.starts_with("1:13 "), "{error}");
}
