//! HTTP/2 as frames: for callers that do what no library does, such as never opening a window again.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{patience::PATIENCE, wire::Wire};

/// How long a read waits before the caller does something else.
const PAUSE: Duration = Duration::from_millis(100);
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// The kinds of frames that tests look at (RFC 9113 §6).
pub mod kind {
    /// A piece of a body.
    pub const DATA: u8 = 0;
    /// A head, or trailers.
    pub const HEADERS: u8 = 1;
    /// The end of one stream.
    pub const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
    /// The announcement that the connection ends.
    pub const GOAWAY: u8 = 7;
    pub(super) const WINDOW_UPDATE: u8 = 8;
}

/// A frame that arrived.
#[derive(Clone, Debug)]
pub struct Frame {
    /// See [`kind`].
    pub kind: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

/// A caller with one HTTP/2 connection, which answers pings and sends its own.
pub struct FrameClient {
    wire: Wire<TcpStream>,
}

impl FrameClient {
    /// Connects. The sidecar may send `window` bytes of each body, until a window is opened further.
    #[track_caller]
    pub fn connect(address: SocketAddr, window: u32) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
        stream.set_nodelay(true).expect("an option of a socket");
        stream.set_read_timeout(Some(PAUSE)).expect("an option of a socket");
        let mut client = Self { wire: Wire::new(stream) };
        client.wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("a preface");
        // SETTINGS_INITIAL_WINDOW_SIZE.
        client.send(kind::SETTINGS, 0, 0, &[&[0, 4], &window.to_be_bytes()[..]].concat()).expect("the settings");
        client
    }

    /// A GET on `stream`.
    #[track_caller]
    pub fn get(&mut self, stream: u32, path: &str) {
        // RFC 7541, appendix A: `:method GET` and `:scheme http` are there, `:path` and `:authority` get values.
        let mut head = vec![0x82, 0x86];
        for (index, value) in [(4, path), (1, "localhost")] {
            head.extend([index, u8::try_from(value.len()).expect("a short value")]);
            head.extend(value.as_bytes());
        }
        self.send(kind::HEADERS, END_STREAM | END_HEADERS, stream, &head).expect("the sidecar takes a request");
    }

    /// Lets the sidecar send `count` bytes more on `stream`.
    #[track_caller]
    pub fn open_window(&mut self, stream: u32, count: u32) {
        for stream in [0, stream] {
            self.send(kind::WINDOW_UPDATE, 0, stream, &count.to_be_bytes()).expect("the sidecar takes a window");
        }
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.wire.send([&head, payload].concat())
    }

    /// Reads, while it answers pings and sends its own, until `enough` says so of a frame. Gives all frames that came,
    /// and whether the connection ended instead.
    #[track_caller]
    pub fn read_until(&mut self, what: &str, mut enough: impl FnMut(&Frame) -> bool) -> (Vec<Frame>, bool) {
        let end = Instant::now() + PATIENCE;
        let mut frames = Vec::new();
        loop {
            assert!(Instant::now() < end, "waited {PATIENCE:?} in vain for {what}");
            match self.next() {
                Ok(Some(frame)) => {
                    frames.push(frame);
                    if enough(&frames[frames.len() - 1]) {
                        return (frames, false);
                    }
                }
                Ok(None) => {
                    // Where the connection is ending, the ping may find it closed already, as the next read will say.
                    let _ = self.send(kind::PING, 0, 0, b"pingping");
                }
                Err(_) => return (frames, true),
            }
        }
    }

    /// Reads for as long as `pause`. Gives all frames that came, and whether the connection ended.
    pub fn read_for(&mut self, pause: Duration) -> (Vec<Frame>, bool) {
        let end = Instant::now() + pause;
        let mut frames = Vec::new();
        while Instant::now() < end {
            match self.next() {
                Ok(frame) => frames.extend(frame),
                Err(_) => return (frames, true),
            }
        }
        (frames, false)
    }

    /// Reads until the connection ends.
    #[track_caller]
    pub fn read_to_end(&mut self, what: &str) -> Vec<Frame> {
        self.read_until(what, |_| false).0
    }

    /// The next frame that is neither a setting nor a ping; none if nothing comes for a moment.
    fn next(&mut self) -> io::Result<Option<Frame>> {
        let head = match self.wire.exactly_or_nothing(9) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
            head => head?,
        };
        let length = u64::from(u32::from_be_bytes([0, head[0], head[1], head[2]]));
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = loop {
            match self.wire.exactly_or_nothing(length) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                payload => break payload?,
            }
        };
        let (kind, acknowledges) = (head[3], head[4] & ACK != 0);
        if matches!(kind, kind::SETTINGS | kind::PING) {
            if !acknowledges {
                let echoed = if kind == kind::PING { &payload[..] } else { &[] };
                let _ = self.send(kind, ACK, 0, echoed);
            }
            return Ok(None);
        }
        Ok(Some(Frame { kind, stream, payload }))
    }
}
