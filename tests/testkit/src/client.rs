//! A client that sends one HTTP/1.1 request on a connection of its own.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, ToSocketAddrs},
    time::timeout,
};

/// Time from connecting to the end of the response.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// A response, read to the end of the connection. The body keeps its transfer coding.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Every header field.
    pub headers: HeaderMap,
    /// The body; bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl Response {
    /// The first value of a header, or an empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }
}

/// Sends a request with `connection: close`; returns `None` when the server closes without a response.
///
/// `content-length` is added, and `host: localhost` where `headers` has no host.
pub async fn send(
    address: impl ToSocketAddrs,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<Response> {
    let mut request = format!(
        "{method} {target} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    let has_host = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"));
    if !has_host {
        request.push_str("host: localhost\r\n");
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    send_bytes(address, request.as_bytes()).await
}

/// Sends `request` as it is; returns `None` when the server closes without a response.
pub async fn send_bytes(address: impl ToSocketAddrs, request: &[u8]) -> Option<Response> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut bytes = Vec::new();
        // A reset ends the response like a close does.
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    };
    let bytes = timeout(EXCHANGE_TIMEOUT, exchange)
        .await
        .expect("a response within 10 s");
    if bytes.is_empty() {
        return None;
    }

    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let length = head.parse(&bytes).unwrap().unwrap();
    let headers = head.headers.iter().map(|field| {
        let name: HeaderName = field.name.parse().unwrap();
        (name, HeaderValue::from_bytes(field.value).unwrap())
    });
    Some(Response {
        status: head.code.unwrap(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&bytes[length..]).into_owned(),
    })
}
