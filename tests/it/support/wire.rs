//! HTTP/1.1 as bytes: reads what came, interprets no more than framing.

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
};

const LARGEST_HEAD: usize = 1 << 20;

/// The fields behind a body, in order.
pub type Trailers = Vec<(String, String)>;

/// A head as it arrived.
#[derive(Clone, Default)]
pub struct Head {
    /// Every byte, the empty line included.
    pub raw: Vec<u8>,
    /// The request line or status line.
    pub start: String,
    /// Names as they were written, and values, one character a byte.
    pub fields: Vec<(String, String)>,
}

impl Head {
    fn parse(raw: &[u8]) -> io::Result<Self> {
        let text: String = raw.iter().map(|&byte| char::from(byte)).collect();
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .map(|line| match line.split_once(':') {
                Some((name, value)) => {
                    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
                }
                None => Err(invalid(&format!("a field line without a colon: {line:?}"))),
            })
            .collect::<io::Result<_>>()?;
        Ok(Self {
            raw: raw.to_vec(),
            start,
            fields,
        })
    }

    /// The only value of `name`; more than one fail the test.
    #[track_caller]
    pub fn value(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(
            values.len() <= 1,
            "{name} came {} times: {self:?}",
            values.len()
        );
        values.first().copied()
    }

    /// All values of `name`, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Whether there is a field `name`.
    pub fn has(&self, name: &str) -> bool {
        !self.values(name).is_empty()
    }

    /// The second word of a request line.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The first word of a request line.
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The second word of a status line.
    pub fn status(&self) -> u16 {
        self.start
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .unwrap_or(0)
    }

    /// How the body of a request with this head is framed.
    pub fn request_framing(&self) -> Framing {
        self.framing().unwrap_or(Framing::None)
    }

    /// How the body of an answer with this head, to a request with `method`, is framed.
    pub fn answer_framing(&self, method: &str) -> Framing {
        if method == "HEAD" || matches!(self.status(), 100..=199 | 204 | 304) {
            return Framing::None;
        }
        self.framing().unwrap_or(Framing::UntilClose)
    }

    fn framing(&self) -> Option<Framing> {
        if self
            .values("transfer-encoding")
            .iter()
            .any(|value| value.eq_ignore_ascii_case("chunked"))
        {
            return Some(Framing::Chunked);
        }
        self.values("content-length")
            .first()
            .map(|length| Framing::Length(length.parse().unwrap_or(0)))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}", String::from_utf8_lossy(&self.raw))
    }
}

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// What comes until the connection is closed.
    UntilClose,
}

/// A request that arrived at a scripted server.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its head.
    pub head: Head,
    /// Its body, out of its framing.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: Trailers,
}

/// An answer that arrived at a client.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head.
    pub head: Head,
    /// Interim answers before it.
    pub interim: Vec<Head>,
    /// Its body, out of its framing.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: Trailers,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// One end of a connection, with what was read and not yet used.
pub struct Wire<S> {
    stream: S,
    buffer: Vec<u8>,
    used: usize,
}

