//! The status page in a real browser: how it is shown, and what has to be true of it however it is.

use std::net::SocketAddr;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{browser::Browser, peers};

/// A colour scheme of the reader's.
#[derive(Clone, Copy, Debug)]
pub enum Scheme {
    Light,
    Dark,
}

/// The widths at which the page is looked at, in pixels.
pub const WIDTHS: [u32; 2] = [360, 1440];

/// The height of a picture, in pixels: a page is very long on a telephone.
const MAX_HEIGHT: u32 = 2300;

/// The status page of an admin listener, in a browser.
pub struct StatusPage {
    pub browser: Browser,
    admin: SocketAddr,
}

impl StatusPage {
    /// Opens the page.
    #[track_caller]
    pub fn open(admin: SocketAddr) -> Self {
        let browser = Browser::start();
        browser.go(&format!("http://{admin}/"));
        Self { browser, admin }
    }

    /// Shows the page at a width, in a colour scheme.
    #[track_caller]
    pub fn show(&self, width: u32, scheme: Scheme) {
        let metrics =
            json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.browser
            .devtools("Emulation.setDeviceMetricsOverride", &metrics);
        let features = json!([
            { "name": "prefers-color-scheme", "value": format!("{scheme:?}").to_lowercase() },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.browser.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
        self.browser.wait_until(&format!("innerWidth === {width}"));
    }

    /// The page as a PNG, from its top.
    #[track_caller]
    pub fn picture(&self) -> Vec<u8> {
        let parameters = json!({ "format": "png", "captureBeyondViewport": true, "optimizeForSpeed": false,
            "clip": { "x": 0, "y": 0, "scale": 1,
                "width": self.browser.run("return innerWidth"),
                "height": self.browser.run(&format!(
                    "return Math.min(document.documentElement.scrollHeight, {MAX_HEIGHT})")) } });
        let picture = self.browser.devtools("Page.captureScreenshot", &parameters);
        let data = picture["data"].as_str().expect("a picture");
        BASE64_STANDARD.decode(data).expect("Base64")
    }

    /// Asserts that axe-core finds nothing, contrast included.
    #[track_caller]
    pub fn assert_accessible(&self, what: &str) {
        // The driver is not bound by the policy of the page.
        self.browser.run(&peers::file("axe-core/axe.min.js"));
        let found = self.browser.run(
            "return axe.run(document, { resultTypes: ['violations', 'incomplete'] }).then((found) => \
             [...found.violations, ...found.incomplete].map((rule) => \
             `${rule.id}: ${rule.nodes.map((node) => node.html + ' ' + node.failureSummary).join(' | ')}`))",
        );
        assert_eq!(found, json!([]), "{what}: {found:#}");
    }

    /// Asserts that nothing reaches over the right edge, and that no word is broken where it need not be.
    #[track_caller]
    pub fn assert_fits(&self, what: &str) {
        let wide = self.browser.run(
            "const edge = document.documentElement.clientWidth; \
             return [...document.querySelectorAll('body *')].filter((node) => \
             node.getBoundingClientRect().right > edge + 1).map((node) => node.outerHTML.slice(0, 200))",
        );
        assert_eq!(wide, json!([]), "{what}: {wide:#}");
        // Code is broken anywhere; a label or a number never is.
        let broken = self.browser.run(
            "return [...document.querySelectorAll('dt, .state, .button, .numbers dd, h1, h2, h3')].filter((node) => { \
             const range = document.createRange(); range.selectNodeContents(node); \
             const lines = new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size; \
             return lines > node.textContent.trim().split(/\\s+/).length; }).map((node) => node.outerHTML.slice(0, 200))",
        );
        assert_eq!(broken, json!([]), "{what}: {broken:#}");
    }

    /// Asserts that the policy of the page has blocked nothing, and that it requested nothing elsewhere.
    #[track_caller]
    pub fn assert_loads_nothing_elsewhere(&self) {
        let messages = self.browser.log("browser");
        let is_violation = |message: &&String| message.contains("Content Security Policy");
        let violations: Vec<_> = messages.iter().filter(is_violation).collect();
        assert!(violations.is_empty(), "{violations:?}");
        let own = format!("http://{}/", self.admin);
        let urls: Vec<_> = self
            .browser
            .log("performance")
            .iter()
            .filter_map(|entry| serde_json::from_str::<Value>(entry).ok())
            .filter(|entry| entry["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|entry| {
                let parameters = &entry["message"]["params"];
                // The page that a browser opens with is its own.
                let is_ours = !parameters["documentURL"].as_str()?.starts_with("chrome://");
                let url = parameters["request"]["url"].as_str()?;
                is_ours.then(|| url.to_owned())
            })
            .collect();
        assert!(!urls.is_empty(), "no request was seen");
        let is_elsewhere = |url: &&String| !url.starts_with(&own);
        let elsewhere: Vec<_> = urls.iter().filter(is_elsewhere).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
    }

    /// The text of what a selector finds.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({selector:?})?.innerText ?? ''");
        self.browser
            .run(&script)
            .as_str()
            .expect("a text")
            .to_owned()
    }

    /// Waits until what a selector finds contains `text`.
    #[track_caller]
    pub fn wait_for_text(&self, selector: &str, text: &str) {
        self.browser.wait_until(&format!(
            "document.querySelector({selector:?})?.innerText.includes({text:?})"
        ));
    }
}
