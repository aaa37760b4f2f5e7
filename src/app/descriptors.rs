//! The descriptors of the process: as many as the system gives, and a reserve for what keeps it alive.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::server::limits::Limits;

/// Descriptors for refreshes, the store, the admin listener, listening sockets and files: where there are plenty.
const RESERVE: u64 = 256;

/// Descriptors of one client connection: its own, the upstream's, and one of the upstream that idles.
const PER_CONNECTION: u64 = 3;

/// Raises the soft limit of descriptors to the hard one. Returns the number of connections that they allow over all
/// listeners.
pub(super) fn raise_limit() -> usize {
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
    limit.map_or(usize::MAX, connections_within)
}

/// Warns of a configured limit that the descriptors do not allow.
pub(super) fn warn_of_few(connections: usize, limits: &Limits) {
    if connections < limits.connections {
        tracing::warn!(
            connections,
            configured = limits.connections,
            "[limits] connections needs more descriptors than the process may have, so fewer are accepted: raise the \
             limit (LimitNOFILE= of systemd, `ulimit -n`)"
        );
    }
}

/// Half of them is kept back where there are few.
fn connections_within(descriptors: u64) -> usize {
    let reserve = RESERVE.min(descriptors / 2);
    let connections = (descriptors - reserve) / PER_CONNECTION;
    usize::try_from(connections.max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_kept_back_whatever_their_number() {
        for (descriptors, connections) in [(0, 1), (128, 21), (1024, 256), (1 << 20, 349_440)] {
            assert_eq!(
                connections_within(descriptors),
                connections,
                "{descriptors}"
            );
        }
    }
}
