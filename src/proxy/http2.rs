//! A caller that speaks HTTP/2 with prior knowledge: each of its streams is served like a request on a connection that
//! speaks HTTP/1.1.

use std::{future::poll_fn, pin::pin, rc::Rc, sync::Arc, time::Duration};

use tokio::task::spawn_local;

use super::{downstream::Downstream, http1, service::Ingress, timer::Timer, worker::Worker};
use crate::{
    http1::head::{Head, MOST_FIELDS},
    http2::{
        connection::Liveness,
        session::{Limits, Server},
    },
    server::{drain::Watch, preface::Prefixed, stream::Stream},
};

/// Requests on one connection at a time.
const MOST_STREAMS: usize = 256;
/// Bytes that a caller may send ahead, on a request and on a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What HTTP/2 counts for every field beside its name and value (RFC 9113 §6.5.2).
const FIELD_OVERHEAD: usize = 32;
/// How long a caller that has been quiet for too long may take to leave when it is told to.
const GOODBYE: Duration = Duration::from_secs(1);

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: Prefixed<Stream>,
    ingress: Arc<Ingress>,
    worker: Rc<Worker>,
    watch: Watch,
) {
    let limits = ingress.limits;
    let head_bytes = limits.head_bytes + MOST_FIELDS * FIELD_OVERHEAD;
    let bounds = Limits {
        stream_window: STREAM_WINDOW,
        connection_window: CONNECTION_WINDOW,
        head_bytes,
        streams: MOST_STREAMS,
    };
    let interval = limits.keep_alive.max(ingress.table.load().longest_idle());
    let liveness = Liveness {
        interval,
        timeout: None,
    };
    let (server, mut connection) = Server::begin(stream, bounds, liveness);
    let mut accept = |stream| {
        let timer = Timer::new(limits.head_timeout);
        let stream = Downstream::Http2(Box::new(stream));
        spawn_local(http1::serve(
            stream,
            Head::default(),
            timer,
            ingress.clone(),
            worker.clone(),
            watch.clone(),
        ));
    };
    let mut served = pin!(poll_fn(|cx| connection.poll(cx, &mut accept)));
    let mut draining = watch.clone();
    let goodbye = tokio::select! {
        () = served.as_mut() => return,
        () = server.quiet(limits.head_timeout, limits.keep_alive) => GOODBYE.min(limits.head_timeout),
        // What was answered last may still be on its way.
        () = draining.draining() => limits.head_timeout,
    };
    server.announce_end();
    tokio::select! {
        // First, so that the caller is told (GOAWAY) whatever the bound is.
        biased;
        () = served => {}
        // Requests in hand are finished; a caller that does not go then is left.
        () = server.quiet(goodbye, goodbye) => {}
    }
}
