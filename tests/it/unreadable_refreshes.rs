//! Refreshes whose response cannot be read as a whole: the refresh token in it is the only good one.

use std::{
    sync::{Arc, Mutex},
    thread,
};

use url::form_urlencoded;

use crate::support::{
    patience::lock,
    setup::Setup,
    token_endpoint::{TokenEndpoint, gzipped, token_response},
    upstream::Upstream,
    wire::{Request, answer, ok},
};

const NEXT: &str = "the-next-refresh-token";

fn spent(request: &Request) -> String {
    let mut fields = form_urlencoded::parse(&request.body);
    let token = fields.find(|(name, _)| name == "refresh_token");
    token
        .map(|(_, token)| token.into_owned())
        .unwrap_or_default()
}

/// The bodies of such responses, each with what is wrong with it.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let members =
        format!("\"access_token\":\"a\",\"expires_in\":3600,\"refresh_token\":\"{NEXT}\"");
    let body = |text: &str| text.replace("MEMBERS", &members).into_bytes();
    let mut latin = body("{MEMBERS,\"name\":\"Zo*\"}");
    let at = latin.iter().position(|byte| *byte == b'*').unwrap();
    latin[at] = 0xEB;
    let mut control = latin.clone();
    control[at] = 0x01;
    vec![
        ("a byte of ISO-8859-1", latin),
        ("a control character in a string", control),
        ("a raw tab in a string", body("{MEMBERS,\"name\":\"a\tb\"}")),
        (
            "a raw line break in a string",
            body("{MEMBERS,\"name\":\"a\nb\"}"),
        ),
        ("a lone surrogate", body("{MEMBERS,\"name\":\"\\ud800\"}")),
        (
            "an escape that does not exist",
            body("{MEMBERS,\"name\":\"\\x\"}"),
        ),
        ("NaN", body("{\"a\":NaN,MEMBERS}")),
        ("Infinity", body("{\"a\":Infinity,MEMBERS}")),
        ("a number beyond a float", body("{\"a\":1e999,MEMBERS}")),
        ("a number with a leading zero", body("{\"a\":007,MEMBERS}")),
        ("True", body("{\"ok\":True,MEMBERS}")),
        ("single quotes", body("{'a':'b',MEMBERS}")),
        ("an unquoted name", body("{a:1,MEMBERS}")),
        ("a comma too many", body("{MEMBERS,}")),
        ("a comma too few", body("{\"a\":1 MEMBERS}")),
        ("a comment behind it", body("{MEMBERS} // the end")),
        ("a comment before it", body("/* the token */ {MEMBERS}")),
        ("a callback round it", body("token({MEMBERS});")),
        ("a guard before it", body("while(1);{MEMBERS}")),
        ("a byte order mark", body("\u{feff}{MEMBERS}")),
        ("bytes behind it", body("{MEMBERS}\0\0\0")),
        ("two objects", body("{MEMBERS}{}")),
        ("a list round it", body("[{MEMBERS}]")),
        ("no end", body("{MEMBERS,\"id_token\":\"cut o")),
        ("its braces missing", body("MEMBERS")),
        ("a page round it", body("<html>{MEMBERS}</html>")),
        (
            "an error beside the tokens",
            body("{\"error\":\"server_error\",MEMBERS}"),
        ),
        (
            "an empty access token",
            body(&format!(
                "{{\"access_token\":\"\",\"refresh_token\":\"{NEXT}\"}}"
            )),
        ),
        (
            "no access token",
            body(&format!("{{\"refresh_token\":\"{NEXT}\"}}")),
        ),
        (
            "an access token with a blank",
            body(&format!(
                "{{\"access_token\":\"a b\",\"refresh_token\":\"{NEXT}\"}}"
            )),
        ),
        (
            "another type of token",
            body("{\"token_type\":\"DPoP\",MEMBERS}"),
        ),
        (
            "a line break behind the refresh token",
            body(&format!(
                "{{\"access_token\":\"a\",\"refresh_token\":\"{NEXT}\\n\"}}"
            )),
        ),
        (
            "more than 64 KiB",
            body(&format!(
                "{{MEMBERS,\"id_token\":\"{}\"}}",
                "x".repeat(200 * 1024)
            )),
        ),
        (
            "an object too deep",
            body(&format!(
                "{{MEMBERS,\"a\":{}{}}}",
                "[".repeat(300),
                "]".repeat(300)
            )),
        ),
    ]
}

#[test]
fn the_refresh_token_in_a_response_that_cannot_be_read_is_kept_and_used() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let mut responses: Vec<(String, Vec<u8>)> = bodies()
        .into_iter()
        .map(|(what, body)| {
            let head = "Content-Type: application/json\r\n";
            (what.to_owned(), answer("200 OK", head, body))
        })
        .collect();
    let body = format!("{{\"access_token\":\"a\",\"a\":NaN,\"refresh_token\":\"{NEXT}\"}}");
    let whole = answer("200 OK", "Content-Type: application/json\r\n", body);
    responses.push(("gzip, and NaN".to_owned(), gzipped(&whole)));

    for some in responses.chunks(8) {
        thread::scope(|scope| {
            for (what, response) in some {
                let upstream = upstream.origin();
                scope.spawn(move || assert_kept(what, response, upstream));
            }
        });
    }
}

#[track_caller]
fn assert_kept(what: &str, response: &[u8], upstream: String) {
    let sent: Arc<Mutex<Vec<String>>> = Arc::default();
    let tokens = TokenEndpoint::start({
        let (sent, response) = (sent.clone(), response.to_owned());
        move |request, count| {
            lock(&sent).push(spent(request));
            match count {
                0 => response.clone(),
                _ => token_response("good", 3600),
            }
        }
    });
    let sidecar = Setup::new(&tokens, upstream)
        .grant_type("refresh_token")
        .provider("refresh_token = \"the-first-refresh-token\"")
        .start();
    sidecar.wait_until_ready();
    let sent = lock(&sent).clone();
    // What is read all the same needs no second request.
    let expected = ["the-first-refresh-token", NEXT];
    assert_eq!(sent, expected[..sent.len().min(2)], "{what}");
    if sent.len() == 1 {
        assert_eq!(
            sidecar.status()["providers"]["api"]["has_refresh_token"],
            true,
            "{what}"
        );
    }
    sidecar.stop();
}
