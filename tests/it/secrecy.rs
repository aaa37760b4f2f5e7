//! Canaries in every secret; nothing that the sidecar says holds one of them, at any level.

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::support::{
    client::{Client, exchange},
    ports,
    setup::Setup,
    sidecar::run_to_end,
    token_endpoint::{TokenEndpoint, json_response},
    upstream::Upstream,
    wire::{answer, ok},
};

const CLIENT_SECRET: &str = "canary-secret-8d1f";
const CLIENT_KEY: &str = "canary-key-52aa";
const CALLERS: &str = "canary-caller-77e0";
const ANSWERED: &str = "canary-answer-19c3";

/// What may nowhere stand: the secrets as they are and as Basic writes them.
fn canaries() -> Vec<String> {
    let basic = BASE64_STANDARD.encode(format!("legacy-service:{CLIENT_SECRET}"));
    [CLIENT_SECRET, CLIENT_KEY, CALLERS, ANSWERED, "canary-"]
        .into_iter()
        .map(str::to_owned)
        .chain([basic])
        .collect()
}

#[track_caller]
fn assert_clean(what: &str, text: &str) {
    for canary in canaries() {
        if let Some(at) = text.find(&canary) {
            let around: String = text
                .chars()
                .skip(text[..at].chars().count().saturating_sub(200))
                .take(400)
                .collect();
            panic!("{canary} stands in {what}: …{around}…");
        }
    }
}

