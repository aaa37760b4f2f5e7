//! The admin listener.

use crate::support::{
    client::exchange,
    patience::{Gate, until},
    setup::Setup,
    token_endpoint::{TokenEndpoint, token_response},
    upstream::Upstream,
    wire::ok,
};

#[test]
fn alive_at_once_and_ready_with_the_first_token() {
    let gate = std::sync::Arc::new(Gate::default());
    let tokens = TokenEndpoint::start({
        let gate = gate.clone();
        move |_, _| {
            gate.pass();
            token_response("token-1", 3600)
        }
    });
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start();
    assert_eq!(sidecar.admin("/livez").status, 200);
    let pending = sidecar.admin("/readyz");
    assert_eq!(pending.status, 503);
    assert!(
        pending.json().to_string().contains("api"),
        "{}",
        pending.text()
    );
    assert_eq!(sidecar.status()["providers"]["api"]["state"], "pending");
    gate.open();
    sidecar.wait_until_ready();
    assert_eq!(sidecar.status()["providers"]["api"]["state"], "ready");
}

#[test]
fn a_provider_that_no_route_uses_does_not_count_for_readiness() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let refusing = TokenEndpoint::start(|_, _| {
        crate::support::token_endpoint::error_response("401 Unauthorized", "invalid_client")
    });
    let unused = format!(
        "[providers.unused]\ngrant_type = \"client_credentials\"\ntoken_endpoint = \"{}\"\nclient_id = \"x\"",
        refusing.url()
    );
    let sidecar = Setup::new(&tokens, upstream.origin())
        .tables(&unused)
        .start_ready();
    refusing.wait_for(1);
    assert_eq!(sidecar.admin("/readyz").status, 200);
}

#[test]
fn the_status_names_providers_and_routes() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let answer = sidecar.admin("/api/status");
    assert!(
        answer
            .head
            .value("content-type")
            .unwrap()
            .starts_with("application/json"),
        "{:?}",
        answer.head
    );
    let status = answer.json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["admin"], sidecar.admin_address().to_string());
    let provider = &status["providers"]["api"];
    assert_eq!(provider["grant_type"], "client_credentials");
    assert_eq!(provider["state"], "ready");
    assert_eq!(provider["has_refresh_token"], false);
    assert_eq!(provider["token_requests"], 1);
    assert!(
        provider["last_error"].is_null() && provider.get("last_error").is_some(),
        "{provider}"
    );
    let time = |member: &str| {
        let text = provider[member]
            .as_str()
            .unwrap_or_else(|| panic!("{member} of {provider}"));
        humantime::parse_rfc3339(text).unwrap_or_else(|error| panic!("{member} {text}: {error}"))
    };
    // An hour: renewal is due five minutes before the end, and up to a minute earlier.
    let lead = time("expires_at")
        .duration_since(time("refresh_at"))
        .unwrap()
        .as_secs();
    assert!(
        (300..=361).contains(&lead),
        "renewal is due {lead} s before the end: {provider}"
    );
    let route = &status["routes"]["api"];
    assert_eq!(route["listen"], sidecar.address().to_string());
    assert_ne!(sidecar.address().port(), 0);
    assert_eq!(
        route["upstream"].as_str().unwrap().trim_end_matches('/'),
        upstream.origin()
    );
    assert_eq!(route["provider"], "api");
}

