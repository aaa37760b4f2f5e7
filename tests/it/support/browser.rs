//! A real browser: headless Chromium through chromedriver, in the W3C WebDriver protocol.

use std::{net::SocketAddr, process::Command, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    client::Client,
    patience::{until, until_within},
    sidecar::Process,
};

/// How long a browser may take to start, or a page to come, on a machine that has other things to do.
const SLOW: Duration = Duration::from_secs(60);
/// The key under which WebDriver names an element (§11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with a profile of its own, which goes when it is dropped.
pub struct Browser {
    driver: SocketAddr,
    session: String,
    _process: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    /// Chromium or chromedriver is not installed: a test that cannot run has not passed.
    #[track_caller]
    pub fn start() -> Self {
        let mut process = Process::spawn(Command::new("chromedriver").arg("--port=0"));
        let driver = until_within(SLOW, "the port of chromedriver", || {
            if let Some(status) = process.ended() {
                panic!(
                    "chromedriver ended with {status}:\n{}{}",
                    process.stdout(),
                    process.stderr()
                );
            }
            let written = process.stdout();
            let line = written
                .lines()
                .find(|line| line.contains("started successfully on port "))?;
            let port = line
                .rsplit(' ')
                .next()?
                .trim_end_matches('.')
                .parse()
                .ok()?;
            Some(SocketAddr::from(([127, 0, 0, 1], port)))
        });
        let profile = tempfile::tempdir().expect("a temporary folder");
        let data = format!("--user-data-dir={}", profile.path().display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &data,
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let value = call(driver, "POST", "/session", &capabilities)
            .unwrap_or_else(|error| panic!("{error}"));
        let session = value["sessionId"].as_str().expect("a session").to_owned();
        Self {
            driver,
            session,
            _process: process,
            _profile: profile,
        }
    }

    /// Goes to `url`.
    #[track_caller]
    pub fn go(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }))
            .unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Where it is.
    #[track_caller]
    pub fn url(&self) -> String {
        let value = self
            .call("GET", "/url", &Value::Null)
            .unwrap_or_else(|error| panic!("{error}"));
        value.as_str().expect("a URL").to_owned()
    }

    /// The page as it is.
    #[track_caller]
    pub fn source(&self) -> String {
        let value = self
            .call("GET", "/source", &Value::Null)
            .unwrap_or_else(|error| panic!("{error}"));
        value.as_str().expect("a page").to_owned()
    }

    /// Clicks on what `xpath` finds, as soon as it is there.
    #[track_caller]
    pub fn click(&self, xpath: &str) {
        let path = format!("/element/{}/click", self.element(xpath));
        self.call("POST", &path, &json!({}))
            .unwrap_or_else(|error| panic!("{xpath}: {error}"));
    }

    /// Types into what `xpath` finds, as soon as it is there.
    #[track_caller]
    pub fn enter(&self, xpath: &str, text: &str) {
        let path = format!("/element/{}/value", self.element(xpath));
        self.call("POST", &path, &json!({ "text": text }))
            .unwrap_or_else(|error| panic!("{xpath}: {error}"));
    }

    /// Runs the body of a function in the page, and gives what it returns. A promise is waited for.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.call("POST", "/execute/sync", &body)
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    pub fn wait_until(&self, expression: &str) {
        until_within(SLOW, expression, || {
            (self.run(&format!("return Boolean({expression})")) == true).then_some(())
        });
    }

    /// Takes what came since the last call: `browser` for messages, `performance` for requests.
    #[track_caller]
    pub fn log(&self, kind: &str) -> Vec<String> {
        let value = self
            .call("POST", "/se/log", &json!({ "type": kind }))
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        let entries = value.as_array().expect("entries");
        let message = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        entries.iter().map(message).collect()
    }

    /// Sends a command of the Chrome DevTools Protocol.
    #[track_caller]
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.call("POST", "/goog/cdp/execute", &body)
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Waits until it is somewhere that `there` knows.
    #[track_caller]
    pub fn wait_for_url(&self, what: &str, there: impl Fn(&str) -> bool) -> String {
        until_within(SLOW, what, || Some(self.url()).filter(|url| there(url)))
    }

    #[track_caller]
    fn element(&self, xpath: &str) -> String {
        let query = json!({ "using": "xpath", "value": xpath });
        until(&format!("{xpath} on the page"), || {
            let value = self.call("POST", "/element", &query).ok()?;
            Some(value[ELEMENT].as_str()?.to_owned())
        })
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        call(
            self.driver,
            method,
            &format!("/session/{}{path}", self.session),
            body,
        )
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser with the session; killed, it would leave it behind.
        let _ = self.call("DELETE", "", &Value::Null);
    }
}

/// One command of the protocol (§6.3).
fn call(driver: SocketAddr, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let mut client = Client::try_connect(driver).map_err(|error| error.to_string())?;
    client
        .socket()
        .set_read_timeout(Some(SLOW))
        .map_err(|error| error.to_string())?;
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {driver}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client
        .wire()
        .send(request)
        .map_err(|error| error.to_string())?;
    let answer = client
        .wire()
        .answer(method)
        .map_err(|error| error.to_string())?;
    let value = answer.json()["value"].take();
    if answer.status == 200 {
        Ok(value)
    } else {
        Err(value.to_string())
    }
}
