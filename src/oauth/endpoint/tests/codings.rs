//! Responses with a content coding that no request asked for.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::oauth::error::TokenRefusal;

fn gzipped(status: &str, body: &[u8]) -> Reply {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    let body = encoder.finish().unwrap();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Reply::Bytes([head.as_bytes(), &body].concat())
}

#[tokio::test]
async fn a_token_and_an_error_are_read_in_a_coding_that_was_not_requested() {
    let body = br#"{"access_token":"AT-1","token_type":"Bearer"}"#;
    let server = TokenServer::start(gzipped("200 OK", body)).await;
    let issued = ask(fake::provider(&server.url())).await.unwrap();
    assert_eq!(issued.access_token.expose(), "AT-1");
    assert!(!server.requests()[0].contains("accept-encoding"));

    server.reply(gzipped("400 Bad Request", br#"{"error":"invalid_client"}"#));
    assert_eq!(
        fault_of(fake::provider(&server.url())).await,
        Fault::Refused(TokenRefusal::InvalidClient)
    );
}

#[tokio::test]
async fn a_response_is_bounded_after_its_decoding() {
    let server = TokenServer::start(gzipped("200 OK", &vec![b' '; 2 << 20])).await;
    assert_eq!(
        fault_of(fake::provider(&server.url())).await,
        Fault::NotAToken("it is larger than 1 MiB")
    );
}
