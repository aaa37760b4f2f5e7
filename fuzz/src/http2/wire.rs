//! What both sides say, frame by frame: what the peer allowed, and whether the connection keeps to it.

use std::collections::HashMap;

use bearward::http2::hpack::Decoder;

/// What a window is at the beginning (RFC 9113 §6.9.2), and how much may come on all streams together.
pub(super) const WINDOW: u32 = 65_535;
const HEAD: usize = 9;
const LARGEST: usize = 16 * 1024;

/// A frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// Takes a whole frame from the front.
fn take(bytes: &mut Vec<u8>) -> Option<Frame> {
    let head = bytes.first_chunk::<HEAD>()?;
    let [a, b, c, kind, flags, stream @ ..] = *head;
    let end = HEAD + u32::from_be_bytes([0, a, b, c]) as usize;
    let payload = bytes.get(HEAD..end)?.to_vec();
    bytes.drain(..end);
    Some(Frame {
        kind,
        flags,
        stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
        payload,
    })
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u64::from(u32::from_be_bytes(*bytes)))
}

/// What the peer has sent, whether it was read or not.
#[derive(Default)]
pub(super) struct Fed {
    bytes: Vec<u8>,
    /// Field blocks: there are no more requests than those.
    pub(super) heads: usize,
    /// Content, padding included.
    pub(super) content: u64,
    by_stream: HashMap<u32, u64>,
    /// What it opened its windows by, and the most that a setting opened those of streams to.
    opened: HashMap<u32, u64>,
    initial: u64,
}

impl Fed {
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        while let Some(frame) = take(&mut self.bytes) {
            match frame.kind {
                0 => {
                    self.content += frame.payload.len() as u64;
                    *self.by_stream.entry(frame.stream).or_default() += frame.payload.len() as u64;
                }
                1 => self.heads += 1,
                4 => {
                    let sizes = frame
                        .payload
                        .chunks_exact(6)
                        .filter(|pair| pair[..2] == [0, 4]);
                    self.initial = sizes
                        .map(|pair| number(&pair[2..]))
                        .fold(self.initial, u64::max);
                }
                8 => {
                    *self.opened.entry(frame.stream).or_default() +=
                        number(&frame.payload) & u64::from(u32::MAX >> 1)
                }
                _ => {}
            }
        }
    }

    fn allowed(&self, stream: u32) -> u64 {
        let initial = if stream == 0 { 0 } else { self.initial };
        initial.max(u64::from(WINDOW)) + self.opened.get(&stream).copied().unwrap_or(0)
    }
}

#[derive(Default)]
struct Sent {
    has_head: bool,
    has_ended: bool,
    was_reset: bool,
    content: u64,
    freed: u64,
}

/// What the connection says, held to RFC 9113.
#[derive(Default)]
pub(super) struct Said {
    pub(super) bytes: usize,
    /// What has to come first.
    preface: &'static [u8],
    has_settings: bool,
    decoder: Option<Decoder>,
    /// A field block that goes on.
    block: Option<(u32, bool, Vec<u8>)>,
    streams: HashMap<u32, Sent>,
    content: u64,
    /// What it opened the window of the connection by.
    pub(super) freed: u64,
    /// It told the peer that it broke the protocol.
    pub(super) is_over: bool,
}

impl Said {
    pub(super) fn behind(preface: &'static [u8]) -> Self {
        Self {
            preface,
            ..Self::default()
        }
    }

    /// Takes the whole frames of `output`.
    pub(super) fn take(&mut self, output: &mut Vec<u8>, fed: &Fed) {
        if output.len() >= self.preface.len() {
            assert!(output.starts_with(self.preface));
            self.bytes += self.preface.len();
            output.drain(..std::mem::take(&mut self.preface).len());
        }
        while self.preface.is_empty()
            && let Some(frame) = take(output)
        {
            self.bytes += HEAD + frame.payload.len();
            self.check(frame, fed);
        }
    }

    fn check(&mut self, frame: Frame, fed: &Fed) {
        let Frame {
            kind,
            flags,
            stream,
            payload,
        } = frame;
        assert!(payload.len() <= LARGEST, "a frame that is too large");
        assert!(
            self.has_settings || kind == 4,
            "no settings at the beginning"
        );
        assert!(
            self.block.is_none() || kind == 9,
            "a frame in the middle of a field block"
        );
        let is_end = matches!(kind, 0 | 1) && flags & 1 == 1;
        let sent = self.streams.entry(stream).or_default();
        match kind {
            0 => {
                assert!(
                    sent.has_head && !sent.has_ended,
                    "content where none may be"
                );
                sent.has_ended = is_end;
                sent.content += payload.len() as u64;
                self.content += payload.len() as u64;
                assert!(
                    sent.content <= fed.allowed(stream),
                    "more than the window of a stream"
                );
                assert!(
                    self.content <= fed.allowed(0),
                    "more than the window of the connection"
                );
            }
            1 => {
                assert!(
                    stream % 2 == 1 && !sent.has_ended,
                    "a head where none may be"
                );
                self.block = Some((stream, is_end, payload));
            }
            3 => {
                assert!(!sent.was_reset, "a stream is reset twice");
                (sent.was_reset, sent.has_ended) = (true, true);
            }
            4 => self.has_settings = true,
            6 => assert_eq!(payload.len(), 8),
            7 => self.is_over |= number(&payload[4..]) != 0,
            8 => {
                let freed = number(&payload);
                assert!(freed > 0, "a window that opens by nothing");
                sent.freed += freed;
                let came = if stream == 0 {
                    fed.content
                } else {
                    fed.by_stream.get(&stream).copied().unwrap_or(0)
                };
                assert!(sent.freed <= came, "a window opens by more than was taken");
                if stream == 0 {
                    self.freed = sent.freed;
                }
            }
            9 => {
                let (first, _, block) = self
                    .block
                    .as_mut()
                    .expect("a piece of a block that did not begin");
                assert_eq!(*first, stream);
                block.extend(payload);
            }
            other => panic!("a frame of the kind {other}"),
        }
        if matches!(kind, 1 | 9) && flags & 4 == 4 {
            self.fields();
        }
    }

    fn fields(&mut self) {
        let (stream, is_end, block) = self.block.take().expect("it was just there");
        let decoder = self.decoder.get_or_insert_with(|| Decoder::new(4096));
        let mut names = Vec::new();
        decoder
            .decode(&block, |name, _| names.push(name.to_vec()))
            .expect("fields that can be unpacked");
        let sent = self.streams.entry(stream).or_default();
        let is_head = names.first().is_some_and(|name| name.starts_with(b":"));
        assert!(
            is_head || (sent.has_head && is_end),
            "trailers that end nothing"
        );
        sent.has_head = true;
        sent.has_ended = is_end;
    }
}
