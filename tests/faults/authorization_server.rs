//! The authorization server fails: slowly, loudly, silently, and in the wrong words.

use std::{
    cell::Cell,
    fs,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use rustls::ServerConfig;

use super::world::{
    Fault, FaultyServer, PROVIDERS, assert_survived, assert_told, assert_unavailable, assert_well,
};
use crate::support::{
    certificates::{self, Authority, private_authority},
    client::get,
    home::Home,
    patience::{PATIENCE, until, until_within},
    ports,
    protected_api::ProtectedApi,
    sidecar::Sidecar,
    token_endpoint::{error_response, json_response},
    upstream::Upstream,
    wire::answer,
};

/// No test waits for the default of ten seconds.
const TIMEOUT: &str = "token_request.timeout = \"1s\"";

/// How long tokens live, in seconds: as short as the course of a fault permits.
const LIFETIME: u64 = 2;

/// The course of `fault`.
#[track_caller]
fn survive(fault: Fault, kind: &str) {
    let server = FaultyServer::start(LIFETIME);
    let api = ProtectedApi::start(server.issuer());
    let home = server.home(&api, TIMEOUT);
    assert_survived(
        &server,
        &api,
        kind,
        || home.run(),
        || server.fail(fault),
        || server.heal(),
    );
}

#[test]
fn one_that_refuses_connections() {
    survive(Fault::Refuses, "connect");
}

#[test]
fn one_that_accepts_and_says_nothing() {
    survive(Fault::Silent, "timeout");
}

#[test]
fn one_that_stalls_behind_its_head() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n";
    survive(Fault::Stalls(head), "timeout");
}

#[test]
fn one_that_stalls_within_its_head() {
    survive(Fault::Stalls("HTTP/1.1 200 OK\r\ncontent-ty"), "timeout");
}

#[test]
fn one_that_sends_byte_by_byte() {
    survive(
        Fault::Dribbles("HTTP/1.1 200 OK\r\nx-field: value\r\n"),
        "timeout",
    );
}

#[test]
fn one_that_cuts_the_connection_before_its_head() {
    survive(Fault::Cuts(""), "protocol");
}

