//! What a browser does at a login, without a browser: follows redirects, keeps cookies to the host and path that set them, and
//! says which site a navigation came from.

use std::{fmt, net::SocketAddr};

use url::Url;

use super::{
    client::exchange,
    wire::{Answer, Head},
};

const MOST_REDIRECTS: usize = 8;

/// A browser profile.
#[derive(Default)]
pub struct Navigator {
    cookies: Vec<Cookie>,
    set: Vec<String>,
}

struct Cookie {
    host: String,
    path: String,
    name: String,
    value: String,
}

/// The end of a navigation.
#[derive(Clone)]
pub struct Visit {
    /// Where it ended.
    pub url: Url,
    answer: Option<Answer>,
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Some(answer) => write!(f, "{}: {:?}\n{}", self.url, answer.head, answer.text()),
            None => write!(f, "{}, which no browser goes to", self.url),
        }
    }
}

impl Visit {
    /// What was answered there.
    #[track_caller]
    pub fn answer(&self) -> &Answer {
        self.answer.as_ref().unwrap_or_else(|| panic!("{self:?}"))
    }

    /// Its status.
    #[track_caller]
    pub fn status(&self) -> u16 {
        self.answer().status
    }

    /// Where it was sent on to.
    #[track_caller]
    pub fn location(&self) -> Option<String> {
        let answer = self.answer();
        (300..400)
            .contains(&answer.status)
            .then(|| answer.head.value("location").expect("Location").to_owned())
    }
}

impl Navigator {
    /// A profile without cookies.
    pub fn new() -> Self {
        Self::default()
    }

    /// The `Set-Cookie` fields that came.
    pub fn cookies_set(&self) -> &[String] {
        &self.set
    }

    /// Goes to `url` as if it were typed, and no further.
    #[track_caller]
    pub fn get(&mut self, url: &str) -> Visit {
        self.go(&url.parse().expect("a URL"), "none")
    }

    /// Comes to `url` from a page on another site, and goes no further.
    #[track_caller]
    pub fn get_from_elsewhere(&mut self, url: &str) -> Visit {
        self.go(&url.parse().expect("a URL"), "cross-site")
    }

    /// Goes to `url` and wherever it is sent on to.
    #[track_caller]
    pub fn follow(&mut self, url: &str) -> Visit {
        let mut visit = self.get(url);
        let mut site = "none";
        for _ in 0..MOST_REDIRECTS {
            let Some(location) = visit.location() else {
                return visit;
            };
            let next = visit.url.join(&location).expect("a URL in Location");
            if next.scheme() != "http" {
                return Visit {
                    url: next,
                    answer: None,
                };
            }
            // Once a site took part, the whole chain of redirects is cross-site.
            if next.origin() != visit.url.origin() {
                site = "cross-site";
            }
            visit = self.go(&next, site);
        }
        panic!("redirected for ever: {visit:?}");
    }

    #[track_caller]
    fn go(&mut self, url: &Url, site: &str) -> Visit {
        let host = url.host_str().expect("a host").to_owned();
        let port = url.port_or_known_default().expect("a port");
        let target = url.query().map_or(url.path().to_owned(), |query| {
            format!("{}?{query}", url.path())
        });
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .filter(|cookie| cookie.host == host && url.path().starts_with(&cookie.path))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        let cookies = if cookies.is_empty() {
            String::new()
        } else {
            format!("Cookie: {}\r\n", cookies.join("; "))
        };
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/html\r\nSec-Fetch-Site: {site}\r\n\
             Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-User: ?1\r\n{cookies}\r\n"
        );
        let ip = if host == "localhost" {
            "127.0.0.1"
        } else {
            &host
        };
        let address: SocketAddr = format!("{ip}:{port}")
            .parse()
            .expect("an address on loopback");
        let answer = exchange(address, request);
        self.keep(&host, url.path(), &answer.head);
        Visit {
            url: url.clone(),
            answer: Some(answer),
        }
    }

    fn keep(&mut self, host: &str, path: &str, head: &Head) {
        for field in head.values("set-cookie") {
            self.set.push(field.to_owned());
            let mut parts = field.split(';').map(str::trim);
            let (name, value) = parts
                .next()
                .and_then(|pair| pair.split_once('='))
                .expect("name=value");
            let parts: Vec<_> = parts.collect();
            let named = parts
                .iter()
                .find_map(|part| part.strip_prefix("Path="))
                .map(str::to_owned);
            // RFC 6265 §5.1.4: up to the last slash.
            let default = path
                .rsplit_once('/')
                .map(|(folder, _)| format!("{folder}/"))
                .unwrap_or_default();
            let path = named.unwrap_or(default);
            self.cookies
                .retain(|cookie| (cookie.name.as_str(), cookie.path.as_str()) != (name, &path));
            if !value.is_empty() && !parts.contains(&"Max-Age=0") {
                self.cookies.push(Cookie {
                    host: host.into(),
                    path,
                    name: name.into(),
                    value: value.into(),
                });
            }
        }
    }
}
