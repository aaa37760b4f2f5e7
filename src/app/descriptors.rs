//! The descriptors of the process: as many as the system gives, and a reserve for what keeps it alive.

use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::server::{adjustable_limit::AdjustableLimit, limits::Limits};

/// Descriptors for refreshes, the store, listening sockets and files: where there are plenty.
const RESERVE: usize = 256;

/// The part of the descriptors that clients of the admin listener may use, as a divisor.
const ADMIN_PART: usize = 16;

/// Descriptors of one client connection: its own, the upstream's, and one of the upstream that idles.
const PER_CONNECTION: usize = 3;

/// The descriptors of the process, and the connections that they allow.
#[derive(Debug)]
pub(super) struct Descriptors {
    number: usize,
    /// The connections of clients, over all listeners of the proxy.
    pub(super) connections: Arc<AdjustableLimit>,
}

impl Descriptors {
    /// Raises the soft limit to the hard one, and shares out what there is.
    pub(super) fn raise_limit() -> Self {
        let before = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        };
        let limit = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => raised.current,
            // The soft one stays, which the connections have to fit.
            Err(_) => before.current,
        };
        let number = limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        });
        Self::new(number)
    }

    fn new(number: usize) -> Self {
        // Half of them is kept back where there are few.
        let reserve = RESERVE.min(number / 2);
        let connections = (number - reserve - number / ADMIN_PART) / PER_CONNECTION;
        Self {
            number,
            connections: Arc::new(AdjustableLimit::new(connections.max(1))),
        }
    }

    /// The requests in flight of each of several listeners. Each may have a connection to the upstream.
    pub(super) fn requests(&self, limits: &Limits, listeners: usize) -> usize {
        let each = self.connections.limit() / listeners.max(1);
        limits.requests.min(each.max(1))
    }

    /// The limits of the admin listener.
    pub(super) fn admin(&self, limits: Limits) -> Limits {
        let connections = (self.number / ADMIN_PART).max(1);
        Limits {
            connections: limits.connections.min(connections),
            ..limits
        }
    }

    /// Warns of configured limits that the descriptors do not allow, and names those in force.
    pub(super) fn warn_of_few(&self, limits: &Limits, listeners: usize) {
        let connections = self.connections.limit();
        let requests = self.requests(limits, listeners);
        let wanted = limits.connections.saturating_mul(listeners);
        if listeners > 0 && (connections < wanted || requests < limits.requests) {
            tracing::warn!(
                descriptors = self.number,
                connections = connections.min(wanted),
                requests,
                "limits.reduced: [limits] connections and requests need more descriptors than the process may have: `connections` are \
                 accepted over all listeners, and `requests` at a time served by each. Raise the limit (LimitNOFILE= of \
                 systemd, `ulimit -n`)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_kept_back_whatever_their_number() {
        for (number, connections) in [(0, 1), (128, 18), (1024, 234), (1 << 20, 327_594)] {
            let descriptors = Descriptors::new(number);
            assert_eq!(descriptors.connections.limit(), connections, "{number}");
        }
        let many = Descriptors::new(usize::MAX);
        let limits = Limits::default();
        assert_eq!(many.requests(&limits, 8), limits.requests);
        assert_eq!(many.admin(limits), limits);
    }

    #[test]
    fn all_listeners_together_leave_the_reserve_when_they_are_full() {
        let limits = Limits::default();
        for number in [128, 256, 1024, 4096] {
            for listeners in [1, 3, 8] {
                let descriptors = Descriptors::new(number);
                let connections = descriptors.connections.limit();
                let requests = listeners * descriptors.requests(&limits, listeners);
                let admin = descriptors.admin(limits).connections;
                // An upstream's connection idles when its request has ended.
                let used = connections + 2 * requests + admin;
                assert!(used + RESERVE.min(number / 2) <= number, "{number}");
            }
        }
    }
}