#[test]
fn one_that_cuts_the_connection_within_its_body() {
    let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{\"access_token\":\"half";
    survive(Fault::Cuts(half), "protocol");
}

#[test]
fn one_that_speaks_no_http() {
    survive(
        Fault::Sends(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        "protocol",
    );
}

#[test]
fn one_with_an_internal_error() {
    survive(
        Fault::Sends(error_response("500 Internal Server Error", "server_error")),
        "server",
    );
}

#[test]
fn one_under_maintenance_whose_page_is_a_success() {
    let page = "<!doctype html><title>Maintenance</title><p>described-by-the-server";
    let response = answer("200 OK", "content-type: text/html\r\n", page);
    survive(Fault::Sends(response), "not_a_token");
}

#[test]
fn one_whose_json_is_truncated() {
    let response = json_response(
        "200 OK",
        r#"{"token_type":"Bearer","expires_in":3600,"access"#,
    );
    survive(Fault::Sends(response), "not_a_token");
}

#[test]
fn one_whose_json_is_larger_than_a_megabyte() {
    let body = format!(
        r#"{{"padding":"{}","access_token":"too-late","token_type":"Bearer","expires_in":3600}}"#,
        "x".repeat(1024 * 1024)
    );
    survive(Fault::Sends(json_response("200 OK", &body)), "not_a_token");
}

#[test]
fn one_whose_success_is_an_error() {
    survive(
        Fault::Sends(error_response("200 OK", "temporarily_unavailable")),
        "rejected",
    );
}

#[test]
fn one_that_redirects_elsewhere_is_not_followed() {
    let elsewhere = Upstream::answering(|_| {
        json_response("200 OK", r#"{"access_token":"stolen","expires_in":3600}"#)
    });
    let location = format!("location: {}/token\r\n", elsewhere.origin());
    // The one status that asks for the same request, with the secret in it, at the other place.
    let response = answer("307 Temporary Redirect", &location, "");
    survive(Fault::Sends(response), "redirect");
    assert_eq!(elsewhere.connections(), 0, "the secret went elsewhere");
}

/// The course of a certificate at a server that had a good one before, and has it again.
#[track_caller]
fn survive_certificate(other: impl FnOnce(&Authority) -> Arc<ServerConfig>) {
    let authority = Authority::new();
    let server = FaultyServer::start_over_tls(LIFETIME, authority.server(&["localhost"]));
    let api = ProtectedApi::start(server.issuer());
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let lines = format!("{TIMEOUT}\ntoken_request.ca_file = \"{}\"", ca.display());
    let home = server.home(&api, &lines);
    let fault = Fault::Certificate(other(&authority));
    let before = Cell::new(0);
    let begin = || {
        server.fail(fault);
        before.set(server.requests().len());
    };
    let end = || {
        assert_eq!(
            server.requests().len(),
            before.get(),
            "a secret went to a server that did not prove its name"
        );
        server.heal();
    };
    assert_survived(&server, &api, "tls", || home.run(), begin, end);
}

#[test]
fn one_with_a_certificate_for_another_name() {
    survive_certificate(|authority| authority.server(&["other.example"]));
}

#[test]
fn one_with_a_certificate_of_an_unknown_authority() {
    survive_certificate(|_| private_authority(&["localhost"]).server);
}

#[test]
fn one_with_an_expired_certificate() {
    survive_certificate(|authority| {
        let mut params = certificates::params(&["localhost"]);
        params.not_after = (SystemTime::now() - Duration::from_secs(3600)).into();
        authority.certify(params)
    });
}

#[test]
fn a_slow_one_is_waited_for_once_whatever_the_number_of_clients() {
    let server = FaultyServer::start(3600);
    server.fail(Fault::Slow(Duration::from_secs(3)));
    let api = ProtectedApi::start(server.issuer());
    let home = server.home(&api, "");
    let sidecar = home.run();
    thread::scope(|scope| {
        for number in 0..16 {
            let address = sidecar.route(PROVIDERS[number % 2]);
            scope.spawn(move || assert_eq!(get(address, "/").status, 200));
        }
    });
    assert_eq!(server.requests().len(), PROVIDERS.len());
    server.heal();
    assert_well(&server, &sidecar, &api);
}

#[test]
fn a_silent_one_costs_a_client_ten_seconds_at_most() {
    let server = FaultyServer::start(3600);
    server.fail(Fault::Silent);
    let api = ProtectedApi::start(server.issuer());
    // A timeout beyond the bound of a client's wait.
    let home = server.home(&api, "token_request.timeout = \"1m\"");
    let sidecar = home.run();
    // The client's own bound is twice ten seconds.
    assert_unavailable(&get(sidecar.route("api"), "/"), "api");
    assert_eq!(sidecar.admin("/readyz").status, 503);
    assert_eq!(api.refused(), Vec::<String>::new());
    server.heal();
    assert_well(&server, &sidecar, &api);
}

/// A sidecar whose authorization server limits it from the start.
struct Limited {
    sidecar: Sidecar,
    server: FaultyServer,
    api: ProtectedApi,
    /// What clients are told to wait.
    seconds: u64,
    _home: Home,
}

impl Limited {
    #[track_caller]
    fn new(status: &str, retry_after: &str) -> Self {
        let server = FaultyServer::start(3600);
        let fields = format!("retry-after: {retry_after}\r\n");
        server.fail(Fault::Sends(answer(status, &fields, "")));
        let api = ProtectedApi::start(server.issuer());
        let home = server.home(&api, "");
        let sidecar = home.run();
        for name in PROVIDERS {
            sidecar.wait_for_state(name, "failing");
        }
        Self {
            seconds: assert_unavailable(&get(sidecar.route("api"), "/"), "api"),
            sidecar,
            server,
            api,
            _home: home,
        }
    }

    #[track_caller]
    fn assert_well_without_limit(&self) {
        self.server.heal();
        assert_well(&self.server, &self.sidecar, &self.api);
    }
}

#[test]
fn one_that_limits_requests_is_left_alone_as_long_as_it_says() {
    for (status, kind) in [
        ("429 Too Many Requests", "limited"),
        ("503 Service Unavailable", "server"),
    ] {
        let limited = Limited::new(status, "3");
        assert!(limited.seconds <= 3, "Retry-After: {}", limited.seconds);
        assert_told(&limited.sidecar, kind);
        limited.server.heal();
        // Each client is told at once, and none causes a request.
        let address = limited.sidecar.route("api");
        until("the end of the limit", || {
            (get(address, "/").status == 200).then_some(())
        });
        // It heals no second time: that would cut the other provider's refresh, and lose its response.
        assert_well(&limited.server, &limited.sidecar, &limited.api);
        let times = limited.server.requests();
        // Whichever of both came first, its next request comes first as well.
        let pause = times[2] - times[0];
        assert!(
            pause >= Duration::from_millis(2800),
            "asked after {pause:?}"
        );
    }
}

#[test]
fn one_that_limits_requests_absurdly_is_asked_again_after_five_minutes() {
    for absurd in [
        "86400",
        "99999999999999999999",
        "Thu, 31 Dec 2099 23:59:59 GMT",
    ] {
        let limited = Limited::new("429 Too Many Requests", absurd);
        let seconds = limited.seconds;
        assert!((280..=300).contains(&seconds), "{absurd}: {seconds}");
        assert_told(&limited.sidecar, "limited");
        assert_eq!(limited.server.requests().len(), PROVIDERS.len());
        limited.server.heal();
        // An operator who knows better need not wait.
        for name in PROVIDERS {
            assert_eq!(limited.sidecar.renew(name).status, 200);
        }
        limited.assert_well_without_limit();
    }
}

#[test]
fn a_limit_that_says_nothing_sensible_is_an_ordinary_failure() {
    for nonsense in ["-1", "soon", "", "Thu, 01 Jan 1970 00:00:00 GMT"] {
        let limited = Limited::new("429 Too Many Requests", nonsense);
        assert!(limited.seconds <= 15, "{nonsense}: {}", limited.seconds);
        limited.assert_well_without_limit();
    }
}

#[test]
fn a_dead_one_leaves_the_others_alone() {
    let healthy = FaultyServer::start(2);
    let api = ProtectedApi::start(healthy.issuer());
    let dead = FaultyServer::start(2);
    dead.fail(Fault::Silent);
    let provider = |url: &str| {
        format!(
            "grant_type = \"client_credentials\"\ntoken_endpoint = \"{url}\"\nclient_id = \"c\"\n\
             client_secret = {{ env = \"CLIENT_SECRET\" }}\n"
        )
    };
    let refusing = format!("http://{}/token", ports::unused());
    let mut home = healthy.home(&api, TIMEOUT);
    for (name, url) in [("silent", dead.url()), ("refusing", refusing)] {
        home = home
            .provider(name, &provider(&url))
            .route(name, &api.origin());
    }
    let sidecar = home.run();
    for name in PROVIDERS {
        sidecar.wait_for_ok(name);
    }
    thread::scope(|scope| {
        // More clients than there are workers, all of them waiting.
        for _ in 0..32 {
            let address = sidecar.route("silent");
            scope.spawn(move || assert_unavailable(&get(address, "/"), "silent"));
        }
        for _ in 0..200 {
            for name in PROVIDERS {
                assert_eq!(get(sidecar.route(name), "/").status, 200, "{name}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert_unavailable(&get(sidecar.route("refusing"), "/"), "refusing");
    let readiness = sidecar.admin("/readyz").text();
    for (name, is_named) in [("silent", true), ("refusing", true), ("login", false)] {
        assert_eq!(readiness.contains(name), is_named, "{readiness}");
    }
    for name in PROVIDERS {
        assert_eq!(sidecar.provider(name)["state"], "ready");
    }
    dead.heal();
    until_within(PATIENCE * 2, "a token of the dead one", || {
        (sidecar.provider("silent")["state"] == "ready").then_some(())
    });
    healthy.assert_no_login_is_lost();
    assert_eq!(api.refused(), Vec::<String>::new());
}
