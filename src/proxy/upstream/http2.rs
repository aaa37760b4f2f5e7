//! Connections to upstreams that speak HTTP/2, each shared by the requests of one worker.

use std::{future::poll_fn, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::spawn_local,
};

use crate::http2::{
    connection::Liveness,
    session::{Client, Limits},
};

/// Streams on a connection at a time; a further request opens another. Many servers allow 100 or 128.
const MOST_STREAMS: usize = 100;
/// Bytes that an upstream may send ahead on a stream. All streams have room for it on their connection, so callers who do
/// not read hold up nobody else.
const STREAM_WINDOW: u32 = 128 * 1024;
const LIMITS: Limits = Limits {
    stream_window: STREAM_WINDOW,
    connection_window: STREAM_WINDOW * MOST_STREAMS as u32,
    // What comes is held to the limits of heads again.
    head_bytes: 256 * 1024,
    streams: MOST_STREAMS,
};
/// How often a connection is asked whether it lives, and how long its answer may take.
const LIVENESS: Liveness = Liveness {
    interval: Duration::from_secs(20),
    timeout: Some(Duration::from_secs(10)),
};

/// Speaks HTTP/2 on `io`.
pub(super) fn begin<T>(io: T, scheme: &'static str, authority: String) -> Client
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (client, mut connection) = Client::begin(io, scheme, authority, LIMITS, LIVENESS);
    spawn_local(poll_fn(move |cx| connection.poll(cx, &mut |_| {})));
    client
}
