//! HTTP/2 as frames: for callers that do what no library does, such as never opening a window again.

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{patience::PATIENCE, wire::Wire};

/// How long a read waits before the caller does something else.
const PAUSE: Duration = Duration::from_millis(100);
/// `:status 200` (RFC 7541, appendix A).
pub const STATUS_200: u8 = 0x88;
/// Bytes that no URI may hold, and that servers see in targets all the same.
pub const ODD_TARGET: &[u8] = b"/{d|e}\\^/[f]//a?{g}=|^&%zz";

/// The flags of frames (RFC 9113 §6).
pub mod flag {
    /// The last frame of one side of a stream.
    pub const END_STREAM: u8 = 1;
    /// The last frame of a head.
    pub const END_HEADERS: u8 = 4;
    /// Settings or a ping that come back.
    pub const ACK: u8 = 1;
}

/// The kinds of frames that tests look at (RFC 9113 §6).
pub mod kind {
    /// A piece of a body.
    pub const DATA: u8 = 0;
    /// A head, or trailers.
    pub const HEADERS: u8 = 1;
    /// The end of one stream.
    pub const RST_STREAM: u8 = 3;
    /// What one side lets the other do.
    pub const SETTINGS: u8 = 4;
    /// An answer to a request that nobody made.
    pub const PUSH_PROMISE: u8 = 5;
    /// A question whether the other side is there.
    pub const PING: u8 = 6;
    /// The announcement that the connection ends.
    pub const GOAWAY: u8 = 7;
    /// Leave to send more.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of a head.
    pub const CONTINUATION: u8 = 9;
}

/// A frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// See [`kind`].
    pub kind: u8,
    /// See [`flag`].
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

impl Frame {
    /// One to be sent.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.to_vec(),
        }
    }

    /// Reads the nine bytes before a payload: the frame without it, and its length.
    pub fn parse(head: &[u8]) -> (Self, u64) {
        let length = u64::from(u32::from_be_bytes([0, head[0], head[1], head[2]]));
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        (Self::new(head[3], head[4], stream, &[]), length)
    }

    /// The frame as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len())
            .expect("a short frame")
            .to_be_bytes();
        [
            &length[1..],
            &[self.kind, self.flags],
            &self.stream.to_be_bytes(),
            &self.payload,
        ]
        .concat()
    }
}

/// The header block of a GET (RFC 7541, appendix A: `:method GET` and `:scheme http` are there, `:path` and `:authority` get
/// values).
pub fn get_block(path: &str) -> Vec<u8> {
    let mut head = vec![0x82, 0x86];
    for (index, value) in [(4, path), (1, "localhost")] {
        head.extend([index, u8::try_from(value.len()).expect("a short value")]);
        head.extend(value.as_bytes());
    }
    head
}

/// The header block of a request, with names and values just as they are given: a library would look at them first.
pub fn request_block(method: &str, path: impl AsRef<[u8]>, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", method.as_bytes()),
        (":scheme", b"http"),
        (":path", path.as_ref()),
    ];
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    let all = pseudo
        .into_iter()
        .chain([(":authority", &b"localhost"[..])])
        .chain(fields);
    all.flat_map(|(name, value)| field(name, value)).collect()
}

/// One field as a literal that nobody has to remember (RFC 7541 §6.2.2).
pub fn field(name: &str, value: &[u8]) -> Vec<u8> {
    [
        &[0][..],
        &length(name.len()),
        name.as_bytes(),
        &length(value.len()),
        value,
    ]
    .concat()
}

/// The literals of a header block (RFC 7541 §6.2): the first four bits of each, and the length of its value as it is sent.
///
/// `0x40` enters the table, `0x00` does not, and `0x10` must not on any further hop either.
pub fn literals(block: &[u8]) -> Vec<(u8, usize)> {
    let mut rest = block;
    let mut found = Vec::new();
    while let Some(first) = rest.first().copied() {
        let (kind, bits) = match first {
            0x80.. => (0x80, 7),
            0x40.. => (0x40, 6),
            0x20.. => (0x20, 5),
            _ => (first & 0x10, 4),
        };
        let index = integer(&mut rest, bits);
        if matches!(kind, 0x80 | 0x20) {
            continue;
        }
        if index == 0 {
            text_length(&mut rest);
        }
        found.push((kind, text_length(&mut rest)));
    }
    found
}

/// Passes over a text; gives its length as it is sent.
fn text_length(rest: &mut &[u8]) -> usize {
    let length = integer(rest, 7);
    *rest = &rest[length..];
    length
}