impl<S: Read + Write> Wire<S> {
    /// Wraps `stream`.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            used: 0,
        }
    }

    /// The stream itself.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Writes all of `bytes`.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// The next head; `None` when the connection was closed before its first byte.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            let unread = &self.buffer[self.used..];
            if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = Head::parse(&unread[..end + 4])?;
                self.used += end + 4;
                return Ok(Some(head));
            }
            if unread.len() > LARGEST_HEAD {
                return Err(invalid("a head without an end"));
            }
            if self.fill()? == 0 {
                return if self.buffer.len() == self.used {
                    Ok(None)
                } else {
                    Err(cut())
                };
            }
        }
    }

    /// The next request, whole.
    pub fn request(&mut self) -> io::Result<Option<Request>> {
        let Some(head) = self.head()? else {
            return Ok(None);
        };
        let (body, trailers) = self.body(head.request_framing())?;
        Ok(Some(Request {
            head,
            body,
            trailers,
        }))
    }

    /// The next answer, whole, to a request with `method`, and the interim ones before it.
    pub fn answer(&mut self, method: &str) -> io::Result<Answer> {
        let mut interim = Vec::new();
        loop {
            let head = self.head()?.ok_or_else(cut)?;
            if matches!(head.status(), 100 | 102..=199) {
                interim.push(head);
                continue;
            }
            let (body, trailers) = self.body(head.answer_framing(method))?;
            return Ok(Answer {
                status: head.status(),
                head,
                interim,
                body,
                trailers,
            });
        }
    }

    /// A body, collected, and its trailers.
    pub fn body(&mut self, framing: Framing) -> io::Result<(Vec<u8>, Trailers)> {
        let mut body = Vec::new();
        let trailers = self.stream_body(framing, &mut |bytes| body.extend_from_slice(bytes))?;
        Ok((body, trailers))
    }

    /// Hands a body to `sink` piece by piece; an end that is no clean end is an error.
    pub fn stream_body(
        &mut self,
        framing: Framing,
        sink: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Trailers> {
        match framing {
            Framing::None => Ok(Vec::new()),
            Framing::Length(length) => self.pass(length, sink).map(|()| Vec::new()),
            Framing::UntilClose => loop {
                let unread = &self.buffer[self.used..];
                sink(unread);
                self.used = self.buffer.len();
                if self.fill()? == 0 {
                    return Ok(Vec::new());
                }
            },
            Framing::Chunked => loop {
                let line = self.line()?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(size, 16)
                    .map_err(|_| invalid(&format!("chunk size {line:?}")))?;
                if size == 0 {
                    return self.trailers();
                }
                self.pass(size, sink)?;
                let end = self.line()?;
                if !end.is_empty() {
                    return Err(invalid(&format!("{end:?} after a chunk")));
                }
            },
        }
    }

    /// Everything until the connection is closed.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        self.body(Framing::UntilClose).map(|(bytes, _)| bytes)
    }

    /// Exactly `length` bytes, whatever they are.
    pub fn exactly(&mut self, length: u64) -> io::Result<Vec<u8>> {
        self.body(Framing::Length(length)).map(|(bytes, _)| bytes)
    }

    /// As `exactly`; where a read times out, nothing of what came is used up.
    pub fn exactly_or_nothing(&mut self, length: u64) -> io::Result<Vec<u8>> {
        while ((self.buffer.len() - self.used) as u64) < length {
            if self.fill()? == 0 {
                return Err(cut());
            }
        }
        self.exactly(length)
    }

    fn trailers(&mut self) -> io::Result<Trailers> {
        let mut trailers = Vec::new();
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                Some((name, value)) => {
                    trailers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
                }
                None if line.is_empty() => return Ok(trailers),
                None => return Err(invalid(&format!("trailer {line:?}"))),
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            let unread = &self.buffer[self.used..];
            if let Some(end) = unread.windows(2).position(|window| window == b"\r\n") {
                let line = unread[..end].iter().map(|&byte| char::from(byte)).collect();
                self.used += end + 2;
                return Ok(line);
            }
            if self.fill()? == 0 {
                return Err(cut());
            }
        }
    }

    fn pass(&mut self, mut length: u64, sink: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        while length > 0 {
            if self.used == self.buffer.len() && self.fill()? == 0 {
                return Err(cut());
            }
            let unread = &self.buffer[self.used..];
            let taken = unread
                .len()
                .min(usize::try_from(length).unwrap_or(usize::MAX));
            sink(&unread[..taken]);
            self.used += taken;
            length -= taken as u64;
        }
        Ok(())
    }

    fn fill(&mut self) -> io::Result<usize> {
        if self.used > 0 {
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        let before = self.buffer.len();
        self.buffer.resize(before + 64 * 1024, 0);
        let read = self.stream.read(&mut self.buffer[before..]);
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        read
    }
}

/// Puts `body` into chunks of `size` bytes, with `trailers` at the end.
pub fn chunked(body: &[u8], size: usize, trailers: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    bytes
}

/// A 200 with `body` and its length.
pub fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", "", body)
}

/// An answer with `status` (`404 Not Found`), further field lines (each ended by CR LF) and a body with its length.
pub fn answer(status: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{fields}\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn cut() -> io::Error {
    io::Error::new(
        ErrorKind::UnexpectedEof,
        "the connection was closed in the middle of a message",
    )
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text)
}
