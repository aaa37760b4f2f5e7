//! The connections of one worker that can be used again.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use super::{Connection, Io, Target};
use crate::{http2::session::Client, proxy::route::Http2};

/// How long an idle connection is kept: less than the 60 s after which many servers close theirs.
const KEPT_IDLE: Duration = Duration::from_secs(50);
/// How many idle connections to one upstream a worker keeps.
const MOST_IDLE: usize = 1024;

/// The connections of one worker that can be used again.
#[derive(Debug, Default)]
pub struct Pool {
    idle: RefCell<ByTarget<VecDeque<Idle>>>,
    /// Connections that speak HTTP/2, busy ones too. An upstream that once did stays known for it.
    sessions: RefCell<ByTarget<Sessions>>,
}

/// By the numbers of the targets.
type ByTarget<T> = HashMap<u64, T, BuildHasherDefault<Spread>>;

/// Spreads numbers that nobody outside can choose, for the price of a multiplication.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Debug, Default)]
struct Sessions {
    open: Vec<(Client, Instant)>,
    turn: Arc<Mutex<()>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// A connection to `target` that can take a request at once: a stream of a shared one, or the idle one that was used
    /// last, if any is still good.
    pub fn take(&self, target: &Target) -> Option<Connection> {
        self.take_stream(target).or_else(|| self.take_idle(target))
    }

    /// A stream of a connection that speaks HTTP/2.
    pub(super) fn take_stream(&self, target: &Target) -> Option<Connection> {
        let mut sessions = self.sessions.borrow_mut();
        let open = &mut sessions.get_mut(&target.id)?.open;
        open.retain(|(session, _)| !session.is_closed());
        let (session, used) = open.iter_mut().find(|(session, _)| session.has_room())?;
        *used = Instant::now();
        Some(Connection {
            io: Io::Http2(Box::new(session.stream())),
            reused: true,
        })
    }

    /// Shares a connection that speaks HTTP/2.
    pub(super) fn share(&self, target: &Target, session: Client) {
        self.sessions
            .borrow_mut()
            .entry(target.id)
            .or_default()
            .open
            .push((session, Instant::now()));
    }

    /// What those have to hold who open a connection to an upstream that speaks HTTP/2.
    pub(super) fn turn(&self, target: &Target) -> Option<Arc<Mutex<()>>> {
        let mut sessions = self.sessions.borrow_mut();
        match target.http2 {
            Http2::PriorKnowledge => Some(sessions.entry(target.id).or_default().turn.clone()),
            Http2::Auto => sessions
                .get(&target.id)
                .map(|sessions| sessions.turn.clone()),
            Http2::Never => None,
        }
    }

    fn take_idle(&self, target: &Target) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let connections = idle.get_mut(&target.id)?;
        while let Some(Idle { connection, since }) = connections.pop_back() {
            if connection.is_quiet() && since.elapsed() < KEPT_IDLE {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for later, if it is still good; one that speaks HTTP/2 is kept already.
    pub fn put(&self, target: &Target, mut connection: Connection) {
        if matches!(connection.io, Io::Http2(_)) || !connection.is_quiet() {
            return;
        }
        connection.reused = true;
        let mut idle = self.idle.borrow_mut();
        let connections = idle.entry(target.id).or_default();
        if connections.len() == MOST_IDLE {
            connections.pop_front();
        }
        connections.push_back(Idle {
            connection,
            since: Instant::now(),
        });
    }

    /// Gives up the connections that have idled too long or that the upstream has closed.
    pub fn sweep(&self) {
        self.idle.borrow_mut().retain(|_, connections| {
            connections
                .retain(|idle| idle.since.elapsed() < KEPT_IDLE && idle.connection.is_quiet());
            !connections.is_empty()
        });
        for sessions in self.sessions.borrow_mut().values_mut() {
            let is_kept =
                |session: &Client, used: &Instant| !session.is_idle() || used.elapsed() < KEPT_IDLE;
            sessions
                .open
                .retain(|(session, used)| !session.is_closed() && is_kept(session, used));
        }
    }
}
