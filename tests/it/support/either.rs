//! One request, spoken in HTTP/1.1 or in HTTP/2: for promises that hold for both.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    client::Client,
    h2c::{H2Client, empty, full, with_trailers},
    wire::{Trailers, chunked},
};

/// What a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// All that there is.
pub const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// A request in the making.
pub struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    fields: Vec<(&'a str, &'a str)>,
    body: Body<'a>,
}

enum Body<'a> {
    None,
    Sized(&'a [u8]),
    Unsized(&'a [u8], &'a [(&'a str, &'a str)]),
}

/// An answer, whole.
#[derive(Debug)]
pub struct Told {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: HeaderMap,
}

impl Told {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The only value of a field, as text.
    #[track_caller]
    pub fn value(&self, name: &str) -> Option<&str> {
        let values: Vec<_> = self.fields.get_all(name).iter().collect();
        assert!(
            values.len() <= 1,
            "{name} came {} times: {:?}",
            values.len(),
            self.fields
        );
        values
            .first()
            .map(|value| value.to_str().expect("a value of text"))
    }

    /// Asserts that this is the sidecar's own problem `kind`, with `status`.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, kind: &str) {
        assert_eq!(
            self.status,
            status,
            "wanted {status} {kind}, got {:?}\n{}",
            self.fields,
            self.text()
        );
        assert_eq!(self.value("content-type"), Some("application/problem+json"));
        let body: serde_json::Value = serde_json::from_slice(&self.body).expect("a problem");
        assert_eq!(body["type"], format!("urn:bearward:{kind}"), "{body}");
    }
}

impl<'a> Ask<'a> {
    /// A request without a body.
    pub fn new(method: &'a str, path: &'a str) -> Self {
        Self {
            method,
            path,
            fields: Vec::new(),
            body: Body::None,
        }
    }

    /// A GET.
    pub fn get(path: &'a str) -> Self {
        Self::new("GET", path)
    }

    /// A further field.
    pub fn field(mut self, name: &'a str, value: &'a str) -> Self {
        self.fields.push((name, value));
        self
    }

    /// A body whose length is told beforehand.
    pub fn body(mut self, body: &'a [u8]) -> Self {
        self.body = Body::Sized(body);
        self
    }

    /// A body whose length is not told, and trailers behind it.
    pub fn stream(mut self, body: &'a [u8], trailers: &'a [(&'a str, &'a str)]) -> Self {
        self.body = Body::Unsized(body, trailers);
        self
    }

    /// Asks, over a connection of its own; an answer that is no answer fails the test.
    #[track_caller]
    pub fn told(&self, protocol: Protocol, address: SocketAddr) -> Told {
        self.ask(protocol, address)
            .unwrap_or_else(|error| panic!("{protocol:?}: no whole answer: {error}"))
    }

    /// As [`Ask::told`]; what was broken off is an error.
    pub fn ask(&self, protocol: Protocol, address: SocketAddr) -> Result<Told, String> {
        match protocol {
            Protocol::Http1 => self.over_http1(address),
            Protocol::Http2 => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime.block_on(self.over_http2(address))
            }
        }
    }

    fn over_http1(&self, address: SocketAddr) -> Result<Told, String> {
        let mut client = Client::connect(address);
        let mut bytes = format!(
            "{} {} HTTP/1.1\r\nHost: localhost\r\n",
            self.method, self.path
        );
        for (name, value) in &self.fields {
            bytes += &format!("{name}: {value}\r\n");
        }
        let body = match self.body {
            Body::None => Vec::new(),
            Body::Sized(body) => {
                bytes += &format!("Content-Length: {}\r\n", body.len());
                body.to_vec()
            }
            Body::Unsized(body, trailers) => {
                bytes += "Transfer-Encoding: chunked\r\n";
                let trailers: String = trailers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}\r\n"))
                    .collect();
                chunked(body, 10_000, &trailers)
            }
        };
        // It may answer, and close, before it has taken everything.
        let _ = client
            .wire()
            .send([bytes.as_bytes(), b"\r\n", &body].concat());
        let answer = client
            .wire()
            .answer(self.method)
            .map_err(|error| error.to_string())?;
        Ok(Told {
            status: answer.status,
            fields: map(&answer.head.fields),
            body: answer.body,
            trailers: map(&answer.trailers),
        })
    }

    async fn over_http2(&self, address: SocketAddr) -> Result<Told, String> {
        let mut client = H2Client::connect(address).await;
        let mut request = client.request(self.method, self.path);
        for (name, value) in &self.fields {
            request = request.header(*name, *value);
        }
        let body = match self.body {
            Body::None => empty(),
            Body::Sized(body) => full(body.to_vec()),
            Body::Unsized(body, trailers) => {
                let trailers: Trailers = trailers
                    .iter()
                    .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                    .collect();
                with_trailers(body.to_vec(), map(&trailers))
            }
        };
        let answer = client
            .send(request.body(body).expect("a request"))
            .await
            .map_err(|error| error.to_string())?;
        Ok(Told {
            status: answer.status,
            fields: answer.headers,
            body: answer.body,
            trailers: answer.trailers,
        })
    }
}

fn map(fields: &Trailers) -> HeaderMap {
    let field = |(name, value): &(String, String)| {
        // One character of a head is one byte of it.
        let value: Vec<u8> = value.chars().map(|c| c as u8).collect();
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name of a field");
        (
            name,
            HeaderValue::from_bytes(&value).expect("a value of a field"),
        )
    };
    fields
        .iter()
        .map(field)
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
}
