//! The upstream connections of one worker that can serve another request.

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    sync::{Arc, Weak},
    time::Duration,
};

use rustc_hash::FxHashMap;
use tokio::{sync::Mutex, time::Instant};

use super::{
    connect::ActiveUpstream,
    connection::{Checkout, Http1Connection, Http2Session},
};
use crate::proxy::route::Http2;

/// The life of an idle connection: less than the 60 s after which many servers close theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Idle connections to one upstream.
const MAX_IDLE: usize = 1024;

/// Streams of one HTTP/2 connection; a further request opens another connection. Many servers allow 100.
pub(super) const MAX_STREAMS: usize = 100;

/// The connections of one worker that can serve another request.
#[derive(Debug, Default)]
pub struct Pool {
    idle: RefCell<FxHashMap<u64, IdleConnections>>,
    /// HTTP/2 connections, busy ones too. An upstream that once spoke HTTP/2 stays known for it.
    sessions: RefCell<FxHashMap<u64, Sessions>>,
}

/// The idle HTTP/1.1 connections to one upstream, the one used last at the end.
#[derive(Debug)]
struct IdleConnections {
    upstream: Weak<ActiveUpstream>,
    connections: VecDeque<IdleConnection>,
}

#[derive(Debug)]
struct IdleConnection {
    connection: Http1Connection,
    since: Instant,
}

#[derive(Debug)]
struct Sessions {
    upstream: Weak<ActiveUpstream>,
    open: Vec<(Http2Session, Instant)>,
    connect_lock: Arc<Mutex<()>>,
}

impl Pool {
    /// Checks out a connection that can take a request at once: a stream of a shared one, or the one used last.
    pub fn checkout(self: &Rc<Self>, upstream: &Arc<ActiveUpstream>) -> Option<Checkout> {
        self.checkout_http2(upstream)
            .or_else(|| self.checkout_http1(upstream))
    }

    pub(super) fn checkout_http2(&self, upstream: &ActiveUpstream) -> Option<Checkout> {
        let mut sessions = self.sessions.borrow_mut();
        let open = &mut sessions.get_mut(&upstream.id())?.open;
        open.retain(|(session, _)| !session.is_closed());
        let has_room =
            |session: &Http2Session| session.streams() < session.max_streams().min(MAX_STREAMS);
        let (session, used_at) = open.iter_mut().find(|(session, _)| has_room(session))?;
        *used_at = Instant::now();
        Some(Checkout::http2(session.open_stream(true)))
    }

    fn checkout_http1(self: &Rc<Self>, upstream: &Arc<ActiveUpstream>) -> Option<Checkout> {
        let mut idle = self.idle.borrow_mut();
        let connections = &mut idle.get_mut(&upstream.id())?.connections;
        while let Some(mut last) = connections.pop_back() {
            if last.is_usable() {
                return Some(Checkout::http1(upstream.clone(), self, last.connection));
            }
        }
        None
    }

    /// Shares an HTTP/2 connection.
    pub(super) fn share(&self, upstream: &Arc<ActiveUpstream>, session: Http2Session) {
        let mut sessions = self.sessions.borrow_mut();
        let sessions = sessions.entry(upstream.id());
        let sessions = sessions.or_insert_with(|| Sessions::new(upstream));
        sessions.open.push((session, Instant::now()));
    }

    /// The lock of those that open a connection to an upstream that speaks HTTP/2.
    pub(super) fn connect_lock(&self, upstream: &Arc<ActiveUpstream>) -> Option<Arc<Mutex<()>>> {
        let mut sessions = self.sessions.borrow_mut();
        let sessions = match upstream.http2() {
            Http2::PriorKnowledge => {
                let sessions = sessions.entry(upstream.id());
                Some(&*sessions.or_insert_with(|| Sessions::new(upstream)))
            }
            Http2::Auto => sessions.get(&upstream.id()),
            Http2::Never => None,
        };
        sessions.map(|sessions| sessions.connect_lock.clone())
    }

    /// Keeps an idle connection.
    pub(super) fn give_back(&self, upstream: &Arc<ActiveUpstream>, connection: Http1Connection) {
        let mut idle = self.idle.borrow_mut();
        let idle = idle
            .entry(upstream.id())
            .or_insert_with(|| IdleConnections {
                upstream: Arc::downgrade(upstream),
                connections: VecDeque::new(),
            });
        let connections = &mut idle.connections;
        if connections.len() == MAX_IDLE {
            connections.pop_front();
        }
        connections.push_back(IdleConnection {
            connection,
            since: Instant::now(),
        });
    }

    /// Closes idle connections that are too old, that the upstream has closed, or whose upstream no route has any more.
    pub fn sweep(&self) {
        self.idle.borrow_mut().retain(|_, idle| {
            idle.connections.retain_mut(IdleConnection::is_usable);
            !idle.connections.is_empty() && idle.upstream.strong_count() > 0
        });
        self.sessions.borrow_mut().retain(|_, sessions| {
            let is_known = sessions.upstream.strong_count() > 0;
            sessions.open.retain(|(session, used_at)| {
                let may_idle = is_known && used_at.elapsed() < IDLE_TIMEOUT;
                (session.streams() > 0 || may_idle) && !session.is_closed()
            });
            !sessions.open.is_empty() || is_known
        });
    }
}

impl Sessions {
    fn new(upstream: &Arc<ActiveUpstream>) -> Self {
        Self {
            upstream: Arc::downgrade(upstream),
            open: Vec::new(),
            connect_lock: Arc::default(),
        }
    }
}

impl IdleConnection {
    fn is_usable(&mut self) -> bool {
        self.since.elapsed() < IDLE_TIMEOUT && self.connection.is_usable()
    }
}
