//! A stream as whoever forwards requests uses it: text in, text out.

use std::{future::poll_fn, io};

use crate::{
    http1::{
        body::Body,
        framing,
        head::{Head, HeadLimits},
    },
    http2::stream::Stream,
};

const LIMITS: HeadLimits = HeadLimits {
    bytes: 64 * 1024,
    fields: 100,
};

pub(super) struct Wire(pub(super) Stream);

/// One message that was read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Message {
    /// Its head, and the interim ones in front of it.
    pub(super) head: String,
    pub(super) content: Vec<u8>,
    pub(super) trailers: Vec<(String, String)>,
}

impl Message {
    /// The answer that says the same.
    pub(super) fn echoed(&self) -> Vec<u8> {
        if self.trailers.is_empty() {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                self.content.len()
            );
            return [head.as_bytes(), &self.content].concat();
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
            self.content.len()
        );
        let trailers: String = self
            .trailers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        [
            head.as_bytes(),
            &self.content,
            b"\r\n0\r\n",
            trailers.as_bytes(),
            b"\r\n",
        ]
        .concat()
    }
}

impl Wire {
    pub(super) async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.0.poll_read(cx, bytes)).await
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.0.poll_write(cx, bytes)).await
    }

    pub(super) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.write(bytes).await?;
            bytes = &bytes[count..];
        }
        poll_fn(|cx| self.0.poll_flush(cx)).await
    }

    /// The next request; none when there is no more.
    pub(super) async fn request(&mut self) -> io::Result<Option<Message>> {
        self.0.go_on();
        self.message(false).await
    }

    /// The answer, with its end.
    pub(super) async fn answer(&mut self) -> io::Result<Message> {
        self.0.go_on();
        let answer = self
            .message(true)
            .await?
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        assert_eq!(self.read(&mut [0]).await?, 0, "something behind the end");
        Ok(answer)
    }

    async fn message(&mut self, is_answer: bool) -> io::Result<Option<Message>> {
        let (mut head, mut message, mut piece) =
            (Head::default(), Message::default(), vec![0; 3000]);
        let framing = loop {
            let parsed = if is_answer {
                head.parse_response(LIMITS)
            } else {
                head.parse_request(LIMITS)
            };
            if parsed.map_err(|_| io::ErrorKind::InvalidData)? {
                message.head += str::from_utf8(&head.buffer.all()[..head.len()]).unwrap();
                if !is_answer {
                    break framing::of_request(&head);
                }
                if head.status >= 200 {
                    break framing::of_response(&head, false);
                }
                head.next(0);
                continue;
            }
            match self.read(&mut piece).await? {
                0 if head.buffer.is_empty() => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => head.buffer.extend(&piece[..count]),
            }
        };
        let mut body = Body::new(
            framing.map_err(|_| io::ErrorKind::InvalidData)?,
            None,
            10_000,
        );
        let mut rest = head.rest().to_vec();
        loop {
            let decoded = body
                .decode(&mut rest)
                .map_err(|_| io::ErrorKind::InvalidData)?;
            assert_eq!(
                decoded.consumed,
                rest.len(),
                "another message behind this one"
            );
            message.content.extend_from_slice(&rest[..decoded.content]);
            if body.is_done() {
                break;
            }
            match self.read(&mut piece).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => rest = piece[..count].to_vec(),
            }
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let trailer = |name: &[u8], value: &[u8]| message.trailers.push((text(name), text(value)));
        body.trailers(None, trailer)
            .map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Some(message))
    }
}
