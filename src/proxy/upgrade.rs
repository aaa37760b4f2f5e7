//! Upgrades: both sides switch to another protocol, and their bytes pass (RFC 9110 §7.8).

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{
    HeaderValue, Response, StatusCode, Version,
    header::{CONNECTION, UPGRADE},
    request::Parts,
};
use http_body::Body;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    task::spawn_local,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    body::ResponseBody, client_connection::ClientConnection, error::ProxyRefusal,
    exchange::Exchange, forward::Sent, hop, route::Route, table::ActiveRoute,
};
use crate::server::problem::ProblemKind;
use crate::server::timer::Timer;

/// A client's wish to switch protocols.
#[derive(Debug)]
pub struct UpgradeRequest {
    client: OnUpgrade,
    /// The protocols that client and route agree on, the preferred one first.
    pub protocols: HeaderValue,
}

/// Reads the protocols that a request asks for and its route allows.
///
/// A request with a body cannot switch: where the body ends and the protocol begins would be doubtful.
pub fn requested(
    parts: &Parts,
    client: Option<OnUpgrade>,
    route: &Route,
    body: &impl Body,
) -> Option<UpgradeRequest> {
    let client = client.filter(|_| parts.version == Version::HTTP_11 && body.is_end_stream())?;
    let is_allowed = |asked: &&[u8]| {
        let mut allowed = route.upgrade.iter();
        allowed.any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(asked))
    };
    let protocols: Vec<&[u8]> = hop::upgrade_protocols(&parts.headers)
        .filter(is_allowed)
        .collect();
    if protocols.is_empty() {
        return None;
    }
    let protocols = HeaderValue::from_bytes(&protocols.join(&b", "[..])).ok()?;
    Some(UpgradeRequest { client, protocols })
}

/// Checks a 101 against what was asked.
///
/// # Errors
/// `upstream-protocol`: the upstream switches although nothing, or something else, was asked.
pub fn check(
    response: &Response<impl Sized>,
    asked: Option<&UpgradeRequest>,
) -> Result<(), ProxyRefusal> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    let mut chosen = hop::upgrade_protocols(response.headers());
    let is_asked = match (asked, chosen.next(), chosen.next()) {
        (Some(asked), Some(protocol), None) => asked
            .protocols
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|asked| asked.trim_ascii().eq_ignore_ascii_case(protocol)),
        _ => false,
    };
    match is_asked {
        true => Ok(()),
        false => Err(ProxyRefusal::new(
            ProblemKind::UpstreamProtocol,
            "the upstream switched to a protocol that was not asked for",
        )
        .with_proxy_error("http_upgrade_failed")),
    }
}

/// Both sides of an upgrade, before the client has its 101.
#[derive(Debug)]
pub struct Tunnel {
    asked: UpgradeRequest,
    sent: Sent,
    /// `timeouts.idle`.
    idle: Duration,
    /// Ends it with its route.
    cut: CancellationToken,
}

impl Tunnel {
    /// Makes the tunnel of a request to which the upstream responded with 101.
    pub fn new(asked: UpgradeRequest, sent: Sent, active: &ActiveRoute) -> Self {
        Self {
            asked,
            sent,
            idle: active.route.timeouts.idle,
            cut: active.cut.clone(),
        }
    }

    /// Starts the tunnel in a task of its own, and makes the 101 for the client.
    pub fn start(
        self,
        connection: &ClientConnection,
        mut exchange: Exchange,
    ) -> Response<ResponseBody> {
        let Self {
            asked,
            sent,
            idle,
            cut,
        } = self;
        let (mut parts, _) = sent.response.into_parts();
        let upstream = parts.extensions.remove::<OnUpgrade>();
        let protocol = parts.headers.get(UPGRADE).cloned();
        hop::retain(&mut parts.headers, |name, _| !hop::is_hop_by_hop(name));
        let upgrade = HeaderValue::from_static("upgrade");
        parts.headers.insert(CONNECTION, upgrade);
        if let Some(protocol) = protocol {
            parts.headers.insert(UPGRADE, protocol);
        }
        exchange.set_status(parts.status);
        exchange.release_permit();
        connection.state.set_upgraded();
        let checkout = sent.checkout;
        let tunnel = async move {
            checkout.finish_upgrade().await;
            let Some(upstream) = upstream else { return };
            match tokio::try_join!(asked.client, upstream) {
                Ok((client, upstream)) => tokio::select! {
                    () = copy(client, upstream, idle, &mut exchange) => {}
                    () = cut.cancelled() => tracing::debug!("a tunnel outlived its route"),
                },
                Err(error) => tracing::debug!(%error, "an upgrade was not completed"),
            }
        };
        spawn_local(connection.worker.tasks.track_future(tunnel));
        Response::from_parts(parts, ResponseBody::empty())
    }
}

async fn copy(client: Upgraded, upstream: Upgraded, idle: Duration, exchange: &mut Exchange) {
    let clock = IdleClock::new(idle);
    let mut client = Watched::new(client, &clock);
    let mut upstream = Watched::new(upstream, &clock);
    tokio::select! {
        copied = copy_bidirectional(&mut client, &mut upstream) => {
            if let Err(error) = copied {
                tracing::debug!(%error, "a tunnel broke");
            }
        }
        () = clock.expired() => tracing::debug!("a tunnel was idle for `timeouts.idle`"),
    }
    exchange.count_bytes(client.written);
}

/// The time since a byte passed a tunnel in either direction.
struct IdleClock {
    idle: Duration,
    moved_at: std::cell::Cell<Instant>,
}

impl IdleClock {
    fn new(idle: Duration) -> Self {
        Self {
            idle,
            moved_at: std::cell::Cell::new(Instant::now()),
        }
    }

    async fn expired(&self) {
        let mut timer = Timer::new(self.moved_at.get() + self.idle);
        std::future::poll_fn(|cx| {
            loop {
                let deadline = self.moved_at.get() + self.idle;
                timer.set(deadline);
                ready!(timer.poll_elapsed(cx));
                if self.moved_at.get() + self.idle <= deadline {
                    return Poll::Ready(());
                }
            }
        })
        .await;
    }
}

/// One side of a tunnel; tells the clock of each byte.
struct Watched<'a> {
    io: TokioIo<Upgraded>,
    clock: &'a IdleClock,
    written: usize,
}

impl<'a> Watched<'a> {
    fn new(io: Upgraded, clock: &'a IdleClock) -> Self {
        Self {
            io: TokioIo::new(io),
            clock,
            written: 0,
        }
    }
}

impl AsyncRead for Watched<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        self.clock.moved_at.set(Instant::now());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.written += written;
        self.clock.moved_at.set(Instant::now());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