/// Reads a number that begins in the last `bits` of a byte (RFC 7541 §5.1).
fn integer(rest: &mut &[u8], bits: u32) -> usize {
    let mask = (1_usize << bits) - 1;
    let mut next = || {
        let (first, behind) = rest.split_first().expect("a whole number");
        *rest = behind;
        usize::from(*first)
    };
    let mut number = next() & mask;
    if number < mask {
        return number;
    }
    for shift in (0..28).step_by(7) {
        let byte = next();
        number += (byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

/// The length of a text that is not packed (RFC 7541 §5.1).
fn length(length: usize) -> Vec<u8> {
    let Some(mut rest) = length.checked_sub(127) else {
        return vec![u8::try_from(length).expect("seven bits")];
    };
    let mut bytes = vec![127];
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}

/// A caller with one HTTP/2 connection, which answers pings and sends its own.
pub struct FrameClient {
    wire: Wire<TcpStream>,
    leaves_pings: bool,
    /// What may be sent: by stream, and on a stream of which nothing was sent or heard.
    rooms: HashMap<u32, i64>,
    new_room: i64,
}

impl FrameClient {
    /// Connects. The sidecar may send `window` bytes of each body, until a window is opened further.
    #[track_caller]
    pub fn connect(address: SocketAddr, window: u32) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
        stream.set_nodelay(true).expect("an option of a socket");
        stream
            .set_read_timeout(Some(PAUSE))
            .expect("an option of a socket");
        let rooms = HashMap::from([(0, 65_535)]);
        let mut client = Self {
            wire: Wire::new(stream),
            leaves_pings: false,
            rooms,
            new_room: 65_535,
        };
        client
            .wire
            .send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .expect("a preface");
        // SETTINGS_INITIAL_WINDOW_SIZE.
        client
            .send(
                kind::SETTINGS,
                0,
                0,
                &[&[0, 4], &window.to_be_bytes()[..]].concat(),
            )
            .expect("the settings");
        client
    }

    /// A GET on `stream`.
    #[track_caller]
    pub fn get(&mut self, stream: u32, path: &str) {
        let head = get_block(path);
        self.send(
            kind::HEADERS,
            flag::END_STREAM | flag::END_HEADERS,
            stream,
            &head,
        )
        .expect("the sidecar takes a request");
    }

    /// The head of a request on `stream`.
    #[track_caller]
    pub fn ask(&mut self, stream: u32, block: &[u8], is_end: bool) {
        let flags = flag::END_HEADERS | if is_end { flag::END_STREAM } else { 0 };
        self.send(kind::HEADERS, flags, stream, block)
            .expect("the sidecar takes a head");
    }

    /// A piece of a body, for which there has to be room.
    #[track_caller]
    pub fn data(&mut self, stream: u32, content: &[u8], is_end: bool) {
        for stream in [0, stream] {
            *self.room_of(stream) -= content.len() as i64;
        }
        let flags = if is_end { flag::END_STREAM } else { 0 };
        self.send(kind::DATA, flags, stream, content)
            .expect("the sidecar takes a piece of a body");
    }

    /// Sends as many bytes on `stream` as there is room for, `most` at most; gives how many.
    #[track_caller]
    pub fn fill(&mut self, stream: u32, most: usize) -> usize {
        let mut sent = 0;
        loop {
            let room = (*self.room_of(0)).min(*self.room_of(stream)).max(0) as usize;
            let count = room.min(most - sent).min(16 * 1024);
            if count == 0 {
                return sent;
            }
            self.data(stream, &vec![b'x'; count], false);
            sent += count;
        }
    }

    fn room_of(&mut self, stream: u32) -> &mut i64 {
        self.rooms.entry(stream).or_insert(self.new_room)
    }

    /// Gives up a request.
    #[track_caller]
    pub fn cancel(&mut self, stream: u32) {
        self.send(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])
            .expect("the sidecar takes the end of a stream");
    }

    /// From here on the sidecar's pings are not answered, but given like other frames.
    pub fn leave_pings(&mut self) {
        self.leaves_pings = true;
    }

    /// Lets the sidecar send `count` bytes more on `stream`.
    #[track_caller]
    pub fn open_window(&mut self, stream: u32, count: u32) {
        for stream in [0, stream] {
            self.send(kind::WINDOW_UPDATE, 0, stream, &count.to_be_bytes())
                .expect("the sidecar takes a window");
        }
    }

    /// Sends a frame, whether it makes sense or not.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.wire
            .send(Frame::new(kind, flags, stream, payload).bytes())
    }

    /// Sends bytes as they are: many frames at once, or none.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.send(bytes)
    }

    /// The socket, for its options.
    pub fn socket(&self) -> &TcpStream {
        self.wire.stream()
    }

    /// Reads, while it answers pings and sends its own, until `enough` says so of a frame. Gives all frames that came,
    /// and whether the connection ended instead.
    #[track_caller]
    pub fn read_until(
        &mut self,
        what: &str,
        mut enough: impl FnMut(&Frame) -> bool,
    ) -> (Vec<Frame>, bool) {
        let end = Instant::now() + PATIENCE;
        let mut frames = Vec::new();
        loop {
            assert!(
                Instant::now() < end,
                "waited {PATIENCE:?} in vain for {what}"
            );
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
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(None);
            }
            head => head?,
        };
        let (mut frame, length) = Frame::parse(&head);
        frame.payload = loop {
            match self.wire.exactly_or_nothing(length) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                payload => break payload?,
            }
        };
        let is_ack = frame.flags & flag::ACK != 0;
        match frame.kind {
            kind::PING if self.leaves_pings && !is_ack => return Ok(Some(frame)),
            kind::SETTINGS | kind::PING => {
                if !is_ack {
                    let echoed = if frame.kind == kind::PING {
                        &frame.payload[..]
                    } else {
                        &[]
                    };
                    let _ = self.send(frame.kind, flag::ACK, 0, echoed);
                }
                if frame.kind == kind::SETTINGS {
                    self.take_settings(&frame.payload);
                }
                return Ok(None);
            }
            kind::WINDOW_UPDATE => *self.room_of(frame.stream) += number(&frame.payload),
            _ => {}
        }
        Ok(Some(frame))
    }

    fn take_settings(&mut self, settings: &[u8]) {
        for setting in settings
            .chunks_exact(6)
            .filter(|setting| setting[..2] == [0, 4])
        {
            let by = number(&setting[2..]) - self.new_room;
            self.new_room += by;
            self.rooms
                .iter_mut()
                .filter(|(stream, _)| **stream > 0)
                .for_each(|(_, room)| *room += by);
        }
    }
}

fn number(bytes: &[u8]) -> i64 {
    i64::from(u32::from_be_bytes(bytes.try_into().expect("four bytes")))
}
