//! The other side, frame by frame.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::timeout,
};

use super::{SECOND, transcript};
use crate::{
    http1::buffer::Buffer,
    http2::{
        frame::{self, PREFACE, Reason},
        hpack::encode,
        reader::Reader,
    },
};

pub(super) struct Peer {
    io: DuplexStream,
    reader: Reader,
    input: Vec<u8>,
}

impl Peer {
    /// The other side of a connection, which has not said anything.
    pub(super) fn new(io: DuplexStream) -> Self {
        Self {
            io,
            reader: Reader::new(1_000_000),
            input: Vec::new(),
        }
    }

    /// A client that has introduced itself, and forgets what it was told.
    pub(super) async fn client(io: DuplexStream) -> Self {
        let mut peer = Self::new(io);
        peer.write(PREFACE).await;
        peer.send(|out| frame::put_settings(out, &[])).await;
        peer.said().await;
        peer
    }

    /// A server that has introduced itself, and forgets what it was told.
    pub(super) async fn server(io: DuplexStream) -> Self {
        let mut peer = Self::new(io);
        peer.send(|out| frame::put_settings(out, &[])).await;
        peer.said().await;
        peer
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    pub(super) async fn send(&mut self, put: impl FnOnce(&mut Buffer)) {
        let mut out = Buffer::new();
        put(&mut out);
        self.write(out.filled()).await;
    }

    pub(super) async fn fields(&mut self, stream: u32, pairs: &[(&str, &str)], is_end: bool) {
        let mut block = Buffer::new();
        pairs.iter().for_each(|(name, value)| {
            encode::field(&mut block, name.as_bytes(), value.as_bytes(), false)
        });
        self.send(|out| frame::put_fields(out, stream, block.filled(), is_end))
            .await;
    }

    pub(super) async fn get(&mut self, stream: u32) {
        self.fields(
            stream,
            &[(":method", "GET"), (":scheme", "http"), (":path", "/")],
            true,
        )
        .await;
    }

    pub(super) async fn data(&mut self, stream: u32, content: &[u8], is_end: bool) {
        self.send(|out| frame::put_data(out, stream, content, is_end))
            .await;
    }

    pub(super) async fn reset(&mut self, stream: u32) {
        self.send(|out| frame::put_reset(out, stream, Reason::CANCEL))
            .await;
    }

    /// What it is told until there is nothing more for now; `the end` at the end.
    pub(super) async fn said(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        let mut piece = vec![0; 10_000];
        while let Ok(read) = timeout(SECOND / 100, self.io.read(&mut piece)).await {
            let count = read.unwrap();
            if count == 0 {
                said.push("the end".into());
                break;
            }
            self.input.extend_from_slice(&piece[..count]);
            if self.input.starts_with(&PREFACE[..count.min(PREFACE.len())]) {
                let length = PREFACE.len();
                self.input.drain(..length);
            }
            let (frames, length) = transcript::of(&mut self.reader, &self.input);
            said.extend(frames);
            self.input.drain(..length);
        }
        said
    }
}
