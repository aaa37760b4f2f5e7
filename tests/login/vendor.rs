//! The ways of vendors: device codes, captured values and revocations of their own.

use std::sync::{
    atomic::{AtomicU32, Ordering},
    mpsc,
};

use testkit::token_server::{Reply, TokenServer};
use url::Url;

use super::world::{Folder, on_thread};

/// A vendor with a script for each path; dropped, it ends.
struct Vendor {
    origin: String,
    server: TokenServer,
    _running: mpsc::Sender<()>,
}

/// The start of a request line, and the status and body for it.
type Scripted = (&'static str, u16, &'static str);

impl Vendor {
    /// Gives each request the script whose text it begins with; the first of several serves once.
    fn start(replies: &'static [Scripted]) -> Self {
        let used: Vec<_> = replies.iter().map(|_| AtomicU32::new(0)).collect();
        let reply = Reply::by(move |request| {
            let mut matching = replies
                .iter()
                .enumerate()
                .filter(|(_, reply)| request.starts_with(reply.0))
                .peekable();
            while let Some((number, (_, status, body))) = matching.next() {
                let is_last = matching.peek().is_none();
                if is_last || used[number].fetch_add(1, Ordering::Relaxed) == 0 {
                    return Reply::response(*status, "", body);
                }
            }
            Reply::response(404, "", "")
        });
        let (server, running) = on_thread(|| TokenServer::start(reply));
        Self {
            origin: server.url().replace("/token", ""),
            server,
            _running: running,
        }
    }

    fn folder(&self, provider: &str) -> Folder {
        let folder = Folder::new();
        folder.write(&format!(
            "[admin]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"store\"\n[providers.demo]\n\
             base_url = {:?}\ntoken_endpoint = \"/token\"\nclient_id = \"id\"\n\
             client_secret = \"s3cret\"\n{provider}\n",
            self.origin
        ));
        folder
    }

    fn requests(&self) -> Vec<String> {
        self.server.requests()
    }
}

const DEVICE: &str = "grant_type = \"device_code\"\ndevice_authorization_endpoint = \"/device\"\n\
                      revocation_endpoint = \"/revoke\"\nscope = \"a\"";
const STARTED: Scripted = (
    "POST /device ",
    200,
    r#"{"device_code":"dev1ce","user_code":"WDJB-MJHT","verification_uri":"https://as.example/device","expires_in":60,"interval":1}"#,
);
const TOKENS: Scripted = (
    "POST /token ",
    200,
    r#"{"access_token":"acc3ss","refresh_token":"refr3sh","expires_in":3600}"#,
);

