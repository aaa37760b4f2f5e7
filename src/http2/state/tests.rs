//! Both sides of a connection without one: frames are given to it one by one, and what it puts out is looked at.

use std::{
    cell::{Ref, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use super::*;
use crate::http2::{
    fields::Fields,
    frame::{Broken, HEAD, Reason},
    hpack::decode::Decoder,
    outbound::Origin,
    reader::{Frame, Reader},
    stream::Stream,
    tests::transcript,
};

mod ends;
mod sending;
mod windows;

const LIMITS: Limits = Limits {
    stream_window: 1000,
    connection_window: 100_000,
    head_bytes: 4096,
    streams: 8,
};
const GET: [(&str, &str); 3] = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
const OK: [(&str, &str); 1] = [(":status", "200")];

/// One side, and what the other one needs to speak to it.
struct Bench {
    state: Rc<RefCell<State>>,
    decoder: Decoder,
    fields: Fields,
}

fn block(pairs: &[(&str, &str)]) -> Buffer {
    let mut block = Buffer::new();
    pairs.iter().for_each(|(name, value)| {
        encode::field(&mut block, name.as_bytes(), value.as_bytes(), false)
    });
    block
}

/// An answer of a hundred bytes, less what `content` has already.
fn answer(content: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{content}").into_bytes()
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl Bench {
    /// A side that has introduced itself, and knows the other one's settings.
    fn new(side: Side, settings: &[Setting]) -> Self {
        let state = State::new(side, LIMITS);
        let (state, fields) = (Rc::new(RefCell::new(state)), Fields::new(LIMITS.head_bytes));
        let mut bench = Self {
            state,
            decoder: Decoder::new(4096),
            fields,
        };
        bench.settings(settings).unwrap();
        bench.out();
        bench
    }

    fn server() -> Self {
        Self::new(Side::Server, &[])
    }

    fn client() -> Self {
        Self::new(Side::Client, &[])
    }

    fn state(&self) -> Ref<'_, State> {
        self.state.borrow()
    }

    fn take(&mut self, frame: &Frame<'_>) -> Result<(), Broken> {
        self.state
            .borrow_mut()
            .take(frame, &mut self.decoder, &mut self.fields)
    }

    fn settings(&mut self, settings: &[Setting]) -> Result<(), Broken> {
        let pairs = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
        self.take(&Frame::Settings(&pairs.collect::<Vec<u8>>()))
    }

    fn head(&mut self, stream: u32, pairs: &[(&str, &str)], is_end: bool) -> Result<(), Broken> {
        self.take(&Frame::Fields {
            stream,
            block: block(pairs).filled(),
            is_end,
        })
    }

    fn data(&mut self, stream: u32, content: &[u8], is_end: bool) -> Result<(), Broken> {
        self.take(&Frame::Data {
            stream,
            content,
            flow: content.len() as u32,
            is_end,
        })
    }

    fn window(&mut self, stream: u32, increment: u32) -> Result<(), Broken> {
        self.take(&Frame::WindowUpdate { stream, increment })
    }

    fn reset(&mut self, stream: u32) -> Result<(), Broken> {
        self.take(&Frame::Reset {
            stream,
            reason: Reason::CANCEL,
        })
    }

    /// A request that comes, with content to follow.
    fn arrive(&mut self, stream: u32) -> Stream {
        self.head(stream, &GET, false).unwrap();
        self.accept()
    }

    fn accept(&mut self) -> Stream {
        let arrived = self.state.borrow_mut().seat().unwrap();
        Stream::arrived(self.state.clone(), arrived)
    }

    fn stream(&self) -> Stream {
        Stream::for_request(
            self.state.clone(),
            Rc::new(Origin {
                scheme: "http",
                authority: "a".into(),
            }),
        )
    }

    /// A request with this much content to follow.
    fn ask(&self, length: usize) -> Stream {
        let mut stream = self.stream();
        let head = format!("POST / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n");
        assert!(matches!(
            stream.poll_write(&mut cx(), head.as_bytes()),
            Poll::Ready(Ok(_))
        ));
        stream
    }

    /// What is put out, frame by frame.
    fn out(&mut self) -> Vec<String> {
        let mut state = self.state.borrow_mut();
        state.pump();
        let bytes = state.out.filled();
        let bytes = bytes.strip_prefix(PREFACE).unwrap_or(bytes);
        let (said, rest) = transcript::of(&mut Reader::new(100_000), bytes);
        assert_eq!(rest, bytes.len(), "half a frame");
        let count = state.out.len();
        state.sent(count);
        said
    }
}

/// Reads all there is now: the text, and how reading stopped.
fn read(stream: &mut Stream) -> (String, Poll<Result<(), io::ErrorKind>>) {
    let (mut text, mut piece) = (Vec::new(), [0; 777]);
    let stopped = loop {
        match stream.poll_read(&mut cx(), &mut piece) {
            Poll::Ready(Ok(0)) => break Poll::Ready(Ok(())),
            Poll::Ready(Ok(count)) => text.extend_from_slice(&piece[..count]),
            Poll::Ready(Err(error)) => break Poll::Ready(Err(error.kind())),
            Poll::Pending => break Poll::Pending,
        }
    };
    (String::from_utf8(text).unwrap(), stopped)
}

/// Writes as much as is taken now.
fn write(stream: &mut Stream, bytes: &[u8]) -> Result<usize, io::ErrorKind> {
    let mut taken = 0;
    while taken < bytes.len() {
        match stream.poll_write(&mut cx(), &bytes[taken..]) {
            Poll::Ready(Ok(count)) => taken += count,
            Poll::Ready(Err(error)) => return Err(error.kind()),
            Poll::Pending => break,
        }
    }
    Ok(taken)
}

fn reason(taken: Result<(), Broken>) -> Option<Reason> {
    taken.err().map(|broken| broken.reason)
}
