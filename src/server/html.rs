//! HTML responses: one style for all pages, and headers that let a page load nothing from elsewhere.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

/// The style of every page.
const STYLE: &str = include_str!("html/page.css");

/// Headers of every response to a browser: not stored, not guessed at, not framed, not told to other sites.
const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// A complete page: `title` is escaped, `style` and `script` are constants of the program.
#[derive(Debug)]
pub struct Page {
    /// The title in the browser's tab.
    pub title: String,
    /// Further elements of `<head>`.
    pub head: Markup,
    /// The page's own style, beside that of all pages.
    pub style: Option<&'static str>,
    /// The content of `<body>`.
    pub body: Markup,
    /// The page's own script, which runs at the end.
    pub script: Option<&'static str>,
}

impl Page {
    /// The page as an HTML document.
    pub fn render(&self) -> String {
        let document = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="referrer" content="no-referrer";
                    title { (self.title) }
                    (self.head)
                    @for style in self.styles() { style { (PreEscaped(style)) } }
                }
                body {
                    (self.body)
                    @if let Some(script) = self.script {
                        script { (PreEscaped(script)) }
                    }
                }
            }
        };
        document.into_string()
    }

    /// The page as a response that allows its own style and script by their hashes, and nothing else.
    pub fn to_response(&self, status: StatusCode) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.render())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let media_type = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, media_type);
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            self.content_security_policy(),
        );
        add_security_headers(headers);
        response
    }

    fn styles(&self) -> impl Iterator<Item = &'static str> {
        [STYLE].into_iter().chain(self.style)
    }

    fn content_security_policy(&self) -> HeaderValue {
        let hash = |text: &str| {
            let digest = BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
            format!("'sha256-{digest}'")
        };
        let styles: Vec<_> = self.styles().map(hash).collect();
        let script = match self.script {
            Some(script) => format!("script-src {}; connect-src 'self'; ", hash(script)),
            None => String::new(),
        };
        let policy = format!(
            "default-src 'none'; style-src {}; {script}form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            styles.join(" ")
        );
        // Base64 and the words above are valid in a header.
        HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
    }
}

/// Adds the security headers that are missing in `headers`.
pub fn add_security_headers(headers: &mut HeaderMap) {
    for (name, value) in SECURITY_HEADERS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn page(script: Option<&'static str>) -> Page {
        let body = html! { p { "<b>text</b>" } };
        Page {
            title: "<title>".into(),
            head: html! {},
            style: script.map(|_| "p { margin: 0 }"),
            body,
            script,
        }
    }

    #[tokio::test]
    async fn style_and_script_are_the_ones_the_policy_allows() {
        let response = page(Some("run()")).to_response(StatusCode::OK);
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let page = String::from_utf8(body.to_vec()).unwrap();
        let parts = [("<style>", "</style>"), ("<script>", "</script>")].map(|(open, close)| {
            let parts = page.split(open).skip(1);
            let parts = parts.map(|rest| (open, rest.split_once(close).unwrap().0));
            parts.collect::<Vec<_>>()
        });
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        for (open, text) in parts.concat() {
            let hash = BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
            assert!(
                policy.contains(&format!("'sha256-{hash}'")),
                "{open} {policy}"
            );
        }
    }

    #[test]
    fn a_page_without_a_script_allows_none_and_nothing_in_it_becomes_markup() {
        let response = page(None).to_response(StatusCode::OK);
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("script-src"));
        let text = page(None).render();
        assert!(text.contains("&lt;b&gt;text") && text.contains("<title>&lt;title&gt;</title>"));
    }

    #[test]
    fn security_headers_leave_a_policy_that_is_set_alone() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("own"),
        );
        add_security_headers(&mut headers);
        assert_eq!(headers["content-security-policy"], "own");
        assert_eq!(headers["x-frame-options"], "DENY");
        assert_eq!(headers["cache-control"], "no-store");
    }
}