#[test]
fn a_login_by_device_code_prints_the_address_and_the_code_and_waits() {
    let vendor = Vendor::start(&[
        STARTED,
        ("POST /token ", 400, r#"{"error":"authorization_pending"}"#),
        TOKENS,
        ("POST /revoke ", 200, ""),
    ]);
    let folder = vendor.folder(DEVICE);
    let mut login = folder.start_in(&[], &["login", "demo", "--no-browser"]);
    assert_eq!(login.line(), "https://as.example/device");
    assert_eq!(login.line(), "WDJB-MJHT");
    let (status, out, err) = login.ended();
    assert_eq!((status, out.as_str()), (Some(0), "logged in\n"), "{err}");
    assert!(!err.contains("dev1ce"), "{err}");
    assert_eq!(vendor.requests().len(), 3);

    let (status, out, err) = folder.start_in(&[], &["token", "demo"]).ended();
    assert_eq!((status, out.as_str()), (Some(0), "acc3ss\n"), "{err}");
    let (status, _, err) = folder.start_in(&[], &["logout", "demo"]).ended();
    assert_eq!(status, Some(0), "{err}");
    let revocation = vendor.requests().pop().unwrap();
    assert!(
        revocation.ends_with("\r\n\r\ntoken=refr3sh&token_type_hint=refresh_token"),
        "{revocation}"
    );
}

#[test]
fn a_declined_device_code_is_no_login() {
    let vendor = Vendor::start(&[
        STARTED,
        ("POST /token ", 400, r#"{"error":"access_denied"}"#),
    ]);
    let folder = vendor.folder(DEVICE);
    let login = folder.start_in(&[], &["login", "demo", "--no-browser"]);
    let (status, _, err) = login.ended();
    assert_eq!(status, Some(1));
    assert!(err.contains("declined"), "{err}");
    let (status, ..) = folder.start_in(&[], &["token", "demo"]).ended();
    assert_eq!(status, Some(1));
}

/// A provider whose login brings a realm, and an identifier that the API knows.
const CAPTURES: &str = "grant_type = \"authorization_code\"\nauthorization_endpoint = \"/authorize\"\n\
    redirect_uri = \"http://127.0.0.1:1/callback\"\nrefresh_endpoint = \"/refresh/{realm_id}\"\n\
    revocation_endpoint = \"/revoke/{realm_id}\"\n\
    [providers.demo.capture.realm_id]\ncallback = \"realmId\"\n\
    [providers.demo.capture.tenant_id]\nget = \"ORIGIN/connections\"\npointer = \"/0/tenantId\"\n\
    [providers.demo.token_request]\nparams_on_refresh = { tenant = \"{tenant_id}\" }\n\
    [providers.demo.revocation]\nmethod = \"DELETE\"\nencoding = \"query\"\nauth = \"bearer\"";

/// Logs in by pasting the address of the callback with `more` parameters.
fn log_in(folder: &Folder, more: &str) -> (Option<i32>, String, String) {
    let mut login = folder.start_in(&[], &["login", "demo", "--no-browser", "--paste"]);
    let address: Url = login.line().parse().unwrap();
    let state = address.query_pairs().find(|(name, _)| name == "state");
    let state = state.unwrap().1.into_owned();
    login.paste(&format!("?code=c0de&state={state}{more}"));
    login.ended()
}

#[test]
fn captured_values_are_kept_with_the_login_and_used_in_later_requests() {
    let vendor = Vendor::start(&[
        (
            "POST /token ",
            200,
            r#"{"access_token":"acc3ss","refresh_token":"refr3sh","expires_in":1}"#,
        ),
        ("GET /connections ", 200, r#"[{"tenantId":"t-7"}]"#),
        (
            "POST /refresh/4711 ",
            200,
            r#"{"access_token":"acc3ss2","expires_in":3600}"#,
        ),
        ("DELETE /revoke/4711?token=refr3sh ", 200, ""),
    ]);
    let folder = vendor.folder(&CAPTURES.replace("ORIGIN", &vendor.origin));
    let (status, out, err) = log_in(&folder, "&realmId=4711");
    assert_eq!((status, out.as_str()), (Some(0), "logged in\n"), "{err}");
    let capture = vendor.requests().pop().unwrap();
    assert!(
        capture.contains("authorization: Bearer acc3ss\r\n"),
        "{capture}"
    );

    std::thread::sleep(std::time::Duration::from_secs(1));
    let (status, out, err) = folder.start_in(&[], &["token", "demo"]).ended();
    assert_eq!((status, out.as_str()), (Some(0), "acc3ss2\n"), "{err}");
    let refresh = vendor.requests().pop().unwrap();
    assert!(refresh.contains("&tenant=t-7"), "{refresh}");

    let (status, _, err) = folder.start_in(&[], &["logout", "demo"]).ended();
    assert_eq!(status, Some(0), "{err}");
    let revocation = vendor.requests().pop().unwrap();
    assert!(
        revocation.contains("authorization: Bearer acc3ss2\r\n"),
        "{revocation}"
    );
}

#[test]
fn a_login_without_its_captured_values_is_not_stored() {
    let vendor = Vendor::start(&[TOKENS, ("GET /connections ", 200, "[]")]);
    let folder = vendor.folder(&CAPTURES.replace("ORIGIN", &vendor.origin));
    let (status, _, err) = log_in(&folder, "");
    assert_eq!(status, Some(1));
    assert!(err.contains("`capture.realm_id`"), "{err}");
    assert!(vendor.requests().is_empty(), "the code is not spent");

    let (status, _, err) = log_in(&folder, "&realmId=4711");
    assert_eq!(status, Some(1));
    assert!(
        err.contains("`[providers.demo.capture] tenant_id`"),
        "{err}"
    );
    let (status, ..) = folder.start_in(&[], &["token", "demo"]).ended();
    assert_eq!(status, Some(1));
}
