//! HTTP/2 as frames: for upstreams that do what no library does, such as answering before they are asked.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpStream},
};

use super::{
    frames::{Frame, flag, kind},
    server::Server,
    wire::Wire,
};

/// An upstream that is scripted frame by frame.
pub struct FrameServer {
    server: Server,
}

impl FrameServer {
    /// Runs `script` on each connection, whose number is counted from 0; at its end the connection is closed.
    pub fn start(script: impl Fn(FrameWire, usize) + Send + Sync + 'static) -> Self {
        let server = Server::start(move |stream: TcpStream, number| {
            if let Ok(wire) = FrameWire::accept(stream) {
                script(wire, number);
            }
        });
        Self { server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its origin.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Connections that were accepted so far.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }
}

/// One connection of it.
pub struct FrameWire {
    wire: Wire<TcpStream>,
}

impl FrameWire {
    fn accept(stream: TcpStream) -> io::Result<Self> {
        let mut wire = Wire::new(stream);
        if wire.exactly(24)? != b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut wire = Self { wire };
        wire.send(kind::SETTINGS, 0, 0, &[])?;
        Ok(wire)
    }

    /// The next frame that is neither a setting nor a ping; those are answered.
    pub fn next(&mut self) -> io::Result<Frame> {
        loop {
            let (mut frame, length) = Frame::parse(&self.wire.exactly(9)?);
            frame.payload = self.wire.exactly(length)?;
            if !matches!(frame.kind, kind::SETTINGS | kind::PING) {
                return Ok(frame);
            }
            if frame.flags & flag::ACK == 0 {
                let echoed = if frame.kind == kind::PING {
                    &frame.payload[..]
                } else {
                    &[]
                };
                self.send(frame.kind, flag::ACK, 0, echoed)?;
            }
        }
    }

    /// The next frame of one kind; others are passed over.
    pub fn next_of(&mut self, kind: u8) -> io::Result<Frame> {
        loop {
            let frame = self.next()?;
            if frame.kind == kind {
                return Ok(frame);
            }
        }
    }

    /// Reads what follows the head in `first`, to the end of the request.
    pub fn finish_request(&mut self, first: &Frame) -> io::Result<()> {
        let mut ended = first.flags & flag::END_STREAM != 0;
        while !ended {
            let frame = self.next()?;
            ended = frame.stream == first.stream
                && matches!(frame.kind, kind::DATA | kind::HEADERS)
                && frame.flags & flag::END_STREAM != 0;
        }
        Ok(())
    }

    /// Sends a frame, whether it makes sense or not.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.wire
            .send(Frame::new(kind, flags, stream, payload).bytes())
    }
}