/// Lives through successes and failures, and looks at everything that was said meanwhile.
fn live_and_listen(format: &str, provider: &str) {
    // A token, then a refusal, then nonsense that carries secrets, each asked for after the upstream's 401.
    let tokens = TokenEndpoint::start(|_, number| match number {
        0 => json_response(
            "200 OK",
            &format!(
                r#"{{"access_token":"{ANSWERED}-0","expires_in":3600,"refresh_token":"{ANSWERED}-r"}}"#
            ),
        ),
        1 => json_response(
            "200 OK",
            &format!(r#"{{"access_token":"{ANSWERED}-1\r\n","expires_in":3600}}"#),
        ),
        2 => answer(
            "500 Internal Server Error",
            &format!("x-debug: {ANSWERED}\r\n"),
            format!("<p>{ANSWERED}</p>"),
        ),
        3 => answer(
            "200 OK",
            "content-type: application/json\r\n",
            format!(r#"{{"access_token":"{ANSWERED}""#),
        ),
        _ => json_response(
            "401 Unauthorized",
            &format!(r#"{{"error":"invalid_client","error_description":"{ANSWERED}"}}"#),
        ),
    });
    let upstream = Upstream::answering(|request| match request.head.target() {
        "/nonsense" => b"nonsense\r\n\r\n".to_vec(),
        "/401" => answer("401 Unauthorized", "", "no"),
        _ => ok("fine"),
    });
    let gone = format!(
        "[routes.gone]\nlisten = \"{}\"\nupstream = \"http://{}\"\nprovider = \"api\"",
        ports::unused(),
        ports::unused()
    );
    let sidecar = Setup::new(&tokens, upstream.origin())
        .client("client_id = \"legacy-service\"\nclient_secret = { env = \"CANARY_SECRET\" }")
        .provider(provider)
        .route("guard.client_key = { env = \"CANARY_KEY\" }\nallow = [\"* /**\"]")
        .tables(&gone)
        .log(&format!("level = \"trace\"\nformat = \"{format}\""))
        .environment("CANARY_SECRET", CLIENT_SECRET)
        .environment("CANARY_KEY", CLIENT_KEY)
        .start_ready();
    let (admin, gone) = (sidecar.admin_address(), sidecar.route("gone"));

    let key = format!("x-bearward-key: {CLIENT_KEY}\r\n");
    let own = format!(
        "Authorization: Bearer {CALLERS}\r\nCookie: session={CALLERS}\r\nx-own: {CALLERS}\r\n"
    );
    let ask = |address, target: &str, fields: &str| {
        exchange(
            address,
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"),
        )
    };
    let mut said = Vec::new();
    let fine = ask(
        sidecar.address(),
        &format!("/?token={CALLERS}"),
        &[key.as_str(), &own].concat(),
    );
    assert_eq!(fine.status, 200);
    assert_eq!(
        upstream.last().head.value("authorization"),
        Some(format!("Bearer {ANSWERED}-0").as_str())
    );
    for (address, target, fields) in [
        (sidecar.address(), "/", own.as_str()),
        (
            sidecar.address(),
            "/",
            &format!("x-bearward-key: {CALLERS}\r\n"),
        ),
        (sidecar.address(), "/%zz", &key),
        (sidecar.address(), "/nonsense", &key),
        (
            sidecar.address(),
            "/",
            &format!("{key}Sec-Fetch-Site: cross-site\r\n"),
        ),
        (gone, "/", &own),
        (sidecar.address(), "/401", &key),
        (sidecar.address(), "/", &key),
        (sidecar.address(), "/401", &key),
    ] {
        let answer = ask(address, target, fields);
        said.push(format!("{:?}\n{}", answer.head, answer.text()));
    }
    let mut broken = Client::connect(sidecar.address());
    broken.send(format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {CALLERS}\0\r\n\r\n"
    ));
    said.push(broken.answer().text());
    crate::support::patience::until_within(
        crate::support::patience::PATIENCE * 2,
        "some failed renewals",
        || (tokens.count() >= 3).then_some(()),
    );
    let after = ask(sidecar.address(), "/", &key);
    said.push(format!("{:?}\n{}", after.head, after.text()));

    for (number, answer) in said.iter().enumerate() {
        assert_clean(&format!("answer {number}"), answer);
    }
    assert_clean("the metrics", &sidecar.metrics());
    assert_clean("the status", &sidecar.status().to_string());
    assert_clean("/readyz", &sidecar.admin("/readyz").text());
    let url = format!("http://{admin}");
    let shown = run_to_end(&["status", "--admin", &url], &[]);
    assert_clean(
        "the table of `status`",
        &String::from_utf8_lossy(&[shown.stdout, shown.stderr].concat()),
    );
    let written = sidecar.written();
    assert!(
        written.lines().count() > 20,
        "that is no log at `trace`:\n{written}"
    );
    assert!(
        written.contains("/nonsense"),
        "requests are not in the log:\n{written}"
    );
    assert_clean("the log", &written);
}

#[test]
fn text_logs_hold_no_secret_of_basic() {
    live_and_listen("text", "");
}

#[test]
fn json_logs_hold_no_secret_of_post() {
    live_and_listen(
        "json",
        "token_endpoint_auth_method = \"client_secret_post\"",
    );
}

#[test]
fn logs_hold_no_token_that_goes_into_a_query() {
    let tokens = TokenEndpoint::issuing(ANSWERED);
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin())
        .client("client_id = \"legacy-service\"\nclient_secret = { env = \"CANARY_SECRET\" }")
        .provider("inject.query = \"access_token\"\ntoken_request.method = \"GET\"\ntoken_endpoint_auth_method = \"client_secret_post\"")
        .log("level = \"trace\"")
        .environment("CANARY_SECRET", CLIENT_SECRET)
        .start_ready();
    assert_eq!(sidecar.get("/a").status, 200);
    assert_eq!(
        upstream.last().head.target(),
        format!("/a?access_token={ANSWERED}")
    );
    tokens.down();
    assert_clean("the log", &sidecar.written());
}

#[test]
fn logs_hold_no_more_of_a_target_than_its_path() {
    let tokens = TokenEndpoint::issuing(ANSWERED);
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin())
        .log("level = \"trace\"")
        .start_ready();
    for target in [
        format!("http://user:{CALLERS}@localhost/with-user-information"),
        format!("/with-fragment#access_token={CALLERS}"),
        format!("/with-query?code={CALLERS}"),
    ] {
        let answer = exchange(
            sidecar.address(),
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        );
        assert_clean("an answer", &answer.text());
    }
    let written = || {
        let written = sidecar.written();
        // The head with a fragment is refused before its path is known.
        let path = |path: &str| format!("\"path\":\"{path}\"");
        [
            path("/with-user-information"),
            path("-"),
            path("/with-query"),
        ]
        .iter()
        .all(|path| written.contains(path))
        .then_some(written)
    };
    assert_clean(
        "the log",
        &crate::support::patience::until("a line for each request", written),
    );
}

#[test]
fn an_unreachable_token_endpoint_is_not_named_with_its_query() {
    let tokens = TokenEndpoint::issuing("unused");
    tokens.down();
    let setup = Setup::new(&tokens, "http://127.0.0.1:1")
        .client("client_id = \"legacy-service\"\nclient_secret = { env = \"CANARY_SECRET\" }")
        .provider(
            "token_request.method = \"GET\"\ntoken_endpoint_auth_method = \"client_secret_post\"",
        )
        .log("level = \"trace\"")
        .environment("CANARY_SECRET", CLIENT_SECRET);
    let (file, environment) = setup.write();
    let output = run_to_end(
        &["token", "api", "-c", file.to_str().unwrap()],
        &environment,
    );
    assert_eq!(output.status.code(), Some(1));
    assert_clean(
        "what `token` says",
        &String::from_utf8_lossy(&[output.stdout, output.stderr].concat()),
    );
}
