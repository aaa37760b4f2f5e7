//! Promises of the tables for traces and notifications.

use super::{good, one_error, route};

fn with(tables: &str) -> String {
    format!("{}{tables}", route(""))
}

#[test]
fn traces_are_off_unless_a_collector_is_named() {
    assert_eq!(good(&with("")).0.traces, None);
    let (config, warnings) = good(&with("[telemetry]\nsample_ratio = 0.5\n"));
    assert_eq!(config.traces, None);
    assert!(warnings[0].contains("`otlp_endpoint`"), "{warnings:?}");

    for (ratio, value) in [
        ("", 1.0),
        ("sample_ratio = 0", 0.0),
        ("sample_ratio = 0.25", 0.25),
    ] {
        let table = format!("[telemetry]\notlp_endpoint = \"http://127.0.0.1:4318\"\n{ratio}\n");
        let (config, warnings) = good(&with(&table));
        assert_eq!(warnings, [""; 0]);
        let traces = config.traces.unwrap();
        assert_eq!(traces.sample_ratio.to_bits(), f64::to_bits(value));
        assert_eq!(traces.collector.as_str(), "http://127.0.0.1:4318/");
    }
}

#[test]
fn plain_text_beyond_this_machine_is_a_warning_for_traces_and_notifications() {
    for tables in [
        "[telemetry]\notlp_endpoint = \"http://collector.example:4318\"\n",
        "[notify]\nurl = \"http://hooks.example/x\"\n",
    ] {
        let warnings = good(&with(tables)).1;
        assert!(warnings[0].contains("in plain text"), "{warnings:?}");
    }
}

#[test]
fn mistakes_of_traces_and_notifications_are_named() {
    let collector = "otlp_endpoint = \"http://127.0.0.1:4318\"";
    for (tables, message) in [
        (
            "[telemetry]\notlp_endpoint = \"127.0.0.1:4318\"\n",
            "is not a URL",
        ),
        (
            "[telemetry]\notlp_endpoint = \"http://c.example/?x\"\n",
            "has a query",
        ),
        (
            "[telemetry]\nsample_ratio = 1.5\n",
            "`sample_ratio` is out of range",
        ),
        (
            "[telemetry]\nsample_ratio = nan\n",
            "`sample_ratio` is out of range",
        ),
        (
            "[telemetry]\nsample_ratio = \"1\"\n",
            "`sample_ratio` must be a number",
        ),
        ("[notify]\ncommand = []\n", "`command` is empty"),
        (
            "[notify]\ncommand = [\"/bin/true\", \"\"]\n",
            "`command` is empty",
        ),
        (
            "[notify]\nurl = \"ftp://hooks.example\"\n",
            "neither http:// nor https://",
        ),
    ] {
        let tables = tables.replace("sample_ratio", &format!("{collector}\nsample_ratio"));
        let error = one_error(&with(&tables));
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_command_is_found_by_its_path_or_by_name_and_keeps_no_variable_of_a_secret() {
    let provider = super::provider("");
    let table = "[notify]\ncommand = [\"page-me\", \"--urgent\"]\n";
    let (config, warnings) = good(&format!("{provider}{}", with(table)));
    assert_eq!(warnings, [""; 0]);
    let notify = config.notify.unwrap();
    let command = notify.command.as_ref().unwrap();
    assert_eq!(command.program.to_str(), Some("page-me"));
    assert_eq!(command.arguments, ["--urgent"]);
    assert!(command.secret_variables.contains("SECRET"));

    let missing = good(&with("[notify]\ncommand = [\"/missing/page-me\"]\n")).1;
    assert_eq!(missing, ["`command` does not exist: /missing/page-me"]);
}
