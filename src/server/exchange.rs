//! One HTTP/1.1 exchange over a socket of its own: the client of the tests.

use std::time::Duration;

use http::HeaderMap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, ToSocketAddrs},
    time::timeout,
};

/// A response, parsed.
#[derive(Debug)]
pub(crate) struct ClientResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl ClientResponse {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }
}

/// Sends `request` as it is and reads until the other side closes; `None` when it closes without a response.
pub(crate) async fn exchange(address: impl ToSocketAddrs, request: &str) -> Option<ClientResponse> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // A reset is an end like any other here.
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    };
    let bytes = timeout(Duration::from_secs(10), exchange)
        .await
        .expect("a response within 10 s");
    if bytes.is_empty() {
        return None;
    }
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let length = head.parse(&bytes).unwrap().unwrap();
    let headers = head
        .headers
        .iter()
        .map(|field| {
            (
                field.name.parse::<http::HeaderName>().unwrap(),
                http::HeaderValue::from_bytes(field.value).unwrap(),
            )
        })
        .collect();
    let body = String::from_utf8_lossy(&bytes[length..]).into_owned();
    Some(ClientResponse {
        status: head.code.unwrap(),
        headers,
        body,
    })
}

/// As [`exchange`], for a request that is made of its method, its target, further field lines and a body.
pub(crate) async fn ask(
    address: impl ToSocketAddrs,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> Option<ClientResponse> {
    let mut request = format!(
        "{method} {target} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    if !fields
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        request.push_str("host: localhost\r\n");
    }
    for (name, value) in fields {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    exchange(address, &request).await
}