#[test]
fn the_metrics_have_their_names_and_labels_of_the_configuration_alone() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    for _ in 0..3 {
        assert_eq!(
            sidecar.get("/from-the-caller?x=from-the-caller").status,
            200
        );
    }
    let evil = "GET /from-the-caller HTTP/1.1\r\nHost: from-the-caller.example\r\n\r\n";
    assert_eq!(exchange(sidecar.address(), evil).status, 421);
    let metrics = until("three counted requests", || {
        let metrics = sidecar.metrics();
        let counted = |line: &str| {
            line.starts_with("bearward_requests_total{")
                && line.contains("route=\"api\"")
                && line.contains("code=\"200\"")
                && line.trim_end().ends_with(" 3")
        };
        metrics.lines().any(counted).then_some(metrics)
    });
    let has = |start: &str, labels: &[&str]| {
        let found = metrics.lines().any(|line| {
            line.starts_with(start)
                && labels
                    .iter()
                    .all(|label| line.contains(&format!("{label}=\"")))
        });
        assert!(found, "no {start} with {labels:?} in\n{metrics}");
    };
    has(
        "bearward_request_duration_seconds_bucket{",
        &["route", "le"],
    );
    has("bearward_request_duration_seconds_count{", &["route"]);
    has("bearward_request_duration_seconds_sum{", &["route"]);
    has("bearward_connections{", &["listener"]);
    has(
        "bearward_token_requests_total{",
        &["provider", "grant_type", "outcome"],
    );
    has("bearward_token_request_duration_seconds", &["provider"]);
    has("bearward_token_expiry_timestamp_seconds{", &["provider"]);
    has("bearward_token_replays_total{", &["route"]);
    has("bearward_build_info{", &["version"]);
    assert!(!metrics.contains("from-the-caller"), "{metrics}");
    for line in metrics
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let value = line.rsplit(' ').next().unwrap_or_default();
        assert!(
            value.parse::<f64>().is_ok(),
            "{line:?} is no sample of the text format"
        );
    }
    let kind = sidecar.admin("/metrics");
    assert!(
        kind.head
            .value("content-type")
            .unwrap()
            .starts_with("text/plain"),
        "{:?}",
        kind.head
    );
}

#[test]
fn unknown_hosts_and_cross_site_requests_are_refused_here_as_well() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start();
    let admin = sidecar.admin_address();
    let ask = |host: &str, fields: &str| {
        exchange(
            admin,
            format!("GET /api/status HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"),
        )
    };
    assert_eq!(ask("localhost", "").status, 200);
    assert_eq!(ask(&admin.to_string(), "").status, 200);
    for host in ["evil.example", "localhost.evil.example", "127.0.0.2"] {
        assert_eq!(ask(host, "").status, 421, "{host}");
    }
    for fields in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Origin: http://evil.example\r\n",
    ] {
        assert_eq!(ask("localhost", fields).status, 403, "{fields}");
    }
}

#[test]
fn a_wrong_method_is_told_which_is_right() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start();
    for path in ["/livez", "/readyz", "/metrics", "/api/status"] {
        for method in ["POST", "PUT", "DELETE"] {
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
            let answer = exchange(sidecar.admin_address(), request);
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(
                answer.head.values("allow").join(",").contains("GET"),
                "{method} {path}: {:?}",
                answer.head
            );
        }
    }
    assert_eq!(sidecar.admin("/no/such/page").status, 404);
}

#[test]
fn the_admin_listener_may_be_turned_off() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let listen = crate::support::ports::unused();
    let setup = Setup::new(&tokens, upstream.origin()).listen(listen);
    let (file, environment) = setup.write();
    let text = setup.text();
    let admin = text
        .lines()
        .find_map(|line| line.strip_prefix("listen = "))
        .unwrap()
        .to_owned();
    std::fs::write(&file, text.replacen(&admin, "\"off\"", 1)).unwrap();
    let mut command = crate::support::sidecar::command(&["run", "-c", file.to_str().unwrap()]);
    let mut process = crate::support::sidecar::Process::spawn(command.envs(environment));
    until("an answer", || {
        assert!(process.ended().is_none(), "{}", process.stderr());
        let mut client = crate::support::client::Client::try_connect(listen).ok()?;
        client
            .wire()
            .send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .ok()?;
        (client.wire().answer("GET").ok()?.status == 200).then_some(())
    });
    let admin = admin.trim_matches('"').parse().unwrap();
    assert!(crate::support::client::Client::try_connect(admin).is_err());
}
